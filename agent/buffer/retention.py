"""What leaves the database: sent rows that are old, or the oldest sent ones when room gets short.

Unsent rows never leave. Rows go in ranges, because flash pays for pages, not for rows.
"""

import sqlite3
from collections.abc import Iterable

from agent.buffer.ranges import SeqRange
from agent.buffer.true_time import TrueTimes

PRUNE_ABOVE = 0.80
# One commit removes no more than this, so that its log stays as short as any other's.
SLICE_ROWS = 500
DAY_S = 86400


def remove_expired(
    connection: sqlite3.Connection,
    sent: Iterable[SeqRange],
    times: TrueTimes,
    *,
    keep_days: int,
    max_pages: int,
) -> int:
    """Remove the oldest sent rows: those older than keep_days, and younger ones above 80 % of max_pages.

    Removes at most SLICE_ROWS and returns how many: when it is SLICE_ROWS there may be more to do.
    Runs inside the caller's transaction.
    """
    now_ts = certain_now_ts(times)
    removed = 0
    if now_ts is not None:
        removed = _remove_older(connection, sent, times, now_ts - keep_days * DAY_S)

    pages: int = connection.execute("PRAGMA page_count").fetchone()[0]
    free: int = connection.execute("PRAGMA freelist_count").fetchone()[0]
    if pages - free > PRUNE_ABOVE * max_pages:
        removed += _remove_oldest(connection, sent, SLICE_ROWS - removed)
    for _page in range(min(pages - max_pages, SLICE_ROWS)):  # max_bytes was lowered since the file grew
        connection.execute("PRAGMA incremental_vacuum(1)")
    return removed


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
        for number, (_seq, *clocks) in enumerate(rows, start=1):
            ts = times.trusted_ts(*clocks)
            if ts is not None and ts >= oldest_kept_ts:
                break
            doomed = number if ts is not None else doomed
        if doomed:
            _remove(connection, rows[0][0], rows[doomed - 1][0])
        removed += doomed
        if doomed < len(rows):
            break
    return removed


def _remove_oldest(connection: sqlite3.Connection, sent: Iterable[SeqRange], at_most: int) -> int:
    """Remove the oldest sent rows, at most at_most; return how many."""
    removed = 0
    for first, last in sent:
        query = "SELECT seq FROM readings WHERE seq BETWEEN ? AND ? ORDER BY seq LIMIT ?"
        rows = connection.execute(query, (first, last, at_most - removed)).fetchall()
        if rows:
            _remove(connection, rows[0][0], rows[-1][0])
        removed += len(rows)
        if removed == at_most:
            break
    return removed


def _remove(connection: sqlite3.Connection, first: int, last: int) -> None:
    connection.execute("DELETE FROM readings WHERE seq BETWEEN ? AND ?", (first, last))
