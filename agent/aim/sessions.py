"""Aimings that are over, kept in a table of their own in the reading database: the newest fifty.

A session is kept as boot and seconds since boot, like a reading, so that it gets its true time when the
clock is known.
"""

import json
import math
import sqlite3
from collections.abc import Callable, Mapping
from typing import Any

from agent.aim.aiming import Aiming, Mark
from agent.errors import UsageMistake
from agent.language import _

KEPT = 50
BEST = 3

_CREATE = """
    CREATE TABLE IF NOT EXISTS aim_sessions (
        number INTEGER PRIMARY KEY, boot INTEGER NOT NULL, uptime_s REAL NOT NULL, ts INTEGER NOT NULL,
        document TEXT NOT NULL)
"""

Correct = Callable[[dict[str, Any]], Mapping[str, Any]]
"""Gives a row with boot, uptime_s, ts and ts_quality its true time."""

_SESSION_NUMBERS = ("seconds", "looks", "cell_changes", "peak_dbm")
_MARK_NUMBERS = ("azimuth_deg", "at_s", "level_dbm", "quality_db", "cell_id", "pci", "channel")
_MARK_TEXTS = ("level", "quality", "technology", "band")
MAX_TEXT = 40


def session_document(aiming: Aiming, seconds: float) -> dict[str, Any]:
    """Return what is kept of an aiming, and printed by --json: numbers in dBm, dB, degrees and seconds."""
    peak = aiming.peak()
    return {
        "seconds": round(seconds),
        "looks": aiming.looks,
        "cell_changes": aiming.cell_changes,
        "peak_dbm": None if peak is None else round(peak.level_dbm, 1),
        "best": [mark_document(mark) for mark in aiming.best(BEST)],
    }


def mark_document(mark: Mark) -> dict[str, Any]:
    """Return a mark as it is kept and printed."""
    return {
        "azimuth_deg": mark.azimuth_deg,
        "at_s": round(mark.at_s),
        "level": mark.cell.level,
        "level_dbm": round(mark.level_dbm, 1),
        "quality": mark.quality or None,
        "quality_db": None if mark.quality_db is None else round(mark.quality_db, 1),
        "technology": mark.cell.technology,
        "cell_id": mark.cell.cell_id,
        "pci": mark.cell.pci,
        "channel": mark.cell.channel,
        "band": mark.cell.band,
    }


def checked_session(told: object) -> dict[str, Any]:
    """Return a session as it may be kept; anything that cannot be one raises UsageMistake."""
    if not isinstance(told, dict) or not isinstance(told.get("best"), list):
        raise UsageMistake(_("this is not the result of an aiming"))
    kept: dict[str, Any] = {name: _number(told.get(name)) for name in _SESSION_NUMBERS}
    kept["best"] = [_checked_mark(mark) for mark in told["best"][:BEST] if isinstance(mark, dict)]
    return kept


def _checked_mark(mark: Mapping[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {name: _number(mark.get(name)) for name in _MARK_NUMBERS}
    for name in _MARK_TEXTS:
        text = mark.get(name)
        is_plain = isinstance(text, str) and text.isascii() and text.isprintable()
        kept[name] = text[:MAX_TEXT] if is_plain and isinstance(text, str) else None
    return kept


def keep(
    connection: sqlite3.Connection, session: Mapping[str, Any], boot: int, uptime_s: float, ts: int
) -> None:
    """Write a session that began at this moment of a boot, and forget those beyond the newest fifty."""
    connection.execute(_CREATE)
    connection.execute(
        "INSERT INTO aim_sessions (boot, uptime_s, ts, document) VALUES (?, ?, ?, ?)",
        (boot, uptime_s, ts, json.dumps(session)),
    )
    connection.execute(
        "DELETE FROM aim_sessions WHERE number <= (SELECT max(number) FROM aim_sessions) - ?", (KEPT,)
    )


def kept_sessions(
    connection: sqlite3.Connection, correct: Correct, limit: int = KEPT
) -> list[dict[str, Any]]:
    """Return the newest sessions, the newest first, each with `ts` and `ts_quality` of its beginning."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'aim_sessions'").fetchone():
        return []
    rows = connection.execute(
        "SELECT boot, uptime_s, ts, document FROM aim_sessions ORDER BY number DESC LIMIT ?", (limit,)
    )
    sessions = []
    for boot, uptime_s, ts, document in rows:
        row = correct({"boot": boot, "uptime_s": uptime_s, "ts": ts, "ts_quality": "unset"})
        sessions.append({"ts": row["ts"], "ts_quality": row["ts_quality"], **json.loads(document)})
    return sessions


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if math.isfinite(value) and abs(value) < 1e12 else None
