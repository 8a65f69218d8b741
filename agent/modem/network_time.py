"""The time that the network told the modem: AT+CCLK? (3GPP TS 27.007, 8.15).

A modem that never heard a network shows its factory date; one without a time zone may show local time. Both
are told apart from true time as far as that is possible, and nothing is set in the modem: whether it keeps
network time (+CTZU) stays as its operator left it.
"""

import calendar
import re
from collections.abc import Sequence

COMMAND = "AT+CCLK?"

LATEST_AFTER_FLOOR_S = 5 * 366 * 86400
"""A time so far beyond what the gateway has seen already is no time."""

# +CCLK: "yy/MM/dd,hh:mm:ss±zz"; zz in quarters of an hour. Some firmware writes the year with four digits.
_ANSWER = re.compile(
    r'\+CCLK:\s*"?(?:20)?(\d\d)/(\d\d)/(\d\d),\s*(\d\d):(\d\d):(\d\d)\s*([+-]\d{1,2})"?\s*', re.ASCII
)
_FARTHEST_ZONE_QUARTERS = 56  # UTC+14


def network_time_ts(lines: Sequence[str], *, floor_ts: float) -> int | None:
    """Return the UTC second that an answer to AT+CCLK? tells, None when it cannot be true.

    lines: the answer without its final result. floor_ts: a UTC second that is past for certain: a clock that
    shows less was never set. Without a time zone it is not known how far it is from UTC: None.
    """
    for line in reversed(lines):
        match = _ANSWER.fullmatch(line.strip())
        if match is None:
            continue
        year, month, day, hour, minute, second, quarters = (int(group) for group in match.groups())
        if not (1 <= month <= 12 and 1 <= day <= calendar.monthrange(2000 + year, month)[1]):
            return None
        if hour > 23 or minute > 59 or second > 60 or abs(quarters) > _FARTHEST_ZONE_QUARTERS:
            return None
        local_s = calendar.timegm((2000 + year, month, day, hour, minute, second))
        ts = local_s - 900 * quarters
        return ts if floor_ts <= ts <= floor_ts + LATEST_AFTER_FLOOR_S else None
    return None
