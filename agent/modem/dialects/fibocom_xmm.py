"""Fibocom and Intel modems with an Intel XMM: L830, L850, L860, XMM7xxx.

Sources: Fibocom L850-GL and L860-GL AT command manuals (+XMCI, +XCESQ, +RSRP, +RSRQ, +XLEC, +MTSM).
AT+XMCI=1 and AT+MTSM=1 are questions, though they look like settings. The EARFCN tells the band.
"""

from collections.abc import Mapping

from agent.modem.bands import eutra_band
from agent.modem.cells import IS_NEIGHBOUR
from agent.modem.conversions import (
    CESQ_ECNO,
    CESQ_RSCP,
    CESQ_RSRP,
    CESQ_RSRQ,
    CESQ_RXLEV,
    band_label,
    decimal,
    hexadecimal,
    sinr_in_halves,
)
from agent.modem.dialect import (
    Dialect,
    Field,
    coded,
    constant,
    converted,
    hex_number,
    layout,
    network_code,
    number,
    query,
    whole_number,
)


def _band(earfcn: str) -> str | None:
    return eutra_band(hexadecimal(earfcn))


def _decimal_of_two_signs(text: str) -> float | None:
    """Return a negative number whose decimals carry the sign once more ("-7.-50" is -7.5)."""
    return decimal(text.replace(".-", "."))


_BAND_WORD = "BAND_LTE_"
_PLACE = "type mcc mnc area cell_id"
_LTE_COLUMNS = f"{_PLACE} pci earfcn ul_earfcn path_loss rsrp rsrq rssnr timing_advance cqi"
_LTE_LEVELS = {"rsrp_dbm": coded("rsrp", CESQ_RSRP), "rsrq_db": coded("rsrq", CESQ_RSRQ)}
_LTE_CELL: Mapping[str, Field] = {
    "access_technology": constant("lte"),
    "pci": hex_number("pci"),
    "earfcn": hex_number("earfcn"),
    "band": converted("earfcn", _band),
    **_LTE_LEVELS,
}
_3G_COLUMNS = f"{_PLACE} psc uarfcn ul_uarfcn path_loss rssi rscp ecno"
_3G_LEVELS = {"rscp_dbm": coded("rscp", CESQ_RSCP), "ecio_db": coded("ecno", CESQ_ECNO)}
_3G_CELL: Mapping[str, Field] = {
    "access_technology": constant("umts"),
    "uarfcn": hex_number("uarfcn"),
    **_3G_LEVELS,
}
_2G_COLUMNS = f"{_PLACE} bsic rxlev ber"
_2G_CELL: Mapping[str, Field] = {
    "access_technology": constant("gsm"),
    "rssi_dbm": coded("rxlev", CESQ_RXLEV),
}
_NETWORK = {"operator_mccmnc": network_code("mcc", "mnc"), "cell_id": hex_number("cell_id")}

_CELL_MONITOR = "AT+XMCI=1"
_SERVING_CELL = query(
    _CELL_MONITOR,
    "+XMCI:",
    layout(
        _LTE_COLUMNS,
        marks={"type": ("4",)},
        fields={
            **_LTE_CELL,
            **_NETWORK,
            "tac": hex_number("area"),
            "sinr_db": converted("rssnr", sinr_in_halves),
        },
    ),
    layout(_3G_COLUMNS, marks={"type": ("2",)}, fields={**_3G_CELL, **_NETWORK, "lac": hex_number("area")}),
    layout(_2G_COLUMNS, marks={"type": ("0",)}, fields={**_2G_CELL, **_NETWORK, "lac": hex_number("area")}),
    deadline_s=5.0,
)
_NEIGHBOURS = query(
    _CELL_MONITOR,
    "+XMCI:",
    layout(_LTE_COLUMNS, marks={"type": ("5",)}, fields={**_LTE_CELL, **IS_NEIGHBOUR}),
    layout(_3G_COLUMNS, marks={"type": ("3",)}, fields={**_3G_CELL, **IS_NEIGHBOUR}),
    layout(_2G_COLUMNS, marks={"type": ("1",)}, fields={**_2G_CELL, **IS_NEIGHBOUR}),
    deadline_s=5.0,
)

_SIGNAL_COLUMNS = "n rxlev ber rscp ecno rsrq rsrp rssnr"
_2G_SIGNAL = {"rssi_dbm": coded("rxlev", CESQ_RXLEV)}
_LTE_SIGNAL = {**_LTE_LEVELS, "sinr_db": converted("rssnr", sinr_in_halves)}
_SIGNAL = query(
    "AT+XCESQ?",
    "+XCESQ:",
    layout(_SIGNAL_COLUMNS, technologies=("gsm", "gprs", "edge"), fields=_2G_SIGNAL),
    layout(_SIGNAL_COLUMNS, technologies=("umts", "hspa"), fields=_3G_LEVELS),
    layout(_SIGNAL_COLUMNS, technologies=("lte",), fields=_LTE_SIGNAL),
    layout(_SIGNAL_COLUMNS, technologies=(None,), fields={**_2G_SIGNAL, **_3G_LEVELS, **_LTE_SIGNAL}),
)


def _first_band(*columns: str) -> str | None:
    """Return the band that follows the widths of the carriers, of which there are one to five."""
    word = next((column for column in columns if column.startswith(_BAND_WORD)), "")
    return band_label("B", word.removeprefix(_BAND_WORD))


_WIDTHS = ("width_2", "width_3", "width_4", "width_5")
_CARRIERS = query(
    "AT+XLEC?",
    "+XLEC:",
    layout(
        f"n carriers width {' '.join(_WIDTHS)} band",
        technologies=(None, "lte"),
        fields={"band": Field((*_WIDTHS, "band"), _first_band)},
    ),
)

# The carriers follow each other in one line, the primary first.
_RSRP = query(
    "AT+RSRP?",
    "+RSRP:",
    layout(
        "pci earfcn rsrp",
        technologies=(None, "lte"),
        min_columns=3,
        fields={
            "pci": whole_number("pci"),
            "earfcn": whole_number("earfcn"),
            "rsrp_dbm": number("rsrp"),
        },
    ),
)
_RSRQ = query(
    "AT+RSRQ?",
    "+RSRQ:",
    layout(
        "pci earfcn rsrq",
        technologies=(None, "lte"),
        min_columns=3,
        fields={"rsrq_db": converted("rsrq", _decimal_of_two_signs)},
    ),
)

_TEMPERATURE = query(
    "AT+MTSM=1",
    "+MTSM:",
    layout("temperature", fields={"modem_temperature_c": number("temperature")}),
)

DIALECTS = (
    Dialect(
        "Fibocom, Intel XMM",
        (_SERVING_CELL, _SIGNAL, _CARRIERS, _RSRP, _RSRQ, _TEMPERATURE),
        cell_queries=(_NEIGHBOURS,),
    ),
)
