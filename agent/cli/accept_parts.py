"""The five parts of the acceptance test: each asks, measures, and keeps what it found."""

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

from agent import screen
from agent.acceptance.come_back import OFF_AT_LEAST_S, power_finding, reboot_finding
from agent.acceptance.record import Record
from agent.acceptance.signal_median import SignalMedian
from agent.cli.accept_gateway import GatewayAtWork
from agent.cli.budget import megabytes, rupiah
from agent.cli.cause_words import cause_words
from agent.cli.speedtest import REASONS, one_test, rate
from agent.cli.typed_answer import is_wanted
from agent.cli.wrapping import say
from agent.errors import SinyalError
from agent.language import _, in_language
from agent.pipeline.budget_client import ask_budget

RUNS = 3

BROKER_WAIT_S = 120.0

MAINS_BACK_WAIT_S = 3600.0


def measure_signal(record: Record, gateway: GatewayAtWork, seconds: float) -> bool:
    """Follow the readings for a time and keep their median; at least one reading is taken."""
    say(_("Follows the signal for {span}. Leave the antenna alone.").format(span=screen.span(seconds)))
    signal = SignalMedian()
    began = time.monotonic()
    for reading in gateway.readings():
        passed = time.monotonic() - began
        if signal.add(reading):
            level = signal.level()
            shown = "-" if level is None else f"{screen.number(level[1])} dBm"
            _progress(
                _("{n} readings, median {level}, {left} to go").format(
                    n=signal.readings, level=shown, left=screen.span(max(0.0, seconds - passed))
                )
            )
        if passed >= seconds and signal.readings:
            break
    _end_progress()
    record.keep("signal", signal.finding(time.monotonic() - began))
    return True


def measure_throughput(record: Record, gateway: GatewayAtWork) -> bool:
    """Do three speed tests from the budget of the gateway when that is wanted; return whether they were."""
    try:
        offer = ask_budget(gateway.config, "speedtest_offer", engine=None)
    except SinyalError as problem:
        # No server or no room: the page says so, and the next part begins.
        record.keep("throughput", {"runs": [], "problem": _for_the_page(problem.what), "is_open": True})
        say(screen.failure_line(problem))
        return False
    price = f" ({rupiah(offer['cost_rupiah'] * RUNS)})" if offer["cost_rupiah"] is not None else ""
    text = _("Three speed tests use up to {kilobytes} kB{price} of the quota.").format(
        kilobytes=-(-offer["cost_bytes"] * RUNS // 1000), price=price
    )
    if offer["left_bytes"] is not None:
        text += " " + _("{left} are left this month.").format(left=megabytes(offer["left_bytes"]))
    say(text)
    if not is_wanted(_("Test now?")):
        return False
    runs: list[dict[str, Any]] = []
    problem_text = None
    for _run in range(RUNS):
        began_ts = round(time.time())
        try:
            settled, _next_step = one_test(gateway.config, None)
        except SinyalError as problem:
            problem_text = _for_the_page(problem.what)
            say(screen.failure_line(problem))
            break
        reason = settled.get("reason")
        words = None if reason is None else _for_the_page(_(REASONS.get(str(reason), str(reason))))
        runs.append({"ts": began_ts, **settled, "reason": words})
        say(f"{rate(settled['down_kbit_s'])} / {rate(settled['up_kbit_s'])}, {megabytes(settled['bytes'])}")
    record.keep("throughput", {"runs": runs, "problem": problem_text, "is_open": len(runs) < RUNS})
    return True


def wait_for_broker(record: Record, gateway: GatewayAtWork) -> bool:
    """Keep whether the centre's broker acknowledged readings of this gateway."""
    say(_("Waits for the centre to acknowledge readings …"))
    ends_at = time.monotonic() + BROKER_WAIT_S
    link: Mapping[str, Any] = {}
    while time.monotonic() < ends_at:
        link = gateway.shown().get("link") or {}
        if link.get("state") == "connected" and link.get("last_ack_ts") and link.get("rows_sent"):
            break
        if not gateway.config.broker.host:
            break
        time.sleep(0.5)
    shown = gateway.shown().get("buffer") or {}
    problem = link.get("last_problem") or (None if gateway.config.broker.host else _("no broker configured"))
    acknowledged_ts = link.get("last_ack_ts") if link.get("rows_sent") else None
    if acknowledged_ts is None:
        say(_("Nothing was acknowledged: {why}").format(why=problem or "-"))
        if not is_wanted(_("Write that on the page? (no: left open)")):
            return False
    record.keep(
        "broker",
        {
            "acknowledged_ts": acknowledged_ts,
            "rows": link.get("rows_sent") or 0,
            "waiting": shown.get("unsent", 0),
            "problem": None if acknowledged_ts else _for_the_page(problem or ""),
        },
    )
    return True


def pull_the_plug(record: Record, gateway: GatewayAtWork) -> bool:
    """Let somebody pull the plug; the finding is made at the next `sinyal accept`."""
    say(_("Pull the plug of the gateway for five minutes, then put it in again and type: sinyal accept"))
    if not is_wanted(_("Ready?")):
        return False
    record.wait_for("power", gateway.before_the_cut())
    say(_("Pull the plug now. (Ctrl-C when it is not to happen)"))
    try:
        return _watch_the_mains(record, gateway)
    except KeyboardInterrupt:
        record.drop_pending()
        raise


def _watch_the_mains(record: Record, gateway: GatewayAtWork) -> bool:
    """Wait for the power to end this program; on a battery see the mains go and come back instead."""
    pending = record.pending or {}
    gone_ts: float | None = None
    ends_at = time.monotonic() + MAINS_BACK_WAIT_S
    while time.monotonic() < ends_at:
        reading = gateway.shown().get("reading") or {}
        if reading.get("mains_present") == 0 and gone_ts is None:
            gone_ts = float(reading.get("ts") or time.time())
            say(_("The mains are gone, the battery carries. Put the plug in again after five minutes."))
        if gone_ts is not None and reading.get("mains_present") == 1:
            record.keep(
                "power", _on_battery(pending, gateway, gone_ts, float(reading.get("ts") or time.time()))
            )
            return True
        time.sleep(0.5)
    record.drop_pending()
    return False


def _on_battery(
    before: Mapping[str, Any], gateway: GatewayAtWork, gone_ts: float, back_ts: float
) -> dict[str, Any]:
    stored = gateway.stored_up_to(int(before["last_seq"]))
    return {
        "has_gone_off": False,
        "on_battery_s": round(back_ts - gone_ts),
        "cause": None,
        "inferred": False,
        "duration_s": None,
        "start_ts": round(gone_ts),
        "rows_before": before["stored"],
        "rows_lost": max(0, int(before["stored"]) - stored),
    }


def reboot(record: Record, gateway: GatewayAtWork) -> bool:
    """Restart the gateway when that is wanted; the finding is made at the next `sinyal accept`."""
    say(_("The gateway is restarted; afterwards log in again and type: sinyal accept"))
    if not is_wanted(_("Restart now?")):
        return False
    record.wait_for("reboot", gateway.before_the_cut())
    command = ["systemctl", "reboot"] if os.path.isdir("/run/systemd/system") else ["reboot"]  # noqa: PTH112
    if os.geteuid() != 0 and shutil.which("sudo"):
        command = ["sudo", *command]
    done = None
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(command, check=False, timeout=60)
    if done is None or done.returncode:
        say(_("Restart it by hand now: sudo reboot, then type: sinyal accept"))
    raise SystemExit(0)


def judge(record: Record, gateway: GatewayAtWork, before: Mapping[str, Any]) -> None:
    """Keep what became of the part that waited for the gateway to come back."""
    boot, stored = gateway.boot(), gateway.stored_up_to(int(before["last_seq"]))
    if before["part"] == "power":
        found = power_finding(
            before, boot=boot, stored=stored, outage=gateway.gap_after(int(before["outage"]))
        )
        if found["duration_s"] is not None and found["duration_s"] < OFF_AT_LEAST_S:
            say(_("It was off for {span} only.").format(span=screen.span(found["duration_s"])))
    else:
        first = gateway.first_uptime_after(int(before["last_seq"]), boot)
        found = reboot_finding(before, boot=boot, stored=stored, first_reading_uptime_s=first)
    record.keep(str(before["part"]), found)
    say(in_words(str(before["part"]), found))


def learn_how_long_it_was_off(record: Record, gateway: GatewayAtWork) -> None:
    """Complete the pulled plug's finding when the clock came right only after it was judged."""
    found = record.finding("power")
    if not found or found["duration_s"] is not None or not found.get("outage"):
        return
    with contextlib.suppress(SinyalError):
        outage = next(iter(gateway.outages(found["outage"] - 1)), {})
        if outage.get("duration_s") is not None:
            times = {name: outage[name] for name in ("duration_s", "start_ts")}
            record.complete("power", {**found, **times})


def in_words(part: str, found: Mapping[str, Any]) -> str:
    """Return a finding as one line of the screen."""
    return {
        "signal": _signal_words,
        "throughput": _throughput_words,
        "broker": _broker_words,
        "power": _power_words,
        "reboot": _reboot_words,
    }[part](found)


def _signal_words(found: Mapping[str, Any]) -> str:
    if found["median_dbm"] is None:
        return _("no signal value in {n} readings").format(n=found["readings"])
    return _("median {level} dBm of {n} readings in {span}").format(
        level=screen.number(found["median_dbm"]), n=found["readings"], span=screen.span(found["seconds"])
    )


def _throughput_words(found: Mapping[str, Any]) -> str:
    done = [run for run in found["runs"] if run["state"] == "done"]
    if not done:
        return _("not measured: {why}").format(why=found.get("problem") or "-")
    return ", ".join(f"{rate(run['down_kbit_s'])} / {rate(run['up_kbit_s'])}" for run in done)


def _broker_words(found: Mapping[str, Any]) -> str:
    if not found["acknowledged_ts"]:
        return _("nothing acknowledged: {why}").format(why=found.get("problem") or "-")
    return _("{n} readings acknowledged, last {when}").format(
        n=found["rows"], when=screen.wib(found["acknowledged_ts"])
    )


def _power_words(found: Mapping[str, Any]) -> str:
    lost = _lost_words(found)
    if found.get("on_battery_s") is not None:
        return _("carried by the battery for {span}; {lost}").format(
            span=screen.span(found["on_battery_s"]), lost=lost
        )
    if found["cause"] is None:
        return _("no outage was recorded; {lost}").format(lost=lost)
    length = _("length not known before the clock is right")
    if found["duration_s"] is not None:
        length = screen.span(found["duration_s"])
    return _("recorded as {cause}, {length}; {lost}").format(
        cause=cause_words(found), length=length, lost=lost
    )


def _reboot_words(found: Mapping[str, Any]) -> str:
    return _("back; {lost}").format(lost=_lost_words(found))


def _lost_words(found: Mapping[str, Any]) -> str:
    if found["rows_lost"]:
        return _("{n} of {all} readings lost").format(n=found["rows_lost"], all=found["rows_before"])
    return _("nothing lost of {all} readings").format(all=found["rows_before"])


def _for_the_page(text: str) -> str:
    # The page is an Indonesian document, whatever the screen speaks.
    return in_language(text, "id")


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        width = screen.columns(2) - 2
        print(f"\r{screen.fit((text,), width):<{width}}", end="", file=sys.stderr, flush=True)


def _end_progress() -> None:
    if sys.stderr.isatty():
        print("\r" + " " * (screen.columns(2) - 2) + "\r", end="", file=sys.stderr, flush=True)
