"""What makes room in the database: old sent rows leave; unsent ones are folded, and dropped at the very last.

Near the limit, in this order: sent history, oldest first (so what the centre has stored for good goes before
the rest); quarantined rows, then the unsent ones behind the newest, folded to 5 minutes and then to an hour;
and when nothing is left to fold, the oldest are dropped. All of it is counted. Rows go in ranges, because
flash pays for pages, not for rows.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agent.buffer import room_costs
from agent.buffer.ranges import SeqRange, SeqRanges
from agent.buffer.rollup import NEEDED_COLUMNS, Slice, fold_slice
from agent.buffer.true_time import TrueTimes

PRUNE_ABOVE = 0.80
# One commit removes no more than this, so that its log stays as short as any other's.
SLICE_ROWS = 500
FOLD_ROWS = 200
"""One commit folds away about as many rows, or twice those that it writes."""

DROP_ABOVE = 0.95
DROP_ROWS = 100
"""So many rows are dropped in one commit; of hourly rollups that is four days, in room for some years."""

LOOKS = 20
"""One commit looks for rows to fold in so many slices at most; the next one goes on from there."""

DAY_S = 86400
SLOTS_S = (300, 3600)


@dataclass(frozen=True, slots=True)
class Room:
    """What one call of make_room did.

    pruned: sent rows that left. unsent, quarantined: so many rows of these are fewer now, folded or
    dropped. more: there may be more to do at once.
    """

    pruned: int = 0
    unsent: int = 0
    quarantined: int = 0
    more: bool = False

    @property
    def rows(self) -> int:
        """Return how many rows fewer the database holds."""
        return self.pruned + self.unsent + self.quarantined


@dataclass(frozen=True, slots=True)
class Holdings:
    """What the rows of a database are: ranges of seqs.

    columns: those of the file that the catalogue knows. last_seq: the newest committed row. writing: how
    many rows are about to follow it.
    """

    columns: Sequence[str]
    sent: SeqRanges
    quarantined: SeqRanges
    last_seq: int
    writing: int


def make_room(
    connection: sqlite3.Connection, holds: Holdings, times: TrueTimes, *, keep_days: int, max_pages: int
) -> Room:
    """Remove sent rows older than keep_days; above 80 % of max_pages make room as the module says.

    The newest rows, one for each page of the limit (a fifth of the room; 45 days at a reading a minute in
    64 MB), stay whole, unless they alone fill the file. Does a slice of the work; runs inside the caller's
    transaction.
    """
    now_ts = certain_now_ts(times)
    pruned = 0
    if now_ts is not None:
        pruned = _remove_older(connection, holds.sent, times, now_ts - keep_days * DAY_S)
    if _is_above(PRUNE_ABOVE, connection, max_pages):
        pruned += _remove_oldest(connection, holds.sent, SLICE_ROWS - pruned)
    is_short = _is_above(PRUNE_ABOVE, connection, max_pages)
    room = Room(pruned, more=pruned >= SLICE_ROWS or is_short)
    if is_short and not pruned:
        room = _fold_or_drop(connection, holds, max_pages)
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    for _page in range(min(pages - max_pages, SLICE_ROWS)):  # max_bytes was lowered since the file grew
        connection.execute("PRAGMA incremental_vacuum(1)")
    return room


def look_again(connection: sqlite3.Connection) -> None:
    """Look at all rows again when room is needed: old ones have become unsent, or are quarantined."""
    connection.execute("DELETE FROM counters WHERE name GLOB 'fold_from_*'")


def _is_above(share: float, connection: sqlite3.Connection, max_pages: int) -> bool:
    pages: int = connection.execute("PRAGMA page_count").fetchone()[0]
    free: int = connection.execute("PRAGMA freelist_count").fetchone()[0]
    return pages - free > share * max_pages


# ---- sent rows ----


def certain_now_ts(times: TrueTimes) -> int | None:
    """Return a UTC second that is past for certain, None when no time is known.

    Not the wall clock: one that shows a wrong year must not cost the history.
    """
    return times.newest_true_ts()


def _remove_older(
    connection: sqlite3.Connection, sent: Iterable[SeqRange], times: TrueTimes, oldest_kept_ts: int
) -> int:
    """Remove the sent rows before the first that is known to be as young as oldest_kept_ts; return how many.

    A row without a known time is as old as the next one that has it, and stays when there is none.
    """
    removed = 0
    for first, last in sent:
        query = (
            "SELECT seq, boot, uptime_s, ts, ts_quality FROM readings"
            " WHERE seq BETWEEN ? AND ? ORDER BY seq LIMIT ?"
        )
        rows = connection.execute(query, (first, last, SLICE_ROWS - removed)).fetchall()
        doomed = 0
        is_young = False
        for number, (_seq, *clocks) in enumerate(rows, start=1):
            ts = times.trusted_ts(*clocks)
            is_young = ts is not None and ts >= oldest_kept_ts
            if is_young:
                break
            doomed = number if ts is not None else doomed
        if doomed:
            _delete(connection, rows[0][0], rows[doomed - 1][0])
        removed += doomed
        if is_young or removed >= SLICE_ROWS:
            break
    return removed


def _remove_oldest(connection: sqlite3.Connection, sent: Iterable[SeqRange], at_most: int) -> int:
    """Remove the oldest sent rows, at most at_most; return how many."""
    removed = 0
    for first, last in sent:
        query = "SELECT seq FROM readings WHERE seq BETWEEN ? AND ? ORDER BY seq LIMIT ?"
        rows = connection.execute(query, (first, last, at_most - removed)).fetchall()
        if rows:
            _delete(connection, rows[0][0], rows[-1][0])
        removed += len(rows)
        if removed == at_most:
            break
    return removed


def _delete(connection: sqlite3.Connection, first_seq: int, last_seq: int) -> None:
    for table in ("readings", "extremes"):
        connection.execute(f"DELETE FROM {table} WHERE seq BETWEEN ? AND ?", (first_seq, last_seq))  # noqa: S608


# ---- rows that nobody has but us ----


def _fold_or_drop(connection: sqlite3.Connection, holds: Holdings, max_pages: int) -> Room:
    # The newest rows are touched only when there is nothing else, and then too before a reading is refused.
    for through_seq in (holds.last_seq - max_pages, holds.last_seq):
        room = _fold(connection, holds, through_seq, max_pages)
        if room.more:
            return room
        if not _is_above(DROP_ABOVE, connection, max_pages):
            break
        room = _drop(connection, holds, through_seq)
        if room.more:
            return room
    return Room()


def _fold(connection: sqlite3.Connection, holds: Holdings, through_seq: int, max_pages: int) -> Room:
    """Fold some of the rows up to through_seq, and remember in the file where to go on."""
    if not set(holds.columns) >= NEEDED_COLUMNS:
        return Room()
    gone = {False: 0, True: 0}
    looks = LOOKS
    for quarantined in (True, False):
        for slot_s in SLOTS_S:
            done = False
            while not done:
                piece = _fold_piece(connection, holds, through_seq, slot_s, quarantined=quarantined)
                gone[quarantined] += piece.rows_gone
                done = piece.done
                looks -= 1
                enough = sum(gone.values()) >= max(FOLD_ROWS, 2 * holds.writing)
                if enough or not looks or not _is_above(PRUNE_ABOVE, connection, max_pages):
                    return Room(0, gone[False], gone[True], more=True)
    return Room(0, gone[False], gone[True], more=any(gone.values()))


def _fold_piece(
    connection: sqlite3.Connection, holds: Holdings, through_seq: int, slot_s: int, *, quarantined: bool
) -> Slice:
    cursor = f"fold_from_{'quarantined_' if quarantined else ''}{slot_s}"
    from_seq = _counter(connection, cursor)
    ranges = _foldable(holds, from_seq, through_seq, quarantined=quarantined)
    piece = fold_slice(connection, holds.columns, ranges, from_seq=from_seq, slot_s=slot_s)
    if piece.next_seq != from_seq:
        connection.execute("INSERT OR REPLACE INTO counters VALUES (?, ?)", (cursor, piece.next_seq))
    if piece.rows_gone:
        room_costs.count(connection, room_costs.FOLDED, piece.newly, piece.first, piece.last)
    return piece


def _foldable(holds: Holdings, from_seq: int, through_seq: int, *, quarantined: bool) -> Iterable[SeqRange]:
    if not quarantined:
        return _waiting(holds, max(from_seq, 1), through_seq)
    return [(first, min(last, through_seq)) for first, last in holds.quarantined if first <= through_seq]


def _waiting(holds: Holdings, first_seq: int, last_seq: int) -> list[SeqRange]:
    return SeqRanges([*holds.sent, *holds.quarantined]).gaps(first_seq, last_seq)


def _drop(connection: sqlite3.Connection, holds: Holdings, through_seq: int) -> Room:
    query = (
        "SELECT seq, coalesce(seq_first, seq) FROM readings WHERE seq BETWEEN ? AND ? ORDER BY seq LIMIT ?"
    )
    for quarantined in (True, False):
        for first, last in _foldable(holds, 1, through_seq, quarantined=quarantined):
            rows = connection.execute(query, (first, last, DROP_ROWS)).fetchall()
            if rows:
                _delete(connection, rows[0][0], rows[-1][0])
                readings = sum(seq - seq_first + 1 for seq, seq_first in rows)
                room_costs.count(connection, room_costs.DROPPED, readings, rows[0][1], rows[-1][0])
                gone = len(rows)
                return Room(0, 0 if quarantined else gone, gone if quarantined else 0, more=True)
    return Room()


def _counter(connection: sqlite3.Connection, name: str) -> int:
    found = connection.execute("SELECT value FROM counters WHERE name = ?", (name,)).fetchone()
    return int(found[0]) if found else 0
