"""Every byte the agent spends, by billing day and use, so that no kill and no power cut can hide one.

Flash is written a few times an hour at most: beside the figures stands a reserve, written before it is
used. As long as what came after fits into it, nothing is written; after a kill the whole reserve counts
as used, under `other`. Who is about to send much asks first, and the reserve grows before the bytes go.
"""

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from agent.budget import tables
from agent.budget.billing import DAY_S, Month, billing_day, billing_month
from agent.budget.limits import CONNECTION_BYTES, USES, Limits, Stage, Use
from agent.budget.tables import Records
from agent.errors import StoreUnusable

RESERVE_BYTES = 16 * 1024
"""What a kill may count too much while little is sent."""

BACKLOG_BYTES = 2 * RESERVE_BYTES
"""Asked for within a short time: a backlog is being sent. Also what may be under way at once."""

BULK_BYTES = 64 * 1024
"""What is added to the reserve while a backlog is sent, so that not every message needs a writing."""

SHRINK_AFTER_S = 600.0
"""A reserve that was grown for a backlog is written smaller again after this time."""

Now = Callable[[], tuple[float, bool]]
"""The wall clock in UTC seconds, and whether it can be believed."""


class BudgetState(NamedTuple):
    """The month so far. by_use and today hold bytes by use, all uses named; counted_from is a day."""

    day: int
    month: Month
    by_use: dict[Use, int]
    today: dict[Use, int]
    stage: Stage
    counted_from: int

    @property
    def used(self) -> int:
        """Return the bytes of the month."""
        return sum(self.by_use.values())


class Ledger:
    """The book of bytes. Any thread may use it; a disk that fails delays writing, never counting.

    Nothing is known before load(): until then readings and tests wait.
    """

    def __init__(self, records: Records, limits: Limits, now: Now) -> None:
        self.limits = limits
        self._records = records
        self._now = now
        self._lock = threading.RLock()
        self._days: dict[int, dict[str, int]] = {}
        self._changed: set[int] = set()
        self._counters: list[tuple[Use, Callable[[], int], int]] = []
        self._loaded = False
        self._known_from = 0
        self._anchor = (0, 0.0)
        self._unsaved = 0
        self._asked = 0
        self._asked_at = 0.0
        self._reserve = 0
        self._saved_at = 0.0
        self._spent = 0

    def load(self) -> None:
        """Take in what was written, count an unclean stop's reserve as used, and write a new one.

        Raises StoreUnusable; nothing may be sent before this has succeeded.
        """
        with self._lock:
            newest = self._records.read(tables.newest_day)
            left_over = self._records.read(tables.reserve)
            ts, trusted = self._now()
            # A clock that is not believed may show any day: then time goes on from the newest day known.
            start = billing_day(ts) if trusted or newest is None else newest
            latest = start if newest is None else newest
            first = min(billing_month(start, self.limits.begins_on).first, latest)
            early, self._days = self._days, self._records.read(lambda c: tables.used_since(c, first))
            self._known_from = first
            for day, uses in early.items():
                for use, used in uses.items():
                    self._add(day, use, used)
            if left_over:
                self._add(latest, "other", left_over)
            self._anchor = (start, time.clock_gettime(time.CLOCK_BOOTTIME))
            self._loaded = True
            try:
                self._write(RESERVE_BYTES)
            except StoreUnusable:
                self._days, self._loaded = early, False
                raise

    def watch(self, use: Use, total: Callable[[], int]) -> None:
        """Charge to `use` what a running total has grown by, whenever counts are taken."""
        with self._lock:
            self._counters.append((use, total, 0))

    def charge(self, use: Use, bytes_: int) -> None:
        """Count bytes that were sent or received."""
        with self._lock:
            self._spent += bytes_
            self._add(self._today(), use, bytes_)
            self._unsaved += bytes_
            self._save_when_due()

    def hold(self, use: Use, bytes_: int) -> int:
        """Charge bytes before they are spent, durably, and return the billing day; raises StoreUnusable."""
        with self._lock:
            day = self._today()
            self._add(day, use, bytes_)
            try:
                self._write(self._wanted_reserve())
            except StoreUnusable:
                self._add(day, use, -bytes_)
                raise
            return day

    def settle(self, day: int, use: Use, *, held: int, used: int) -> None:
        """Put what was used in place of what was held; of a month that is over the larger one stays."""
        with self._lock:
            self._spent += used
            if day in self._days or used > held:
                self._add(day, use, used - held)
                self._save()

    def take_counts(self) -> None:
        """Charge what the watched totals have grown by."""
        with self._lock:
            for at, (use, total, before) in enumerate(self._counters):
                now = total()
                if now > before:
                    self._counters[at] = (use, total, now)
                    if use == "mqtt":
                        self._asked = max(0, self._asked - (now - before))
                    self.charge(use, now - before)
            self._save_when_due()

    def may_send_readings(self, bytes_: int) -> bool:
        """Return whether a message of so many bytes may go; what is allowed is held in reserve first."""
        with self._lock:
            self.take_counts()
            if not self._loaded:
                return False
            day = self._today()
            month = billing_month(day, self.limits.begins_on)
            left = self.limits.left_for_readings(self._used(month), month.last - day)
            if self._asked + bytes_ > left:
                return False
            # Few messages are under way at a time; the rest of what was asked for has been counted.
            self._asked = min(self._asked + bytes_, BACKLOG_BYTES + bytes_)
            self._asked_at = time.monotonic()
            if self._unsaved + self._asked > self._reserve:
                self._save()
            return True

    def probes_rarer(self) -> float:
        """Return how many times more rarely than usual to probe: 1, more when little is left, 0: never."""
        with self._lock:
            day, month = self._today(), self._month()
            return self.limits.probes_rarer(self._used(month), month.last - day)

    def may_connect(self) -> bool:
        """Return whether a connection to the broker may begin or go on: only its own price must be left."""
        with self._lock:
            return self.limits.left(self._used(self._month())) >= CONNECTION_BYTES

    def may_test(self, bytes_: int, *, asked: bool = False) -> bool:
        """Return whether a speed test of at most so many bytes fits below 80 % of the cap.

        One that a person asked for may use what is left for readings as well.
        """
        with self._lock:
            self.take_counts()
            day, month = self._today(), self._month()
            used = self._used(month)
            left = self.limits.left_for_throughput(used)
            if asked:
                left = self.limits.left_for_readings(used, month.last - day)
            return self._loaded and bytes_ <= left

    def spent_bytes(self) -> int:
        """Return everything that was used since this process began, what is held not yet counted."""
        with self._lock:
            self.take_counts()
            return self._spent

    def clock_is_trusted(self) -> bool:
        """Return whether the wall clock can be believed now."""
        return self._now()[1]

    def today(self) -> int:
        """Return the billing day of now."""
        with self._lock:
            return self._today()

    def state(self) -> BudgetState:
        """Return the month so far."""
        with self._lock:
            self.take_counts()
            day = self._today()
            return month_state(self._days, self.limits, day)

    def close(self) -> None:
        """Write the exact figures, without a reserve: nothing is sent any more."""
        with self._lock:
            self.take_counts()
            if self._loaded:
                self._write(0)

    def _today(self) -> int:
        ts, trusted = self._now()
        if not self._loaded:
            return billing_day(ts)
        if not trusted:
            day, since_s = self._anchor
            return day + int((time.clock_gettime(time.CLOCK_BOOTTIME) - since_s) // DAY_S)
        day = billing_day(ts)
        return day if day >= self._known_from else self._gone_back_to(day)

    def _gone_back_to(self, day: int) -> int:
        """Take in an earlier month than is known, after a clock that was wrong; return its day.

        While the database cannot be asked, the oldest day known stands for it.
        """
        first = billing_month(day, self.limits.begins_on).first
        try:
            found = self._records.read(lambda connection: tables.used_since(connection, first))
        except StoreUnusable:
            return self._known_from
        for each, uses in found.items():
            if each < self._known_from:
                self._days[each] = uses
        self._known_from = first
        return day

    def _month(self) -> Month:
        return billing_month(self._today(), self.limits.begins_on)

    def _used(self, month: Month) -> int:
        return sum(sum(uses.values()) for day, uses in self._days.items() if month.first <= day <= month.last)

    def _add(self, day: int, use: str, bytes_: int) -> None:
        uses = self._days.setdefault(day, {})
        uses[use] = max(0, uses.get(use, 0) + bytes_)
        self._changed.add(day)

    def _wanted_reserve(self) -> int:
        return RESERVE_BYTES + (self._asked + BULK_BYTES if self._asked > BACKLOG_BYTES else self._asked)

    def _save_when_due(self) -> None:
        # A batch takes less than was asked for it: what was sent so long ago has been counted.
        if self._asked and time.monotonic() - self._asked_at > SHRINK_AFTER_S:
            self._asked = 0
        too_large = self._reserve > 2 * RESERVE_BYTES and not self._asked
        shrink = too_large and time.monotonic() - self._saved_at > SHRINK_AFTER_S
        if self._unsaved >= max(self._reserve // 2, RESERVE_BYTES // 2) or shrink:
            self._save()

    def _save(self) -> None:
        """Write figures and reserve; a disk that fails is tried again with the next bytes."""
        if not self._loaded:
            return
        try:
            self._write(self._wanted_reserve())
        except StoreUnusable:
            return

    def _write(self, reserve_bytes: int) -> None:
        rows = [(day, use, used) for day in self._changed for use, used in self._days[day].items()]
        self._records.write(
            lambda connection: tables.write_days(connection, rows, reserve_bytes=reserve_bytes)
        )
        self._reserve = reserve_bytes
        self._unsaved = 0
        self._saved_at = time.monotonic()
        self._changed.clear()
        first = self._month().first
        for day in [day for day in self._days if day < first]:
            del self._days[day]
        self._known_from = max(self._known_from, first)


def month_state(days: dict[int, dict[str, int]], limits: Limits, day: int) -> BudgetState:
    """Return the month of `day` from bytes by day and use."""
    month = billing_month(day, limits.begins_on)
    within = [uses for each, uses in days.items() if month.first <= each <= month.last]
    by_use = {use: sum(uses.get(use, 0) for uses in within) for use in USES}
    today = {use: days.get(day, {}).get(use, 0) for use in USES}
    stage = limits.stage(sum(by_use.values()), month.last - day)
    return BudgetState(day, month, by_use, today, stage, max(month.first, min(days, default=day)))
