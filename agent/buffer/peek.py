"""What a database tells while no daemon owns it: the last reading and the queue; nothing is changed."""

import sqlite3
from pathlib import Path
from typing import Any

_PATIENCE_S = 1.0


def peek(path: Path) -> dict[str, Any] | None:
    """Return {"epoch", "reading", "buffer": {"stored", "unsent", "oldest_unsent_ts", "last_seq"}}, or None.

    None means: no database there, not readable by this user, held by a daemon, or not ours. Nothing is
    written, so a database that a power cut left with an unfinished log is read without that log's rows
    when this user may not write beside it.
    """
    for mode in ("mode=ro", "immutable=1"):
        try:
            connection = sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True, timeout=_PATIENCE_S)
        except sqlite3.Error:
            continue
        try:
            return _left_behind(connection)
        except sqlite3.Error:
            continue
        finally:
            connection.close()
    return None


def _left_behind(connection: sqlite3.Connection) -> dict[str, Any]:
    connection.row_factory = sqlite3.Row
    last = connection.execute("SELECT * FROM readings ORDER BY seq DESC LIMIT 1").fetchone()
    (stored,) = connection.execute("SELECT count(*) FROM readings").fetchone()
    (epoch,) = connection.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()
    unsent, oldest_ts = connection.execute(
        "SELECT count(*), min(ts) FROM readings WHERE NOT EXISTS"
        " (SELECT 1 FROM sent WHERE readings.seq BETWEEN sent.first AND sent.last)"
    ).fetchone()
    return {
        "epoch": epoch,
        "reading": _known(last) if last is not None else None,
        "buffer": {
            "stored": stored,
            "unsent": unsent,
            "oldest_unsent_ts": oldest_ts,
            "last_seq": last["seq"] if last is not None else 0,
        },
    }


def _known(row: sqlite3.Row) -> dict[str, Any]:
    return {name: row[name] for name in row.keys() if row[name] is not None}  # noqa: SIM118 -- a Row is no dict
