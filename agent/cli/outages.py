"""`sinyal outages`: what failed, when and why; with a running agent or without."""

import argparse
import json
import sqlite3
import time
from pathlib import Path
from typing import Any

from agent import screen
from agent.cli.cause_words import cause_words
from agent.cli.link_answer import answer, loaded, never_ran
from agent.cli.wrapping import beside, wrapped
from agent.errors import UsageMistake
from agent.language import _
from agent.link.causes import next_step_of, sentence_of

SHOWN = 20
"""So many of the newest without --from."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `sinyal outages`."""
    parser.add_argument(
        "--from", dest="from_day", metavar=_("DAY"), help=_("from this day on (WIB), such as 2026-11-01")
    )
    parser.add_argument("--to", dest="to_day", metavar=_("DAY"), help=_("up to and with this day (WIB)"))
    parser.add_argument("--json", action="store_true", help=_("one JSON document on stdout"))


def run(args: argparse.Namespace) -> int:
    """Print the outages, the newest last; return 1 while one lasts."""
    from_ts = None if args.from_day is None else _day_ts(args.from_day)
    to_ts = None if args.to_day is None else _day_ts(args.to_day) + 86400
    if from_ts is not None and to_ts is not None and from_ts >= to_ts:
        raise UsageMistake(_("--from is later than --to"), _("give the earlier day to --from"))
    found = answer(
        loaded(args),
        lambda runtime: ask(runtime, from_ts, to_ts),
        lambda connection, correct: look(connection, correct, from_ts, to_ts),
    )
    if found is None:
        raise never_ran()
    if args.json:
        print(json.dumps({"outages": found}, ensure_ascii=False))
    else:
        _print(found, is_bounded=from_ts is not None or to_ts is not None)
    return int(any(not one["is_over"] for one in found))


def ask(runtime: Path, from_ts: float | None, to_ts: float | None) -> list[dict[str, Any]]:
    """Return the outages between two UTC seconds, as the running agent tells them."""
    from agent.pipeline.control_client import ask_daemon

    found: list[dict[str, Any]] = []
    more = True
    while more:
        after = found[-1]["number"] if found else 0
        part = ask_daemon(runtime, "outages", after=after, from_ts=from_ts, to_ts=to_ts)
        found += part["outages"]
        more = bool(part["more"] and part["outages"])
    return found


def look(
    connection: sqlite3.Connection, correct: Any, from_ts: float | None, to_ts: float | None
) -> list[dict[str, Any]]:
    """Return the outages between two UTC seconds, as the database tells them."""
    from agent.pipeline.link_history import outages_between

    found = outages_between(connection, correct, from_ts=from_ts, to_ts=to_ts)
    return [{**one.document(), "began_s_ago": None} for one in found]


def _day_ts(text: str) -> int:
    """Return the UTC second at which a day in WIB begins; raises UsageMistake."""
    from datetime import date

    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise UsageMistake(
            _("{text!r} is no day").format(text=text), _("write it like this: --from 2026-11-01")
        ) from None
    return (day.toordinal() - date(1970, 1, 1).toordinal()) * 86400 - screen.WIB_OFFSET_S


def _print(found: list[dict[str, Any]], *, is_bounded: bool) -> None:
    if not found:
        print(_("No outage is recorded."))
        return
    shown = found if is_bounded else found[-SHOWN:]
    if len(shown) < len(found):
        print(
            _("The newest {shown} of {count}; all: --from 2026-01-01").format(shown=SHOWN, count=len(found))
        )
    width = screen.columns()
    for one in shown:
        heading = " · ".join(part for part in (_when(one), _length(one), cause_words(one)) if part)
        print("\n".join([*wrapped(heading, width), *beside("", 2, _sentence(one), width)]))
    if not shown[-1]["is_over"]:
        step = _(next_step_of(shown[-1]["cause"], shown[-1]["evidence"]))
        print("\n".join(wrapped(_("Next step: {step}").format(step=step), width)))


def _when(one: dict[str, Any]) -> str:
    if one["start_ts"] is None:
        ago_s = one.get("began_s_ago")
        if ago_s is not None and not one["is_over"]:
            return _("clock not right yet")
        if ago_s is not None:
            return _("{span} ago (clock not right yet)").format(span=screen.span(ago_s))
        return _("time not known yet")
    shown = screen.wib(one["start_ts"])
    return shown + " " + _("(estimated)") if one["ts_quality"] == "estimated" else shown


def _length(one: dict[str, Any]) -> str:
    if not one["is_over"]:
        so_far_s = one.get("began_s_ago")
        if so_far_s is None and one["start_ts"] is not None:
            so_far_s = time.time() - one["start_ts"]
        if so_far_s is None:
            return _("lasts")
        return _("lasts, {span} so far").format(span=screen.span(so_far_s))
    if one["duration_s"] is None:
        return _("length not known")
    return screen.span(one["duration_s"])


def _sentence(one: dict[str, Any]) -> str:
    return _(sentence_of(one["cause"], one["evidence"]))
