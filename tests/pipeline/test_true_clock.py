"""True time from the board, the modem or the centre: the best one wins, and the buffer hears of it once."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from agent.collectors.clock import AGENT_BIRTH_TS, ClockReading, raise_to_floor
from agent.contract.events import Evidence
from agent.errors import StoreUnusable
from agent.pipeline import true_clock
from agent.pipeline.true_clock import TrueClock

TRUE_S = 1_768_953_600.0
"""When the boot of these tests began."""


@dataclass
class Board:
    """Clocks that a test sets."""

    uptime_s: float = 10.0
    wall_base_s: float = 0.0
    quality: str = "unset"

    def collect(self) -> ClockReading:
        return ClockReading(self.wall_base_s + self.uptime_s, self.quality, self.uptime_s)


@dataclass
class Store:
    """Records what it is told."""

    anchors: list[tuple[float, str]] = field(default_factory=list)
    events: list[tuple[str, str, Evidence]] = field(default_factory=list)
    failing: bool = False

    def note_true_time(self, true_s: float, quality: str) -> int:
        if self.failing:
            raise StoreUnusable("for a test")
        self.anchors.append((true_s, quality))
        return 7

    def newest_true_ts(self) -> int | None:
        return None

    def note_event(self, type_: str, what: str, evidence: Evidence, *, quality: str) -> None:
        self.events.append((type_, what, evidence))


def clock(
    board: Board, store: Store, modem: Callable[[float], int | None] = lambda _floor: None
) -> TrueClock:
    return TrueClock(board, store, modem)


def now(uptime_s: float = 0.0) -> float:
    """Return the true UTC second at this real moment, for a boot that began at TRUE_S by the boot clock."""
    return TRUE_S + time.clock_gettime(time.CLOCK_BOOTTIME) + uptime_s


def test_a_synchronised_clock_is_told_to_the_store_once() -> None:
    board, store = Board(wall_base_s=TRUE_S, quality="ntp"), Store()
    true = clock(board, store)
    for uptime_s in (10, 70, 130):
        board.uptime_s = uptime_s
        assert true.collect() == {"ts": TRUE_S + uptime_s, "ts_quality": "ntp", "uptime_s": uptime_s}
    assert store.anchors == [(TRUE_S, "ntp")]
    assert true.is_trusted


def test_without_any_source_the_wall_clock_is_shown_as_it_is() -> None:
    true = clock(Board(wall_base_s=5), Store())
    assert true.collect() == {"ts": 15, "ts_quality": "unset", "uptime_s": 10}
    assert not true.is_trusted


def test_the_modem_is_asked_while_no_time_is_known_and_its_time_counts_for_the_row() -> None:
    floors = []

    def modem(floor_ts: float) -> int | None:
        floors.append(floor_ts)
        return round(now())

    store = Store()
    true = clock(Board(), store, modem)
    for _reading in range(3):
        taken = true.collect()
    assert floors == [AGENT_BIRTH_TS]
    assert taken["ts_quality"] == "modem"
    assert isinstance(taken["ts"], float) and abs(taken["ts"] - TRUE_S - 10) < 3
    assert isinstance(taken["clock_offset_s"], float) and abs(taken["clock_offset_s"] - TRUE_S) < 3
    assert [quality for _true_s, quality in store.anchors] == ["modem"]


def test_a_modem_that_knows_no_time_is_asked_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(true_clock, "ASK_MODEM_EVERY_S", 0.0)
    asked = []
    true = clock(Board(), Store(), lambda floor: asked.append(floor))
    for _reading in range(50):
        true.collect()
    assert len(asked) == 10


def test_better_sources_replace_worse_ones_and_not_the_other_way() -> None:
    board, store = Board(wall_base_s=TRUE_S + 100, quality="rtc"), Store()
    true = clock(board, store)
    true.collect()
    true.hear_from_centre(now())
    assert true.collect()["ts_quality"] == "broker"
    board.wall_base_s, board.quality = TRUE_S + 1, "ntp"
    assert true.collect()["ts_quality"] == "ntp"
    true.hear_from_centre(now(500))
    assert true.collect()["ts"] == TRUE_S + 11
    assert [quality for _true_s, quality in store.anchors] == ["rtc", "broker", "ntp"]


@pytest.mark.parametrize("ts", [0, -1, 86400, AGENT_BIRTH_TS - 1, 99_999_999_999])
def test_an_impossible_time_of_the_centre_is_passed_over(ts: float) -> None:
    store = Store()
    true = clock(Board(), store)
    true.hear_from_centre(ts)
    true.collect()
    assert store.anchors == []


def test_a_store_that_fails_is_told_later() -> None:
    store = Store(failing=True)
    true = clock(Board(wall_base_s=TRUE_S, quality="ntp"), store)
    true.collect()
    store.failing = False
    true.collect()
    assert store.anchors == [(TRUE_S, "ntp")]


@pytest.mark.parametrize("step_s", [86400, -86400, 400 * 86400, 3])
def test_a_step_of_the_wall_clock_is_an_event(step_s: float) -> None:
    board, store = Board(wall_base_s=TRUE_S), Store()
    true = clock(board, store)
    true.collect()
    board.wall_base_s += step_s
    true.collect()
    true.collect()
    assert store.events == [("clock", "stepped", {"step_s": step_s})]


@pytest.mark.parametrize("step_s", [86400, -86400])
def test_a_synchronised_clock_that_steps_and_comes_back_moves_no_reading(step_s: float) -> None:
    board, store = Board(wall_base_s=TRUE_S, quality="ntp"), Store()
    true = clock(board, store)
    stamps = []
    for moved_s in (0, step_s, step_s, 0):
        board.wall_base_s = TRUE_S + moved_s
        board.uptime_s += 60
        stamps.append(true.collect()["ts"])
    assert stamps == [TRUE_S + uptime_s for uptime_s in (70, 130, 190, 250)]
    assert store.anchors == [(TRUE_S, "ntp")]


def test_a_step_that_lasts_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    board, store = Board(wall_base_s=TRUE_S + 86400, quality="ntp"), Store()
    true = clock(board, store)
    true.collect()
    board.wall_base_s = TRUE_S
    true.collect()
    monkeypatch.setattr(true_clock, "STEP_LASTS_S", 0.0)
    assert true.collect()["ts"] == TRUE_S + 10
    assert store.anchors == [(TRUE_S + 86400, "ntp"), (TRUE_S, "ntp")]


def test_slewing_is_no_step() -> None:
    board, store = Board(wall_base_s=TRUE_S, quality="ntp"), Store()
    true = clock(board, store)
    for _reading in range(100):
        board.wall_base_s += 0.01
        true.collect()
    assert [event for event in store.events if event[1] == "stepped"] == []


@pytest.mark.parametrize(
    ("wall_ts", "floor_ts", "set_to"),
    [
        (60, AGENT_BIRTH_TS + 5, AGENT_BIRTH_TS + 5),
        (60, 60, None),
        (AGENT_BIRTH_TS, AGENT_BIRTH_TS + 5, None),
    ],
)
def test_only_a_clock_that_was_never_set_is_raised(
    wall_ts: float, floor_ts: float, set_to: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[int, float]] = []
    monkeypatch.setattr(time, "time", lambda: wall_ts)
    monkeypatch.setattr(time, "clock_settime", lambda *call: calls.append(call))
    assert raise_to_floor(floor_ts) == (set_to is not None)
    assert calls == ([(time.CLOCK_REALTIME, set_to)] if set_to else [])


def test_a_platform_that_forbids_it_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_call: object) -> None:
        raise PermissionError

    monkeypatch.setattr(time, "time", lambda: 60)
    monkeypatch.setattr(time, "clock_settime", forbidden)
    assert not raise_to_floor(AGENT_BIRTH_TS + 5)
