"""`sinyal status`: how the gateway is doing, on one screen; needs no daemon, no modem and no broker.

Reads what the running daemon shows of itself, or, without one, what it left behind. It must answer at
once on a small router, so it takes the values of the configuration by name, without its dataclasses.
"""

import argparse
import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from agent import __version__, screen
from agent.cli.release_trial import release_trial, upgrade_folder
from agent.config.keys import DEFAULTS, effective_port
from agent.errors import ConfigMistake
from agent.language import _, ngettext
from agent.pipeline.snapshot import daemon_runs, read_snapshot

LABEL_WIDTH = 11
BAR_WIDTH = 20
TEXT_COLUMNS = screen.COLUMNS - LABEL_WIDTH - 2
MAX_TEXT_LINES = 3
SEPARATOR = " · "

STALE_SLOTS = 3
"""A reading older than this many intervals is old news."""

STALE_AT_LEAST_S = 30


class Line(NamedTuple):
    """One line of the screen. problem is None, or the short name under which --json lists it."""

    label: str
    text: str
    problem: str | None = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `sinyal status`."""
    parser.add_argument("--json", action="store_true", help=_("one JSON document on stdout"))


def run(args: argparse.Namespace) -> int:
    """Print the status; return 1 when something is wrong, a daemon that does not run included."""
    values, mistake = _configuration(args)
    runtime = values["paths.runtime"]
    running = daemon_runs(runtime)
    shown = read_snapshot(runtime) or {}
    left = None if running or shown.get("reading") else _left_behind(values["paths.state"])
    now_ts = time.time()
    lines = _lines(values, mistake, shown, running=running, left=left, now_ts=now_ts)
    problems = [line.problem for line in lines if line.problem]
    if args.json:
        document = {
            "version": __version__,
            "gateway_id": values["gateway.id"],
            "kode_desa": values["gateway.kode_desa"],
            "site_name": values["gateway.site_name"],
            "running": running,
            "problems": problems,
            "last": shown or None,
            "left": left,
        }
        print(json.dumps(document, ensure_ascii=False))
    else:
        _print(values, lines)
    return 1 if problems else 0


def _configuration(args: argparse.Namespace) -> tuple[Mapping[str, Any], ConfigMistake | None]:
    """Return the configuration; where the default file is missing, the defaults and what is missing."""
    try:
        return args.configuration.load().values, None
    except ConfigMistake as mistake:
        if not args.configuration.is_unconfigured():
            raise
        return DEFAULTS, mistake


def _left_behind(state: Path) -> dict[str, Any] | None:
    database = state / "sinyal.db"
    if not os.access(database, os.F_OK):
        return None
    # SQLite is not even loaded while a daemon runs, nor before one ever ran.
    from agent.buffer.peek import peek

    return peek(database)


def _lines(
    values: Mapping[str, Any],
    mistake: ConfigMistake | None,
    shown: Mapping[str, Any],
    *,
    running: bool,
    left: Mapping[str, Any] | None,
    now_ts: float,
) -> list[Line]:
    reading = shown.get("reading") or (left or {}).get("reading") or {}
    lines = []
    if mistake is not None:
        lines.append(Line(_("Settings"), mistake.what, "not_configured"))
    lines.append(_agent_line(shown, left, running=running))
    lines += _release_lines()
    lines.append(_reading_line(reading, shown, running=running, now_ts=now_ts))
    if reading:
        lines += [
            _modem_line(reading, shown),
            _sim_line(reading),
            _network_line(reading),
            _signal_line(reading),
        ]
        lines += [_host_line(reading)]
    if running and shown.get("internet"):
        lines.append(_internet_line(shown["internet"], reading))
    lines += _link_lines(values, shown, running=running)
    lines += _queue_lines(shown, left, now_ts=now_ts)
    return lines


def _agent_line(shown: Mapping[str, Any], left: Mapping[str, Any] | None, *, running: bool) -> Line:
    label = _("Agent")
    if running:
        since = screen.wib(shown["started_ts"]) if "started_ts" in shown else _("just now")
        return Line(label, _("running since {when}").format(when=since))
    if shown.get("state") == "stopped":
        why = _("it was stopped")
    elif shown:
        why = _("it ended without a goodbye (power, kill or crash)")
    elif left is None:
        return Line(label, _("not running; it has never run here"), "daemon_not_running")
    else:
        why = _("the gateway was restarted")
    when = shown.get("ts") or ((left or {}).get("reading") or {}).get("ts")
    if when is None:
        return Line(label, _("not running: {why}").format(why=why), "daemon_not_running")
    text = _("not running since {when}: {why}").format(when=screen.wib(when), why=why)
    return Line(label, text, "daemon_not_running")


def _release_lines() -> list[Line]:
    folder = upgrade_folder()
    told = release_trial(folder) if folder is not None else None
    return [] if told is None else [Line(_("Release"), *told)]


def _reading_line(
    reading: Mapping[str, Any], shown: Mapping[str, Any], *, running: bool, now_ts: float
) -> Line:
    label = _("Reading")
    ts = reading.get("ts")
    if ts is None:
        return Line(label, _("none yet"))
    text = screen.wib(ts, seconds=True)
    if reading.get("ts_quality") == "unset":
        text += " " + _("(clock not certain yet)")
    age = now_ts - ts
    stale = running and age > max(STALE_AT_LEAST_S, STALE_SLOTS * float(shown.get("interval_s", 60)))
    if stale:
        text += " " + _("({age} old)").format(age=screen.span(age))
    problem = "reading_stale" if stale else None
    if shown.get("store_problem"):
        return Line(label, _("not stored: {what}").format(what=shown["store_problem"]), "not_stored")
    return Line(label, text, problem)


def _modem_line(reading: Mapping[str, Any], shown: Mapping[str, Any]) -> Line:
    state = reading.get("modem_state")
    modem = shown.get("modem") or {}
    name = " ".join(str(modem[part]) for part in ("manufacturer", "model") if modem.get(part))
    temperature = reading.get("modem_temperature_c")
    warm = f"{screen.number(temperature, 1)} °C" if temperature is not None else ""
    problem = None if state in ("ok", "restarted") else f"modem_{state}"
    return Line(_("Modem"), screen.fit((screen.word("modem_state", state), name, warm), 66), problem)


def _sim_line(reading: Mapping[str, Any]) -> Line:
    state = reading.get("sim_state")
    problem = None if state in (None, "ready") else f"sim_{state}"
    return Line(_("SIM card"), screen.word("sim_state", state), problem)


def _network_line(reading: Mapping[str, Any]) -> Line:
    registration = reading.get("registration")
    technology = str(reading.get("access_technology") or "")
    code = reading.get("operator_mccmnc")
    operator = " ".join(
        part for part in (str(reading.get("operator_name") or ""), f"({code})" if code else "") if part
    )
    parts = (
        screen.word("registration", registration),
        operator,
        screen.TECHNOLOGIES.get(technology, ""),
        str(reading.get("band") or ""),
    )
    problem = None if registration in (None, "home", "roaming") else f"registration_{registration}"
    return Line(_("Network"), screen.fit(parts, 66), problem)


def _signal_line(reading: Mapping[str, Any]) -> Line:
    signal_class = reading.get("signal_class")
    level = screen.level_bar(dict(reading), BAR_WIDTH)
    text = screen.word("signal_class", signal_class)
    if level is not None:
        text = f"[{level[1]}] {level[0]}  {text}"
    problem = "no_service" if signal_class == "none" else None
    return Line(_("Signal"), text, problem)


def _host_line(reading: Mapping[str, Any]) -> Line:
    shares = (
        (_("processor"), "cpu_pct"),
        (_("memory"), "mem_used_pct"),
        (_("disk"), "disk_used_pct"),
    )
    parts = [f"{name} {reading[field]:.0f} %" for name, field in shares if reading.get(field) is not None]
    if reading.get("soc_temp_c") is not None:
        parts.append(f"{screen.number(reading['soc_temp_c'], 1)} °C")
    return Line(_("Board"), screen.fit(parts, 66) or "-")


def _internet_line(internet: Mapping[str, Any], reading: Mapping[str, Any]) -> Line:
    label = _("Internet")
    outage = internet.get("outage")
    if not outage:
        link_up = reading.get("link_up")
        if link_up is None:
            return Line(label, _("not known yet"))
        return Line(label, _("works") if link_up else _("the last probes got no answer"))
    # Only while something is wrong: the words cost time to load.
    from agent.cli.cause_words import cause_words

    when = screen.wib(outage["start_ts"]) if outage.get("start_ts") else "-"
    if outage["kind"] == "link":
        text, problem = _("down since {when}: {cause}"), "internet_down"
    else:
        text, problem = _("reports to the centre are late since {when}: {cause}"), "reports_late"
    return Line(label, screen.fit((text.format(when=when, cause=cause_words(outage)),), 66), problem)


def _link_lines(values: Mapping[str, Any], shown: Mapping[str, Any], *, running: bool) -> list[Line]:
    label = _("Centre")
    host = values["broker.host"]
    if not host:
        return [Line(label, _("no broker configured; readings stay on this gateway"))]
    link = shown.get("link") or {}
    where = f"{host}:{effective_port(values['broker.port'], tls=values['broker.tls'])}"
    if not running or not link:
        return [Line(label, _("{where}, not connected").format(where=where))]
    if link.get("state") != "connected" or link.get("last_problem"):
        # The problem names the address itself.
        why = link.get("last_problem") or _("{where}, connecting").format(where=where)
        is_refused = link.get("state") == "connected" and link.get("last_problem_code")
        problem = str(link["last_problem_code"]) if is_refused else "not_connected"
        return [Line(label, str(why), problem), *_reconnects(link)]
    last = link.get("last_ack_ts")
    sent = _("last sent {when}").format(when=screen.wib(last)) if last else _("nothing sent yet")
    text = SEPARATOR.join((_("{where}, connected").format(where=where), sent))
    return [Line(label, text), *_reconnects(link)]


def _reconnects(link: Mapping[str, Any]) -> list[Line]:
    """Return how often the link came back, and why it last went away unless the line above says so."""
    reconnects = max(0, int(link.get("connects") or 0) - 1)
    parts = []
    if reconnects:
        text = ngettext("connected again {n} time", "connected again {n} times", reconnects)
        parts.append(text.format(n=reconnects))
    reason, reason_ts = link.get("last_reason"), link.get("last_reason_ts")
    if reason and reason_ts and not link.get("last_problem"):
        text = _("last trouble {when}: {why}")
        parts.append(text.format(when=screen.wib(reason_ts), why=reason))
    return [Line("", part) for part in parts]


def _queue_lines(
    shown: Mapping[str, Any], left: Mapping[str, Any] | None, *, now_ts: float
) -> Iterator[Line]:
    queue = shown.get("buffer") or (left or {}).get("buffer")
    if not queue:
        yield Line(_("Queue"), _("not known"))
        return
    unsent, quarantined = queue["unsent"], queue.get("quarantined", 0)
    parts = [_("{n} waiting").format(n=unsent)]
    oldest = queue.get("oldest_unsent_ts")
    if oldest is not None:
        parts[0] += ", " + _("oldest {age}").format(age=screen.span(now_ts - oldest))
    parts.append(_("{n} sent").format(n=queue["stored"] - unsent - quarantined))
    if queue.get("events_unsent"):
        parts.append(_("{n} events waiting").format(n=queue["events_unsent"]))
    yield Line(_("Queue"), SEPARATOR.join(parts))
    # Seldom, and then worth a line of their own; `sinyal buffer stats` has them always.
    fates = (
        (quarantined, _("{n} refused by the broker")),
        (queue.get("folded"), _("{n} folded")),
        (queue.get("dropped"), _("{n} dropped")),
    )
    seldom = [text.format(n=count) for count, text in fates if count]
    if seldom:
        yield Line("", SEPARATOR.join((*seldom, "sinyal buffer stats")))


def _print(values: Mapping[str, Any], lines: list[Line]) -> None:
    names = (values[f"gateway.{key}"] for key in ("id", "site_name", "kode_desa"))
    print(screen.fit((f"Sinyal {__version__}", *names)))
    for line in lines:
        mark = "!" if line.problem else " "
        first, *rest = _wrapped(line.text)
        print(f"{mark} {line.label:<{LABEL_WIDTH}}{first}")
        for text in rest:
            print(f"{'':<{LABEL_WIDTH + 2}}{text}")


def _wrapped(text: str) -> list[str]:
    """Return a text in at most MAX_TEXT_LINES lines; the last one is cut."""
    lines: list[str] = []
    while len(text) > TEXT_COLUMNS and len(lines) < MAX_TEXT_LINES - 1:
        # A word longer than a line, such as a host name, is cut in the middle.
        ends = (text.rfind(sign, 1, TEXT_COLUMNS + len(sign)) for sign in (SEPARATOR, " "))
        at = next((end for end in ends if end > 0), TEXT_COLUMNS)
        lines.append(text[:at])
        text = text[at:].removeprefix(SEPARATOR).strip()
    return [*lines, screen.fit((text,), TEXT_COLUMNS)]
