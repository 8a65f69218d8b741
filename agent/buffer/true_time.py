"""True time for rows that were taken while the clock was wrong.

A row keeps its boot and the seconds since that boot. Once true time is known at any moment of a boot, the
UTC second of its start is stored (an anchor), and every row of the boot is given out with
`ts` = anchor + uptime: also those of days ago. A boot that ended without ever knowing is placed between its
neighbours, and its rows say `estimated`. What is stored is never rewritten: flash pays for every page.
"""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from agent.contract.catalogue import Row, Value

RANKS = {"unset": 0, "estimated": 1, "rtc": 2, "modem": 3, "broker": 4, "ntp": 5}
"""How far each ts_quality can be believed; a better one corrects a worse one."""

TRUSTED = tuple(quality for quality, rank in RANKS.items() if rank >= RANKS["rtc"])

FAR_S = 60.0
"""A row so far from its boot's anchor was stamped by a clock that had stepped, whatever it said of itself."""

SAME_S = 2.0
"""Two anchors closer than this say the same; correcting again would only cost bytes."""


@dataclass(frozen=True, slots=True)
class _Boot:
    """One boot. first_seq: its first row has this seq or a later one. true_s: UTC second of its start."""

    number: int
    first_seq: int
    true_s: float | None
    quality: str


class TrueTimes:
    """The boots of one open database; every method but `corrected` may raise sqlite3.Error.

    boot is the number of the present boot. Reads the `clocks` table once; the extent of boots without an
    anchor is looked up when a row of theirs is first asked for.
    """

    def __init__(self, connection: sqlite3.Connection, *, boot: int) -> None:
        self._connection = connection
        self._boot = boot
        found = connection.execute("SELECT boot, first_seq, true_s, quality FROM clocks ORDER BY boot")
        self._boots = {number: _Boot(number, *rest) for number, *rest in found}
        self._estimates: Mapping[int, float] | None = None

    def corrected(self, row: Row) -> Row:
        """Return `row` with the best known `ts` and `ts_quality`, itself when it has them already."""
        boot, uptime_s = row.get("boot"), row.get("uptime_s")
        if not isinstance(boot, int) or not isinstance(uptime_s, int | float):
            return row
        true_s, quality = self._start_of(boot)
        rank = RANKS.get(str(row.get("ts_quality")), 0)
        if true_s is None or RANKS[quality] < rank:
            return row
        ts, stamped = max(0, round(true_s + uptime_s)), row.get("ts")
        if RANKS[quality] == rank and isinstance(stamped, int) and abs(ts - stamped) < FAR_S:
            return row
        return {**row, "ts": ts, "ts_quality": quality}

    def ts_of(self, seq: int) -> int | None:
        """Return the best known `ts` of a stored row, None when there is no such row or it has none."""
        query = "SELECT boot, uptime_s, ts, ts_quality FROM readings WHERE seq = ?"
        found = self._connection.execute(query, (seq,)).fetchone()
        ts = self.corrected(_moment(*found))["ts"] if found else None
        return ts if isinstance(ts, int) else None

    def trusted_ts(self, boot: Value, uptime_s: Value, ts: Value, quality: Value) -> int | None:
        """Return the `ts` of a row with these clocks, None as long as it is not known or estimated only."""
        moment = self.corrected(_moment(boot, uptime_s, ts, quality))
        known = moment["ts"]
        return known if isinstance(known, int) and is_trusted(moment["ts_quality"]) else None

    def newest_true_ts(self) -> int | None:
        """Return the newest `ts` that can be believed, None when there is none."""
        query = "SELECT boot, uptime_s, ts, ts_quality FROM readings ORDER BY seq DESC LIMIT 1"
        newest = self._connection.execute(query).fetchone()
        if newest is not None and (ts := self.trusted_ts(*newest)) is not None:
            return ts
        for boot in sorted(self._boots.values(), key=lambda one: one.number, reverse=True):
            if boot.true_s is not None:
                return round(boot.true_s + self._length_s(boot))
        return None

    def improves(self, true_s: float, quality: str) -> bool:
        """Return whether an anchor for the present boot would say more than the one it has."""
        known = self._boots[self._boot]
        if known.true_s is None:
            return True
        better = RANKS[quality] - RANKS[known.quality]
        return better > 0 or (better == 0 and abs(true_s - known.true_s) >= SAME_S)

    def write_anchor(self, true_s: float, quality: str) -> None:
        """Store when the present boot began (UTC seconds), inside the caller's transaction."""
        self._connection.execute(
            "UPDATE clocks SET true_s = ?, quality = ? WHERE boot = ?", (true_s, quality, self._boot)
        )

    def first_seq_without_anchor(self) -> int:
        """Return where the rows begin whose time the present boot's anchor decides.

        That is its own first row, or the first of the unbroken run of boots without an anchor before it.
        """
        first_seq = self._boots[self._boot].first_seq
        for boot in sorted(self._boots.values(), key=lambda one: one.number, reverse=True):
            if boot.number >= self._boot:
                continue
            if boot.true_s is not None:
                break
            first_seq = boot.first_seq
        return first_seq

    def _start_of(self, number: int) -> tuple[float | None, str]:
        boot = self._boots.get(number)
        if boot is None:
            return None, "unset"
        if boot.true_s is not None:
            return boot.true_s, boot.quality
        if number == self._boot:
            return None, "unset"  # it may still learn
        if self._estimates is None:
            self._estimates = self._estimate()
        return self._estimates.get(number), "estimated"

    def _estimate(self) -> Mapping[int, float]:
        """Place each run of boots without an anchor evenly between those that have one."""
        estimates: dict[int, float] = {}
        run: list[tuple[int, float]] = []
        ended_s: float | None = None
        for boot in sorted(self._boots.values(), key=lambda one: one.number):
            if boot.true_s is not None:
                estimates.update(_placed(run, ended_s, boot.true_s))
                run, ended_s = [], boot.true_s + self._length_s(boot)
            elif boot.number < self._boot:
                run.append((boot.number, self._length_s(boot)))
        estimates.update(_placed(run, ended_s, None))
        return estimates

    def _length_s(self, boot: _Boot) -> float:
        """Return the uptime of the last row of a boot, 0 without rows."""
        later = [one.first_seq for one in self._boots.values() if one.number > boot.number]
        query = "SELECT boot, uptime_s FROM readings WHERE seq < ? ORDER BY seq DESC LIMIT 1"
        found = self._connection.execute(query, (min(later, default=1 << 62),)).fetchone()
        return float(found[1]) if found and found[0] == boot.number and found[1] is not None else 0.0


def _moment(boot: Value, uptime_s: Value, ts: Value, quality: Value) -> Row:
    return {"boot": boot, "uptime_s": uptime_s, "ts": ts, "ts_quality": quality}


def _placed(run: list[tuple[int, float]], after_s: float | None, before_s: float | None) -> dict[int, float]:
    """Return when each boot of `run` (number and length in s) began, by what stands before and after it.

    The time in between that no boot explains is shared out equally: before, between and after them. With one
    neighbour only they stand close to it; with none nothing is known.
    """
    length_s = sum(length for _number, length in run)
    if after_s is None and before_s is None:
        return {}
    if after_s is None:
        assert before_s is not None
        pause_s, at_s = 0.0, before_s - length_s
    elif before_s is None:
        pause_s, at_s = 0.0, after_s
    else:
        pause_s, at_s = max(0.0, before_s - after_s - length_s) / (len(run) + 1), after_s
    starts = {}
    for number, length in run:
        at_s += pause_s
        starts[number] = at_s
        at_s += length
    return starts


def note_boot(connection: sqlite3.Connection, *, boot: int) -> None:
    """Record where the rows of this boot begin, inside the caller's transaction; once a boot."""
    connection.execute(
        "INSERT OR IGNORE INTO clocks (boot, first_seq, quality) VALUES (?, 1 + coalesce("
        "(SELECT seq FROM sqlite_sequence WHERE name = 'readings'), 0), 'unset')",
        (boot,),
    )


def is_trusted(quality: Value) -> bool:
    """Return whether a ts_quality stands for a time that is known to be true."""
    return quality in TRUSTED
