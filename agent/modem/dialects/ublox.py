"""u-blox: SARA, LARA, TOBY.

+UCGED? gives the serving cell only after AT+UCGED=2, one of the two settings that the agent touches. The
answer has no prefix on its lines: "2", then technology and network, then the cell, whose columns differ
by technology and series. Sources: u-blox AT command manuals (SARA-R5 UBX-19047455, SARA-R4, LARA-R6,
TOBY-L4), command +UCGED; scales of 3GPP TS 36.133 and TS 45.008.
"""

from collections.abc import Callable

from agent.contract.catalogue import Value
from agent.modem.conversions import (
    CESQ_ECNO,
    CESQ_RSRP,
    CESQ_RSRQ,
    CESQ_RXLEV,
    Code,
    band_label,
    hexadecimal,
    whole,
)
from agent.modem.dialect import (
    Dialect,
    Field,
    between,
    coded,
    converted,
    hex_number,
    layout,
    network_code,
    number,
    query,
    whole_number,
    worded,
)

_TECHNOLOGIES = {"2": "gsm", "3": "umts", "4": "lte", "6": "lte-m"}
_LTE = ("lte", "lte-m")
_NOT_KNOWN = "255"
_WITH_CELL = ("0", "2", "4")  # not known, searching, registered; else radio off, no service
_HEADER = {"access_technology": worded("rat", _TECHNOLOGIES), "operator_mccmnc": network_code("mcc", "mnc")}


def _lte_band(text: str) -> str | None:
    return band_label("B", text) if text != _NOT_KNOWN else None


def _area(text: str) -> int | None:
    return hexadecimal(text) if hexadecimal(text) not in (0, 0xFFFF) else None


def _cell_id(cell_id: str, area: str) -> int | None:
    """Return the cell of a place; without an area (0000, ffff) the zeros of the cell are no number."""
    return None if _area(area) is None else hexadecimal(cell_id)


def _level(code: Code) -> Callable[[str], float | None]:
    """Return a conversion of a column that some series print as code and others in dBm or dB."""

    def convert(text: str) -> float | None:
        printed = whole(text)
        return printed if printed is not None and printed < 0 else code.value(text)

    return convert


def _first(known: Value, _further: Value) -> Value:
    """Keep the serving cell: lines after it are neighbours."""
    return known


_LTE_CELL = {
    "earfcn": whole_number("earfcn"),
    "band": converted("band", _lte_band),
    "tac": hex_number("tac"),
    "pci": whole_number("pci"),
    "rsrp_dbm": converted("rsrp", _level(CESQ_RSRP)),
    "rsrq_db": converted("rsrq", _level(CESQ_RSRQ)),
}


_R4_CELL = {"pci": whole_number("pci"), "earfcn": whole_number("earfcn")}


def _is_country(text: str) -> bool:
    return len(text) == 3 and whole(text) is not None


_CELL = query(
    "AT+UCGED?",
    ("+UCGED:", "+RSRP:", "+RSRQ:", ""),
    layout(
        "earfcn band ul_width dl_width tac cell_id pci m_tmsi mme_group mme_code rsrp rsrq sinr rrc",
        technologies=_LTE,
        min_columns=20,
        fields={**_LTE_CELL, "cell_id": Field(("cell_id", "tac"), _cell_id), "sinr_db": number("sinr")},
    ),
    layout(
        "earfcn band ul_width dl_width tac pci rsrp rsrq sinr_code esm_cause emm_state tx_power",
        technologies=_LTE,
        min_columns=12,
        fields=_LTE_CELL,
    ),
    layout(
        "uarfcn band cell_id lac rac scrambling_code rrc level ecn0 speech_mode",
        technologies=("umts",),
        min_columns=9,
        fields={
            "uarfcn": whole_number("uarfcn"),
            "cell_id": Field(("cell_id", "lac"), _cell_id),
            "lac": converted("lac", _area),
            "ecio_db": coded("ecn0", CESQ_ECNO),
        },
    ),
    layout(
        "arfcn band_1900 cell_id bsic lac rac rxlev timing_advance c1 c2 nmo channel_type",
        technologies=("gsm",),
        min_columns=9,
        fields={
            "arfcn": whole_number("arfcn"),
            "cell_id": Field(("cell_id", "lac"), _cell_id),
            "lac": converted("lac", _area),
            "rssi_dbm": coded("rxlev", CESQ_RXLEV),
        },
    ),
    # SARA-R4, left in mode 5 by another program: +RSRP: and +RSRQ: lines, told apart by the value.
    layout(
        "pci earfcn level",
        marks={"level": between(-156, -44)},
        technologies=(None, *_LTE, "nb-iot"),
        fields={**_R4_CELL, "rsrp_dbm": number("level")},
    ),
    layout(
        "pci earfcn level",
        marks={"level": between(-34, -1)},
        technologies=(None, *_LTE, "nb-iot"),
        fields={**_R4_CELL, "rsrq_db": number("level")},
    ),
    layout(
        "rat service mcc mnc",
        marks={"rat": _TECHNOLOGIES, "service": _WITH_CELL},
        min_columns=4,
        fields=_HEADER,
    ),
    layout("rat mcc mnc", marks={"rat": _TECHNOLOGIES, "mcc": _is_country}, min_columns=3, fields=_HEADER),
    keep=dict.fromkeys(("arfcn", "uarfcn", "earfcn", "cell_id", "lac", "rssi_dbm", "pci"), _first),
)

DIALECTS = (Dialect("u-blox", (_CELL,), set_up=("AT+UCGED=2",)),)
