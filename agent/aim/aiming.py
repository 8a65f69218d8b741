"""One aiming: the level now, the best so far of this cell, where it is going, and what a person has marked.

The level that is shown and held is the mean of the last seconds: a single look jumps by several dB without
anybody touching the antenna. Each cell has a best of its own, for another tower is no better angle.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from agent.aim.cell_level import Cell, CellLevel, cell_level, place_on_scale

STEADY_S = 3.0
"""The level is the mean over this time: so long an antenna has to rest in a direction."""

STEADY_LOOKS = 2
"""One look alone is no best."""

TREND_S = 5.0
"""The trend compares the level with the one so long ago."""

TREND_DB = 1.0
"""Less than this is no change: modems give whole dBm."""

AROUND_S = 20.0
"""The magnified scale stands around the mean over this time."""

KEPT_S = AROUND_S + TREND_S
MAX_LOOKS = 200

CELL_WARNING_S = 15.0
"""So long a change of the cell is shown."""

MAX_MARKS = 360

Trend = Literal["better", "worse", "steady", "unknown"]


class Mark(NamedTuple):
    """A direction that a person noted, or the best of a cell (azimuth_deg None).

    at_s: seconds since the aiming began. quality_db: in the quantity `quality`, None where not known.
    """

    azimuth_deg: float | None
    at_s: float
    cell: Cell
    level_dbm: float
    quality: str
    quality_db: float | None


class View(NamedTuple):
    """What there is to see at a moment; dB and dBm.

    best_dbm, best_quality_db: the highest of this cell so far, each by itself; None before two looks.
    trend_db: change within TREND_S. around_dbm: middle of the magnified scale. came_from: the cell before,
    for CELL_WARNING_S after a change.
    """

    cell: Cell
    level_dbm: float
    quality: str
    quality_db: float | None
    best_dbm: float | None
    best_quality_db: float | None
    trend: Trend
    trend_db: float
    around_dbm: float
    came_from: Cell | None


class _Look(NamedTuple):
    at_s: float
    told: CellLevel


@dataclass(slots=True, eq=False)
class _CellBest:
    """The best moment of a cell by level, and its best quality by the name of the quantity."""

    moment: Mark
    qualities: dict[str, float] = field(default_factory=dict)


class Aiming:
    """Takes in looks at the modem in the order of time; at_s counts seconds from the beginning."""

    def __init__(self) -> None:
        self._looks: deque[_Look] = deque(maxlen=MAX_LOOKS)
        self._cell: Cell | None = None
        self._came_from: Cell | None = None
        self._changed_at = 0.0
        self._bests: list[_CellBest] = []
        self.marks: list[Mark] = []
        self.looks = 0
        self.cell_changes = 0

    def add(self, at_s: float, fields: Mapping[str, object]) -> bool:
        """Take in the fields of one look; return whether they told a level."""
        told = cell_level(fields)
        if told is None or self._is_of_another_kind(told.cell):
            return False
        self.looks += 1
        self._note_cell(told.cell, at_s)
        self._looks.append(_Look(at_s, told))
        while self._looks[0].at_s < at_s - KEPT_S:
            self._looks.popleft()
        self._hold()
        return True

    def view(self, at_s: float) -> View | None:
        """Return what there is to see, None before the first level."""
        if not self._looks or self._cell is None:
            return None
        told = self._looks[-1].told
        level = self._mean(self._looks[-1].at_s, STEADY_S)
        assert level is not None
        best = self._best_of(self._cell)
        change = self._change()
        trend: Trend = "unknown" if change is None else "steady"
        if change is not None and abs(change) >= TREND_DB:
            trend = "better" if change > 0 else "worse"
        return View(
            self._cell,
            level,
            told.quality,
            self._mean_quality(told.quality),
            best.moment.level_dbm if best is not None else None,
            best.qualities.get(told.quality) if best is not None else None,
            trend,
            change or 0.0,
            self._mean(self._looks[-1].at_s, AROUND_S) or level,
            self._came_from if self._came_from and at_s - self._changed_at < CELL_WARNING_S else None,
        )

    def moment(self, at_s: float) -> Mark | None:
        """Return the present level as a mark without a direction, None before the first level."""
        seen = self.view(at_s)
        if seen is None:
            return None
        return Mark(None, at_s, seen.cell, seen.level_dbm, seen.quality, seen.quality_db)

    def mark(self, moment: Mark, azimuth_deg: float | None) -> Mark:
        """Keep a moment as a direction; a direction that was marked before is replaced."""
        made = moment._replace(azimuth_deg=azimuth_deg)
        if azimuth_deg is not None:
            self.marks = [one for one in self.marks if not _is_same_direction(one, made)]
        if len(self.marks) < MAX_MARKS:
            self.marks.append(made)
        return made

    def best(self, count: int = 3) -> list[Mark]:
        """Return the best marks, highest level first; the best of each cell when nothing was marked."""
        found = self.marks or [one.moment for one in self._bests]
        return sorted(found, key=_goodness, reverse=True)[:count]

    def peak(self) -> Mark | None:
        """Return the highest level, of the best mark's cell where one was made; None before two looks."""
        if self.marks:
            best = self._best_of(self.best(1)[0].cell)
            return best.moment if best is not None else None
        return max((one.moment for one in self._bests), key=_goodness, default=None)

    def _is_of_another_kind(self, cell: Cell) -> bool:
        """Return whether a line was lost, so that RSSI stands where the same radio gave RSRP before."""
        known = self._cell
        return known is not None and known.level != cell.level and known.technology == cell.technology

    def _note_cell(self, cell: Cell, at_s: float) -> None:
        if self._cell is None:
            self._cell = cell
        elif cell.is_other_than(self._cell):
            self._came_from, self._changed_at, self._cell = self._cell, at_s, cell
            self.cell_changes += 1
            self._looks.clear()
        else:
            self._cell = cell.completed(self._cell)

    def _hold(self) -> None:
        """Let the level be the best of its cell when it is."""
        assert self._cell is not None
        newest = self._looks[-1]
        steady = [look for look in self._looks if look.at_s > newest.at_s - STEADY_S]
        if len(steady) < STEADY_LOOKS:
            return
        moment = self.moment(newest.at_s)
        assert moment is not None
        best = self._best_of(self._cell)
        if best is None:
            best = _CellBest(moment)
            self._bests.append(best)
        if moment.level_dbm > best.moment.level_dbm:
            best.moment = moment
        if moment.quality_db is not None:
            before = best.qualities.get(moment.quality, moment.quality_db)
            best.qualities[moment.quality] = max(moment.quality_db, before)

    def _best_of(self, cell: Cell) -> _CellBest | None:
        return next((one for one in self._bests if not cell.is_other_than(one.moment.cell)), None)

    def _mean(self, until_s: float, span_s: float) -> float | None:
        levels = [look.told.level_dbm for look in self._looks if until_s - span_s < look.at_s <= until_s]
        return sum(levels) / len(levels) if levels else None

    def _mean_quality(self, name: str) -> float | None:
        since = self._looks[-1].at_s - STEADY_S
        values = [
            look.told.quality_db
            for look in self._looks
            if look.at_s > since and look.told.quality == name and look.told.quality_db is not None
        ]
        return sum(values) / len(values) if values else None

    def _change(self) -> float | None:
        now_s = self._looks[-1].at_s
        before, now = self._mean(now_s - TREND_S, STEADY_S), self._mean(now_s, STEADY_S)
        return None if before is None or now is None else now - before


def _goodness(mark: Mark) -> float:
    return place_on_scale(mark.cell.level, mark.level_dbm)


def _is_same_direction(one: Mark, other: Mark) -> bool:
    return one.azimuth_deg == other.azimuth_deg and not one.cell.is_other_than(other.cell)
