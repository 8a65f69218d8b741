"""What leaves the database: sent rows that are old, or the oldest sent ones when room gets short.

Unsent rows never leave. Rows go in ranges, because flash pays for pages, not for rows.
"""

import sqlite3
import time
from collections.abc import Iterable
from itertools import takewhile

from agent.buffer.ranges import SeqRange

PRUNE_ABOVE = 0.80
# One commit removes no more than this, so that its log stays as short as any other's.
SLICE_ROWS = 500
DAY_S = 86400
# The newest rows in which a trusted clock is looked for.
_BELIEVED_ROWS = 5000


def remove_expired(
    connection: sqlite3.Connection, sent: Iterable[SeqRange], *, keep_days: int, max_pages: int
) -> int:
    """Remove the oldest sent rows: those older than keep_days, and younger ones above 80 % of max_pages.

    Removes at most SLICE_ROWS and returns how many: when it is SLICE_ROWS there may be more to do.
    Runs inside the caller's transaction.
    """
    oldest_kept_ts = _believable_now(connection) - keep_days * DAY_S
    removed = _remove_oldest(connection, sent, SLICE_ROWS, oldest_kept_ts)

    pages: int = connection.execute("PRAGMA page_count").fetchone()[0]
    free: int = connection.execute("PRAGMA freelist_count").fetchone()[0]
    if pages - free > PRUNE_ABOVE * max_pages:
        removed += _remove_oldest(connection, sent, SLICE_ROWS - removed, None)
    for _page in range(min(pages - max_pages, SLICE_ROWS)):  # max_bytes was lowered since the file grew
        connection.execute("PRAGMA incremental_vacuum(1)")
    return removed


def _believable_now(connection: sqlite3.Connection) -> int:
    """Return the UTC second, at most a day after the newest reading of a trusted clock; 0 without any.

    A clock that leaps ahead must not make all history old at once.
    """
    query = (
        "SELECT ts FROM readings WHERE seq > (SELECT max(seq) FROM readings) - ?"
        " AND ts NOT NULL AND ts_quality IN ('ntp', 'modem', 'broker', 'rtc') ORDER BY seq DESC LIMIT 1"
    )
    found = connection.execute(query, (_BELIEVED_ROWS,)).fetchone()
    return min(int(time.time()), found[0] + DAY_S) if found else 0


def _remove_oldest(
    connection: sqlite3.Connection, sent: Iterable[SeqRange], at_most: int, oldest_kept_ts: int | None
) -> int:
    """Remove the oldest sent rows up to the first as young as oldest_kept_ts; return how many."""
    removed = 0
    for first, last in sent:
        query = "SELECT seq, ts FROM readings WHERE seq BETWEEN ? AND ? ORDER BY seq LIMIT ?"
        rows = connection.execute(query, (first, last, at_most - removed)).fetchall()
        doomed = [seq for seq, _ in takewhile(lambda row: _is_older(row[1], oldest_kept_ts), rows)]
        if doomed:
            connection.execute("DELETE FROM readings WHERE seq BETWEEN ? AND ?", (doomed[0], doomed[-1]))
        removed += len(doomed)
        if len(doomed) < len(rows):
            break
    return removed


def _is_older(ts: int | None, oldest_kept_ts: int | None) -> bool:
    # A row without a time is as old as its neighbours.
    return ts is None or oldest_kept_ts is None or ts < oldest_kept_ts
