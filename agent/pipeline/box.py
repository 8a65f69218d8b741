"""What is wired to the box, in the running agent: lights show the state, the button is heard.

`firmware_hooks.gpio` is loaded here, and only where `gpio.adapter` names an adapter.
"""

import logging
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from agent.config.model import Config, GpioConfig
from agent.contract.catalogue import Row
from agent.errors import SinyalError, UsageMistake
from agent.language import _
from agent.pipeline.control import Answerer, Question

if TYPE_CHECKING:
    from firmware_hooks.gpio.panel import Panel, Wiring

log = logging.getLogger("sinyal.gpio")

LIGHTS = ("power", "modem", "signal", "link", "unsent")

TECHNICIAN_S = 3600.0
"""How long a very long press keeps the agent's hands off the modem."""

MAX_BEEP_S = 2.0


class Seen(NamedTuple):
    """What the lights are to tell. is_down: of the link, None while it is not known."""

    row: Row
    is_down: bool | None
    has_old_unsent: bool
    is_unstorable: bool
    mains: bool | None
    battery_low: bool
    undervoltage: bool
    is_recovering: bool
    technician: bool


class Box:
    """The panel with its meaning. Nothing of it is there, and all answers are None, without an adapter."""

    def __init__(
        self,
        config: Config,
        *,
        note_mains: Callable[[bool, float], None],
        note_battery_low: Callable[[bool], None],
        long_press: Callable[[], None],
        technician_for: Callable[[float], None],
    ) -> None:
        self._panel: Panel | None = None
        self._note_mains = note_mains
        self._note_battery_low = note_battery_low
        self._long_press = long_press
        self._technician_for = technician_for
        self._code = "fine"
        if config.gpio.adapter:
            self._panel = self._opened(config)

    def _opened(self, config: Config) -> "Panel | None":
        from firmware_hooks.gpio.adapters import open_adapter
        from firmware_hooks.gpio.panel import Listeners, Panel

        listeners = Listeners(
            mains=self._note_mains,
            battery_low=lambda low, _at: self._note_battery_low(low),
            button=self._hear,
        )
        try:
            return Panel(
                open_adapter(config.gpio.adapter, config.paths.runtime), wiring_of(config.gpio), listeners
            )
        except SinyalError as fault:
            # Readings go on without lights and relay.
            log.error(  # noqa: TRY400 -- a sentence
                _("the box's pins are not used: {what}. Next step: {step}").format(
                    what=fault.what, step=fault.next_step
                )
            )
            return None

    def start(self) -> None:
        """Begin to blink and to watch; tells at once what the inputs say now."""
        panel = self._panel
        if panel is None:
            return
        panel.start()
        if panel.mains is not None:
            self._note_mains(panel.mains, time.monotonic())
        if panel.battery_low is not None:
            self._note_battery_low(panel.battery_low)

    def stop(self) -> None:
        """Give the modem its power and all lines back."""
        if self._panel is not None:
            self._panel.stop()

    @property
    def mains(self) -> bool | None:
        """Return whether mains is present, debounced; None without an input for it."""
        return None if self._panel is None else self._panel.mains

    @property
    def has_relay(self) -> bool:
        """Return whether the modem's power can be cut."""
        return self._panel is not None and self._panel.has_relay

    def cut_modem(self) -> bool:
        """Cut the modem's power for a while; return whether that was done."""
        return self._panel is not None and self._panel.cut_modem()

    def update(self, seen: Seen) -> None:
        """Let the lights show what is seen."""
        if self._panel is None:
            return
        self._code = code_of(seen)
        self._panel.show(states_of(seen))

    def answerers(self) -> Mapping[str, Answerer]:
        """Return what is done for each question about the box."""
        return {"gpio_roles": self._roles, "gpio_try": self._try, "gpio_beep": self._beep}

    # ---- the panel's thread ----

    def _hear(self, press: str) -> None:
        from firmware_hooks.gpio.patterns import CODES

        log.info(_("the button was pressed: {press}").format(press=press))
        assert self._panel is not None
        if press == "short":
            self._panel.tell_code(CODES[self._code])
        elif press == "long":
            self._long_press()
        else:
            self._technician_for(TECHNICIAN_S)

    # ---- answering ----

    def _roles(self, _question: Question) -> Mapping[str, Any]:
        return {"roles": list(self._open_panel().roles)}

    def _try(self, question: Question) -> Mapping[str, Any]:
        """Do one thing with one role: light it or not, cut once, beep, or look at an input."""
        panel, role, what = self._open_panel(), str(question.get("role")), question.get("what")
        if role not in panel.roles:
            raise UsageMistake(
                _("there is no line for {role}").format(role=role), _("see [gpio] in the configuration")
            )
        return try_role(panel, role, str(what), panel.cut_modem)

    def _beep(self, question: Question) -> Mapping[str, Any]:
        pitch, seconds = question.get("pitch_hz"), question.get("seconds")
        if not isinstance(pitch, int | float) or not isinstance(seconds, int | float):
            raise UsageMistake(_("a beep has pitch_hz and seconds"), _("see `sinyal aim --help`"))
        panel = self._open_panel()
        panel.beep(min(max(float(pitch), 50.0), 5000.0), min(max(float(seconds), 0.0), MAX_BEEP_S))
        return {"has_buzzer": "buzzer" in panel.roles}

    def _open_panel(self) -> "Panel":
        if self._panel is None:
            raise SinyalError(
                _("the running agent uses no pins"), _("see [gpio] in the configuration, and the agent's log")
            )
        return self._panel


def try_role(panel: "Panel", role: str, what: str, cut: Callable[[], bool]) -> Mapping[str, Any]:
    """Do one thing with one role of a panel, for the test of the wiring."""
    if role.startswith("led_"):
        panel.light_for_test(role.removeprefix("led_"), lit=what == "on")
        return {"done": True}
    if role == "relay":
        if what == "restore":
            panel.restore_modem()
            return {"done": True}
        return {"done": cut()}
    if role == "buzzer":
        for pitch in (500.0, 1000.0, 2000.0):
            panel.play(pitch, 0.3)
        return {"done": True}
    return {"active": panel.read(role)}


def wiring_of(gpio: GpioConfig) -> "Wiring":
    """Return the wiring that the configuration describes."""
    from firmware_hooks.gpio.panel import Wiring

    return Wiring(
        lights={role: getattr(gpio, f"led_{role}") for role in LIGHTS},
        relay=gpio.relay,
        relay_off_s=gpio.relay_off_s,
        relay_pause_s=gpio.relay_pause_s,
        mains=gpio.mains,
        battery_low=gpio.battery_low,
        debounce_s=gpio.debounce_s,
        button=gpio.button,
        buzzer=gpio.buzzer,
    )


def states_of(seen: Seen) -> dict[str, str]:
    """Return the state that each light is to show."""
    return {
        "power": _power_state(seen),
        "modem": _modem_state(seen),
        "signal": str(seen.row.get("signal_class") or "none"),
        "link": {True: "down", False: "up", None: "unknown"}[seen.is_down],
        "unsent": "unstorable" if seen.is_unstorable else "waiting" if seen.has_old_unsent else "none",
    }


def _power_state(seen: Seen) -> str:
    if seen.technician:
        return "technician"
    if seen.battery_low:
        return "low"
    if seen.mains is False:
        return "battery"
    if seen.undervoltage:
        return "undervoltage"
    return "unknown" if seen.mains is None else "mains"


def _modem_state(seen: Seen) -> str:
    if seen.is_recovering:
        return "recovering"
    state = str(seen.row.get("modem_state") or "unknown")
    if state in ("ok", "restarted"):
        return "ok" if seen.row.get("sim_state") in (None, "ready") else "sim"
    return state


def code_of(seen: Seen) -> str:
    """Return the first thing that is wrong, nearest to the box first: what the button lets blink."""
    states = states_of(seen)
    wrong = {
        "power": states["power"] in ("battery", "low", "undervoltage"),
        "modem": states["modem"] not in ("ok", "sim"),
        "sim": states["modem"] == "sim",
        "signal": states["signal"] in ("none", "very_poor"),
        "link": states["link"] == "down",
        "unsent": states["unsent"] != "none",
    }
    return next((name for name, is_wrong in wrong.items() if is_wrong), "fine")
