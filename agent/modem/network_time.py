"""The time that the network told the modem: AT+CCLK? (3GPP TS 27.007, 8.15).

A modem that never heard a network shows its factory date; one without a time zone may show local time. Both
are told apart from true time as far as that is possible, and nothing is set in the modem: whether it keeps
network time (+CTZU) stays as its operator left it.
"""

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

_DAYS_TO_2000 = 10957
_MONTH_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


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
        if not (1 <= month <= 12 and 1 <= day <= _days_of_month(year, month)):
            return None
        if hour > 23 or minute > 59 or second > 60 or abs(quarters) > _FARTHEST_ZONE_QUARTERS:
            return None
        days = _DAYS_TO_2000 + 365 * year + (year + 3) // 4 + _days_before(year, month) + day - 1
        ts = 86400 * days + 3600 * hour + 60 * minute + second - 900 * quarters
        return ts if floor_ts <= ts <= floor_ts + LATEST_AFTER_FLOOR_S else None
    return None


# Not the calendar module: a daemon has no other use for it. 2000 to 2099 have a leap day every fourth year.


def _days_of_month(year: int, month: int) -> int:
    return _MONTH_DAYS[month - 1] + (month == 2 and year % 4 == 0)


def _days_before(year: int, month: int) -> int:
    return sum(_days_of_month(year, earlier) for earlier in range(1, month))
