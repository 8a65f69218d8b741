"""The ladder by a clock of its own: in which order, how soon, and when it gives up politely."""

import json
import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

import agent
from agent.errors import StoreUnusable
from agent.recovery.attempts import Attempts
from agent.recovery.ladder import Ladder
from agent.recovery.rungs import DAY_S, HOUR_S, RUNGS, RungName, Trouble
from agent.recovery.usb_reset import reset_usb

ALL: tuple[RungName, ...] = ("reopen", "other_port", "soft_reset", "usb", "relay", "reboot")
WAIT_S = 180.0


class Records:
    """A database of the test's own that may fail."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fails = False
        self.writes = 0

    def read(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
        with sqlite3.connect(self.path) as connection:
            return work(connection)

    def write(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
        if self.fails:
            raise StoreUnusable("disk")
        self.writes += 1
        with sqlite3.connect(self.path) as connection:
            return work(connection)


class Village:
    """A box whose modem fails and may be revived; `run` moves its clock in steps of the daemon's loop."""

    def __init__(self, folder: Path, possible: tuple[RungName, ...] = ALL, cured_by: str = "") -> None:
        self.records = Records(folder / "state.db")
        self.uptime_s, self.boot = 10.0, 1
        self.possible = possible
        self.cured_by = cured_by
        self.trouble: Trouble | None = None
        self.is_online = False
        self.is_held = False
        self.done: list[tuple[float, str]] = []
        self.outcomes: list[Any] = []
        self.lived_s = 0.0
        self._start()

    def _start(self) -> None:
        self.attempts = Attempts(self.records, self.boot, lambda: self.uptime_s)
        self.ladder = Ladder(WAIT_S, self.possible)

    def restart(self) -> None:
        """Boot anew, as after a power cut or a reboot."""
        self.boot += 1
        self.uptime_s = 0.0
        self._start()

    def run(self, seconds: float, step_s: float = 5.0) -> None:
        until = self.lived_s + seconds
        while self.lived_s < until:
            self._tick()
            self.lived_s += step_s
            self.uptime_s += step_s

    def _tick(self) -> None:
        self.attempts.save_clock()
        now_s = self.attempts.now_s()
        if self.trouble is None:
            outcome = self.ladder.end(now_s)
            if outcome is not None:
                self.outcomes.append(outcome)
            return
        if (outcome := self.ladder.begin(self.trouble, now_s)) is not None:
            self.outcomes.append(outcome)
        if self.is_held:
            self.ladder.hold(now_s)
            return
        rung = self.ladder.due(now_s, self.attempts.count_since, may_cut=not self.is_online)
        if rung is None:
            return
        try:
            self.attempts.charge(rung.name)
        except StoreUnusable:
            return
        self.ladder.note_done(rung, now_s)
        self.done.append((self.lived_s, rung.name))
        if rung.name == self.cured_by:
            self.trouble = None
        if rung.name == "reboot":
            self.restart()

    def names(self) -> list[str]:
        return [name for _at, name in self.done]


def test_a_dead_modem_is_tried_from_the_gentlest_to_the_hardest_each_after_its_own_wait(
    tmp_path: Path,
) -> None:
    village = Village(tmp_path, possible=ALL[:5])
    village.trouble = "hung"
    village.run(9 * WAIT_S + 30)
    assert village.done == [
        (180.0, "reopen"), (360.0, "other_port"), (720.0, "soft_reset"), (1080.0, "usb"), (1620.0, "relay"),
    ]  # fmt: skip


@pytest.mark.parametrize("cure", ["reopen", "soft_reset", "usb", "relay"])
def test_a_hung_modem_is_revived_and_no_harder_rung_is_tried(tmp_path: Path, cure: RungName) -> None:
    village = Village(tmp_path, cured_by=cure)
    village.trouble = "hung"
    village.run(HOUR_S)
    assert village.names() == list(ALL[: ALL.index(cure) + 1])
    assert [(outcome.last, outcome.steps) for outcome in village.outcomes] == [(cure, len(village.done))]
    village.run(DAY_S)
    assert len(village.done) == ALL.index(cure) + 1


def most_within(done: list[tuple[float, str]], rung: str, span_s: float) -> int:
    moments = [at for at, name in done if name == rung]
    return max((sum(1 for at in moments if first <= at < first + span_s) for first in moments), default=0)


def test_a_hundred_faults_in_a_row_stay_within_every_limit(tmp_path: Path) -> None:
    village = Village(tmp_path, cured_by="relay")
    for _fault in range(100):
        village.trouble = "hung"
        village.run(600)
        village.trouble = None
        village.run(60)
    for rung in RUNGS:
        assert most_within(village.done, rung.name, HOUR_S) <= rung.per_hour, rung.name
        assert most_within(village.done, rung.name, DAY_S) <= rung.per_day, rung.name
    assert sum(Counter(village.names()).values()) > 5


def test_a_modem_that_is_dead_for_a_week_costs_no_reboot_loop_and_few_power_cuts(tmp_path: Path) -> None:
    village = Village(tmp_path)
    village.trouble = "missing"
    village.run(7 * DAY_S, step_s=20)
    counted = Counter(village.names())
    assert 1 <= counted["reboot"] <= 7
    assert 1 <= counted["relay"] <= 28
    for rung in RUNGS:
        assert most_within(village.done, rung.name, DAY_S) <= rung.per_day
    assert village.ladder.has_given_up


def test_power_cuts_every_eight_hours_loosen_no_limit_and_do_not_freeze_it_either(tmp_path: Path) -> None:
    village = Village(tmp_path, possible=("relay",))
    village.trouble = "hung"
    for _day in range(12):
        village.run(8 * HOUR_S, step_s=30)
        village.restart()
    assert most_within(village.done, "relay", HOUR_S) <= 1
    assert most_within(village.done, "relay", DAY_S) <= 4
    assert len(village.done) >= 8


def test_an_online_village_is_never_cut_off_to_mend_a_reading(tmp_path: Path) -> None:
    village = Village(tmp_path)
    village.trouble, village.is_online = "hung", True
    village.run(6 * HOUR_S)
    assert set(village.names()) == {"reopen", "other_port"}
    village.is_online = False
    village.run(350)
    assert set(village.names()) == {"reopen", "other_port"}
    village.run(30)
    assert village.names()[-1] == "soft_reset"


def test_while_it_is_held_nothing_is_done_and_the_next_rung_waits_from_the_end_of_the_hold(
    tmp_path: Path,
) -> None:
    village = Village(tmp_path)
    village.trouble, village.is_held = "hung", True
    village.run(DAY_S / 2)
    assert village.done == []
    village.is_held = False
    village.run(WAIT_S - 10)
    assert village.done == []
    village.run(20)
    assert village.names() == ["reopen"]


def test_an_uplink_without_a_way_out_is_left_to_the_operator_for_half_an_hour_first(tmp_path: Path) -> None:
    village = Village(tmp_path, possible=ALL[:5])
    village.trouble = "uplink"
    village.run(30 * 60)
    assert village.done == []
    village.run(7 * 60)
    assert village.names() == ["soft_reset"]


def test_a_modem_that_answers_again_ends_its_trouble_though_the_uplink_stays_dead(tmp_path: Path) -> None:
    village = Village(tmp_path, possible=ALL[:5])
    village.trouble = "uplink"
    village.run(20 * 60)
    village.trouble = "hung"
    village.run(2 * WAIT_S + 10)
    assert village.names() == ["reopen", "other_port"]
    village.trouble = "uplink"
    village.run(30 * 60)
    assert [(one.last, one.steps) for one in village.outcomes] == [(None, 0), ("other_port", 2)]
    assert village.names() == ["reopen", "other_port"]


def test_a_database_that_fails_means_that_nothing_is_done(tmp_path: Path) -> None:
    village = Village(tmp_path)
    village.trouble = "hung"
    village.records.fails = True
    village.run(HOUR_S)
    assert village.done == []


def test_trouble_that_passes_by_itself_leaves_nothing_behind(tmp_path: Path) -> None:
    village = Village(tmp_path)
    village.trouble = "hung"
    village.run(100)
    village.trouble = None
    village.run(100)
    assert (village.done, [one.last for one in village.outcomes]) == ([], [None])
    village.trouble = "hung"
    village.run(170)
    assert village.done == []


def test_a_quiet_day_after_a_fault_costs_the_flash_a_write_an_hour_and_then_none(tmp_path: Path) -> None:
    village = Village(tmp_path, cured_by="reopen")
    village.trouble = "hung"
    village.run(HOUR_S / 2)
    village.run(DAY_S, step_s=60)
    writes = village.records.writes
    assert writes <= 26
    village.run(DAY_S, step_s=60)
    assert village.records.writes == writes


def test_the_schema_of_events_knows_every_rung_and_trouble() -> None:
    schema = json.loads((Path(agent.__file__).parent / "contract/schemas/event.json").read_text())
    assert schema["properties"]["rung"]["enum"] == [rung.name for rung in RUNGS]
    assert schema["properties"]["trouble"]["enum"] == list(get_args(Trouble))


def test_a_usb_device_is_switched_off_and_on_in_any_case(tmp_path: Path) -> None:
    switch = tmp_path / "devices" / "1-1.4" / "authorized"
    switch.parent.mkdir(parents=True)
    switch.write_text("1")
    seen: list[str] = []

    def interrupted(_seconds: float) -> None:
        seen.append(switch.read_text())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reset_usb("1-1.4", tmp_path / "devices", interrupted)
    assert (seen, switch.read_text()) == (["0"], "1")


def test_an_old_kernel_without_the_switch_unbinds_and_binds(tmp_path: Path) -> None:
    (tmp_path / "devices" / "1-1").mkdir(parents=True)
    driver = tmp_path / "drivers" / "usb"
    driver.mkdir(parents=True)
    reset_usb("1-1", tmp_path / "devices", lambda _seconds: None)
    assert ((driver / "unbind").read_text(), (driver / "bind").read_text()) == ("1-1", "1-1")
