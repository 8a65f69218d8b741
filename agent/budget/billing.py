"""Billing days and months. A day begins at midnight in WIB and is counted from 1970-01-01."""

import time
from typing import NamedTuple

from agent.screen import WIB_OFFSET_S

DAY_S = 86400


class Month(NamedTuple):
    """A paid month: its first and its last day, both included."""

    first: int
    last: int

    @property
    def days(self) -> int:
        """Return how many days it has."""
        return self.last - self.first + 1


def billing_day(ts: float) -> int:
    """Return the billing day of a UTC second."""
    return int(ts + WIB_OFFSET_S) // DAY_S


def day_begins_ts(day: int) -> int:
    """Return the UTC second at which a billing day begins."""
    return day * DAY_S - WIB_OFFSET_S


def date_of(day: int) -> str:
    """Return a billing day as "2026-11-28"."""
    return time.strftime("%Y-%m-%d", time.gmtime(day * DAY_S))


def billing_month(day: int, begins_on: int) -> Month:
    """Return the paid month that holds `day`, when months begin on the day `begins_on` (1 to 28)."""
    calendar_month = _month_of(day)
    if calendar_month + begins_on - 1 > day:
        calendar_month = _month_of(calendar_month - 1)
    # 31 days behind the first of a month lies one of the first days of the next.
    following = _month_of(calendar_month + 31)
    return Month(calendar_month + begins_on - 1, following + begins_on - 2)


def _month_of(day: int) -> int:
    """Return the first day of the calendar month that holds `day`."""
    return day - time.gmtime(day * DAY_S).tm_mday + 1
