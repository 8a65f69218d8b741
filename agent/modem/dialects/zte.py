"""ZTE: MF sticks and routers (2G to 4G), ZM modules (5G).

Sources: ZTE AT command sets of the MF and ME series (+ZPAS, +ZRSSI, +ZCELLINFO). The 3G line of +ZRSSI has
magnitudes, the 4G line levels with their sign; both stand without a word for the technology.
"""

from agent.modem.conversions import band_label, hexadecimal, level_below_zero, whole
from agent.modem.dialect import (
    Dialect,
    between,
    constant,
    converted,
    hex_number,
    layout,
    number,
    query,
    whole_number,
    worded,
)

_TECHNOLOGIES = {
    "GSM": "gsm",
    "GPRS": "gprs",
    "EDGE": "edge",
    "GPRS/EDGE": "gprs",
    "UMTS": "umts",
    "WCDMA": "umts",
    "HSDPA": "hspa",
    "HSUPA": "hspa",
    "HSPA": "hspa",
    "HSPA+": "hspa",
    "DC-HSPA+": "hspa",
    "LTE": "lte",
    "LTE-A": "lte",
    "NR5G-SA": "nr5g-sa",
    "NR5G-NSA": "nr5g-nsa",
}
_3G = (None, "umts", "hspa")
_NOT_KNOWN = 1000


def _halves_below_zero(text: str) -> float | None:
    """Return a level from halves without a sign ("166" is -83); 1000 is not known."""
    halves = whole(text)
    return None if halves in (None, _NOT_KNOWN) else 0 - halves / 2


def _lte_band(text: str) -> str | None:
    word, _, band = text.upper().rpartition("B")
    return band_label("B", band) if word == "LTE " else None


def _is_lte_band(text: str) -> bool:
    return _lte_band(text) is not None


def _is_area(text: str) -> bool:
    """Return True for an area code; beside FFFE the numbers of the cell are placeholders."""
    return hexadecimal(text) not in (None, 0xFFFE, 0xFFFF)


_TECHNOLOGY = query(
    "AT+ZPAS?",
    ("+ZPAS:", "+BEARTYPE:"),
    layout("mode service", fields={"access_technology": worded("mode", _TECHNOLOGIES)}),
)
_LEVEL = between(-156, -30)
_MAGNITUDE = between(0, _NOT_KNOWN)
_SIGNAL = query(
    "AT+ZRSSI",
    "+ZRSSI:",
    layout(
        "rsrp rsrq rssi sinr",
        marks={"rsrp": _LEVEL, "rssi": _LEVEL},
        min_columns=4,
        fields={
            "rsrp_dbm": number("rsrp"),
            "rsrq_db": number("rsrq"),
            "rssi_dbm": number("rssi"),
            "sinr_db": number("sinr"),
        },
    ),
    layout(
        "rssi ecio rscp",
        marks={"rssi": _MAGNITUDE, "ecio": _MAGNITUDE, "rscp": _MAGNITUDE},
        technologies=_3G,
        fields={
            "rssi_dbm": converted("rssi", level_below_zero),
            "ecio_db": converted("ecio", _halves_below_zero),
            "rscp_dbm": converted("rscp", _halves_below_zero),
        },
    ),
    layout(
        "rscp ecio",
        marks={"rscp": _LEVEL, "ecio": between(-35, 0)},
        technologies=("umts", "hspa"),
        fields={"rscp_dbm": number("rscp"), "ecio_db": number("ecio")},
    ),
)

_CELL = query(
    "AT+ZCELLINFO?",
    "+ZCELLINFO:",
    layout(
        "tac cell_id pci band earfcn",
        marks={"tac": _is_area, "band": _is_lte_band},
        fields={
            "access_technology": constant("lte"),
            "tac": hex_number("tac"),
            "cell_id": hex_number("cell_id"),
            "pci": hex_number("pci"),
            "band": converted("band", _lte_band),
            "earfcn": whole_number("earfcn"),
        },
    ),
    layout(
        "cell_id pci band earfcn",
        marks={"band": _is_lte_band},
        fields={
            "access_technology": constant("lte"),
            "band": converted("band", _lte_band),
            "earfcn": whole_number("earfcn"),
        },
    ),
)

DIALECTS = (Dialect("ZTE", (_TECHNOLOGY, _SIGNAL, _CELL)),)
