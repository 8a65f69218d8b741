from typing import Any

import pytest

from agent.collectors.power import PowerReading
from agent.config.model import PowerConfig
from agent.pipeline.power_watch import PowerWatch


class Scene:
    def __init__(self, **config: Any) -> None:
        self.now = 500.0
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.paces: list[float | None] = []
        self.hurried = 0
        self.watch = PowerWatch(
            PowerConfig(**config),
            note_event=lambda type_, what, evidence: self.told.append((what, evidence)),
            take_reading=self._hurry,
            pace=self.paces.append,
            now=lambda: self.now,
        )

    def _hurry(self) -> None:
        self.hurried += 1

    def look(self, mains: int | None = None, volts: float | None = None, pct: float | None = None) -> None:
        self.watch.look(PowerReading(mains, volts, pct, None))

    def whats(self) -> list[str]:
        return [what for what, _evidence in self.told]


def test_mains_that_goes_is_told_at_once_with_the_age_of_its_edge_and_a_reading() -> None:
    scene = Scene()
    scene.watch.note_mains(True, 400.0)
    assert (scene.told, scene.hurried) == ([], 0)
    scene.watch.note_mains(False, 498.0)
    assert scene.told == [("mains_lost", {"edge_age_s": 2.0, "mains_present": False})]
    assert (scene.hurried, scene.paces) == (1, [])
    scene.watch.note_mains(False, 498.0)
    scene.watch.note_mains(True, 500.0)
    assert scene.whats() == ["mains_lost", "mains_returned"]


def test_a_box_that_starts_without_mains_says_so() -> None:
    scene = Scene()
    scene.look(mains=0)
    assert scene.whats() == ["mains_lost"]


def test_the_low_power_profile_lasts_as_long_as_mains_is_away() -> None:
    scene = Scene(low_power_interval_s=300)
    scene.look(mains=1)
    saves = [scene.watch.saves_power]
    for mains in (0, 1):
        scene.look(mains=mains)
        saves.append(scene.watch.saves_power)
    assert (scene.paces, saves) == ([300.0, None], [False, True, False])


def test_undervoltage_is_told_when_it_begins_and_ends() -> None:
    scene = Scene()
    for level in (0, 1, 1, 0):
        scene.watch.look(PowerReading(None, None, None, level))
    assert scene.whats() == ["undervoltage", "undervoltage_over"]


@pytest.mark.parametrize("then", ["stop", "poweroff"])
def test_a_battery_that_stays_low_without_mains_ends_the_agent_where_that_is_configured(then: str) -> None:
    scene = Scene(on_low_battery=then)
    scene.look(mains=0, pct=20.0)
    scene.now += 59.9
    scene.look(mains=0, pct=19.0)
    assert scene.watch.ends_with == ""
    scene.now += 0.2
    scene.look(mains=0, pct=19.0)
    assert scene.watch.ends_with == then
    assert scene.whats() == ["mains_lost", "battery_low", "stopping"]


def test_by_default_a_low_battery_is_told_and_the_agent_goes_on() -> None:
    scene = Scene()
    for _minute in range(10):
        scene.look(mains=0, pct=5.0)
        scene.now += 60
    assert scene.watch.ends_with == ""
    assert scene.whats() == ["mains_lost", "battery_low"]


def test_mains_that_comes_back_ends_the_countdown() -> None:
    scene = Scene(on_low_battery="poweroff")
    scene.look(mains=0, pct=10.0)
    scene.now += 50
    scene.look(mains=1, pct=10.0)
    scene.now += 50
    scene.look(mains=0, pct=10.0)
    scene.now += 50
    scene.look(mains=0, pct=10.0)
    assert scene.watch.ends_with == ""


def test_volts_count_only_where_a_limit_is_set() -> None:
    scene = Scene()
    scene.look(mains=0, volts=9.0)
    assert not scene.watch.battery_low
    scene = Scene(low_battery_v=11.2)
    scene.look(mains=0, volts=11.2)
    assert scene.watch.battery_low


def test_where_nobody_tells_of_mains_a_percentage_alone_stops_nothing_but_the_input_does() -> None:
    scene = Scene(on_low_battery="stop")
    for _look in range(3):
        scene.look(pct=5.0)
        scene.now += 60
    assert (scene.watch.battery_low, scene.watch.ends_with) == (True, "")
    scene.watch.note_battery_input(True)
    scene.look(pct=5.0)
    assert scene.watch.ends_with == "stop"
