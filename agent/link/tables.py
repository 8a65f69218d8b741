"""The SQL of this room: outages, and the spans in which the agent lived and knew the link.

Both hold boot and seconds since it, like a reading, so that what happened under a wrong clock is given out in
true time as soon as that is known. `correct` does that: it takes a row with `boot`, `uptime_s`, `ts` and
`ts_quality` and returns it with the best known `ts`.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from agent.link.outage import DatedOutage, Edge, Outage

Correct = Callable[[dict[str, Any]], Mapping[str, Any]]

QUALITIES = ("unset", "estimated", "rtc", "modem", "broker", "ntp")
"""From the weakest to the best."""

KEPT_OUTAGES = 5000
"""Years of daily ones."""

SLOTS_MISSED = 3
"""So many slots without a reading, and the agent was away (as with three failed probes)."""

ROUNDED_S = 1.0
"""A reading keeps its uptime in whole seconds."""

_CREATE = (
    "CREATE TABLE IF NOT EXISTS outages (number INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL,"
    " start_boot INTEGER NOT NULL, start_s REAL NOT NULL, start_ts INTEGER, end_boot INTEGER, end_s REAL,"
    " end_ts INTEGER, cause TEXT NOT NULL, inferred INTEGER NOT NULL, precision_s REAL,"
    " evidence TEXT NOT NULL, seen TEXT NOT NULL, told INTEGER NOT NULL,"
    " UNIQUE (kind, start_boot, start_s)) STRICT",
    # Runs of readings without a gap; known: whether the link's state was known.
    "CREATE TABLE IF NOT EXISTS link_spans (boot INTEGER NOT NULL, from_s REAL NOT NULL, to_s REAL NOT NULL,"
    " known INTEGER NOT NULL, last_seq INTEGER NOT NULL, PRIMARY KEY (boot, from_s)) STRICT, WITHOUT ROWID",
    # One row: where the agent last stopped in good order.
    "CREATE TABLE IF NOT EXISTS link_stop (one INTEGER PRIMARY KEY CHECK (one = 1), boot INTEGER NOT NULL,"
    " uptime_s REAL NOT NULL) STRICT",
)
_COLUMNS = (
    "number, kind, start_boot, start_s, start_ts, end_boot, end_s, end_ts, cause, inferred, precision_s,"
    " evidence, seen"
)


class Span(NamedTuple):
    """A run of readings: from_s to to_s in seconds since `boot`; last_seq is its last reading."""

    boot: int
    from_s: float
    to_s: float
    known: bool
    last_seq: int


class LastSign(NamedTuple):
    """The last reading before a moment. is_clean: the agent then stopped in good order."""

    boot: int
    uptime_s: float
    ts: int | None
    slot_s: float
    mains_present: bool | None
    is_clean: bool


def create(connection: sqlite3.Connection) -> None:
    """Make the tables that the file lacks."""
    for statement in _CREATE:
        connection.execute(statement)


def exist(connection: sqlite3.Connection) -> bool:
    """Return whether this file has the tables: one of an older agent may not."""
    query = "SELECT count(*) FROM sqlite_master WHERE name IN ('outages', 'link_spans', 'link_stop')"
    return int(connection.execute(query).fetchone()[0]) == len(_CREATE)


# ---- outages ----


def save(connection: sqlite3.Connection, outage: Outage, *, boot: int) -> None:
    """Write an outage, or what has changed of it; saving twice is saving once. boot: number of this boot."""
    start, end = outage.start, outage.end
    # An upsert of a row that is there would use up a number of the sequence.
    values = (
        *((end.boot or boot, end.uptime_s, end.ts) if end else (None, None, None)),
        *(outage.cause, int(outage.inferred), outage.precision_s),
        *(json.dumps(dict(outage.evidence)), json.dumps(dict(outage.seen))),
    )
    changed = connection.execute(
        "UPDATE outages SET end_boot = ?, end_s = ?, end_ts = ?, cause = ?, inferred = ?, precision_s = ?,"
        " evidence = ?, seen = ? WHERE kind = ? AND start_boot = ? AND start_s = ?",
        (*values, outage.kind, start.boot or boot, start.uptime_s),
    )
    if changed.rowcount:
        return
    connection.execute(
        "INSERT INTO outages (kind, start_boot, start_s, start_ts, end_boot, end_s, end_ts, cause, inferred,"
        " precision_s, evidence, seen, told) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)",
        (outage.kind, start.boot or boot, start.uptime_s, start.ts, *values),
    )
    connection.execute(
        "DELETE FROM outages WHERE number <= (SELECT max(number) FROM outages) - ?", (KEPT_OUTAGES,)
    )


def open_outages(connection: sqlite3.Connection) -> list[Outage]:
    """Return the outages that have not ended, the oldest first."""
    query = f"SELECT {_COLUMNS} FROM outages WHERE end_boot IS NULL ORDER BY number"  # noqa: S608 -- fixed
    return [_outage(found)[1] for found in connection.execute(query)]


def outages(
    connection: sqlite3.Connection, correct: Correct, *, untold: bool = False, newest: int = KEPT_OUTAGES
) -> list[DatedOutage]:
    """Return the outages in true time, the oldest first; untold: only those over and not sent as an event."""
    chosen = "WHERE told = 0 AND end_boot IS NOT NULL" if untold else ""
    if newest < KEPT_OUTAGES:
        chosen = f"WHERE number > (SELECT max(number) FROM outages) - {newest:d}"  # noqa: S608 -- a number
    query = f"SELECT {_COLUMNS} FROM outages {chosen} ORDER BY number"  # noqa: S608 -- fixed
    return [_dated(*_outage(found), correct) for found in connection.execute(query).fetchall()]


def mark_told(connection: sqlite3.Connection, number: int) -> None:
    """Take an outage as sent."""
    connection.execute("UPDATE outages SET told = 1 WHERE number = ?", (number,))


def _outage(found: Iterable[Any]) -> tuple[int, Outage]:
    number, kind, boot, start_s, start_ts, end_boot, end_s, end_ts, cause, inferred, *rest = found
    precision_s, evidence, seen = rest
    end = None if end_boot is None else Edge(end_boot, end_s, end_ts)
    return number, Outage(
        kind, Edge(boot, start_s, start_ts), end, cause, bool(inferred), precision_s,
        json.loads(evidence), json.loads(seen),
    )  # fmt: skip


def _dated(number: int, outage: Outage, correct: Correct) -> DatedOutage:
    start_ts, start_quality = dated(outage.start, correct)
    end_ts, end_quality = (None, start_quality) if outage.end is None else dated(outage.end, correct)
    return DatedOutage(number, outage, start_ts, end_ts, min(start_quality, end_quality, key=QUALITIES.index))


def dated(edge: Edge, correct: Correct) -> tuple[int | None, str]:
    """Return the true UTC second of a moment and how far it can be believed; None and "unset" if unknown."""
    row = {"boot": edge.boot, "uptime_s": edge.uptime_s, "ts": None, "ts_quality": "unset"}
    known = correct(row)
    ts = known["ts"]
    return (ts, str(known["ts_quality"])) if isinstance(ts, int) else (None, "unset")


# ---- the gap before this agent ----


def last_sign(connection: sqlite3.Connection, *, boot: int, before_s: float) -> LastSign | None:
    """Return the last reading before `before_s` seconds of this boot, None when there never was one."""
    found = connection.execute(
        "SELECT boot, uptime_s, ts, slot_s, mains_present FROM readings WHERE boot IS NOT NULL"
        " AND uptime_s IS NOT NULL AND (boot < ? OR (boot = ? AND uptime_s < ?)) ORDER BY seq DESC LIMIT 1",
        (boot, boot, int(before_s)),
    ).fetchone()
    if found is None:
        return None
    last_boot, uptime_s, ts, slot_s, mains = found
    stop = connection.execute("SELECT boot, uptime_s FROM link_stop").fetchone()
    is_clean = stop is not None and stop[0] == last_boot and stop[1] >= uptime_s - ROUNDED_S
    seen = stop[1] if is_clean else uptime_s
    # The power may have gone for good before the next reading; its going was written down at once.
    told = connection.execute(
        "SELECT what FROM events WHERE type = 'power' AND boot = ? AND uptime_s >= ?"
        " AND what IN ('mains_lost', 'mains_returned') ORDER BY number DESC LIMIT 1",
        (last_boot, uptime_s),
    ).fetchone()
    present = told[0] == "mains_returned" if told else None if mains is None else bool(mains)
    return LastSign(last_boot, seen, ts, float(slot_s or 1), present, is_clean)


def note_clean_stop(connection: sqlite3.Connection, *, boot: int, uptime_s: float) -> None:
    """Remember that the agent stops in good order now."""
    connection.execute(
        "INSERT OR REPLACE INTO link_stop (one, boot, uptime_s) VALUES (1, ?, ?)", (boot, uptime_s)
    )


# ---- spans ----


def spans(connection: sqlite3.Connection) -> list[Span]:
    """Return all spans up to the newest reading, the oldest first."""
    stored = _stored_spans(connection)
    last = stored.pop() if stored else None
    return stored + list(_grown(last, connection))


def keep_spans(connection: sqlite3.Connection) -> None:
    """Write the spans of readings that were stored since the last call: readings may be pruned or folded."""
    stored = _stored_spans(connection, newest_only=True)
    last = stored[-1] if stored else None
    for span in _grown(last, connection):
        connection.execute("INSERT OR REPLACE INTO link_spans VALUES (?, ?, ?, ?, ?)", span)


def _stored_spans(connection: sqlite3.Connection, *, newest_only: bool = False) -> list[Span]:
    tail = "ORDER BY last_seq DESC LIMIT 1" if newest_only else "ORDER BY last_seq"
    query = f"SELECT boot, from_s, to_s, known, last_seq FROM link_spans {tail}"  # noqa: S608 -- fixed
    return [
        Span(boot, from_s, to_s, bool(known), seq)
        for boot, from_s, to_s, known, seq in connection.execute(query)
    ]


def _grown(span: Span | None, connection: sqlite3.Connection) -> Iterable[Span]:
    """Yield `span` and what follows it, made longer by the readings after it."""
    after = span.last_seq if span is not None else 0
    query = (
        "SELECT seq, boot, uptime_s, slot_s, link_up IS NOT NULL FROM readings WHERE seq > ?"
        " AND boot IS NOT NULL AND uptime_s IS NOT NULL ORDER BY seq"
    )
    for seq, boot, uptime_s, slot, known in connection.execute(query, (after,)):
        slot_s = float(slot or 1)
        if (
            span is None
            or boot != span.boot
            or uptime_s - span.to_s > SLOTS_MISSED * slot_s
            or uptime_s < span.to_s
        ):
            if span is not None:
                yield span
            span = Span(boot, max(0.0, uptime_s - slot_s), uptime_s, bool(known), seq)
        elif bool(known) != span.known:
            yield span
            span = Span(boot, span.to_s, uptime_s, bool(known), seq)
        else:
            span = span._replace(to_s=uptime_s, last_seq=seq)
    if span is not None:
        yield span
