"""OpenWrt and everything else with a Linux kernel: LEDs in sysfs, other lines by libgpiod 2.

libgpiod's Python module (`python3-gpiod`) is needed only where a line is no kernel LED.
Sources: Linux Documentation/ABI/testing/sysfs-class-led; libgpiod 2.1 Python bindings.
"""

import select
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from agent.language import _
from firmware_hooks.gpio.lines import Changed, Line, LineTrouble

LEDS = Path("/sys/class/leds")

LOOK_S = 0.5
"""How soon the watching thread notices a line that was added or closed."""

CONSUMER = "sinyal"


class KernelAdapter:
    """Gives out kernel LEDs below `leds`, and lines of /dev/gpiochip*."""

    def __init__(self, leds: Path = LEDS, gpiod: Any = None) -> None:
        self._leds = leds
        self._gpiod = gpiod
        self._requests: list[Any] = []
        self._watched: dict[int, tuple[Any, Changed]] = {}
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def output(self, line: Line) -> "_Led | _Output":
        """Return a LED or a line as an output, inactive."""
        if line.chip == "led":
            led = _Led(self._leds / line.name, is_inverted=line.is_active_low)
            led.take()
            return led
        gpiod = self._library()
        settings = gpiod.LineSettings(
            direction=gpiod.line.Direction.OUTPUT,
            active_low=line.is_active_low,
            output_value=gpiod.line.Value.INACTIVE,
        )
        return _Output(self._request(line, settings), line.number, gpiod.line.Value)

    def input(self, line: Line, changed: Changed) -> "_Input":
        """Return a line as an input that is watched for both edges."""
        gpiod = self._library()
        bias = gpiod.line.Bias.PULL_UP if line.is_active_low else gpiod.line.Bias.PULL_DOWN
        settings = gpiod.LineSettings(
            direction=gpiod.line.Direction.INPUT,
            edge_detection=gpiod.line.Edge.BOTH,
            active_low=line.is_active_low,
            bias=bias,
        )
        request = self._request(line, settings)
        self._watched[request.fd] = (request, changed)
        self._watch()
        return _Input(request, line.number, gpiod.line.Value, lambda: self._watched.pop(request.fd, None))

    def sounder(self, line: Line) -> "_ActiveBuzzer":
        """Return a line as an active buzzer, which has one pitch of its own."""
        return _ActiveBuzzer(self.output(line))

    def close(self) -> None:
        """Give everything back."""
        self._is_closed = True
        self._watched.clear()
        if self._thread is not None:
            self._thread.join(2 * LOOK_S)
        for request in self._requests:
            with suppress(Exception):  # closed already, or the chip is gone
                request.release()

    def _library(self) -> Any:
        if self._gpiod is None:
            try:
                import gpiod
                import gpiod.line
            except ImportError:
                raise LineTrouble(
                    _("lines other than kernel LEDs need Python's gpiod, which is not installed"),
                    _("install python3-gpiod (2.1 or newer), or use lines like led:green:wan"),
                ) from None
            if not hasattr(gpiod, "request_lines"):
                raise LineTrouble(
                    _("Python's gpiod is version 1; version 2 is needed"),
                    _("install python3-gpiod 2.1 or newer"),
                )
            self._gpiod = gpiod
        return self._gpiod

    def _request(self, line: Line, settings: Any) -> Any:
        try:
            request = self._gpiod.request_lines(
                f"/dev/{line.chip}", consumer=CONSUMER, config={line.number: settings}
            )
        except (OSError, ValueError) as fault:
            raise LineTrouble(
                _("the line {line} cannot be used: {reason}").format(line=line, reason=fault),
                _("see which program holds it: gpioinfo"),
            ) from None
        self._requests.append(request)
        return request

    def _watch(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="gpio-edges", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while not self._is_closed:
            watched = dict(self._watched)
            try:
                ready, _w, _x = select.select(list(watched), [], [], LOOK_S)
                for number in ready:
                    request, changed = watched[number]
                    for event in request.read_edge_events():
                        is_rising = event.event_type is event.Type.RISING_EDGE
                        changed(is_rising, event.timestamp_ns / 1e9)
            except (OSError, ValueError):  # a line that was closed meanwhile
                time.sleep(LOOK_S)


class _Led:
    """A kernel LED: its trigger is switched off while it is ours."""

    def __init__(self, folder: Path, *, is_inverted: bool) -> None:
        self._folder = folder
        self._is_inverted = is_inverted
        self._full = "1"
        self._trigger_before = "none"

    def take(self) -> None:
        try:
            self._full = (self._folder / "max_brightness").read_text().strip() or "1"
            chosen = (self._folder / "trigger").read_text()
            self._trigger_before = chosen.partition("[")[2].partition("]")[0] or "none"
            (self._folder / "trigger").write_text("none")
        except FileNotFoundError:
            raise LineTrouble(
                _("there is no kernel LED {name}").format(name=self._folder.name),
                _("see their names: ls {folder}").format(folder=self._folder.parent),
            ) from None
        except OSError as fault:
            raise _led_trouble(self._folder, fault) from None
        self.write(False)

    def write(self, active: bool) -> None:
        try:
            (self._folder / "brightness").write_text(self._full if active != self._is_inverted else "0")
        except OSError as fault:
            raise _led_trouble(self._folder, fault) from None

    def close(self) -> None:
        with suppress(OSError, LineTrouble):
            self.write(False)
            (self._folder / "trigger").write_text(self._trigger_before)


def _led_trouble(folder: Path, fault: OSError) -> LineTrouble:
    return LineTrouble(
        _("the kernel LED {name} cannot be switched: {reason}").format(
            name=folder.name, reason=fault.strerror
        ),
        _("let the agent's user write {folder}").format(folder=folder),
    )


class _Output:
    def __init__(self, request: Any, number: int, value: Any) -> None:
        self._request, self._number, self._value = request, number, value

    def write(self, active: bool) -> None:
        self._request.set_value(self._number, self._value.ACTIVE if active else self._value.INACTIVE)

    def close(self) -> None:
        with suppress(Exception):  # closed already, or the chip is gone
            self.write(False)
            self._request.release()


class _Input:
    def __init__(self, request: Any, number: int, value: Any, forget: Any) -> None:
        self._request, self._number, self._value, self._forget = request, number, value, forget

    def read(self) -> bool:
        return bool(self._request.get_value(self._number) is self._value.ACTIVE)

    def close(self) -> None:
        self._forget()
        with suppress(Exception):  # closed already, or the chip is gone
            self._request.release()


class _ActiveBuzzer:
    def __init__(self, output: Any) -> None:
        self._output = output

    def sound(self, pitch_hz: float | None) -> None:
        self._output.write(pitch_hz is not None)

    def close(self) -> None:
        self._output.close()
