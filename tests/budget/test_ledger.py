import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.budget.billing import billing_day, billing_month, date_of, day_begins_ts
from agent.budget.ledger import BULK_BYTES, RESERVE_BYTES, Ledger
from agent.budget.limits import CONNECTION_BYTES, LIVENESS_BYTES_A_DAY, Limits, limits_of
from agent.budget.report import budget_document
from agent.budget.tables import KEPT_DAYS, used_since, write_days
from agent.buffer.store import Store
from agent.config.model import BudgetConfig
from agent.errors import StoreUnusable
from tests.budget.conftest import open_store

NOON_TS = 1_796_014_800.0
"""2026-11-30 05:00 UTC, noon in WIB."""

KILLS = 25


class Clock:
    def __init__(self, ts: float = NOON_TS) -> None:
        self.ts = ts
        self.trusted = True

    def __call__(self) -> tuple[float, bool]:
        return self.ts, self.trusted


def opened(store: Any, clock: Clock, month_bytes: int | None = 300_000_000) -> Ledger:
    ledger = Ledger(store, Limits(month_bytes, 1, 0), clock)
    ledger.load()
    return ledger


def restarted(store: Store, clock: Clock, ledger: Ledger, *, cleanly: bool) -> Ledger:
    if cleanly:
        ledger.close()
    return opened(store, clock)


@pytest.mark.parametrize(
    ("ts", "begins_on", "today", "first", "last"),
    [
        (NOON_TS, 1, "2026-11-30", "2026-11-01", "2026-11-30"),
        (NOON_TS + 43200, 1, "2026-12-01", "2026-12-01", "2026-12-31"),
        (NOON_TS + 43199, 1, "2026-11-30", "2026-11-01", "2026-11-30"),
        (NOON_TS, 28, "2026-11-30", "2026-11-28", "2026-12-27"),
        (NOON_TS - 3 * 86400, 28, "2026-11-27", "2026-10-28", "2026-11-27"),
        (NOON_TS + 86400 * 40, 15, "2027-01-09", "2026-12-15", "2027-01-14"),
    ],
)
def test_days_and_months_are_those_of_wib(
    ts: float, begins_on: int, today: str, first: str, last: str
) -> None:
    month = billing_month(billing_day(ts), begins_on)
    assert (date_of(billing_day(ts)), date_of(month.first), date_of(month.last)) == (today, first, last)
    assert billing_day(day_begins_ts(month.first)) == month.first
    assert billing_day(day_begins_ts(month.first) - 1) == month.first - 1


def test_every_byte_is_counted_once_by_use_and_day(store: Store) -> None:
    clock = Clock()
    ledger = opened(store, clock)
    totals = iter((100, 100, 350, 350, 350, 350))
    ledger.watch("mqtt", lambda: next(totals, 350))
    for _ in range(3):
        ledger.take_counts()
    ledger.charge("probes", 84)
    clock.ts += 86400 * 0.4
    ledger.charge("probes", 84)

    state = ledger.state()

    assert state.by_use == {"mqtt": 350, "probes": 168, "throughput": 0, "other": 0}
    assert state.used == ledger.spent_bytes() == 518


def test_a_clean_restart_keeps_the_figures_exactly(store: Store) -> None:
    clock = Clock()
    ledger = opened(store, clock)
    ledger.charge("mqtt", 123)
    ledger = restarted(store, clock, ledger, cleanly=True)

    assert ledger.state().by_use == {"mqtt": 123, "probes": 0, "throughput": 0, "other": 0}


def test_a_kill_counts_too_much_by_the_reserve_at_most(store: Store) -> None:
    clock = Clock()
    ledger = opened(store, clock)
    ledger.charge("mqtt", 5000)
    ledger = restarted(store, clock, ledger, cleanly=False)

    assert 5000 <= ledger.state().used <= 5000 + RESERVE_BYTES
    assert ledger.state().by_use["other"] == RESERVE_BYTES


def test_a_new_month_begins_with_nothing_used_and_the_old_one_stays_written(store: Store) -> None:
    clock = Clock()
    ledger = opened(store, clock)
    ledger.charge("mqtt", 1000)
    clock.ts += 86400
    ledger.charge("mqtt", 7)

    assert ledger.state().used == 7
    ledger.close()
    assert store.read(lambda c: used_since(c, 0)) == {
        billing_day(NOON_TS): {"mqtt": 1000},
        billing_day(NOON_TS) + 1: {"mqtt": 7},
    }


def test_a_clock_that_is_not_believed_neither_ends_the_month_nor_begins_it_again(store: Store) -> None:
    clock = Clock()
    ledger = opened(store, clock)
    ledger.charge("mqtt", 1000)
    ledger.close()
    for wrong_ts in (0.0, NOON_TS - 40 * 86400, NOON_TS + 400 * 86400):
        clock.ts, clock.trusted = wrong_ts, False
        ledger = opened(store, clock)
        assert ledger.state().used == 1000
        ledger.close()
    clock.ts, clock.trusted = NOON_TS + 86400, True
    assert opened(store, clock).state().used == 0


def test_little_traffic_is_written_a_few_times_a_day(store: Store) -> None:
    class Counting:
        writes = 0

        def read(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
            return store.read(work)

        def write(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
            self.writes += 1
            return store.write(work)

    records = Counting()
    ledger = opened(records, Clock())
    for _minute in range(1440):
        ledger.charge("probes", 168)
        ledger.take_counts()

    assert records.writes < 48


def test_a_disk_that_fails_delays_writing_but_not_counting(store: Store) -> None:
    class Sick:
        fails = False

        def read(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
            return store.read(work)

        def write(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
            if self.fails:
                raise StoreUnusable("full")
            return store.write(work)

    sick = Sick()
    clock = Clock()
    ledger = opened(sick, clock)
    sick.fails = True
    ledger.charge("mqtt", 50_000)
    with pytest.raises(StoreUnusable):
        ledger.hold("throughput", 1_000_000)
    assert ledger.state().used == 50_000
    sick.fails = False
    ledger.charge("mqtt", 1)

    assert opened(store, clock).state().used == 50_001 + RESERVE_BYTES


def test_a_start_that_fails_and_is_tried_again_counts_nothing_twice(store: Store) -> None:
    clock = Clock()
    opened(store, clock).charge("mqtt", 5000)

    class Sick:
        fails = True

        def read(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
            return store.read(work)

        def write(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
            if self.fails:
                raise StoreUnusable("full")
            return store.write(work)

    sick = Sick()
    ledger = Ledger(sick, Limits(300_000_000, 1, 0), clock)
    ledger.charge("probes", 84)
    for _ in range(3):
        with pytest.raises(StoreUnusable):
            ledger.load()
    sick.fails = False
    ledger.load()

    # The 5,000 were never written: the reserve stands for them.
    assert ledger.state().by_use == {"mqtt": 0, "probes": 84, "throughput": 0, "other": RESERVE_BYTES}


def test_a_clock_that_was_wrong_for_a_while_costs_no_figures(store: Store) -> None:
    clock = Clock()
    ledger = opened(store, clock)
    ledger.charge("mqtt", 1000)
    ledger.close()
    clock.ts = NOON_TS + 500 * 86400
    ledger = opened(store, clock)
    ledger.charge("mqtt", 10)
    ledger.close()
    clock.trusted = False
    ledger = opened(store, clock)
    clock.ts, clock.trusted = NOON_TS, True
    ledger.charge("mqtt", 1)
    ledger.close()

    assert opened(store, clock).state().used == 1001


def test_the_newest_days_are_kept_however_far_the_clock_has_jumped(store: Store) -> None:
    for days in (range(100, 600), range(9000, 9010)):
        rows = [(day, "mqtt", 1) for day in days]
        store.write(lambda c, rows=rows: write_days(c, rows, reserve_bytes=0))  # type: ignore[misc]

    kept = store.read(lambda c: used_since(c, 0))

    assert len(kept) == KEPT_DAYS
    assert min(kept) == 210 and max(kept) == 9009


STAGES = [
    (0, 10, "all"),
    (239_999_999, 10, "all"),
    (240_000_000, 10, "no_throughput"),
    (300_000_000 - 10 * LIVENESS_BYTES_A_DAY - 1, 10, "no_throughput"),
    (300_000_000 - 10 * LIVENESS_BYTES_A_DAY, 10, "liveness_only"),
    (299_999_999, 10, "liveness_only"),
    (299_999_999, 0, "no_throughput"),
    (300_000_000, 10, "closed"),
    (400_000_000, 0, "closed"),
]


@pytest.mark.parametrize(("used", "days_left", "stage"), STAGES)
def test_steps_of_the_cap(used: int, days_left: int, stage: str) -> None:
    assert Limits(300_000_000, 1, 0).stage(used, days_left) == stage
    assert Limits(None, 1, 0).stage(used, days_left) == "all"


def test_liveness_never_takes_more_than_its_share() -> None:
    assert Limits(1_000_000, 1, 0).liveness_bytes(30) == 50_000
    assert limits_of(BudgetConfig(profile="unlimited")).liveness_bytes(30) == 0


def test_the_cap_is_passed_by_one_probe_at_most(store: Store) -> None:
    clock = Clock(NOON_TS - 20 * 86400)
    ledger = opened(store, clock, month_bytes=1_000_000)
    sent = 0
    ledger.watch("mqtt", lambda: sent)
    cost = 8192
    while ledger.may_send_readings(cost):
        sent += cost
    assert 950_000 - cost < ledger.state().used <= 950_000
    assert ledger.state().stage in ("no_throughput", "liveness_only")
    assert not ledger.may_test(1)
    while ledger.probes_rarer():
        assert ledger.may_connect() == (ledger.limits.left(ledger.state().used) >= CONNECTION_BYTES)
        ledger.charge("probes", 168)

    assert not ledger.may_connect()
    assert 1_000_000 <= ledger.state().used < 1_000_000 + 168
    assert ledger.state().stage == "closed"
    assert not ledger.may_send_readings(1)


@pytest.mark.parametrize(
    ("used", "days_left", "rarer"),
    [
        (0, 29, 1),
        (284_000_000, 29, 1),
        (288_400_000, 29, 12_000_000 / 11_600_000),  # readings have stopped: what is left has to last
        (294_000_000, 29, 2),
        (294_000_000, 14, 1),
        (299_999_000, 29, 60),
        (300_000_000, 29, 0),
    ],
)
def test_probes_come_more_rarely_when_liveness_would_not_last(
    used: int, days_left: int, rarer: float
) -> None:
    assert Limits(300_000_000, 1, 0).probes_rarer(used, days_left) == pytest.approx(rarer)
    assert Limits(None, 1, 0).probes_rarer(used, days_left) == 1


def test_what_was_asked_for_and_not_yet_counted_is_not_given_twice(store: Store) -> None:
    ledger = opened(store, Clock(), month_bytes=1_000_000)
    assert ledger.may_send_readings(900_000)
    assert not ledger.may_send_readings(200_000)


def test_what_was_asked_for_long_ago_and_not_used_is_held_no_longer(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = opened(store, Clock(), month_bytes=1_000_000)
    assert ledger.may_send_readings(900_000)
    monkeypatch.setattr("agent.budget.ledger.SHRINK_AFTER_S", -1.0)
    assert ledger.may_send_readings(800_000)
    monkeypatch.undo()
    assert not ledger.may_send_readings(300_000)
    monkeypatch.setattr("agent.budget.ledger.SHRINK_AFTER_S", -1.0)
    ledger.take_counts()
    assert opened(store, Clock()).state().used == RESERVE_BYTES


def test_small_messages_without_a_pause_do_not_use_up_the_budget_by_being_asked_for(store: Store) -> None:
    ledger = opened(store, Clock(), month_bytes=1_000_000)
    sent = 0
    ledger.watch("mqtt", lambda: sent)
    for _ in range(1000):
        assert ledger.may_send_readings(4_300)
        sent += 300
    assert ledger.state().used == 300_000
    after_a_kill = opened(store, Clock()).state()
    assert 300_000 <= after_a_kill.used < 300_000 + 8 * RESERVE_BYTES


def test_before_it_was_loaded_nothing_may_be_sent(store: Store) -> None:
    ledger = Ledger(store, Limits(None, 1, 0), Clock())
    assert not ledger.may_send_readings(1)
    assert not ledger.may_test(1)


def test_what_was_held_is_kept_by_a_kill_and_given_back_when_not_spent(store: Store) -> None:
    clock = Clock()
    ledger = opened(store, clock)
    day = ledger.hold("throughput", 3_000_000)
    assert opened(store, clock).state().by_use["throughput"] == 3_000_000

    ledger.settle(day, "throughput", held=3_000_000, used=2_000_000)
    assert ledger.state().by_use["throughput"] == 2_000_000
    assert ledger.spent_bytes() == 2_000_000


def test_the_document_shows_price_and_forecast(store: Store) -> None:
    clock = Clock(NOON_TS - 9.5 * 86400)  # midnight, ten days before the end of the month
    ledger = Ledger(store, Limits(300_000_000, 1, 25.0), clock)
    ledger.load()
    ledger.charge("mqtt", 9_500_000)
    clock.ts = NOON_TS
    ledger.charge("mqtt", 20_000_000)

    document = budget_document(ledger.state(), ledger.limits, NOON_TS)

    assert document["used_rupiah"] == 737.5
    # 9.5 days since the first byte, half a day left: not by the days before this gateway was there.
    assert document["forecast_bytes"] == round(29_500_000 * 10 / 9.5)
    assert document["left_bytes"] == 270_500_000
    assert document["stage"] == "all"


def test_kill_9_at_any_moment_hides_no_byte(tmp_path: Path) -> None:
    """The last total said before the kill is what was really spent, or less by the step under way."""
    dice = random.Random(7)
    spent = 0
    over_count = KILLS * (RESERVE_BYTES + 2 * BULK_BYTES + 3 * 8000)
    for _kill in range(KILLS):
        with subprocess.Popen(
            [sys.executable, "-m", "tests.budget.spender", str(tmp_path)], stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdout is not None
            lines = [child.stdout.readline()]
            time.sleep(dice.uniform(0.0, 0.08))
            child.send_signal(signal.SIGKILL)
            lines += child.stdout.read().splitlines()
        spent += int(lines[-1])
        store = open_store(tmp_path)
        ledger = Ledger(store, Limits(10**9, 1, 0), lambda: (time.time(), True))
        ledger.load()
        used = ledger.state().used
        assert spent <= used <= spent + over_count
        ledger.close()
        store.close()
    assert spent > KILLS * 1000
