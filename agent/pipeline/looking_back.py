"""What screens tell of the past beside the last reading: the outages of today, the level of the last hour.

Asked by the daemon for its snapshot, or by a command of a database that no daemon holds.
"""

import contextlib
import sqlite3
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from agent.errors import StoreUnusable
from agent.link import tables
from agent.link.outage import DatedOutage
from agent.link.tables import Correct
from agent.screen import LEVEL_FIELDS, WIB_OFFSET_S

if TYPE_CHECKING:
    from agent.buffer.keeper import Keeper

NEWEST_OUTAGES = 200
"""More than a day of the worst link holds."""

HOUR_MINUTES = 60
MOST_READINGS = 3600
"""With more than one a second the hour is cut short: a screen must not cost the daemon's processor."""

AGAIN_S = 30.0


class LookingBack:
    """Keeps the answer for half a minute. corrector: gives `correct` for an open connection."""

    def __init__(self, keeper: "Keeper", corrector: Callable[[sqlite3.Connection], Correct]) -> None:
        self._keeper = keeper
        self._corrector = corrector
        self._shown: dict[str, Any] = {}
        self._outage: object = None
        self._until_s = 0.0

    def shown(self, outage: object) -> dict[str, Any]:
        """Return past_of(); outage is the one that lasts: when it changes the database is asked at once."""
        now_s = time.monotonic()
        if now_s >= self._until_s or outage != self._outage:
            self._outage, self._until_s = outage, now_s + AGAIN_S
            # Beside a disk that fails, a damaged row may be met; the keeper deals with both, not a screen.
            with contextlib.suppress(StoreUnusable, ValueError, TypeError, OverflowError):
                self._shown = self._keeper.read(
                    lambda connection: past_of(connection, self._corrector(connection), time.time())
                )
        return self._shown


def past_of(connection: sqlite3.Connection, correct: Correct, now_ts: float) -> dict[str, Any]:
    """Return {"today": the outages of this day in WIB, "hour": the level, minute by minute}.

    today: `outages` and `down_s` count what left the village without internet, lack of power included
    (`power_outages` of them); `last_end_ts` is when the last one of any day ended, None if there was none.
    hour: `field`, and its `levels_dbm`, the oldest of 60 first; None where not known.
    """
    return {"today": _today(connection, correct, now_ts), "hour": _hour(connection)}


def _today(connection: sqlite3.Connection, correct: Correct, now_ts: float) -> dict[str, Any]:
    found = tables.outages(connection, correct, newest=NEWEST_OUTAGES) if tables.exist(connection) else []
    without = [one for one in found if one.counts_as_down or one.outage.kind == "gateway"]
    day_began_ts = now_ts - (now_ts + WIB_OFFSET_S) % 86400
    lengths = [(one, _seconds_since(one, day_began_ts, now_ts)) for one in without]
    down = [
        (one, length_s)
        for one, length_s in lengths
        if length_s > 0 and (one.counts_as_down or one.outage.cause == "power")
    ]
    return {
        "outages": len(down),
        "down_s": round(sum(length_s for _one, length_s in down)),
        "power_outages": sum(one.outage.cause == "power" for one, _length in down),
        "last_end_ts": max((one.end_ts for one in without if one.end_ts is not None), default=None),
    }


def _seconds_since(one: DatedOutage, from_ts: float, now_ts: float) -> float:
    """Return for how long an outage lay between two UTC seconds; one without a known time for 0 s."""
    if one.start_ts is None or (one.is_over and one.end_ts is None):
        return 0.0
    return min(one.end_ts or now_ts, now_ts) - max(float(one.start_ts), from_ts)


def _hour(connection: sqlite3.Connection) -> dict[str, Any]:
    newest = connection.execute(
        "SELECT seq, boot, uptime_s, rsrp_dbm, rscp_dbm, rssi_dbm FROM readings ORDER BY seq DESC LIMIT 1"
    ).fetchone()
    levels: list[int | None] = [None] * HOUR_MINUTES
    if newest is None or newest[2] is None:
        return {"field": None, "levels_dbm": levels}
    seq, boot, uptime_s, *known = newest
    names = [field for field, _empty, _full in LEVEL_FIELDS]
    field = next((name for name, level in zip(names, known, strict=True) if level is not None), names[0])
    query = (
        f"SELECT CAST((? - uptime_s) / 60 AS INTEGER), avg({field}) FROM readings"  # noqa: S608 -- of three
        " WHERE seq > ? AND boot = ? AND uptime_s > ? GROUP BY 1"
    )
    bounds = (uptime_s, seq - MOST_READINGS, boot, uptime_s - 60 * HOUR_MINUTES)
    for minutes_ago, level in connection.execute(query, bounds):
        if level is not None and 0 <= minutes_ago < HOUR_MINUTES:
            levels[-1 - minutes_ago] = round(level)
    return {"field": field, "levels_dbm": levels}
