"""The keys of what is wired to the box: lights, relay, button, power, and reviving a sick modem.

Part of the table in `keys.py`.
"""

from collections.abc import Mapping

from agent.config.rules import Number, Rule, Switch, Text, Whole
from agent.language import N_

MIN_RELAY_OFF_S = 3
"""Less does not empty the capacitors of a modem: it would hang on."""

_LINE = r"!?(([a-z0-9]{1,20}:)?[0-9]{1,3}|led:[A-Za-z0-9][A-Za-z0-9:_.-]{0,60})"
_LINE_SENTENCE = N_('"" or a line like "17", "!gpiochip1:5", "led:green:wan"')
_SUPPLY = "[A-Za-z0-9][A-Za-z0-9_.-]{0,60}"
_SUPPLY_SENTENCE = N_('"" or a name in /sys/class/power_supply like "AC" or "BAT0"')


def _line(meaning: str) -> Text:
    return Text(meaning, _LINE_SENTENCE, pattern=_LINE)


BOX_RULES: Mapping[str, Mapping[str, Rule]] = {
    "gpio": {
        "adapter": Text(
            "Who drives the pins",
            N_('"" (no pins), "gpiozero" (Raspberry Pi), "kernel" (OpenWrt) or "mock"'),
            pattern="gpiozero|kernel|mock",
        ),
        "led_power": _line("Light: mains and battery"),
        "led_modem": _line("Light: the modem"),
        "led_signal": _line("Light: how good the signal is"),
        "led_link": _line("Light: the internet"),
        "led_unsent": _line("Light: readings not yet sent"),
        "relay": _line("Relay in the modem's power, NC contact"),
        "relay_off_s": Number(
            "Seconds without power when the relay cuts it", MIN_RELAY_OFF_S, 120, default=10
        ),
        "relay_pause_s": Number("Seconds from one power cut to the next, at least", 1, 86400, default=600),
        "mains": _line("Input: active while mains is there"),
        "battery_low": _line("Input: active when the battery is low"),
        "debounce_s": Number("Seconds that mains and battery must hold still to count", 0, 60, default=2),
        "button": _line("Button: state, 3 s modem, 10 s expert"),
        "buzzer": _line("Buzzer, to aim the antenna by ear"),
    },
    "power": {
        "mains_supply": Text("Mains as the kernel knows it", _SUPPLY_SENTENCE, pattern=_SUPPLY),
        "battery_supply": Text("Battery as the kernel knows it", _SUPPLY_SENTENCE, pattern=_SUPPLY),
        "low_power_interval_s": Whole("Seconds between readings on battery; 0 = as ever", 0, 3600, default=0),
        "on_low_battery": Text(
            "When the battery runs low",
            N_('"" (go on), "stop" (the agent) or "poweroff" (the box)'),
            pattern="stop|poweroff",
        ),
        "low_battery_pct": Number("Charge from which the battery counts as low", 0, 90, default=20),
        "low_battery_v": Number("Volts from which it counts as low; 0 = not looked at", 0, 100, default=0),
    },
    "recovery": {
        "enabled": Switch("Revive a modem that hangs, step by step", default=True),
        "wait_s": Number("Seconds of trouble before the first step", 1, 86400, default=180),
        "reboot": Switch("Also restart the whole box as the last step"),
    },
}

GPIO_LINES = tuple(key for key, rule in BOX_RULES["gpio"].items() if getattr(rule, "pattern", "") == _LINE)
"""The keys of [gpio] that name a line."""


def bare_line(line: str) -> str:
    """Return what a line is named without its "!": two roles of one line would fight."""
    bare = line.removeprefix("!")
    return bare.removeprefix("gpiochip0:")
