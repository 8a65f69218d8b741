"""The three adapters: gpiozero by its own mock, kernel LEDs in a folder, libgpiod by a strict stand-in."""

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from gpiozero.pins.mock import MockFactory, MockPWMPin

from agent.language import use_language
from firmware_hooks.gpio.adapters import open_adapter
from firmware_hooks.gpio.gpiozero_adapter import GpiozeroAdapter, lgpio_factory
from firmware_hooks.gpio.kernel_adapter import KernelAdapter
from firmware_hooks.gpio.lines import Line, LineTrouble, parse_line
from tests.pipeline.whole_gateway import wait_until


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    use_language("en")
    yield
    use_language("id")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("17", Line("gpiochip0", "17", False)),
        ("!17", Line("gpiochip0", "17", True)),
        ("gpiochip1:5", Line("gpiochip1", "5", False)),
        ("led:green:wan", Line("led", "green:wan", False)),
        ("!led:wlan0", Line("led", "wlan0", True)),
    ],
)
def test_a_line_is_read_from_its_name(text: str, line: Line) -> None:
    assert parse_line(text) == line


# ---- gpiozero ----


@pytest.fixture
def factory() -> Iterator[MockFactory]:
    factory = MockFactory(pin_class=MockPWMPin)
    yield factory
    factory.close()


@pytest.mark.parametrize(("line", "idle", "driven"), [("17", 0, 1), ("!17", 1, 0)])
def test_gpiozero_drives_an_active_high_and_an_active_low_line(
    factory: MockFactory, line: str, idle: int, driven: int
) -> None:
    output = GpiozeroAdapter(factory).output(parse_line(line))
    assert factory.pin(17).state == idle
    output.write(True)
    assert factory.pin(17).state == driven
    output.write(False)
    assert factory.pin(17).state == idle
    output.close()
    # The pull resistor, not the agent, decides from here on: the relay's contact closes.
    assert factory.pin(17).function == "input"


@pytest.mark.parametrize(("line", "pull"), [("4", "down"), ("!4", "up")])
def test_gpiozero_watches_an_input_with_the_pull_that_its_wiring_wants(
    factory: MockFactory, line: str, pull: str
) -> None:
    seen: list[tuple[bool, float]] = []
    watched = GpiozeroAdapter(factory).input(parse_line(line), lambda level, at: seen.append((level, at)))
    pin = factory.pin(4)
    assert (pin.pull, watched.read()) == (pull, False)
    activate, relax = (pin.drive_low, pin.drive_high) if pull == "up" else (pin.drive_high, pin.drive_low)
    activate()
    assert watched.read() is True
    relax()
    assert [level for level, _at in seen] == [True, False]
    assert seen[0][1] == pytest.approx(time.monotonic(), abs=60)


def test_gpiozero_plays_a_pitch(factory: MockFactory) -> None:
    sounder = GpiozeroAdapter(factory).sounder(parse_line("18"))
    sounder.sound(880.0)
    assert (factory.pin(18).frequency, factory.pin(18).state) == (880, 0.5)
    sounder.sound(None)
    assert factory.pin(18).state == 0


def test_a_line_that_is_in_use_is_named(factory: MockFactory) -> None:
    adapter = GpiozeroAdapter(factory)
    first = adapter.output(parse_line("17"))
    with pytest.raises(LineTrouble, match="gpiochip0:17"):
        adapter.output(parse_line("17"))
    first.close()


def test_without_lgpio_it_is_an_error_and_no_other_factory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "mock")
    monkeypatch.setitem(sys.modules, "lgpio", None)
    monkeypatch.delitem(sys.modules, "gpiozero.pins.lgpio", raising=False)
    with pytest.raises(LineTrouble, match="lgpio") as trouble:
        open_adapter("gpiozero", tmp_path)
    assert "python3-lgpio" in trouble.value.next_step


def test_lgpio_that_cannot_open_the_chip_is_an_error_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = ModuleType("gpiozero.pins.lgpio")

    def refuse() -> None:
        raise RuntimeError("can not open gpiochip")

    broken.LGPIOFactory = refuse  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "gpiozero.pins.lgpio", broken)
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "mock")
    monkeypatch.delenv("LG_WD", raising=False)
    with pytest.raises(LineTrouble, match="can not open gpiochip"):
        lgpio_factory(tmp_path)
    assert os.environ["LG_WD"] == str(tmp_path)


# ---- kernel LEDs ----


@pytest.fixture
def leds(tmp_path: Path) -> Path:
    led = tmp_path / "leds" / "green:wan"
    led.mkdir(parents=True)
    (led / "max_brightness").write_text("255\n")
    (led / "brightness").write_text("0\n")
    (led / "trigger").write_text("none timer [netdev] heartbeat\n")
    return tmp_path / "leds"


def test_a_kernel_led_is_taken_from_its_trigger_driven_and_given_back(leds: Path) -> None:
    led = leds / "green:wan"
    output = KernelAdapter(leds).output(parse_line("led:green:wan"))
    assert (led / "trigger").read_text() == "none"
    output.write(True)
    assert (led / "brightness").read_text() == "255"
    output.write(False)
    assert (led / "brightness").read_text() == "0"
    output.close()
    assert (led / "trigger").read_text() == "netdev"


def test_a_kernel_led_may_be_inverted(leds: Path) -> None:
    output = KernelAdapter(leds).output(parse_line("!led:green:wan"))
    assert (leds / "green:wan" / "brightness").read_text() == "255"
    output.write(True)
    assert (leds / "green:wan" / "brightness").read_text() == "0"


def test_a_led_that_is_not_there_is_named_with_where_to_look(leds: Path) -> None:
    with pytest.raises(LineTrouble, match="red:usb") as trouble:
        KernelAdapter(leds).output(parse_line("led:red:usb"))
    assert str(leds) in trouble.value.next_step


def test_a_led_is_no_relay(leds: Path) -> None:
    with pytest.raises(LineTrouble, match="only be a light"):
        parse_line("led:green:wan").number  # noqa: B018


# ---- libgpiod ----


class FakeGpiod:
    """As much of libgpiod 2's module as the adapter uses; a pipe is the request's descriptor."""

    class line:  # noqa: N801 -- its name there
        Direction = SimpleNamespace(OUTPUT="out", INPUT="in")
        Value = SimpleNamespace(ACTIVE="active", INACTIVE="inactive")
        Edge = SimpleNamespace(BOTH="both")
        Bias = SimpleNamespace(PULL_UP="up", PULL_DOWN="down")

    def __init__(self) -> None:
        self.requests: list[Any] = []

    @staticmethod
    def LineSettings(  # noqa: N802 -- its name there
        **settings: Any,
    ) -> dict[str, Any]:
        return settings

    def request_lines(self, path: str, consumer: str, config: dict[int, dict[str, Any]]) -> Any:
        if path == "/dev/gpiochip9":
            raise FileNotFoundError(2, "No such file or directory")
        request = _FakeRequest(path, config)
        self.requests.append(request)
        return request


class _FakeRequest:
    def __init__(self, path: str, config: dict[int, dict[str, Any]]) -> None:
        self.path, self.config = path, config
        self.fd, self.teller = os.pipe()
        self.value = next(iter(config.values())).get("output_value", "inactive")
        self.is_released = False

    def set_value(self, _number: int, value: str) -> None:
        self.value = value

    def get_value(self, _number: int) -> str:
        return str(self.value)

    def read_edge_events(self) -> list[Any]:
        kind = SimpleNamespace(RISING_EDGE="rising")
        told = os.read(self.fd, 100).decode()
        return [
            SimpleNamespace(
                event_type=kind.RISING_EDGE if sign == "r" else "f", Type=kind, timestamp_ns=7 * 10**9
            )
            for sign in told
        ]

    def release(self) -> None:
        if not self.is_released:
            self.is_released = True
            os.close(self.fd)
            os.close(self.teller)


def test_libgpiod_drives_and_watches_lines() -> None:
    gpiod = FakeGpiod()
    adapter = KernelAdapter(gpiod=gpiod)
    output = adapter.output(parse_line("!gpiochip1:5"))
    request = gpiod.requests[0]
    assert request.path == "/dev/gpiochip1"
    assert request.config[5] == {"direction": "out", "active_low": True, "output_value": "inactive"}
    output.write(True)
    assert request.value == "active"

    seen: list[tuple[bool, float]] = []
    watched = adapter.input(parse_line("!7"), lambda level, at: seen.append((level, at)))
    request = gpiod.requests[1]
    assert request.config[7] == {
        "direction": "in",
        "edge_detection": "both",
        "active_low": True,
        "bias": "up",
    }
    assert watched.read() is False
    os.write(request.teller, b"rf")
    wait_until("both edges", lambda: seen == [(True, 7.0), (False, 7.0)], 60)
    adapter.close()
    assert all(one.is_released for one in gpiod.requests)


def test_a_chip_that_is_not_there_is_named() -> None:
    with pytest.raises(LineTrouble, match="gpiochip9:1"):
        KernelAdapter(gpiod=FakeGpiod()).output(parse_line("gpiochip9:1"))


def test_without_libgpiod_lines_are_refused_with_the_package_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "gpiod", None)
    with pytest.raises(LineTrouble) as trouble:
        KernelAdapter().output(parse_line("17"))
    assert "python3-gpiod" in trouble.value.next_step


def test_libgpiod_of_version_1_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    old = ModuleType("gpiod")
    old.line = ModuleType("gpiod.line")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "gpiod", old)
    monkeypatch.setitem(sys.modules, "gpiod.line", old.line)
    with pytest.raises(LineTrouble, match="version 1"):
        KernelAdapter().output(parse_line("17"))


# ---- mock ----


def test_the_mock_shows_outputs_as_files_and_watches_files_as_inputs(tmp_path: Path) -> None:
    adapter = open_adapter("mock", tmp_path)
    relay = adapter.output(parse_line("3"))
    assert (tmp_path / "gpio" / "3").read_text() == "0"
    relay.write(True)
    assert (tmp_path / "gpio" / "3").read_text() == "1"
    seen: list[bool] = []
    adapter.input(parse_line("4"), lambda level, _at: seen.append(level))
    (tmp_path / "gpio" / "4").write_text("1")
    wait_until("the edge", lambda: seen == [True], 60)
    adapter.close()
