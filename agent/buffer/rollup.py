"""Old unsent rows folded into rollups of 5 minutes or an hour, and rollups read back as rows.

A rollup stands in `readings` under the seq of its last row, with `seq_first` of its first: it covers every
seq between the two. Its other columns hold what the catalogue's fold says of each field; what does not fit
there is one line of JSON in the table `extremes`, which readers get as fields from `with_extremes`.
An older release that reads the file sees plain rows.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from agent.buffer.ranges import SeqRange
from agent.contract.catalogue import Metric, Row, Value, catalogue

SLICE_ROWS = 250
"""So many rows are looked at in one go: rollups of them fill half of the log that a commit may have."""

NEEDED_COLUMNS = frozenset({"seq", "seq_first", "slot_s", "boot", "uptime_s"})
"""A file without one of them (by the hand of somebody else) cannot hold rollups."""

OF_THE_LAST_ROW = frozenset({"seq", "boot", "uptime_s", "ts", "ts_quality"})

Record = Sequence[int]
"""What `extremes` keeps of one field, in units of its last kept digit, zeros at the end left out: how far its
minimum lies below and its maximum above the value, what the sum is more than count times the value, and
in how many readings it was not known."""


@dataclass(frozen=True, slots=True)
class Slice:
    """What one slice of folding did.

    rows_gone: so many rows fewer in `readings`. newly: how many readings went into a rollup that were in
    none before. first, last: the seqs in the rollups made, 0 without any. next_seq: where the next slice
    begins. done: nothing is left to be folded behind it.
    """

    rows_gone: int
    newly: int
    first: int
    last: int
    next_seq: int
    done: bool


@dataclass(frozen=True, slots=True)
class _Span:
    """One field over some readings: whole numbers, its values times the divisor of its metric."""

    value: int
    low: int
    high: int
    total: int
    count: int


@dataclass(slots=True)
class _Group:
    """Neighbouring rows of one slot, by the seqs of the first and the last of them."""

    slot: tuple[int, int]
    first: int
    last: int
    rows: int = 1


# ---- reading ----


def readings_of(row: Row) -> int:
    """Return how many readings a row stands for: 1, or those of a rollup."""
    seq, first = row["seq"], row.get("seq_first")
    assert isinstance(seq, int)
    return seq - first + 1 if isinstance(first, int) and first <= seq else 1


def with_extremes(connection: sqlite3.Connection, rows: list[Row]) -> list[Row]:
    """Give the rollups among `rows`, ascending by seq, the fields that a rollup has beside its columns.

    `folded_rows`; `<field>_min` and `<field>_max` where the field is a mean or a maximum; `<flag>_mean`, the
    share of readings in which a flag was 1; `<field>_count` where fewer readings than folded_rows knew it.
    """
    rollups = {row["seq"]: row for row in rows if row.get("seq_first") is not None}
    if not rollups:
        return rows
    records = dict.fromkeys(rollups, "{}")
    records |= connection.execute(
        "SELECT seq, folded FROM extremes WHERE seq BETWEEN ? AND ?", (rows[0]["seq"], rows[-1]["seq"])
    )
    for seq, row in rollups.items():
        readings = row["folded_rows"] = readings_of(row)
        kept = _records(records[seq])
        for metric in _spanned_metrics():
            value = row.get(metric.name)
            if isinstance(value, int | float):
                span = _span(metric, value, kept.get(metric.name, ()), readings)
                row.update(_fields(metric, span, readings))
    return rows


def whole_rollups_from(connection: sqlite3.Connection, first_seq: int, last_seq: int) -> int:
    """Return from where first_seq to last_seq hold whole rollups: behind one that begins before first_seq.

    Such a rollup was made of rows that are under way only in part; taken as sent with those, it would lose
    the others.
    """
    query = (
        "SELECT seq, coalesce(seq_first, seq) FROM readings WHERE seq BETWEEN ? AND ? ORDER BY seq LIMIT 1"
    )
    found = connection.execute(query, (first_seq, last_seq)).fetchone()
    return int(found[0]) + 1 if found and found[1] < first_seq else first_seq


def end_of_rollup(connection: sqlite3.Connection, seq: int) -> int:
    """Return the seq of the rollup that covers `seq`, or `seq` itself when none does."""
    query = "SELECT seq, seq_first FROM readings WHERE seq >= ? ORDER BY seq LIMIT 1"
    found = connection.execute(query, (seq,)).fetchone()
    return int(found[0]) if found and found[1] is not None and found[1] <= seq else seq


def _fields(metric: Metric, span: _Span, readings: int) -> Iterator[tuple[str, Value]]:
    if metric.type == "flag":
        yield f"{metric.name}_mean", round(span.total / span.count, 6)
    elif metric.fold != "sum":
        yield f"{metric.name}_min", _outward(metric, span.low)
        yield f"{metric.name}_max", _outward(metric, span.high)
    if span.count != readings:
        yield f"{metric.name}_count", span.count


# ---- folding ----


def fold_slice(
    connection: sqlite3.Connection,
    columns: Sequence[str],
    ranges: Iterable[SeqRange],
    *,
    from_seq: int,
    slot_s: int,
) -> Slice:
    """Fold the next SLICE_ROWS rows of `ranges` from from_seq on into rollups of slot_s.

    Rows are folded together that lie in one range, are neighbours by seq, belong to one boot and to one
    slot of its clock: a wall clock that is wrong or jumps mixes nothing. A row alone in its slot stays as
    it is. Runs inside the caller's transaction; rows are removed first, so that it works in a full file.
    """
    groups, looked_at = _groups(connection, ranges, from_seq, slot_s)
    rows_gone = newly = 0
    folded = [group for group in groups if group.rows > 1]
    extremes = []
    for group in folded:
        rollup = _Rollup()
        for row, records in _rows(connection, columns, group):
            rollup.add(row, records)
            newly += row.get("seq_first") is None
        row, text = rollup.row(slot_s)
        _replace(connection, columns, row)
        extremes.append((row["seq"], text))
        rows_gone += group.rows - 1
    connection.executemany("INSERT OR REPLACE INTO extremes VALUES (?, ?)", extremes)
    return Slice(
        rows_gone,
        newly,
        folded[0].first if folded else 0,
        folded[-1].last if folded else 0,
        # The last slot may go on behind this slice.
        groups[-1].last if groups else from_seq,
        looked_at < SLICE_ROWS,
    )


def _groups(
    connection: sqlite3.Connection, ranges: Iterable[SeqRange], from_seq: int, slot_s: int
) -> tuple[list[_Group], int]:
    """Return the neighbours of each slot among the next rows, and at how many it looked."""
    query = (
        "SELECT seq, coalesce(seq_first, seq), coalesce(slot_s, 0), boot, uptime_s FROM readings"
        " WHERE seq BETWEEN ? AND ? ORDER BY seq LIMIT ?"
    )
    groups: list[_Group] = []
    looked_at = 0
    for begin, end in ranges:
        if end < from_seq:
            continue
        if looked_at >= SLICE_ROWS:
            break
        found = connection.execute(query, (max(begin, from_seq), end, SLICE_ROWS - looked_at)).fetchall()
        groups += _neighbours(found, slot_s)
        looked_at += len(found)
    return groups, looked_at


def _neighbours(
    rows: Iterable[tuple[int, int, int, int | None, int | None]], slot_s: int
) -> Iterator[_Group]:
    group: _Group | None = None
    for seq, first, row_slot_s, boot, uptime_s in rows:
        # A row of a longer slot, or one that has lost its clock, stays alone.
        alone = boot is None or uptime_s is None or row_slot_s > slot_s
        slot = (-1, seq) if alone else (boot or 0, int(uptime_s or 0) // slot_s)
        if group and group.slot == slot and group.last + 1 == first:
            group.last = seq
            group.rows += 1
        else:
            if group:
                yield group
            group = _Group(slot, first, seq)
    if group:
        yield group


def _rows(
    connection: sqlite3.Connection, columns: Sequence[str], group: _Group
) -> Iterator[tuple[Row, dict[str, Record]]]:
    names = ", ".join(f"readings.{name}" for name in columns)
    query = (
        f"SELECT folded, {names} FROM readings LEFT JOIN extremes USING (seq)"  # noqa: S608 -- catalogue names
        " WHERE seq BETWEEN ? AND ? ORDER BY seq"
    )
    for folded, *values in connection.execute(query, (group.first, group.last)):
        yield dict(zip(columns, values, strict=True)), _records(folded)


def _replace(connection: sqlite3.Connection, columns: Sequence[str], row: Row) -> None:
    """Put a rollup in the place of its rows; a column of a newer version keeps what the last row had."""
    connection.execute("DELETE FROM readings WHERE seq >= ? AND seq < ?", (row["seq_first"], row["seq"]))
    connection.execute("DELETE FROM extremes WHERE seq >= ? AND seq < ?", (row["seq_first"], row["seq"]))
    names = [name for name in columns if name != "seq"]
    update = f"UPDATE readings SET {', '.join(f'{name} = ?' for name in names)} WHERE seq = ?"  # noqa: S608
    connection.execute(update, [*(row.get(name) for name in names), row["seq"]])


class _Rollup:
    """Takes rows in, ascending, and gives the row that stands for all of them; holds one row's worth."""

    def __init__(self) -> None:
        self._spans: dict[str, _Span] = {}
        self._kept: Row = {}
        self._first: Value = None
        self._last: Row = {}

    def add(self, row: Row, records: dict[str, Record]) -> None:
        """Take in one reading or rollup, the next after those before."""
        readings = readings_of(row)
        first = row.get("seq_first")
        self._first = self._first or first or row["seq"]
        for metric in _spanned_metrics():
            value = row.get(metric.name)
            if isinstance(value, int | float):
                span = _span(metric, value, records.get(metric.name, ()), readings)
                before = self._spans.get(metric.name)
                self._spans[metric.name] = _joined(metric, before, span) if before else span
        self._kept.update({name: value for name, value in row.items() if value is not None})
        self._last = row

    def row(self, slot_s: int) -> tuple[Row, str]:
        """Return the rollup and the text for `extremes`."""
        row = {**self._kept, **{name: self._last.get(name) for name in OF_THE_LAST_ROW}}
        row |= {"slot_s": slot_s, "seq_first": self._first}
        readings = row["folded_rows"] = readings_of(row)
        records = {}
        for metric in _spanned_metrics():
            span = self._spans.get(metric.name)
            # A sum beyond what the field can hold is not known, like any value that cannot be true.
            value = metric.clean(_outward(metric, span.value)) if span else None
            row[metric.name] = value
            if span and value is not None and (record := _record(metric, span, readings)):
                records[metric.name] = record
        return row, json.dumps(records, separators=(",", ":"))


@cache
def _spanned_metrics() -> tuple[Metric, ...]:
    """Return the metrics of which a rollup says more than the last known value."""
    return tuple(
        metric
        for metric in catalogue().reading_metrics
        if metric.type == "flag" or (metric.type != "text" and metric.fold != "last")
    )


def _outward(metric: Metric, units: int) -> Value:
    return units / metric.divisor if metric.decimals else units


def _records(text: str | None) -> dict[str, Record]:
    try:
        records = json.loads(text or "{}")
    except ValueError:
        records = {}  # a damaged file gave it back: the mean is still worth sending
    return records if isinstance(records, dict) else {}


def _span(metric: Metric, value: float, record: Record, readings: int) -> _Span:
    units = round(value * metric.divisor)
    below, above, rest, unknown = (*record, 0, 0, 0, 0)[:4]
    count = max(readings - unknown, 1)
    total = units if metric.fold == "sum" else units * count + rest
    return _Span(units, units - below, units + above, total, count)


def _joined(metric: Metric, one: _Span, two: _Span) -> _Span:
    total, count = one.total + two.total, one.count + two.count
    low, high = min(one.low, two.low), max(one.high, two.high)
    if metric.fold == "sum":
        value = total
    elif metric.fold == "max":
        value = high
    elif metric.type == "flag":
        value = two.value
    else:
        value = (2 * total + count) // (2 * count)
    return _Span(value, low, high, total, count)


def _record(metric: Metric, span: _Span, readings: int) -> list[int]:
    below, above, rest = span.value - span.low, span.high - span.value, span.total - span.value * span.count
    if metric.type == "flag":
        below = above = 0
    elif metric.fold == "sum":
        below = above = rest = 0
    elif metric.fold == "max":
        rest = 0
    record = [below, above, rest, readings - span.count]
    while record and not record[-1]:
        record.pop()
    return record
