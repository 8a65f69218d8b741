"""Raspberry Pi: gpiozero on its lgpio factory. The only place that knows gpiozero.

gpiozero would fall back to other factories with a mere warning, the last of which cannot be relied on for
edges; here any other than lgpio is an error.
"""

import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from agent.language import _
from agent.late_modules import stand_ins
from firmware_hooks.gpio.lines import Changed, Line, LineTrouble

LOUD = 0.5
"""Duty cycle of a tone: half is the loudest."""

FIRST_PITCH_HZ = 1000


def _load_gpiozero() -> None:
    """Load gpiozero without what it imports for colours, fonts, plug-ins and averages: 3 of 5 MB.

    None of that is used here; in a daemon that is bounded to 33 MB it counts. The first two are its own
    alternatives to the standard library, asked for first.
    """
    if "gpiozero" in sys.modules:
        return
    plug_ins, fonts, colours, averages = (
        ModuleType(name) for name in ("importlib_metadata", "importlib_resources", "colorzero", "statistics")
    )
    vars(plug_ins)["entry_points"] = vars(colours)["Color"] = None
    vars(averages).update(median=None, mean=None)
    with stand_ins(
        importlib_metadata=plug_ins, importlib_resources=fonts, colorzero=colours, statistics=averages
    ):
        import gpiozero  # noqa: F401 -- loaded here so that it is there for all others


def lgpio_factory(runtime: Path) -> Any:
    """Return gpiozero's lgpio factory; raises LineTrouble when there is none on this machine."""
    # lgpio makes a pipe in its working folder; under a read-only system that is only possible here.
    os.environ.setdefault("LG_WD", str(runtime))
    os.environ["GPIOZERO_PIN_FACTORY"] = "lgpio"
    try:
        _load_gpiozero()
        from gpiozero.pins.lgpio import LGPIOFactory

        return LGPIOFactory()
    except ImportError as fault:
        raise LineTrouble(
            _("gpio.adapter is gpiozero, but its driver lgpio is not installed ({reason})").format(
                reason=fault
            ),
            _("install python3-lgpio, or set gpio.adapter to kernel"),
        ) from None
    except Exception as fault:  # noqa: BLE001 -- lgpio.error, BadPinFactory, PinUnknownPi, OSError: no common base
        raise LineTrouble(
            _("the pins of this board cannot be opened: {reason}").format(
                reason=fault or type(fault).__name__
            ),
            _("gpiozero needs a Raspberry Pi and the group gpio; elsewhere set gpio.adapter to kernel"),
        ) from None


class GpiozeroAdapter:
    """Gives out pins of a gpiozero factory."""

    def __init__(self, factory: Any) -> None:
        _load_gpiozero()
        self._factory = factory

    def output(self, line: Line) -> "_Output":
        """Return a pin as an output, inactive."""
        from gpiozero import DigitalOutputDevice

        return _Output(
            _opened(
                line,
                lambda: DigitalOutputDevice(
                    line.number,
                    active_high=not line.is_active_low,
                    initial_value=False,
                    pin_factory=self._factory,
                ),
            )
        )

    def input(self, line: Line, changed: Changed) -> "_Input":
        """Return a pin as an input, pulled towards inactive."""
        from gpiozero import DigitalInputDevice

        # With a pull, gpiozero takes the level opposite to it for active.
        device = _opened(
            line,
            lambda: DigitalInputDevice(line.number, pull_up=line.is_active_low, pin_factory=self._factory),
        )
        return _Input(device, changed)

    def sounder(self, line: Line) -> "_Sounder":
        """Return a pin as a passive buzzer."""
        from gpiozero import PWMOutputDevice

        return _Sounder(
            _opened(
                line,
                lambda: PWMOutputDevice(
                    line.number,
                    active_high=not line.is_active_low,
                    frequency=FIRST_PITCH_HZ,
                    pin_factory=self._factory,
                ),
            )
        )

    def close(self) -> None:
        """Close the factory and every pin with it."""
        with suppress(Exception):  # a chip that is gone
            self._factory.close()


def _opened(line: Line, opening: Any) -> Any:
    try:
        return opening()
    except LineTrouble:
        raise
    except Exception as fault:  # noqa: BLE001 -- gpiozero's errors, lgpio.error and OSError have no common base
        raise LineTrouble(
            _("the line {line} cannot be used: {reason}").format(line=line, reason=fault),
            _("see which program holds it: gpioinfo"),
        ) from None


class _Output:
    def __init__(self, device: Any) -> None:
        self._device = device

    def write(self, active: bool) -> None:
        self._device.value = active

    def close(self) -> None:
        self._device.close()


class _Input:
    def __init__(self, device: Any, changed: Changed) -> None:
        self._device = device
        device.when_activated = lambda: changed(True, time.monotonic())
        device.when_deactivated = lambda: changed(False, time.monotonic())

    def read(self) -> bool:
        return bool(self._device.value)

    def close(self) -> None:
        self._device.close()


class _Sounder:
    def __init__(self, device: Any) -> None:
        self._device = device

    def sound(self, pitch_hz: float | None) -> None:
        if pitch_hz is None:
            self._device.value = 0
            return
        self._device.frequency = round(pitch_hz)
        self._device.value = LOUD

    def close(self) -> None:
        self._device.close()
