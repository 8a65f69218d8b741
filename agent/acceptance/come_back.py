"""Judges the two parts that end the program itself: the pulled plug, and the reboot."""

from collections.abc import Mapping
from typing import Any

OFF_AT_LEAST_S = 60.0
"""A plug pulled for less is no test of a power cut: the board may not even have gone off."""


def power_finding(
    before: Mapping[str, Any], *, boot: int, stored: int, outage: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return what became of a pulled plug.

    before: {"boot", "stored"} from just before; stored: how many of those rows are there now; outage: what
    the agent wrote of the time away, as `sinyal outages` has it. Its length is None until the clock is known.
    """
    return {
        "has_gone_off": boot != before["boot"],
        "cause": outage["cause"] if outage else None,
        "inferred": bool(outage and outage["inferred"]),
        "duration_s": outage["duration_s"] if outage else None,
        "start_ts": outage["start_ts"] if outage else None,
        "outage": outage["number"] if outage else None,
        "rows_before": before["stored"],
        "rows_lost": max(0, before["stored"] - stored),
    }


def reboot_finding(
    before: Mapping[str, Any], *, boot: int, stored: int, first_reading_uptime_s: float | None
) -> dict[str, Any]:
    """Return what became of a reboot; first_reading_uptime_s: how long after the boot it measured again."""
    return {
        "has_rebooted": boot != before["boot"],
        "first_reading_uptime_s": first_reading_uptime_s,
        "rows_before": before["stored"],
        "rows_lost": max(0, before["stored"] - stored),
    }
