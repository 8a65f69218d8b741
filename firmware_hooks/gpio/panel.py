"""The panel of the box: one thread owns every line, all others tell it what to show and ask what it sees."""

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import NamedTuple

from agent.errors import SinyalError
from agent.language import _
from firmware_hooks.gpio.button import Button, Press
from firmware_hooks.gpio.buzzer import Buzzer
from firmware_hooks.gpio.debounce import Debounce
from firmware_hooks.gpio.lights import Light
from firmware_hooks.gpio.lines import Adapter, Input, parse_line
from firmware_hooks.gpio.patterns import FAST, LIGHTS, OFF, STEADY, code_pattern, seconds_of
from firmware_hooks.gpio.relay import Relay

log = logging.getLogger("sinyal.gpio")

ANSWER_S = 5.0
"""So long a caller waits for the thread."""

BEEP_HZ = 1000.0
BEEP_S = 0.15

TRIED_S = 20.0
"""So long a light keeps what `light_for_test` set."""


class Wiring(NamedTuple):
    """Which line has which role, as in the configuration; "" for none."""

    lights: dict[str, str]
    relay: str = ""
    relay_off_s: float = 10.0
    relay_pause_s: float = 600.0
    mains: str = ""
    battery_low: str = ""
    debounce_s: float = 2.0
    button: str = ""
    buzzer: str = ""


class Listeners(NamedTuple):
    """Who is told; called in the panel's thread, must neither wait nor raise.

    mains and battery_low: the new level and the time.monotonic() of the edge. button: which press it was.
    """

    mains: Callable[[bool, float], None] = lambda _level, _at: None
    battery_low: Callable[[bool, float], None] = lambda _level, _at: None
    button: Callable[[Press], None] = lambda _press: None


NOBODY = Listeners()


class Panel:
    """All roles of a box. Raises LineTrouble when a line cannot be had; all lines are given back then."""

    def __init__(
        self,
        adapter: Adapter,
        wiring: Wiring,
        listeners: Listeners = NOBODY,
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._adapter = adapter
        self._listeners = listeners
        self._now = now
        self._told: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._inputs: dict[str, Input] = {}
        self._lights: dict[str, Light] = {}
        self._contacts: dict[str, Debounce] = {}
        self._relay: Relay | None = None
        self._button: Button | None = None
        self._buzzer: Buzzer | None = None
        self._held: Press | None = None
        self._failed: set[str] = set()
        self._is_closing = False
        self._thread = threading.Thread(target=self._work, name="gpio", daemon=True)
        try:
            self._take_lines(wiring)
        except BaseException:
            self._give_back()
            raise

    def _take_lines(self, wiring: Wiring) -> None:
        # The relay first: whatever else fails, the modem has power.
        if wiring.relay:
            output = self._adapter.output(parse_line(wiring.relay))
            self._relay = Relay(output, off_s=wiring.relay_off_s, pause_s=wiring.relay_pause_s)
        for role, line in wiring.lights.items():
            if line:
                self._lights[role] = Light(self._adapter.output(parse_line(line)))
        for role, line in (("mains", wiring.mains), ("battery_low", wiring.battery_low)):
            if line:
                self._contacts[role] = Debounce(self._watch(role, line), wiring.debounce_s)
        if wiring.button:
            self._button = Button(self._watch("button", wiring.button))
        if wiring.buzzer:
            self._buzzer = Buzzer(self._adapter.sounder(parse_line(wiring.buzzer)))

    def _watch(self, role: str, line: str) -> bool:
        def changed(level: bool, at: float) -> None:
            self._told.put(lambda: self._edge(role, level, at))

        self._inputs[role] = self._adapter.input(parse_line(line), changed)
        return self._inputs[role].read()

    # ---- any thread ----

    def start(self) -> None:
        """Begin to blink and to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Give the modem its power and all lines back."""
        self._is_closing = True
        self._told.put(lambda: None)
        if self._thread.is_alive():
            self._thread.join(ANSWER_S)
        self._give_back()

    @property
    def roles(self) -> tuple[str, ...]:
        """Return the roles that have a line, lights as led_NAME."""
        others = (("relay", self._relay), ("buzzer", self._buzzer))
        return (
            *(f"led_{role}" for role in self._lights),
            *(role for role, it in others if it is not None),
            *self._inputs,
        )

    @property
    def mains(self) -> bool | None:
        """Return whether mains power is present, debounced; None without an input for it."""
        contact = self._contacts.get("mains")
        return None if contact is None else contact.level

    @property
    def battery_low(self) -> bool | None:
        """Return whether the battery is nearly empty, debounced; None without an input for it."""
        contact = self._contacts.get("battery_low")
        return None if contact is None else contact.level

    @property
    def has_relay(self) -> bool:
        """Return whether the modem's power can be cut."""
        return self._relay is not None

    @property
    def is_cutting(self) -> bool:
        """Return whether the modem is without power now."""
        return self._relay is not None and self._relay.is_cutting

    def show(self, states: dict[str, str]) -> None:
        """Let the lights show states, each by the name of its light; see patterns.LIGHTS."""

        def work() -> None:
            for role, state in states.items():
                if role in self._lights:
                    self._lights[role].show(LIGHTS[role].get(state, OFF), self._now())

        self._told.put(work)

    def tell_code(self, count: int) -> None:
        """Blink a number on the first light, and beep it."""

        def work() -> None:
            pattern = code_pattern(count)
            for light in list(self._lights.values())[:1]:
                light.show_between(pattern, self._now(), seconds_of(pattern))
            for _beep in range(count if self._buzzer else 0):
                self._beep(BEEP_HZ, BEEP_S)
                self._beep(None, BEEP_S)

        self._told.put(work)

    def beep(self, pitch: float, seconds: float) -> None:
        """Play one tone now, in place of what sounds; without a buzzer nothing happens."""

        def work() -> None:
            if self._buzzer is not None:
                self._buzzer.hush()
            self._beep(pitch, seconds)

        self._told.put(work)

    def play(self, pitch: float, seconds: float) -> None:
        """Play one tone after those that wait."""
        self._told.put(lambda: self._beep(pitch, seconds))

    def cut_modem(self) -> bool:
        """Take the modem's power away for a while; return whether that was done: not twice within a pause."""
        answer: queue.SimpleQueue[bool] = queue.SimpleQueue()

        def work() -> None:
            done = False
            try:
                done = self._relay is not None and self._relay.cut(self._now())
            finally:
                answer.put(done)

        self._told.put(work)
        with suppress(queue.Empty):
            return answer.get(timeout=ANSWER_S)
        return False

    def restore_modem(self) -> None:
        """End a cut now."""

        def work() -> None:
            if self._relay is not None:
                self._relay.restore()

        self._told.put(work)

    def read(self, role: str) -> bool:
        """Return the level of an input now, not debounced, as the wiring test shows it."""
        return self._inputs[role].read()

    def light_for_test(self, role: str, *, lit: bool) -> None:
        """Hold a light steady for TRIED_S, whatever it has to show."""
        light, pattern = self._lights[role], STEADY if lit else OFF
        self._told.put(lambda: light.show_between(pattern, self._now(), TRIED_S))

    # ---- the thread ----

    def _work(self) -> None:
        while not self._is_closing:
            due = self.step()
            wait_s = None if due is None else max(0.0, due - self._now())
            with suppress(queue.Empty):
                self._do(self._told.get(timeout=wait_s))
            while not self._told.empty():
                self._do(self._told.get())

    def _do(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as fault:  # noqa: BLE001 -- a line that fails must not stop the others, the relay least
            self._tell_failure("gpio", fault)

    def step(self) -> float | None:
        """Do what is due now; return when there is more to do, None for not before somebody calls."""
        now = self._now()
        dues = [due for due in self._steps(now) if due is not None]
        return min(dues, default=None)

    def _steps(self, now: float) -> Iterator[float | None]:
        # The relay first: it must never be left cutting.
        if self._relay is not None:
            yield self._guarded("relay", self._relay.step, now)
        for role, contact in self._contacts.items():
            at = contact.settle(now)
            if at is not None:
                listener = self._listeners.mains if role == "mains" else self._listeners.battery_low
                listener(contact.level, at)
            yield contact.due
        if self._button is not None:
            self._hear_button(self._button, now)
            yield self._button.due(now)
        for role, light in self._lights.items():
            yield self._guarded(f"led_{role}", light.step, now)
        if self._buzzer is not None:
            yield self._guarded("buzzer", self._buzzer.step, now)

    def _hear_button(self, button: Button, now: float) -> None:
        press = button.step(now)
        held = button.held(now)
        if held != self._held and held in ("long", "very_long"):
            # What letting go would mean: quick blinking for the modem's power, steady for the technician.
            for light in list(self._lights.values())[:1]:
                light.show_between(FAST if held == "long" else STEADY, now, 1.5)
        self._held = held
        if press is not None:
            self._listeners.button(press)

    def _guarded(self, role: str, step: Callable[[float], float | None], now: float) -> float | None:
        try:
            due = step(now)
        except Exception as fault:  # noqa: BLE001 -- as above: whatever a driver raises
            self._tell_failure(role, fault)
            return now + 1.0
        self._failed.discard(role)
        return due

    def _tell_failure(self, role: str, fault: Exception) -> None:
        if role not in self._failed:
            self._failed.add(role)
            reason = fault.what if isinstance(fault, SinyalError) else fault
            log.error(_("gpio.{role} cannot be used now: {reason}").format(role=role, reason=reason))

    def _edge(self, role: str, level: bool, at: float) -> None:
        if role in self._contacts:
            self._contacts[role].edge(level, at)
        elif self._button is not None:
            self._button.edge(level, at)

    def _beep(self, pitch: float | None, seconds: float) -> None:
        if self._buzzer is not None:
            self._buzzer.beep(pitch, seconds)

    def _give_back(self) -> None:
        closers = [self._relay, self._buzzer, *self._lights.values(), *self._inputs.values(), self._adapter]
        for one in closers:
            if one is not None:
                with suppress(Exception):  # every other line is still to be given back
                    one.close()
