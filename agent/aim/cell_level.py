"""What an antenna is aimed by: the level and the quality of the serving cell, and which cell that is.

4G and 5G are aimed by RSRP and SINR (RSRQ where the modem gives no SINR), 3G by RSCP and Ec/Io, 2G by RSSI.
In EN-DC it is the LTE anchor that is aimed at.
"""

from collections.abc import Mapping
from typing import NamedTuple

_3G, _2G = frozenset(("umts", "hspa")), frozenset(("gsm", "gprs", "edge"))

NAMES = {
    "rsrp_dbm": "RSRP",
    "rscp_dbm": "RSCP",
    "rssi_dbm": "RSSI",
    "sinr_db": "SINR",
    "rsrq_db": "RSRQ",
    "ecio_db": "Ec/Io",
}
"""How the quantities are written, in every language."""

SCALES = {
    "rsrp_dbm": (-120.0, -75.0),
    "rscp_dbm": (-115.0, -70.0),
    "rssi_dbm": (-110.0, -65.0),
    "sinr_db": (-5.0, 25.0),
    "rsrq_db": (-20.0, -5.0),
    "ecio_db": (-20.0, -2.0),
}
"""The value at which a bar is empty, and the one at which it is full."""


class Cell(NamedTuple):
    """A cell as far as the modem names it; level: the quantity by which it is aimed at."""

    level: str
    technology: str | None = None
    cell_id: int | None = None
    pci: int | None = None
    channel: int | None = None
    band: str | None = None

    def is_other_than(self, known: "Cell") -> bool:
        """Return whether this is another cell: something that both name differs."""
        if self.level != known.level:
            return True
        both = zip(self[2:5], known[2:5], strict=True)
        return any(None not in (mine, its) and mine != its for mine, its in both)

    def completed(self, known: "Cell") -> "Cell":
        """Return this cell with what an earlier look at the same one had named."""
        return Cell(
            self.level,
            self.technology or known.technology,
            _first(self.cell_id, known.cell_id),
            _first(self.pci, known.pci),
            _first(self.channel, known.channel),
            self.band or known.band,
        )


class CellLevel(NamedTuple):
    """One look: dBm of cell.level, and the quality (None where the modem gives none) with its name."""

    cell: Cell
    level_dbm: float
    quality: str
    quality_db: float | None


def cell_level(fields: Mapping[str, object]) -> CellLevel | None:
    """Return what to aim by in the fields of a reading, None when no level is known."""
    technology = fields.get("access_technology")
    levels: tuple[str, ...]
    qualities: tuple[str, ...]
    channels: tuple[str, ...]
    if technology in _2G:
        levels, qualities, channels = ("rssi_dbm",), (), ("arfcn",)
    elif technology in _3G:
        levels, qualities, channels = ("rscp_dbm", "rssi_dbm"), ("ecio_db",), ("uarfcn",)
    else:
        levels, qualities = ("rsrp_dbm", "rscp_dbm", "rssi_dbm"), ("sinr_db", "rsrq_db")
        channels = ("earfcn", "arfcn")
    level = next((name for name in levels if _number(fields.get(name)) is not None), None)
    if level is None:
        return None
    quality = next((name for name in qualities if _number(fields.get(name)) is not None), "")
    band = fields.get("band")
    cell = Cell(
        level,
        technology if isinstance(technology, str) else None,
        _whole(fields.get("cell_id")),
        _whole(fields.get("pci")),
        next((_whole(fields[name]) for name in channels if name in fields), None),
        band if isinstance(band, str) else None,
    )
    level_dbm = _number(fields[level])
    assert level_dbm is not None
    return CellLevel(cell, level_dbm, quality, _number(fields.get(quality)))


def share_of_scale(name: str, value: float) -> float:
    """Return where a value stands on its scale: 0 where a bar is empty, 1 where it is full."""
    return max(0.0, min(1.0, place_on_scale(name, value)))


def place_on_scale(name: str, value: float) -> float:
    """Return the same without an end on either side, to compare what is measured in different quantities."""
    empty, full = SCALES[name]
    return (value - empty) / (full - empty)


def _first(mine: int | None, its: int | None) -> int | None:
    return its if mine is None else mine


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
