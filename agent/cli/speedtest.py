"""`sinyal speedtest`: one bounded speed test, paid from the same budget as everything else."""

import argparse
import contextlib
import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from agent import screen
from agent.budget.desk import ENGINES, FAILED
from agent.budget.speed_size import OOKLA_REFUSED
from agent.cli.budget import megabytes, rupiah
from agent.config.model import Config
from agent.errors import SinyalError, UsageMistake
from agent.language import N_, _, current_language
from agent.pipeline.budget_client import ask_budget

HISTORY_TESTS = 10

YES = {"y", "ya", "yes"}

REASONS = {
    "busy": N_("users were busy"),
    "offline": N_("no uplink"),
    "over_budget": N_("over budget"),
    "too_slow": N_("not done within a minute"),
    "ended_early": N_("the test ended without a word"),
    "stopped": N_("the agent was stopped"),
    "abandoned": N_("power or program ended during the test"),
    "interrupted": N_("stopped by hand"),
    OOKLA_REFUSED: N_("Ookla refuses this gateway"),
}

PLANNED = {
    "no_server": N_("No tests are planned: throughput.url is empty."),
    "off": N_("No tests are planned: throughput.tests_per_day is 0."),
    "clock": N_("Planned tests wait until the clock is right."),
    "stopped": N_("Planned tests wait until the agent runs."),
}
"""Why no test comes by itself."""

WHY = {"evening": N_("evening"), "night": N_("night"), "asked": N_("by hand")}


class TestFailed(SinyalError):
    """The test gave no rates."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `sinyal speedtest`."""
    parser.add_argument(
        "--engine",
        choices=(*ENGINES, "passive"),
        help=_("how to test (default: throughput.engine; passive: what users reached, costs nothing)"),
    )
    parser.add_argument("--yes", action="store_true", help=_("do not ask before spending data"))
    parser.add_argument("--history", action="store_true", help=_("show the last tests instead"))
    parser.add_argument("--json", action="store_true", help=_("one JSON document on stdout"))


def run(args: argparse.Namespace) -> int:
    """Test, or show what tests found; return 1 when the test failed or was not wanted."""
    config = args.configuration.load().config
    if args.history:
        return _show_history(config, as_json=args.json)
    if args.engine == "passive":
        return _show_peak(config, as_json=args.json)
    offer = ask_budget(config, "speedtest_offer", engine=args.engine)
    if not args.yes and not _wanted(offer):
        print(_("nothing was sent"), file=sys.stderr)
        return 1
    settled, next_step = one_test(config, args.engine)
    if args.json:
        print(json.dumps({"engine": offer["engine"], **settled}, ensure_ascii=False))
    elif settled["state"] == "done":
        _print_result(settled)
    if settled["state"] == "done":
        return 0
    reason = str(settled["reason"])
    raise TestFailed(
        _("the speed test failed: {reason} ({used} used)").format(
            reason=_(REASONS.get(reason, reason)), used=megabytes(settled["bytes"])
        ),
        next_step,
    )


def one_test(config: Config, engine: str | None) -> tuple[dict[str, Any], str]:
    """Do a test that is wanted; return it as it is stored, with the next step when it failed.

    Raises SinyalError when it may not begin: no server, no room in the budget, another one running.
    """
    begun = ask_budget(config, "speedtest_begin", engine=engine)
    result, next_step = _test(begun["request"])
    settled = ask_budget(config, "speedtest_finish", number=begun["number"], result=result)["result"]
    return dict(settled), next_step


def _wanted(offer: Mapping[str, Any]) -> bool:
    price = f" ({rupiah(offer['cost_rupiah'])})" if offer["cost_rupiah"] is not None else ""
    text = _("This test uses up to {kilobytes} kB{price}.").format(
        kilobytes=-(-offer["cost_bytes"] // 1000), price=price
    )
    if offer["left_bytes"] is not None:
        text += " " + _("{left} are left this month.").format(left=megabytes(offer["left_bytes"]))
    if not sys.stdin.isatty():
        raise UsageMistake(text.rstrip("."), _("nobody can be asked here: add --yes"))
    print(text, file=sys.stderr)
    print(_("Test now? [y/N]") + " ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in YES


def _test(request: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """Run the child; return its result and the next step it advises. Ctrl-C ends it."""
    asked = {**request, "language": current_language()}
    command = [sys.executable, "-W", "ignore", "-m", "agent.budget.speed_child", json.dumps(asked)]
    told: dict[str, Any] = {}
    try:
        opened = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8")
    except OSError as fault:
        return {**FAILED, "bytes": 0, "reason": str(fault)}, _("look at what this user may run")
    with opened as child:
        try:
            told = _listen(child)
        except KeyboardInterrupt:
            child.terminate()
            told = _listen(child)
        finally:
            child.kill()
            _end_progress()
    if "state" not in told:
        told = {**FAILED, "reason": "ended_early"}
    return told, str(told.get("next_step", ""))


def _listen(child: "subprocess.Popen[str]") -> dict[str, Any]:
    """Return the last thing that the child says; it ends by itself within a minute."""
    assert child.stdout is not None
    told: dict[str, Any] = {}
    for line in child.stdout:
        with contextlib.suppress(ValueError):
            told = json.loads(line)
            _show_progress(told)
    return told


def _show_progress(told: Mapping[str, Any]) -> None:
    if "direction" not in told or not sys.stderr.isatty():
        return
    name = _("down") if told["direction"] == "down" else _("up")
    kbit_s = told["bytes"] * 8 / 1000 / max(float(told["seconds"]), 0.01)
    line = f"{name}: {told['bytes'] // 1000} kB, {rate(kbit_s)}"
    print(f"\r{line:<50}", end="", file=sys.stderr, flush=True)


def _end_progress() -> None:
    if sys.stderr.isatty():
        print("\r" + " " * 50 + "\r", end="", file=sys.stderr, flush=True)


def _print_result(result: Mapping[str, Any]) -> None:
    for label, text in (
        (_("Down"), rate(result["down_kbit_s"])),
        (_("Up"), rate(result["up_kbit_s"])),
        (_("Round trip"), f"{screen.number(result['rtt_ms'], 1)} ms"),
        (_("Server"), result["server"]),
        (_("Used"), megabytes(result["bytes"])),
    ):
        print(f"{label:<15} {text}")


def rate(kbit_s: float | None) -> str:
    """Return a rate in the unit that suits it, or a dash when not known."""
    if kbit_s is None:
        return "-"
    return (
        f"{screen.number(kbit_s / 1000, 1)} Mbit/s" if kbit_s >= 1000 else f"{screen.number(kbit_s)} kbit/s"
    )


def _show_history(config: Config, *, as_json: bool) -> int:
    told = ask_budget(config, "speedtest_history", limit=100 if as_json else HISTORY_TESTS)
    tests = told["tests"]
    if as_json:
        print(json.dumps(told, ensure_ascii=False))
        return 0
    if not tests:
        print(_("no speed test yet"))
    for test in tests:
        print(screen.fit((screen.wib(test["ts"]), _(WHY.get(test["why"], test["why"])), _found(test))))
    if told["planned"] in PLANNED:
        print(_(PLANNED[told["planned"]]))
    return 0


def _found(test: Mapping[str, Any]) -> str:
    if test["state"] == "running":
        return _("is running")
    if test["state"] != "done":
        reason = str(test["reason"])
        word = _("skipped") if test["state"] == "skipped" else _("failed")
        return f"{word}: {_(REASONS.get(reason, reason))}"
    return f"{rate(test['down_kbit_s'])} / {rate(test['up_kbit_s'])}, {megabytes(test['bytes'])}"


def _show_peak(config: Config, *, as_json: bool) -> int:
    peak = ask_budget(config, "speedtest_peak")
    if as_json:
        print(json.dumps({"engine": "passive", "bytes": 0, **peak}, ensure_ascii=False))
    elif peak["down_kbit_s"] is None:
        print(_("no traffic was counted yet"))
    else:
        print(
            _(
                "busiest five minutes of the last day: {down} down, {up} up (the link can do at least that)"
            ).format(down=rate(peak["down_kbit_s"]), up=rate(peak["up_kbit_s"]))
        )
    return 0
