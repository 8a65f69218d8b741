"""When the planned speed tests run: once in the evening, once at night, each gateway at a time of its own.

The time follows from the gateway's id, so that a fleet never tests together. A gateway that comes back within
a window after its time, as all of a district do when the mains return, gets a new one from the rest of it.
"""

import zlib

from agent.budget.billing import billing_day, day_begins_ts

HOUR_S = 3600
WINDOWS = {"evening": (19 * HOUR_S, 22 * HOUR_S), "night": (2 * HOUR_S, 5 * HOUR_S)}
"""Begin and end in WIB, seconds of the day: when the link is fullest, and when it is empty."""

RETRIES = 3
RETRY_S = 600.0
_ROOM_FOR_RETRIES_S = int(RETRIES * RETRY_S) + 300


def windows_of(tests_per_day: int) -> tuple[str, ...]:
    """Return the names of the windows in use."""
    return tuple(WINDOWS)[:tests_per_day]


def planned_ts(gateway_id: str, day: int, window: str, started_ts: float) -> float | None:
    """Return when a gateway that runs since started_ts tests in a window, None when it is too late."""
    begins, ends = (day_begins_ts(day) + second for second in WINDOWS[window])
    latest = ends - _ROOM_FOR_RETRIES_S
    jitter = zlib.crc32(f"{gateway_id} {window}".encode())
    planned = begins + jitter % (latest - begins)
    if started_ts <= planned:
        return planned
    if started_ts >= latest:
        return None
    return started_ts + jitter % int(latest - started_ts + 1)


def window_due(
    gateway_id: str, now_ts: float, started_ts: float, tests_per_day: int
) -> tuple[int, str] | None:
    """Return (day, window) of the test that is due now, or None; done ones are the caller's to know."""
    day = billing_day(now_ts)
    for window in windows_of(tests_per_day):
        planned = planned_ts(gateway_id, day, window, started_ts)
        if planned is not None and planned <= now_ts < day_begins_ts(day) + WINDOWS[window][1]:
            return day, window
    return None
