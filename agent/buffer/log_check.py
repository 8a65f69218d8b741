"""Whether commits may be missing from the end of the write-ahead log.

SQLite reads a log up to the first frame that is not whole, and says nothing of what stood behind: after a
power cut that is a commit nobody was promised, on a bad card it may be rows that were already sent. Their
seqs must then not be given again, so it is better to suspect too often: SUSPECT_SEQS numbers stay unused.

Source: SQLite "WAL-mode File Format": a header of 32 bytes with the salts at 16, frames of 24 bytes with
the salts at 8 and a page each.
"""

import sqlite3
from pathlib import Path

from agent.buffer.schema import LOG_BYTES

SUSPECT_SEQS = 1000
"""More rows than a log can hold beyond what was copied into the database."""

_HEADER_BYTES = 32
_FRAME_HEADER_BYTES = 24


def mark_in_use(connection: sqlite3.Connection) -> None:
    """Note in the file itself that its log is needed, inside the caller's transaction."""
    connection.execute("PRAGMA user_version=1")


def mark_at_rest(connection: sqlite3.Connection) -> None:
    """Note that the log is about to be folded in and removed; raises sqlite3.Error."""
    if connection.execute("PRAGMA user_version").fetchone()[0]:
        connection.execute("PRAGMA user_version=0")


def may_lack_commits(connection: sqlite3.Connection, log: Path) -> bool:
    """Return whether the end of `log` may be lost; asked before anything is written. Raises sqlite3.Error."""
    page_bytes: int = connection.execute("PRAGMA page_size").fetchone()[0]
    (was_in_use,) = connection.execute("PRAGMA user_version").fetchone()
    # The number of whole frames up to the last commit, -1 without a log.
    frames = max(connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1], 0)
    content = _read(log)
    if len(content) <= _HEADER_BYTES:
        return bool(was_in_use)
    frame_bytes = _FRAME_HEADER_BYTES + page_bytes
    if not frames or (len(content) - _HEADER_BYTES) % frame_bytes:
        return True
    salts = content[16:24]
    behind = range(_HEADER_BYTES + frames * frame_bytes, len(content), frame_bytes)
    # Frames of an earlier use of the log have other salts.
    return any(content[place + 8 : place + 16] == salts for place in behind)


def _read(log: Path) -> bytes:
    try:
        with log.open("rb") as opened:
            return opened.read(4 * LOG_BYTES)
    except OSError:
        return b""
