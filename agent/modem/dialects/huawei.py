"""Huawei: ME909, MU709, E3372 and other sticks in stick mode, MH5000 and other 5G modules.

Sources: Huawei ME909s and MH5000 AT command interface specifications, commands ^SYSINFOEX, ^MONSC,
^HCSQ, ^HFREQINFO, ^MONNC, ^CHIPTEMP, ^ICCID. ^HCSQ codes: HCSQ table of the ME909s specification.
"""

from agent.modem.cells import IS_NEIGHBOUR, IS_SECONDARY, IS_SERVING
from agent.modem.conversions import Code, decimal, lte_band, nr_band
from agent.modem.dialect import (
    Dialect,
    Field,
    between,
    coded,
    constant,
    converted,
    groups_of_columns,
    hex_number,
    layout,
    network_code,
    number,
    query,
    whole_number,
    worded,
)
from agent.modem.identity import IdentityQuery, read_iccid

_RSSI = Code(last=96, step=1, offset=-121)
_RSRP = Code(last=97, step=1, offset=-141)
_SINR = Code(last=251, step=0.2, offset=-20.2)
_RSRQ = Code(last=34, step=0.5, offset=-20)
_ECIO = Code(last=65, step=0.5, offset=-32.5)

_TECHNOLOGIES = {
    "GSM": "gsm",
    "GPRS": "gprs",
    "EDGE": "edge",
    "WCDMA": "umts",
    "TD-SCDMA": "umts",
    "HSDPA": "hspa",
    "HSUPA": "hspa",
    "HSPA": "hspa",
    "HSPA+": "hspa",
    "DC-HSPA+": "hspa",
    "LTE": "lte",
    "NR": "nr5g-sa",
}

_SYSTEM = query(
    "AT^SYSINFOEX",
    "^SYSINFOEX:",
    layout(
        "service domain roaming sim lock mode mode_name submode submode_name",
        marks={"service": ("1", "2", "3"), "submode_name": _TECHNOLOGIES},
        fields={"access_technology": worded("submode_name", _TECHNOLOGIES)},
    ),
)

_LTE_LEVEL = between(-156, -30)
_SERVING_CELL = query(
    "AT^MONSC",
    "^MONSC:",
    layout(
        "rat mcc mnc earfcn cell_id pci tac rsrp rsrq rssi",
        marks={"rat": ("LTE",), "rsrp": _LTE_LEVEL},
        fields={
            "access_technology": constant("lte"),
            "operator_mccmnc": network_code("mcc", "mnc"),
            "earfcn": whole_number("earfcn"),
            "cell_id": hex_number("cell_id"),
            "pci": hex_number("pci"),
            "tac": hex_number("tac"),
            "rsrp_dbm": whole_number("rsrp"),
            "rsrq_db": number("rsrq"),
            "rssi_dbm": whole_number("rssi"),
        },
    ),
    layout(
        "rat mcc mnc arfcn scs cell_id pci tac rsrp rsrq sinr",
        marks={"rat": ("NR",), "rsrp": _LTE_LEVEL},
        fields={
            "access_technology": constant("nr5g-sa"),
            "operator_mccmnc": network_code("mcc", "mnc"),
            "arfcn": whole_number("arfcn"),
            "cell_id": hex_number("cell_id"),
            "pci": hex_number("pci"),
            "tac": hex_number("tac"),
            "rsrp_dbm": whole_number("rsrp"),
            "rsrq_db": number("rsrq"),
            "sinr_db": number("sinr"),
        },
    ),
    layout(
        "rat mcc mnc uarfcn psc cell_id lac rscp rxlev ecno",
        marks={"rat": ("WCDMA",), "rscp": between(-125, -20)},
        fields={
            "access_technology": constant("umts"),
            "operator_mccmnc": network_code("mcc", "mnc"),
            "uarfcn": whole_number("uarfcn"),
            "cell_id": hex_number("cell_id"),
            "lac": hex_number("lac"),
            "rscp_dbm": whole_number("rscp"),
            "ecio_db": number("ecno"),
        },
    ),
    layout(
        "rat mcc mnc band arfcn bsic cell_id lac rxlev",
        marks={"rat": ("GSM",), "rxlev": between(-125, -20)},
        fields={
            "access_technology": constant("gsm"),
            "operator_mccmnc": network_code("mcc", "mnc"),
            "arfcn": whole_number("arfcn"),
            "cell_id": hex_number("cell_id"),
            "lac": hex_number("lac"),
            "rssi_dbm": whole_number("rxlev"),
        },
    ),
)

_RAT = worded("rat", _TECHNOLOGIES)
_SIGNAL = query(
    "AT^HCSQ?",
    "^HCSQ:",
    layout(
        "rat rssi rsrp sinr rsrq",
        marks={"rat": ("LTE",)},
        fields={
            "access_technology": _RAT,
            "rssi_dbm": coded("rssi", _RSSI),
            "rsrp_dbm": coded("rsrp", _RSRP),
            "sinr_db": coded("sinr", _SINR),
            "rsrq_db": coded("rsrq", _RSRQ),
        },
    ),
    layout(
        "rat rsrp sinr rsrq",
        marks={"rat": ("NR",)},
        fields={
            "access_technology": _RAT,
            "rsrp_dbm": coded("rsrp", _RSRP),
            "sinr_db": coded("sinr", _SINR),
            "rsrq_db": coded("rsrq", _RSRQ),
        },
    ),
    layout(
        "rat rssi rscp ecio",
        marks={"rat": ("WCDMA", "TD-SCDMA")},
        fields={
            "access_technology": _RAT,
            "rssi_dbm": coded("rssi", _RSSI),
            "rscp_dbm": coded("rscp", _RSSI),
            "ecio_db": coded("ecio", _ECIO),
        },
    ),
    layout(
        "rat rssi",
        marks={"rat": ("GSM",)},
        fields={"access_technology": _RAT, "rssi_dbm": coded("rssi", _RSSI)},
    ),
)

_LTE_MODE, _NR_MODE = ("6",), ("7",)
_FREQUENCY_COLUMNS = "report mode turn band channel frequency width ul_channel ul_frequency ul_width"


def _megahertz(kilohertz: str) -> float | None:
    width = decimal(kilohertz)
    return None if width is None else width / 1000


_FREQUENCY = query(
    "AT^HFREQINFO?",
    "^HFREQINFO:",
    layout(
        _FREQUENCY_COLUMNS,
        marks={"mode": _LTE_MODE, "turn": ("0",)},
        fields={"band": converted("band", lte_band), "earfcn": whole_number("channel")},
    ),
    layout(
        _FREQUENCY_COLUMNS,
        marks={"mode": _NR_MODE, "turn": ("0",)},
        technologies=(None, "nr5g-sa"),
        fields={"band": converted("band", nr_band), "arfcn": whole_number("channel")},
    ),
    split=groups_of_columns(head=2, size=7),
)


def _first_sensor(*columns: str) -> float | None:
    """Return °C of the first sensor that is there; firmware prints tenths or whole degrees."""
    for column in columns:
        value = decimal(column)
        if value is not None and -400 <= value <= 1250:
            return value / 10 if abs(value) > 125 else value
    return None


_SENSORS = ("one", "two", "three", "four", "five")
_TEMPERATURE = query(
    "AT^CHIPTEMP?",
    "^CHIPTEMP:",
    layout(" ".join(_SENSORS), fields={"modem_temperature_c": Field(_SENSORS, _first_sensor)}),
)

_CARRIERS = query(
    _FREQUENCY.command,
    "^HFREQINFO:",
    *(
        layout(
            _FREQUENCY_COLUMNS,
            marks={
                "mode": mode,
                "turn": (lambda turn: turn == "0") if is_first else (lambda turn: turn != "0"),
            },
            fields={
                **(IS_SERVING if is_first else IS_SECONDARY),
                "access_technology": constant(technology),
                "band": converted("band", band),
                channel: whole_number("channel"),
                "bandwidth_mhz": converted("width", _megahertz),
            },
        )
        for mode, technology, band, channel in (
            (_LTE_MODE, "lte", lte_band, "earfcn"),
            (_NR_MODE, "nr5g", nr_band, "arfcn"),
        )
        for is_first in (True, False)
    ),
    split=groups_of_columns(head=2, size=7),
)
_NEIGHBOURS = query(
    "AT^MONNC",
    "^MONNC:",
    layout(
        "rat earfcn pci rsrp rsrq rssi",
        marks={"rat": ("LTE",)},
        fields={
            **IS_NEIGHBOUR,
            "access_technology": constant("lte"),
            "earfcn": whole_number("earfcn"),
            "pci": hex_number("pci"),
            "rsrp_dbm": whole_number("rsrp"),
            "rsrq_db": number("rsrq"),
            "rssi_dbm": whole_number("rssi"),
        },
    ),
    layout(
        "rat arfcn pci rsrp rsrq sinr",
        marks={"rat": ("NR",)},
        fields={
            **IS_NEIGHBOUR,
            "access_technology": constant("nr5g"),
            "arfcn": whole_number("arfcn"),
            "pci": hex_number("pci"),
            "rsrp_dbm": whole_number("rsrp"),
            "rsrq_db": number("rsrq"),
            "sinr_db": number("sinr"),
        },
    ),
    layout(
        "rat uarfcn psc rscp ecno",
        marks={"rat": ("WCDMA",)},
        fields={
            **IS_NEIGHBOUR,
            "access_technology": constant("umts"),
            "uarfcn": whole_number("uarfcn"),
            "rscp_dbm": whole_number("rscp"),
            "ecio_db": number("ecno"),
        },
    ),
    layout(
        "rat band arfcn bsic cell_id lac rxlev",
        marks={"rat": ("GSM",)},
        fields={
            **IS_NEIGHBOUR,
            "access_technology": constant("gsm"),
            "arfcn": whole_number("arfcn"),
            "cell_id": hex_number("cell_id"),
            "lac": hex_number("lac"),
            "rssi_dbm": whole_number("rxlev"),
        },
    ),
)

DIALECTS = (
    Dialect(
        "Huawei",
        (_SYSTEM, _SERVING_CELL, _SIGNAL, _FREQUENCY, _TEMPERATURE),
        cell_queries=(_CARRIERS, _NEIGHBOURS),
        identity=(IdentityQuery("AT^ICCID?", "iccid", ("^ICCID:",), read_iccid),),
    ),
)
