"""`sinyal availability`: the three figures of a month, and whether a video meeting would work now."""

import argparse
import json
import sqlite3
import time
from pathlib import Path
from typing import Any

from agent import screen
from agent.cli.link_answer import answer, loaded, never_ran
from agent.cli.wrapping import wrapped
from agent.errors import UsageMistake
from agent.language import _
from agent.link.availability import Month, month_at, month_of

CSV_COLUMNS = (
    *("month", "a_total", "a_link", "a_power", "calendar_s", "up_s", "down_s", "link_down_s"),
    *("power_off_s", "powered_s", "unknown_s", "outages", "undated_s"),
)
VALUE_COLUMNS = 14


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `sinyal availability`."""
    parser.add_argument(
        "--month", metavar="YYYY-MM", help=_("month of the calendar in WIB; the present one by default")
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help=_("one JSON document on stdout"))
    form.add_argument("--csv", action="store_true", help=_("a table of comma-separated values"))


def run(args: argparse.Namespace) -> int:
    """Print the figures."""
    month = month_at(time.time()) if args.month is None else month_of(args.month)
    if month.stretch()[0] > time.time():
        raise UsageMistake(
            _("{month} has not begun yet").format(month=month),
            _("name an earlier month, or set the clock right"),
        )
    found = answer(
        loaded(args),
        lambda runtime: _ask(runtime, month),
        lambda connection, correct: _look(connection, correct, month),
    )
    if found is None:
        raise never_ran()
    if args.json:
        print(json.dumps(found, ensure_ascii=False))
    elif args.csv:
        print(",".join(CSV_COLUMNS))
        print(",".join("" if found[name] is None else str(found[name]) for name in CSV_COLUMNS))
    else:
        _print(found)
    return 0


def _ask(runtime: Path, month: Month) -> dict[str, Any]:
    from agent.pipeline.control_client import ask_daemon

    told = ask_daemon(runtime, "availability", month=str(month))
    return {**told["availability"], "meeting": told["meeting"]}


def _look(connection: sqlite3.Connection, correct: Any, month: Month) -> dict[str, Any]:
    from agent.pipeline.link_history import month_figures

    # Without a running agent nobody knows how the link is now.
    return {**month_figures(connection, correct, month).document(), "meeting": None}


def _print(found: dict[str, Any]) -> None:
    columns = screen.columns()
    print(
        "\n".join(
            wrapped(_("Availability in {month} (calendar of WIB)").format(month=found["month"]), columns)
        )
    )
    shares = (
        (_("Internet, of all time"), found["a_total"]),
        (_("Connection, of time with power"), found["a_link"]),
        (_("Power"), found["a_power"]),
    )
    lengths = (
        (_("internet worked"), found["up_s"]),
        (_("internet was down"), found["down_s"]),
        (_("of it outages over 300 s"), found["link_down_s"]),
        (_("power was off"), found["power_off_s"]),
        (_("not known"), found["unknown_s"]),
    )
    rows = [(label, _percent(share)) for label, share in shares]
    rows += [(label, _hours(seconds)) for label, seconds in lengths]
    width = max(len(label) for label, _text in rows) + 1
    for label, text in rows:
        if columns < width + 2 + VALUE_COLUMNS:
            print(f"  {label}\n{text:>{columns - 2}}")
        else:
            print(f"  {label:<{width}}{text:>{VALUE_COLUMNS}}")
    if round(found.get("undated_s", 0)):
        text = _("{hours} of readings wait for a true clock before they count.")
        print("\n".join(wrapped(text.format(hours=_hours(found["undated_s"])), columns)))
    print("\n".join(wrapped(meeting_line(found["meeting"]), columns)))


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{screen.number(100 * share, 2)} %"


def _hours(seconds: float) -> str:
    return _("{hours} h {minutes} min").format(
        hours=round(seconds) // 3600, minutes=round(seconds) // 60 % 60
    )


def meeting_line(meeting: dict[str, Any] | None) -> str:
    """Return whether the link is enough for a video meeting, and what decided."""
    from agent.link.meeting import NAMES

    if meeting is None or meeting["enough"] is None:
        return _("Video meeting: not known now")
    verdict = _("enough") if meeting["enough"] else _("not enough")
    by = _(NAMES[meeting["decided_by"]])
    if meeting["decided_by"] == "link_up":
        return _("Video meeting: {verdict} (the connection is down)").format(verdict=verdict)
    unit = {"rtt_ms": "ms", "jitter_ms": "ms", "down_kbit_s": "kbit/s", "up_kbit_s": "kbit/s"}
    value, limit = float(meeting["value"]), float(meeting["limit"])
    if meeting["decided_by"] == "loss_ratio":
        measured, allowed = f"{screen.number(100 * value, 1)} %", f"{screen.number(100 * limit, 1)} %"
    else:
        measured = f"{screen.number(value)} {unit[meeting['decided_by']]}"
        allowed = f"{screen.number(limit)} {unit[meeting['decided_by']]}"
    return _("Video meeting: {verdict}, by {input}: {value} (limit {limit})").format(
        verdict=verdict, input=by, value=measured, limit=allowed
    )
