"""`sinyal status`: how the gateway is doing, on one screen; needs no daemon, no modem and no broker.

Reads what the running daemon shows of itself, or, without one, what it left behind. It must answer at
once on a small router, so it takes the values of the configuration by name, without its dataclasses.
"""

import argparse
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from agent import __version__, screen
from agent.buffer import DATABASE_NAME
from agent.cli.status_lines import (
    MAX_LINES,
    MAX_TEXT_LINES,
    Line,
    Seen,
    next_step,
    status_lines,
    title,
    written,
)
from agent.config.keys import DEFAULTS
from agent.errors import ConfigMistake
from agent.language import _
from agent.pipeline.snapshot import daemon_runs, read_snapshot

GROUPS: Mapping[str, tuple[str, ...]] = {
    "power": ("mains_present", "battery_v", "battery_pct", "undervoltage"),
    "modem": ("modem_state", "modem_temperature_c"),
    "sim": ("sim_state",),
    "network": ("registration", "operator_name", "operator_mccmnc", "access_technology", "band"),
    "signal": ("signal_class", "rsrp_dbm", "rsrq_db", "sinr_db", "rscp_dbm", "rssi_dbm"),
    "board": ("cpu_pct", "mem_used_pct", "soc_temp_c"),
    "clock": ("ts_quality", "clock_offset_s"),
}
"""The fields of the last reading in the document of --json, null where not known."""


class Looked(NamedTuple):
    """One look at the gateway: what was seen, the lines of the screen, and the exit code."""

    values: Mapping[str, Any]
    seen: Seen
    lines: list[Line]

    @property
    def problems(self) -> list[str]:
        """Return the short names of what is wrong."""
        return [line.problem for line in self.lines if line.problem]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `sinyal status`."""
    parser.add_argument("--json", action="store_true", help=_("one JSON document on stdout"))


def run(args: argparse.Namespace) -> int:
    """Print the status; return 1 when something is wrong, a daemon that does not run included."""
    looked = look(args)
    if args.json:
        import json

        print(json.dumps(document(looked), ensure_ascii=False))
    else:
        columns = screen.columns()
        print(title(looked.values, columns))
        # What does not fit a telephone is scrolled.
        step = next_step(looked.lines)
        is_narrow = columns < screen.NARROW_COLUMNS
        rows = len(looked.lines) * MAX_TEXT_LINES if is_narrow else MAX_LINES - bool(step)
        print("\n".join(written(looked.lines, rows, columns)))
        if step:
            print(f"  {_('Next step:')} {step}")
    return 1 if looked.problems else 0


def look(args: argparse.Namespace) -> Looked:
    """Look at the gateway now."""
    values, mistake = _configuration(args)
    runtime = values["paths.runtime"]
    running = daemon_runs(runtime)
    shown = read_snapshot(runtime) or {}
    left = None if running or shown.get("reading") else _left_behind(values)
    seen = Seen(shown, left, running, time.time(), mistake.what if mistake else None, _disk(values))
    try:
        return Looked(values, seen, status_lines(values, seen, screen.columns()))
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError, OSError):
        # An agent of another version may show other things; the rest of the screen is true all the same.
        seen = seen._replace(shown={})
        text = _("what the agent shows cannot be read; it may be of another version: restart it")
        line = Line(_("Agent"), text, "snapshot_unreadable")
        return Looked(values, seen, [line, *status_lines(values, seen)])


def document(looked: Looked) -> dict[str, Any]:
    """Return the document of --json; its keys are a promise."""
    values, seen = looked.values, looked.seen
    shown, reading = seen.shown, seen.reading
    link, internet = shown.get("link") or {}, seen.internet
    why, since_ts = seen.agent()
    queue = seen.part("buffer")
    oldest_ts = queue.get("oldest_unsent_ts")
    fields = {group: {name: reading.get(name) for name in names} for group, names in GROUPS.items()}
    fields["modem"] |= {name: (shown.get("modem") or {}).get(name) for name in ("manufacturer", "model")}
    return {
        "version": __version__,
        "gateway_id": values["gateway.id"],
        "kode_desa": values["gateway.kode_desa"],
        "site_name": values["gateway.site_name"],
        "running": seen.running,
        "problems": looked.problems,
        "agent": {"since_ts": since_ts, "why_not_running": why},
        "reading_ts": reading.get("ts"),
        **fields,
        "internet": {
            "up": seen.internet_is_up(),
            "since_ts": seen.internet_since_ts(),
            "outage": internet.get("outage"),
        },
        "technician": shown.get("technician") if seen.running else None,
        "recovery": shown.get("recovery") if seen.running else None,
        "outages_today": seen.outages_today(),
        "centre": {
            "host": values["broker.host"] or None,
            "state": link.get("state") if seen.running else None,
            "since_ts": link.get("since_ts") if seen.running else None,
            "last_sent_ts": link.get("last_ack_ts"),
            "problem": link.get("last_problem_code") if seen.running else None,
        },
        "queue": {
            "unsent": queue.get("unsent"),
            "oldest_ts": oldest_ts,
            "oldest_age_s": None if oldest_ts is None else max(0, round(seen.now_ts - oldest_ts)),
        },
        "budget": seen.part("budget") or None,
        "disk": seen.disk,
        "last": dict(shown) or None,
        "left": seen.left or None,
    }


def _configuration(args: argparse.Namespace) -> tuple[Mapping[str, Any], ConfigMistake | None]:
    """Return the configuration; where the default file is missing, the defaults and what is missing."""
    try:
        return args.configuration.load().values, None
    except ConfigMistake as mistake:
        if not args.configuration.is_unconfigured():
            raise
        return DEFAULTS, mistake


def _left_behind(values: Mapping[str, Any]) -> dict[str, Any] | None:
    database: Path = values["paths.state"] / DATABASE_NAME
    if not os.access(database, os.F_OK):
        return None
    # SQLite is not even loaded while a daemon runs, nor before one ever ran.
    from agent.pipeline.left_behind import left_behind

    return left_behind(database, values) or {}


def _disk(values: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return how full the disk of the readings is now, None when it cannot be told."""
    try:
        disk = os.statvfs(values["paths.state"])
    except OSError:
        return None
    usable = disk.f_blocks - disk.f_bfree + disk.f_bavail
    used_pct = round(100 * (1 - disk.f_bavail / usable)) if usable else None
    return {"free_bytes": disk.f_bavail * disk.f_frsize, "used_pct": used_pct}
