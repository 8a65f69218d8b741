import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from agent.contract.catalogue import Row, catalogue
from agent.errors import StoreUnusable
from agent.pipeline import sampler as sampler_module
from agent.pipeline.sampler import Sampler


class FakeSink:
    """A buffer that can be told to fail; records every row it took."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.fails = False
        self.told_lost: list[int] = []

    def note_lost_readings(self, rows: int) -> None:
        self.told_lost.append(rows)

    def append(self, row: Row) -> int:
        if self.fails:
            raise StoreUnusable("the disk is full", "make room")
        self.rows.append(dict(row))
        return len(self.rows)


@dataclass(frozen=True)
class Pair:
    cpu_pct: float | None
    load1: float | None


class Fixed:
    def __init__(self, name: str, reading: Any) -> None:
        self.name = name
        self.reading = reading

    def collect(self) -> Any:
        if isinstance(self.reading, Exception):
            raise self.reading
        return self.reading


def make_sampler(sink: FakeSink, *readings: Any, interval_s: float = 60) -> Sampler:
    collectors = [Fixed(f"collector{number}", reading) for number, reading in enumerate(readings)]
    return Sampler(collectors, sink, catalogue(), interval_s=interval_s, taken=lambda: None)


def problem_of(sampler: Sampler) -> str | None:
    return sampler.health.store_problem


def test_one_row_joins_what_all_collectors_gave() -> None:
    sink = FakeSink()
    modem: Mapping[str, object] = {"rsrp_dbm": -97, "modem_state": "ok"}

    make_sampler(sink, modem, Pair(3.4, 0.126)).take_one()

    assert sink.rows == [{"slot_s": 60, "rsrp_dbm": -97, "modem_state": "ok", "cpu_pct": 3, "load1": 0.13}]


def test_values_that_cannot_be_true_are_not_stored() -> None:
    sink = FakeSink()

    make_sampler(sink, {"rsrp_dbm": 255, "sim_state": "fine", "rsrq_db": float("nan")}).take_one()

    assert sink.rows == [{"slot_s": 60}]


def test_a_broken_collector_costs_its_own_fields_and_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    sink = FakeSink()
    sampler = make_sampler(sink, ValueError("boom"), Pair(3, None))

    for _ in range(3):
        sampler.take_one()

    assert [row["cpu_pct"] for row in sink.rows] == [3, 3, 3]
    assert len([record for record in caplog.records if record.levelno >= logging.ERROR]) == 1


def test_readings_wait_in_memory_while_the_database_cannot_be_written(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sink = FakeSink()
    sampler = make_sampler(sink, {"boot": 1})
    sink.fails = True
    for _ in range(3):
        sampler.take_one()
    assert sampler.health.waiting == 3
    assert problem_of(sampler) == "the disk is full"

    sink.fails = False
    sampler.take_one()

    assert len(sink.rows) == 4
    assert sampler.health.waiting == 0
    assert problem_of(sampler) is None
    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 1


def test_memory_for_waiting_readings_is_bounded_and_losses_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sink = FakeSink()
    sink.fails = True
    monkeypatch.setattr(sampler_module, "RING_READINGS", 3)
    sampler = make_sampler(sink, {"boot": 1})
    sampler._ring = type(sampler._ring)(maxlen=3)

    for _ in range(5):
        sampler.take_one()

    assert sampler.health.waiting == 3
    assert sampler.health.lost == 2
    assert sink.told_lost == []
    for _ in range(2):
        sink.fails = False
        sampler.take_one()
        assert sampler.health.lost == 3
        assert sink.told_lost == [3]


def test_readings_in_memory_do_not_wait_for_the_next_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampler_module, "RETRY_S", 0.05)
    sink = FakeSink()
    sink.fails = True
    sampler = make_sampler(sink, {"boot": 1}, interval_s=3600)
    sampler.start()
    deadline = time.monotonic() + 10
    while problem_of(sampler) is None and time.monotonic() < deadline:
        time.sleep(0.01)
    sink.fails = False
    while not sink.rows and time.monotonic() < deadline:
        time.sleep(0.01)
    assert sampler.stop(5)
    assert len(sink.rows) == 1
    assert problem_of(sampler) is None


def test_a_stop_says_how_many_readings_in_memory_are_lost(caplog: pytest.LogCaptureFixture) -> None:
    sink = FakeSink()
    sink.fails = True
    sampler = make_sampler(sink, {"boot": 1}, interval_s=0.05)
    sampler.start()
    deadline = time.monotonic() + 10
    while sampler.health.waiting < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert sampler.stop(5)
    assert (
        f"stop: {sampler.health.waiting}" in caplog.text or str(sampler.health.waiting) in caplog.messages[-1]
    )


def test_slots_follow_the_interval_and_a_long_poll_leaves_a_gap() -> None:
    sink = FakeSink()
    sampler = make_sampler(sink, {"boot": 1}, interval_s=0.1)

    class Slow:
        name = "slow"

        def collect(self) -> Mapping[str, object]:
            if len(sink.rows) == 1:
                time.sleep(0.35)
            return {}

    sampler._collectors = [Slow()]
    sampler.start()
    time.sleep(0.75)
    assert sampler.stop(2)

    # Slots at 0, 0.1 (ends at 0.45), then 0.5, 0.6, 0.7: the missed ones are not made up.
    assert 3 <= len(sink.rows) <= 6


def test_stop_interrupts_the_wait_for_the_next_slot() -> None:
    sampler = make_sampler(FakeSink(), {"boot": 1})
    sampler.start()
    began = time.monotonic()

    assert sampler.stop(5)

    assert time.monotonic() - began < 4


def rows_within(sink: FakeSink, count: int) -> list[Row]:
    deadline = time.monotonic() + 60
    while len(sink.rows) < count and time.monotonic() < deadline:
        time.sleep(0.01)
    return sink.rows


def test_a_hurried_reading_does_not_wait_for_its_slot_and_stands_for_the_time_since_the_last() -> None:
    sink = FakeSink()
    sampler = make_sampler(sink, {"boot": 1}, interval_s=3600)
    sampler.start()
    rows_within(sink, 1)

    sampler.hurry()

    rows = list(rows_within(sink, 2))
    assert sampler.stop(5)
    assert [row["slot_s"] for row in rows] == [3600, 1]


def test_another_pace_counts_from_the_next_reading_on_and_ends_again() -> None:
    sink = FakeSink()
    sampler = make_sampler(sink, {"boot": 1}, interval_s=3600)
    sampler.start()
    rows_within(sink, 1)
    sampler.change_pace(0.05)
    sampler.hurry()
    assert len(rows_within(sink, 5)) >= 5
    sampler.change_pace(None)
    sampler.hurry()
    before = len(sink.rows)
    time.sleep(0.5)
    assert sampler.stop(5)
    assert len(sink.rows) <= before + 3
