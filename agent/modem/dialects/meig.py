"""MeiG Smart: SLM (LTE) and SRM (5G) modules.

Source: MeiG SLM770A and SRM8xx AT command manuals, commands +SGCELLINFOEX, ^CELLINFO. The same command
answers in columns or with named values, by firmware. The base of cell and area codes differs as well:
they are left to the +CREG family.
"""

from collections.abc import Iterable, Iterator, Mapping

from agent.modem.cells import IS_SECONDARY
from agent.modem.conversions import decimal, lte_band, nr_band, sinr_in_fifths
from agent.modem.dialect import (
    Dialect,
    Field,
    Row,
    between,
    constant,
    converted,
    layout,
    lines_of_columns,
    network_code,
    number,
    query,
    whole_number,
    worded,
)
from agent.modem.labels import WORDS, labelled

_NAMED_COLUMNS = "part curr_mode mcc mnc band earfcn pci rsrp rsrq rssi sinr"
_split_named = labelled(_NAMED_COLUMNS, WORDS, starts=())


def _rows(answers: Iterable[str]) -> Iterator[Row]:
    lines = list(answers)
    if any("CURR_MODE" in line.upper() for line in lines):
        return _split_named(lines)
    return lines_of_columns(lines)


_SINR = Field(("sinr", "rsrq"), sinr_in_fifths)
_LEVEL = between(-157, -30)
_LTE: Mapping[str, Field] = {
    "operator_mccmnc": network_code("mcc", "mnc"),
    "band": converted("band", lte_band),
    "earfcn": whole_number("earfcn"),
    "pci": whole_number("pci"),
    "rsrp_dbm": number("rsrp"),
    "rsrq_db": number("rsrq"),
    "rssi_dbm": number("rssi"),
    "sinr_db": _SINR,
}
_LTE_COLUMNS = "rat duplex mcc mnc cell_id pci a b c band width earfcn ul_earfcn rssi rsrp rsrq sinr"
_NAMED_WORDS = {"LTE": "lte", "WCDMA": "umts", "GSM": "gsm"}

_SERVING_CELL = query(
    "AT+SGCELLINFOEX?",
    ("+SGCELLINFOEX:", ""),
    layout(
        f"{_LTE_COLUMNS} d e f g h i j k l m n nr_rsrp nr_rsrq nr_sinr nr_band",
        marks={"rat": ("EN-DC",), "rsrp": _LEVEL},
        fields={
            "access_technology": constant("nr5g-nsa"),
            **_LTE,
            "nr_rsrp_dbm": number("nr_rsrp"),
            "nr_rsrq_db": number("nr_rsrq"),
            "nr_sinr_db": Field(("nr_sinr", "nr_rsrq"), sinr_in_fifths),
            "nr_band": converted("nr_band", nr_band),
        },
    ),
    layout(
        _LTE_COLUMNS,
        marks={"rat": ("LTE",), "rsrp": _LEVEL},
        fields={"access_technology": constant("lte"), **_LTE},
    ),
    layout(
        "rat duplex mcc mnc cell_id pci a band width scs b arfcn c rssi rsrp rsrq sinr",
        marks={"rat": ("5G",), "rsrp": _LEVEL},
        fields={
            "access_technology": constant("nr5g-sa"),
            "operator_mccmnc": network_code("mcc", "mnc"),
            "band": converted("band", nr_band),
            "arfcn": whole_number("arfcn"),
            "pci": whole_number("pci"),
            "rsrp_dbm": number("rsrp"),
            "rsrq_db": number("rsrq"),
            "sinr_db": _SINR,
        },
    ),
    layout(
        _NAMED_COLUMNS,
        marks={"part": ("",), "curr_mode": ("LTE",)},
        fields={"access_technology": worded("curr_mode", _NAMED_WORDS), **_LTE},
    ),
    split=_rows,
    deadline_s=5.0,
)
_TEMPERATURE = query(
    "AT+TEMP",
    "+TEMP:",
    layout("sensor temperature", fields={"modem_temperature_c": number("temperature")}),
    keep={"modem_temperature_c": max},
)


def _fifths_of_megahertz(width: str) -> float | None:
    """Return MHz of a width in resource blocks; 6 blocks are 1.4 MHz."""
    blocks = decimal(width)
    if blocks is None:
        return None
    return 1.4 if blocks == 6 else blocks / 5


_CARRIERS = query(
    "AT^CELLINFO=1",
    ("^CELLINFO:", "+CELLINFO:"),
    layout(
        "row carrier state a earfcn width band pci rsrq rsrp rssi sinr",
        marks={"row": ("SCC",), "rsrp": _LEVEL},
        fields={
            **IS_SECONDARY,
            "access_technology": constant("lte"),
            "earfcn": whole_number("earfcn"),
            "bandwidth_mhz": converted("width", _fifths_of_megahertz),
            "band": converted("band", lte_band),
            "pci": whole_number("pci"),
            "rsrp_dbm": number("rsrp"),
            "rsrq_db": number("rsrq"),
            "rssi_dbm": number("rssi"),
            "sinr_db": _SINR,
        },
    ),
)

DIALECTS = (Dialect("MeiG", (_SERVING_CELL, _TEMPERATURE), cell_queries=(_CARRIERS,)),)
