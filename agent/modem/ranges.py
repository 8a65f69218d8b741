"""What each radio technology can have, and in which range: the last gate before a value leaves.

A field that a technology lacks (a LAC on LTE, an RSCP on 5G) is not known, and so is a value outside
its range. Sources: field widths of 3GPP TS 36.331, 38.331, 25.331, 44.018 and TS 23.003; measuring
ranges of TS 36.133, 38.133, 25.133, 45.008, widened to what vendors print.
"""

from collections.abc import Mapping

from agent.contract.catalogue import Value, catalogue

Range = tuple[float, float] | None
"""Lowest and highest possible value, both included; None for a text."""

_LEVEL_DBM = (-125.0, -20.0)
_LAC = (0, 0xFFFD)

_GSM: dict[str, Range] = {
    "rssi_dbm": _LEVEL_DBM,
    "arfcn": (0, 1023),
    "lac": _LAC,
    "cell_id": (0, 0xFFFE),
    "band": None,
}
_UMTS: dict[str, Range] = {
    "rssi_dbm": _LEVEL_DBM,
    "rscp_dbm": _LEVEL_DBM,
    "ecio_db": (-35, 0),
    "uarfcn": (0, 16383),
    "lac": _LAC,
    "cell_id": (0, 0xFFFFFFE),
    "band": None,
}
_LTE: dict[str, Range] = {
    "rssi_dbm": _LEVEL_DBM,
    "rsrp_dbm": (-156, -30),
    "rsrq_db": (-34, 3),
    "sinr_db": (-30, 50),
    "earfcn": (0, 262143),
    "pci": (0, 503),
    "tac": (0, 0xFFFD),
    "cell_id": (0, 0xFFFFFFE),
    "band": None,
}
_NR_LEVELS: dict[str, Range] = {"rsrp_dbm": (-157, -30), "rsrq_db": (-44, 21), "sinr_db": (-30, 50)}
_NR: dict[str, Range] = {
    **_NR_LEVELS,
    "rssi_dbm": _LEVEL_DBM,
    "arfcn": (0, 3279165),
    "pci": (0, 1007),
    "tac": (0, 0xFFFFFD),
    "cell_id": (0, 0xFFFFFFFFE),
    "band": None,
}
_EN_DC: dict[str, Range] = {
    **_LTE,
    **{f"nr_{name}": limits for name, limits in _NR_LEVELS.items()},
    "nr_band": None,
}

RANGES: Mapping[str | None, Mapping[str, Range]] = {
    "gsm": _GSM,
    "gprs": _GSM,
    "edge": _GSM,
    "umts": _UMTS,
    "hspa": _UMTS,
    "lte": _LTE,
    "lte-m": _LTE,
    "nb-iot": _LTE,
    "nr5g-nsa": _EN_DC,
    "nr5g-sa": _NR,
    "none": {},
    None: {**_GSM, **_UMTS, **_EN_DC, **_NR},  # technology not known: whatever any could have
}
RADIO_FIELDS = frozenset(RANGES[None])

_ALL_ONES = {
    "cell_id": frozenset((0xFFFF, 0xFFFFFFF, 0xFFFFFFFF)),
    "earfcn": frozenset((0xFFFF,)),
}


def is_possible(access_technology: str | None, field: str, value: Value) -> bool:
    """Return True when a cell of this technology can have this value; None is never possible.

    For fields that are not of the radio (operator, temperature …) the catalogue's range counts.
    """
    if value is None:
        return False
    if field not in RADIO_FIELDS:
        return catalogue()[field].clean(value) is not None
    ranges = RANGES[access_technology]
    if field not in ranges:
        return False
    limits = ranges[field]
    if limits is None or isinstance(value, str):
        return limits is None and isinstance(value, str)
    return limits[0] <= value <= limits[1] and value not in _ALL_ONES.get(field, ())
