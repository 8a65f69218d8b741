"""The stored rows for people, read in slices through an open connection; nothing is written.

The daemon reads so through its keeper, and a command without a daemon through `untouched`. Each call is
short, so that the next reading does not wait for it, and needs of the one before only where that ended.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from agent.buffer.ranges import SeqRange, SeqRanges
from agent.buffer.rollup import with_extremes
from agent.buffer.true_time import TrueTimes
from agent.contract.catalogue import Row, catalogue

MAX_SEQ = 2**63 - 1

COUNTED_AT_ONCE = 10_000
"""So many seqs are counted in one slice: some 2 MB to read."""

UNREADABLE = (ValueError, TypeError, OverflowError)
"""What a damaged file can raise beside sqlite3.Error: names that are no UTF-8, a table without its row."""

SHOWN_RANGES = 20
"""Of quarantined ranges, and of reasons for one, so many are told; the newest first."""

Cursor = tuple[str, int]
"""Epoch and seq of the last row that was looked at."""

START: Cursor = ("", 0)


class Selection(NamedTuple):
    """Which rows are wanted; all bounds are included.

    since_ts and until_ts are UTC seconds, and then a row without a time is left out. unsent_only: rows that
    no broker has acknowledged, quarantined ones too.
    """

    first_seq: int = 1
    last_seq: int = MAX_SEQ
    since_ts: int | None = None
    until_ts: int | None = None
    unsent_only: bool = False

    def takes_time_of(self, row: Row) -> bool:
        """Return whether the row's `ts` lies within the wanted time."""
        if self.since_ts is None and self.until_ts is None:
            return True
        ts = row.get("ts")
        if not isinstance(ts, int):
            return False
        return (self.since_ts or 0) <= ts <= (MAX_SEQ if self.until_ts is None else self.until_ts)


class Page(NamedTuple):
    """Some rows, ascending, each with its epoch; after is None when there are no more."""

    rows: list[Row]
    after: Cursor | None


def columns_of(connection: sqlite3.Connection) -> list[str]:
    """Return what a row may have beside its epoch: the catalogue's columns, then others that the file has.

    Subscriber identifiers are none of them, whoever put them there.
    """
    in_file = [row[1] for row in connection.execute("PRAGMA table_info(readings)")]
    known = [metric.name for metric in catalogue().reading_metrics]
    return list(dict.fromkeys((*known, *(name for name in in_file if _may_be_shown(name)))))


def read_page(
    connection: sqlite3.Connection,
    selection: Selection,
    after: Cursor,
    *,
    limit: int,
) -> Page:
    """Look at the next `limit` rows behind `after`, and return those of them that are wanted.

    First come rows that were salvaged from damaged predecessors and still wait to be sent, then those of the
    present epoch. A page may be empty and yet not be the last. Raises sqlite3.Error.
    """
    epoch = epoch_of(connection)
    seen: list[Row] = []
    if after[0] != epoch:
        seen = _salvaged(connection, after, limit)
        after = (epoch, 0)
    if len(seen) < limit:
        seen += _stored(connection, epoch, selection, after[1], limit - len(seen))
    rows = [row for row in map(_corrector(connection), seen) if _is_within(row, selection)]
    if len(seen) < limit:
        return Page(rows, None)
    return Page(rows, cursor_of(seen[-1]))


def cursor_of(row: Row) -> Cursor:
    """Return the cursor behind a row of a page."""
    epoch = row["epoch"]
    assert isinstance(epoch, str)
    return epoch, _seq(row)


def count_slice(connection: sqlite3.Connection, first_seq: int, last_seq: int) -> dict[str, int]:
    """Count the first COUNTED_AT_ONCE seqs of a range: {"last_seq", "stored", "unsent", "quarantined"}.

    last_seq is the last seq that was looked at. unsent rows are those that wait to be sent.
    """
    last_seq = min(last_seq, first_seq + COUNTED_AT_ONCE - 1)
    sent, quarantined = _ranges(connection, "sent"), _ranges(connection, "quarantined")
    waiting = SeqRanges([*sent, *quarantined]).gaps(first_seq, last_seq)
    held_back = SeqRanges(quarantined.gaps(first_seq, last_seq)).gaps(first_seq, last_seq)
    return {
        "last_seq": last_seq,
        "stored": _count(connection, [(first_seq, last_seq)]),
        "unsent": _count(connection, waiting),
        "quarantined": _count(connection, held_back),
    }


def count_all(connection: sqlite3.Connection, first_seq: int, last_seq: int) -> dict[str, int]:
    """Count a range whole, for a file that nobody waits for: {"stored", "unsent", "quarantined"}."""
    total = {"stored": 0, "unsent": 0, "quarantined": 0}
    for slice_first in range(first_seq, last_seq + 1, COUNTED_AT_ONCE):
        counted = count_slice(connection, slice_first, last_seq)
        total = {name: total[name] + counted[name] for name in total}
    return total


def overview(connection: sqlite3.Connection) -> dict[str, Any]:
    """Return what can be told without counting rows: the rows at the ends, and what became of some.

    A seq or ts is None where there is no such row. quarantined_ranges: the newest SHOWN_RANGES, each with the
    reasons that are still known.
    """
    sent, quarantined = _ranges(connection, "sent"), _ranges(connection, "quarantined")
    waiting = SeqRanges([*sent, *quarantined]).gaps(1, MAX_SEQ)
    oldest = next(filter(None, (_end_row(connection, *each, "ASC") for each in waiting)), None)
    shown: dict[str, Any] = {"epoch": epoch_of(connection)}
    corrected = _corrector(connection)
    for name, row in (
        ("first", _end_row(connection, 1, MAX_SEQ, "ASC")),
        ("last", _end_row(connection, 1, MAX_SEQ, "DESC")),
        ("oldest_unsent", oldest),
    ):
        best = corrected(row) if row else {}
        shown[f"{name}_seq"], shown[f"{name}_ts"] = best.get("seq"), best.get("ts")
    return shown | {
        "folded": _counter(connection, "folded"),
        "dropped": _counter(connection, "dropped"),
        "quarantined_ranges": _with_reasons(connection, quarantined),
        "salvaged_unsent": _number(connection, "salvaged", "SELECT count(*) FROM salvaged"),
        "events_unsent": _number(connection, "events", "SELECT count(*) FROM events WHERE sent = 0"),
    }


def epoch_of(connection: sqlite3.Connection) -> str:
    """Return the epoch of the database's rows."""
    (epoch,) = connection.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()
    return str(epoch)


# Rows


def _stored(
    connection: sqlite3.Connection, epoch: str, selection: Selection, after_seq: int, limit: int
) -> list[Row]:
    first, last = max(after_seq + 1, selection.first_seq), selection.last_seq
    runs = _ranges(connection, "sent").gaps(first, last) if selection.unsent_only else [(first, last)]
    found: list[Row] = []
    for run in runs:
        if run[0] <= run[1] and len(found) < limit:
            found += _rows(connection, "seq BETWEEN ? AND ? ORDER BY seq LIMIT ?", *run, limit - len(found))
    return [{"epoch": epoch, **row} for row in found]


def _salvaged(connection: sqlite3.Connection, after: Cursor, limit: int) -> list[Row]:
    if not _has_table(connection, "salvaged"):
        return []
    query = "SELECT epoch, seq, reading FROM salvaged WHERE (epoch, seq) > (?, ?) ORDER BY epoch, seq LIMIT ?"
    return [
        {"epoch": epoch, **_shown(json.loads(reading)), "seq": seq}
        for epoch, seq, reading in connection.execute(query, (*after, limit))
    ]


def _corrector(connection: sqlite3.Connection) -> Callable[[Row], Row]:
    """Return what gives a row the best `ts` that is known now."""
    if not _has_table(connection, "clocks"):
        return lambda row: row
    (newest_boot,) = connection.execute("SELECT coalesce(max(boot), 0) FROM clocks").fetchone()
    return TrueTimes(connection, boot=newest_boot).corrected


def _is_within(row: Row, selection: Selection) -> bool:
    seq = _seq(row)
    return selection.first_seq <= seq <= selection.last_seq and selection.takes_time_of(row)


def _end_row(connection: sqlite3.Connection, first: int, last: int, order: str) -> Row | None:
    found = _rows(connection, f"seq BETWEEN ? AND ? ORDER BY seq {order} LIMIT 1", first, last)
    return found[0] if found else None


def _rows(connection: sqlite3.Connection, where: str, *values: int) -> list[Row]:
    found = connection.execute(f"SELECT * FROM readings WHERE {where}", values)  # noqa: S608 -- no text of others
    names = [(at, column[0]) for at, column in enumerate(found.description) if _may_be_shown(column[0])]
    rows = [{name: values[at] for at, name in names if values[at] is not None} for values in found]
    if not _has_table(connection, "extremes"):
        return rows
    # Given ascending, whatever the order asked for.
    return sorted(with_extremes(connection, sorted(rows, key=_seq)), key=_seq, reverse=" DESC" in where)


def _seq(row: Row) -> int:
    seq = row["seq"]
    assert isinstance(seq, int)
    return seq


def _shown(row: Mapping[str, Any]) -> Row:
    return {name: value for name, value in row.items() if value is not None and _may_be_shown(name)}


def _may_be_shown(name: str) -> bool:
    metric = catalogue().get(name)
    return metric is None or metric.kept != "local"


# Numbers


def _ranges(connection: sqlite3.Connection, table: str) -> SeqRanges:
    if not _has_table(connection, table):  # a file of an earlier version, not opened by the agent since
        return SeqRanges()
    return SeqRanges(connection.execute(f"SELECT first, last FROM {table} ORDER BY first"))  # noqa: S608 -- of two


def _count(connection: sqlite3.Connection, ranges: Iterable[SeqRange]) -> int:
    query = "SELECT count(*) FROM readings WHERE seq BETWEEN ? AND ?"
    return sum(int(connection.execute(query, each).fetchone()[0]) for each in ranges)


def _counter(connection: sqlite3.Connection, name: str) -> int:
    return _number(connection, "counters", "SELECT sum(value) FROM counters WHERE name = ?", name)


def _number(connection: sqlite3.Connection, table: str, query: str, *values: str) -> int:
    if not _has_table(connection, table):
        return 0
    return int(connection.execute(query, values).fetchone()[0] or 0)


def _has_table(connection: sqlite3.Connection, name: str) -> bool:
    query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
    return connection.execute(query, (name,)).fetchone() is not None


def _with_reasons(connection: sqlite3.Connection, quarantined: SeqRanges) -> list[dict[str, Any]]:
    """Return the newest quarantined ranges with the reasons that the events tell, the newest first."""
    newest = list(quarantined)[: -SHOWN_RANGES - 1 : -1]
    told = _quarantine_events(connection) if newest else []
    return [
        {
            "first_seq": first,
            "last_seq": last,
            "reasons": list(
                dict.fromkeys(
                    str(event["reason"])
                    for event in told
                    if event["seq_first"] <= last and event["seq_last"] >= first
                )
            )[:SHOWN_RANGES],
        }
        for first, last in newest
    ]


def _quarantine_events(connection: sqlite3.Connection) -> list[Mapping[str, Any]]:
    if not _has_table(connection, "events"):
        return []
    query = (
        "SELECT evidence FROM events WHERE type = 'buffer' AND what = 'quarantined'"
        " ORDER BY number DESC LIMIT ?"
    )
    told = [json.loads(evidence) for (evidence,) in connection.execute(query, (SHOWN_RANGES**2,))]
    return [event for event in told if {"reason", "seq_first", "seq_last"} <= event.keys()]
