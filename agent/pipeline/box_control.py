"""What a command may ask of the box while the daemon has its lines; and its wiring."""

from collections.abc import Callable, Mapping
from typing import Any

from agent.config.model import GpioConfig
from agent.errors import UsageMistake
from agent.language import _
from agent.pipeline.control import Question
from firmware_hooks.gpio.panel import Panel, Wiring

LIGHTS = ("power", "modem", "signal", "link", "unsent")

MAX_BEEP_S = 2.0


def answer(panel: Panel, question: Question) -> Mapping[str, Any]:
    """Answer one of box.ASKS."""
    if question["ask"] == "gpio_roles":
        return {"roles": list(panel.roles)}
    return _beep(panel, question) if question["ask"] == "gpio_beep" else _try(panel, question)


def _try(panel: Panel, question: Question) -> Mapping[str, Any]:
    """Do one thing with one role: light it or not, cut once, beep, or look at an input."""
    role, what = str(question.get("role")), str(question.get("what"))
    if role not in panel.roles:
        raise UsageMistake(
            _("there is no line for {role}").format(role=role), _("see [gpio] in the configuration")
        )
    return try_role(panel, role, what, panel.cut_modem)


def _beep(panel: Panel, question: Question) -> Mapping[str, Any]:
    pitch, seconds = question.get("pitch_hz"), question.get("seconds")
    if not isinstance(pitch, int | float) or not isinstance(seconds, int | float):
        raise UsageMistake(_("a beep has pitch_hz and seconds"), _("see `sinyal aim --help`"))
    panel.beep(min(max(float(pitch), 50.0), 5000.0), min(max(float(seconds), 0.0), MAX_BEEP_S))
    return {"has_buzzer": "buzzer" in panel.roles}


def try_role(panel: Panel, role: str, what: str, cut: Callable[[], bool]) -> Mapping[str, Any]:
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


def wiring_of(gpio: GpioConfig) -> Wiring:
    """Return the wiring that the configuration describes."""
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
