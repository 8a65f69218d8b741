"""`sinyal gpio test`: walks through the wiring of the box, one role at a time, and asks what was seen."""

import argparse
import contextlib
import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from agent.errors import ConfigMistake, SinyalError
from agent.language import N_, _

if TYPE_CHECKING:
    from agent.config.model import Config
    from agent.pipeline.gpio_bench import Bench

ROLES = {
    "led_power": N_("light for mains and battery"),
    "led_modem": N_("light for the modem"),
    "led_signal": N_("light for the signal"),
    "led_link": N_("light for the internet"),
    "led_unsent": N_("light for readings not yet sent"),
    "buzzer": N_("buzzer"),
    "mains": N_("input for mains power"),
    "battery_low": N_("input for a low battery"),
    "button": N_("button"),
    "relay": N_("relay of the modem"),
}
"""In the order of testing: the relay last, because the modem needs a minute afterwards."""

FINE, WRONG, SKIPPED = "fine", "wrong", "skipped"

_YES = ("", "y", "ya", "yes")
_NO = ("n", "t", "tidak", "no")
_SKIP = ("s", "l", "lewati", "skip")


class _Ended(Exception):
    """The technician, or the terminal, has left before the end."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the action and --json."""
    parser.add_argument("action", choices=["test"], metavar="test", help=_("walk through the wiring"))
    parser.add_argument("--json", action="store_true", help=_("one JSON document on stdout"))


def run(args: argparse.Namespace) -> int:
    """Test every role that has a line; return 0 when nothing was wrong, else 1."""
    config: Config = args.configuration.load().config
    if not config.gpio.adapter:
        raise ConfigMistake(
            _("no pins are configured: gpio.adapter is empty"),
            _("sinyal config set gpio.adapter gpiozero, then name the lines in [gpio]"),
        )
    results: list[dict[str, str]] = []
    with _told_by_exception():
        bench: Bench = _bench(config)
        try:
            walk = _Walk(config, bench, sys.stderr if args.json else sys.stdout)
            is_whole = walk.take(results)
        finally:
            # Whatever happened: a second Ctrl-C must not come between.
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            bench.close()
    wrong = [one["role"] for one in results if one["result"] == WRONG]
    if args.json:
        print(json.dumps({"roles": results, "complete": is_whole}, ensure_ascii=False))
    if not is_whole:
        raise SinyalError(
            _("the test was not finished; the modem has its power"), _("start it again: sinyal gpio test")
        )
    if wrong and not args.json:
        print(_("not right: {roles}").format(roles=", ".join(wrong)))
        print(_("Check their wires and [gpio] in the configuration; see firmware_hooks/README.md."))
    elif not args.json:
        print(_("All that was tested is wired right."))
    return 1 if wrong else 0


def _bench(config: "Config") -> "Bench":
    from agent.pipeline.gpio_bench import AgentBench, OwnBench
    from agent.pipeline.snapshot import daemon_runs

    return AgentBench(config) if daemon_runs(config.paths.runtime) else OwnBench(config)


@contextmanager
def _told_by_exception() -> Iterator[None]:
    """Let a terminal that vanishes, and `kill`, end the test as Ctrl-C does."""

    def leave(_number: int, _frame: FrameType | None) -> NoReturn:
        raise _Ended

    before = {
        number: signal.signal(number, leave) for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Walk:
    """One walk along the wires."""

    def __init__(self, config: "Config", bench: "Bench", out: Any) -> None:
        self._config = config
        self._bench = bench
        self._out = out

    def take(self, results: list[dict[str, str]]) -> bool:
        """Test role after role into `results`; return whether the end was reached."""
        roles = [role for role in ROLES if role in self._bench.roles]
        try:
            self._say(_("Answer with Enter for yes, n for no, s to skip, q to stop."))
            for number, role in enumerate(roles, 1):
                line = getattr(self._config.gpio, role)
                self._say(f"\n[{number}/{len(roles)}] {_(ROLES[role])} ({role} = {line})")
                result = self._test(role)
                results.append({"role": role, "line": line, "result": result})
        except (_Ended, KeyboardInterrupt, BrokenPipeError):
            with contextlib.suppress(OSError):
                self._say("")  # or the reason would stand behind the question
            return False
        self._say("")
        return True

    def _test(self, role: str) -> str:
        if role.startswith("led_"):
            return self._test_light(role)
        tests: dict[str, Callable[[], str]] = {
            "buzzer": self._test_buzzer,
            "mains": lambda: self._test_input("mains", _("mains is there"), _("mains is away")),
            "battery_low": lambda: self._test_input("battery_low", _("battery low"), _("battery fine")),
            "button": self._test_button,
            "relay": self._test_relay,
        }
        return tests[role]()

    def _test_light(self, role: str) -> str:
        self._bench.light(role, lit=True)
        lit = self._ask(_("Is this light on?"))
        if lit != FINE:
            return lit
        self._bench.light(role, lit=False)
        return self._ask(_("Is it off now?"))

    def _test_buzzer(self) -> str:
        self._bench.beep()
        return self._ask(_("Did you hear three tones, each higher?"))

    def _test_input(self, role: str, active: str, relaxed: str) -> str:
        before = self._bench.is_active(role)
        self._say(_("It says: {state}.").format(state=active if before else relaxed))
        right = self._ask(_("Is that so?"))
        if right != FINE:
            return right
        change = _("Make it change (pull the plug, or put it in), then press Enter.")
        if role == "battery_low":
            change = _("Make it change (the UPS's test button, or join its two wires), then press Enter.")
        if self._ask(change) == SKIPPED:
            return SKIPPED
        now = self._bench.is_active(role)
        self._say(_("It says: {state}.").format(state=active if now else relaxed))
        return FINE if now != before else WRONG

    def _test_button(self) -> str:
        if self._ask(_("Hold the button and press Enter.")) == SKIPPED:
            return SKIPPED
        is_held = self._bench.is_active("button")
        if self._ask(_("Let the button go and press Enter.")) == SKIPPED:
            return SKIPPED
        is_free = not self._bench.is_active("button")
        self._say(_("The button works.") if is_held and is_free else _("The button was not seen."))
        return FINE if is_held and is_free else WRONG

    def _test_relay(self) -> str:
        seconds = self._config.gpio.relay_off_s
        question = _("Now the modem loses its power for {seconds} s. Go on?").format(seconds=round(seconds))
        if self._ask(question) != FINE:
            return SKIPPED
        until = time.monotonic() + self._bench.cut_modem()
        self._say(_("The power is cut; look at the modem's lights."))
        while (left_s := until - time.monotonic()) > 0:
            time.sleep(min(left_s, 1.0))
        self._say(_("The power is back."))
        return self._ask(_("Did the modem go dark and come back?"))

    def _ask(self, question: str) -> str:
        while True:
            print(f"  {question} ", end="", file=self._out, flush=True)
            answer = sys.stdin.readline()
            if not answer or answer.strip().lower() == "q":
                raise _Ended
            word = answer.strip().lower()
            for words, result in ((_YES, FINE), (_NO, WRONG), (_SKIP, SKIPPED)):
                if word in words:
                    return result
            self._say(_("Enter = yes, n = no, s = skip, q = stop."))

    def _say(self, text: str) -> None:
        print(text, file=self._out, flush=True)
