"""Each light, the relay, the inputs, the button and the buzzer, to the millisecond, by a clock of our own."""

import itertools

import pytest

from firmware_hooks.gpio.button import Button
from firmware_hooks.gpio.buzzer import Buzzer, pitch_hz
from firmware_hooks.gpio.debounce import Debounce
from firmware_hooks.gpio.lights import Light
from firmware_hooks.gpio.patterns import CODES, FAST, LIGHTS, OFF, STEADY, code_pattern, flashes
from firmware_hooks.gpio.relay import Relay
from tests.firmware_hooks.benches import BenchLine, Clock


def shown(pattern: tuple[tuple[bool, float], ...], until: float) -> list[tuple[float, bool]]:
    """Return every change of a light, stepped exactly when it asks to be."""
    clock = Clock()
    line = BenchLine(clock)
    light = Light(line)
    light.show(pattern, 100.0)
    while clock.now <= 100.0 + until:
        due = light.step(clock.now)
        if due is None:
            break
        assert due > clock.now
        clock.now = due
    return [(round(at - 100, 3), level) for at, level in line.history]


EVERY_PATTERN = [(role, state) for role, states in LIGHTS.items() for state in states]


@pytest.mark.parametrize(("role", "state"), EVERY_PATTERN)
def test_a_pattern_changes_when_its_table_says_round_after_round(role: str, state: str) -> None:
    pattern = LIGHTS[role][state]
    if len(pattern) == 1:
        assert shown(pattern, 60) == [(0.0, pattern[0][0])]
        return
    at, wanted = 0.0, []
    for lit, seconds in itertools.chain.from_iterable(itertools.repeat(pattern, 10)):
        wanted.append((round(at, 3), lit))
        at += seconds
    found = shown(pattern, at - 0.01)
    assert found == wanted


def test_no_light_shows_two_states_alike_but_what_means_the_same() -> None:
    for role, states in LIGHTS.items():
        patterns = [pattern for state, pattern in states.items() if state != "unknown"]
        assert len(set(patterns)) == len(patterns), role


def test_three_flashes_are_these() -> None:
    assert shown(flashes(3), 2.8) == [
        (0.0, True), (0.2, False), (0.5, True), (0.7, False), (1.0, True), (1.2, False), (2.7, True),
    ]  # fmt: skip


def test_a_late_step_does_not_shift_the_pattern() -> None:
    line = BenchLine(Clock())
    light = Light(line)
    light.show(FAST, 100.0)
    light.step(100.0)
    assert light.step(100.35) == pytest.approx(100.4)
    assert line.level is False


def test_the_same_state_again_does_not_begin_the_pattern_anew() -> None:
    line = BenchLine(Clock())
    light = Light(line)
    light.show(FAST, 100.0)
    light.show(FAST, 100.15)
    light.step(100.15)
    assert line.level is False


def test_a_code_stands_between_and_then_the_state_comes_back() -> None:
    clock = Clock()
    line = BenchLine(clock)
    light = Light(line)
    light.show(STEADY, 100.0)
    light.step(100.0)
    light.show_between(code_pattern(CODES["modem"]), 100.0, 3.6)
    due: float | None = 100.0
    while due is not None:
        clock.now = due
        due = light.step(clock.now)
    assert [(round(at - 100, 3), level) for at, level in line.history[1:]] == [
        (0.0, False), (1.0, True), (1.4, False), (1.8, True), (2.2, False), (3.6, True),
    ]  # fmt: skip


def test_a_light_is_dark_before_it_is_told_anything() -> None:
    line = BenchLine(Clock())
    assert Light(line).step(100.0) is None
    assert line.level is OFF[0][0]


def test_the_relay_cuts_for_exactly_its_time_and_not_again_within_the_pause() -> None:
    clock = Clock()
    line = BenchLine(clock)
    relay = Relay(line, off_s=10, pause_s=600)

    assert relay.cut(100.0)
    assert [line.level, relay.is_cutting] == [True, True]
    assert relay.step(109.999) == 110.0
    assert not relay.cut(105.0)
    clock.now = 110.0
    assert relay.step(110.0) is None
    assert [line.level, relay.is_cutting] == [False, False]
    assert not relay.cut(709.999)
    assert relay.cut(710.0)


def test_closing_the_relay_in_the_middle_of_a_cut_gives_the_power_back_first() -> None:
    line = BenchLine(Clock())
    relay = Relay(line, off_s=10, pause_s=600)
    relay.cut(100.0)
    relay.close()
    assert (line.level, line.is_closed) == (False, True)


def test_a_relay_that_cannot_be_written_does_not_count_as_cutting() -> None:
    line = BenchLine(Clock(), fails=True)
    relay = Relay(line, off_s=10, pause_s=600)
    with pytest.raises(OSError, match="gone"):
        relay.cut(100.0)
    assert not relay.is_cutting


def test_a_level_counts_once_it_holds_and_the_edge_keeps_its_moment() -> None:
    mains = Debounce(True, 2.0)
    mains.edge(False, 50.0)
    assert mains.due == 52.0
    assert [mains.settle(51.999), mains.level] == [None, True]
    assert [mains.settle(52.3), mains.level] == [50.0, False]
    assert mains.settle(60.0) is None


def test_bounces_are_no_change_and_put_the_edge_off() -> None:
    mains = Debounce(True, 2.0)
    for moment in (50.0, 50.2, 50.4):
        mains.edge(False, moment)
        mains.edge(True, moment + 0.1)
    assert mains.settle(90.0) is None
    mains.edge(False, 90.5)
    mains.edge(False, 91.0)
    assert mains.settle(92.5) == 90.5


@pytest.mark.parametrize(
    ("held_s", "press"),
    [(0.06, "short"), (2.99, "short"), (3.0, "long"), (9.99, "long"), (10.0, "very_long"),
     (59.9, "very_long"), (60.0, None), (0.04, None)],
)  # fmt: skip
def test_a_press_means_what_its_length_says(held_s: float, press: str | None) -> None:
    button = Button(False)
    button.edge(True, 100.0)
    if held_s > 0.05:
        assert button.step(100.05) is None
    button.edge(False, 100.0 + held_s)
    assert button.step(100.0 + held_s + 0.05) == press


def test_a_held_button_tells_what_letting_go_would_mean() -> None:
    button = Button(False)
    button.edge(True, 100.0)
    button.step(100.05)
    assert [button.held(moment) for moment in (100.05, 102.9, 103.0, 110.0, 160.0)] == [
        "short", "short", "long", "very_long", None,
    ]  # fmt: skip
    assert [button.due(moment) for moment in (100.1, 103.0, 110.0, 160.0)] == [103.0, 110.0, 160.0, None]


def test_a_button_that_was_held_before_the_start_means_nothing() -> None:
    button = Button(True)
    button.edge(False, 100.0)
    assert button.step(101.0) is None


def test_the_better_the_level_the_higher_the_pitch_within_what_can_be_heard() -> None:
    pitches = [pitch_hz(level) for level in range(-140, -40)]
    assert pitches == sorted(pitches)
    assert (pitches[0], pitches[-1]) == (300.0, 2400.0)
    assert pitch_hz(-95) == pytest.approx((300 * 2400) ** 0.5)


def test_beeps_follow_one_another_and_end_in_silence() -> None:
    clock = Clock()
    line = BenchLine(clock)
    buzzer = Buzzer(line)
    buzzer.beep(1000.0, 0.15)
    buzzer.beep(None, 0.1)
    buzzer.beep(2000.0, 0.2)
    due: float | None = 100.0
    while due is not None:
        clock.now = due
        due = buzzer.step(clock.now)
    assert line.pitches == [(100.0, 1000.0), (100.15, None), (100.25, 2000.0), (100.45, None)]
