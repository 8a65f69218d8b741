"""Billing days and months. A day begins at midnight in WIB and is counted from 1970-01-01."""

from datetime import date
from typing import NamedTuple

from agent.screen import WIB_OFFSET_S

DAY_S = 86400
_FIRST_ORDINAL = date(1970, 1, 1).toordinal()


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
    return date.fromordinal(_FIRST_ORDINAL + day).isoformat()


def billing_month(day: int, begins_on: int) -> Month:
    """Return the paid month that holds `day`, when months begin on the day `begins_on` (1 to 28)."""
    at = date.fromordinal(_FIRST_ORDINAL + day)
    first = at.replace(day=begins_on)
    if first > at:
        first = _month_later(first, -1)
    return Month(first.toordinal() - _FIRST_ORDINAL, _month_later(first, 1).toordinal() - _FIRST_ORDINAL - 1)


def _month_later(at: date, months: int) -> date:
    counted = at.year * 12 + at.month - 1 + months
    return at.replace(year=counted // 12, month=counted % 12 + 1)
