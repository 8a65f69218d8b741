import threading

import pytest

from firmware_hooks.gpio.lines import Line, LineTrouble
from firmware_hooks.gpio.panel import Listeners, Panel, Wiring
from tests.firmware_hooks.benches import BenchAdapter, BenchLine, Clock

WIRING = Wiring(
    lights={"power": "1", "modem": "2"}, relay="3", mains="4", button="5", buzzer="6", battery_low="7"
)


class Bench:
    """A panel whose thread does not run: steps are taken by hand."""

    def __init__(self, wiring: Wiring = WIRING) -> None:
        self.clock = Clock()
        self.adapter = BenchAdapter(self.clock, line4=True)
        self.heard: list[tuple[object, ...]] = []
        listeners = Listeners(
            mains=lambda level, at: self.heard.append(("mains", level, at)),
            battery_low=lambda level, at: self.heard.append(("battery_low", level, at)),
            button=lambda press: self.heard.append(("button", press)),
        )
        self.panel = Panel(self.adapter, wiring, listeners, now=self.clock)

    def step(self, now: float | None = None) -> float | None:
        self.clock.now = self.clock.now if now is None else now
        while not self.panel._told.empty():
            self.panel._do(self.panel._told.get())
        return self.panel.step()

    def line(self, name: str) -> BenchLine:
        return self.adapter.lines[name]


def test_mains_is_told_once_it_held_with_the_moment_of_its_edge() -> None:
    bench = Bench()
    bench.step()
    assert bench.panel.mains is True
    bench.line("4").drive(False)
    assert bench.step() == 102.0
    assert bench.panel.mains is True
    bench.step(102.0)
    assert (bench.panel.mains, bench.heard) == (False, [("mains", False, 100.0)])


def test_a_battery_that_runs_low_is_told() -> None:
    bench = Bench()
    bench.line("7").drive(True)
    bench.step()
    bench.step(105.0)
    assert (bench.panel.battery_low, bench.heard) == (True, [("battery_low", True, 100.0)])


def test_a_button_held_for_three_seconds_says_so_by_quick_blinking_and_means_long() -> None:
    bench = Bench()
    bench.line("5").drive(True)
    bench.step()
    assert bench.step(100.05) == 103.0
    bench.step(103.0)
    bench.step(103.1)
    assert bench.line("1").history[-2:] == [(103.0, True), (103.1, False)]
    bench.clock.now = 104.0
    bench.line("5").drive(False)
    bench.step()
    bench.step(104.05)
    assert bench.heard == [("button", "long")]


def test_lights_show_the_state_of_their_own_role() -> None:
    bench = Bench()
    bench.panel.show({"power": "mains", "modem": "recovering", "link": "up"})
    assert bench.step() == pytest.approx(100.1)
    assert (bench.line("1").level, bench.line("2").level) == (True, True)
    bench.step(100.1)
    assert (bench.line("1").level, bench.line("2").level) == (True, False)


def test_a_code_is_blinked_on_the_first_light_and_beeped() -> None:
    bench = Bench()
    bench.panel.tell_code(2)
    due = bench.step()
    while due is not None:
        due = bench.step(due)
    lit = [round(at - 100, 2) for at, level in bench.line("1").history if level]
    assert lit == [1.0, 1.8]
    assert [pitch for _at, pitch in bench.line("6").pitches if pitch] == [1000.0, 1000.0]


def test_the_relay_is_the_first_line_taken_and_inactive() -> None:
    bench = Bench()
    assert next(iter(bench.adapter.lines)) == "3"


def test_a_line_that_cannot_be_had_gives_all_others_back() -> None:
    class Refusing(BenchAdapter):
        def output(self, line: Line) -> BenchLine:
            if line.name == "2":
                raise LineTrouble("held")
            return super().output(line)

    adapter = Refusing(Clock())
    with pytest.raises(LineTrouble):
        Panel(adapter, WIRING)
    assert adapter.is_closed
    assert all(line.is_closed for line in adapter.lines.values())


def test_a_light_that_fails_leaves_the_others_and_the_relay_working(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    bench.line("1").fails = True
    bench.panel.show({"power": "mains", "modem": "ok"})
    bench.step()
    bench.step(101.0)
    assert bench.line("2").level is True
    assert len([record for record in caplog.records if "led_power" in record.message]) == 1


def test_stopping_in_the_middle_of_a_cut_gives_the_modem_its_power() -> None:
    bench = Bench()
    bench.panel.start()
    assert bench.panel.cut_modem()
    assert bench.line("3").level is True
    assert not bench.panel.cut_modem()
    bench.panel.stop()
    assert (bench.line("3").level, bench.line("3").is_closed) == (False, True)
    assert "gpio" not in {thread.name for thread in threading.enumerate()}


def test_a_panel_names_the_roles_that_have_a_line() -> None:
    assert Bench(Wiring(lights={"link": "1"}, relay="3")).panel.roles == ("led_link", "relay")
    assert set(Bench().panel.roles) == {
        "led_power", "led_modem", "relay", "buzzer", "mains", "battery_low", "button",
    }  # fmt: skip
