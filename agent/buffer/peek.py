"""What a database tells while no daemon owns it: the last reading and the queue; nothing is changed."""

import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from agent.buffer.history import Selection, count_all, overview, read_page
from agent.buffer.untouched import opened_untouched
from agent.errors import SinyalError

Also = Callable[[sqlite3.Connection], Mapping[str, Any]]


def peek(path: Path, also: Also = lambda _connection: {}) -> dict[str, Any] | None:
    """Return {"epoch", "reading", "buffer"} as the daemon's snapshot has them, or None.

    also gives what more of the file is wanted. None means: no database there, not readable by this user,
    held by a daemon, damaged, or not ours.
    """
    try:
        with opened_untouched(path) as connection:
            return {**_left_behind(connection), **also(connection)}
    except SinyalError:
        return None


def _left_behind(connection: sqlite3.Connection) -> dict[str, Any]:
    seen = overview(connection)
    last_seq = seen["last_seq"] or 0
    newest = read_page(connection, Selection(), (seen["epoch"], last_seq - 1), limit=1).rows
    buffer = count_all(connection, seen["first_seq"] or 1, last_seq)
    buffer |= {name: seen[name] for name in ("oldest_unsent_ts", "events_unsent", "folded", "dropped")}
    return {
        "epoch": seen["epoch"],
        "reading": newest[0] if newest else None,
        "buffer": buffer | {"last_seq": last_seq},
    }
