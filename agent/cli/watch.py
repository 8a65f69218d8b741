"""`sinyal watch`: the screen of `sinyal status`, live, with the signal of the last hour.

It reads what the daemon shows of itself, once a second, and goes on when the daemon stops and comes back.
"""

import argparse
import json
import time
from typing import Any

from agent import screen
from agent.cli.live_screen import LiveScreen, can_be_live
from agent.cli.status import Looked, document, look
from agent.cli.status_lines import LABEL_WIDTH, SEPARATOR, Seen, in_rows, status_lines, title, written
from agent.language import _

TICK_S = 1.0
LOOK_AGAIN_S = 10.0
"""How often a database is looked into while no daemon shows anything."""

MIN_ROWS = 8
SPARKS = "▁▂▃▄▅▆▇█"
SCALE_STEP_DB = 5
"""The scale of the graph moves in steps of so much, so that a decibel does not draw it anew."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `sinyal watch`."""
    parser.add_argument(
        "--json", action="store_true", help=_("one JSON document of now and the last hour; then it ends")
    )


def run(args: argparse.Namespace) -> int:
    """Show the gateway until Ctrl-C, q, or the line drops; off a terminal once, with the code of `status`."""
    looked = look(args)
    if args.json:
        print(json.dumps({**document(looked), "hour": hour_of(looked.seen)}, ensure_ascii=False))
        return 1 if looked.problems else 0
    if not can_be_live():
        print("\n".join(live_lines(looked, looked.seen.now_ts)[:-2]))
        return 1 if looked.problems else 0
    with LiveScreen() as shown:
        looked_at_s = time.monotonic()
        while True:
            columns = screen.usable(shown.size.columns)
            shown.show(live_lines(looked, time.time(), shown.size.lines, columns))
            if shown.wait_key(TICK_S - time.time() % TICK_S) in ("q", "Q", "\x1b"):
                break
            now_s = time.monotonic()
            shows = looked.seen.running or looked.seen.left is None
            if shows or now_s - looked_at_s >= LOOK_AGAIN_S:
                looked, looked_at_s = look(args), now_s
    return 0


def live_lines(looked: Looked, now_ts: float, rows: int = 24, columns: int = screen.COLUMNS) -> list[str]:
    """Return the lines of the screen: status, graph, and a last line with the time that goes on."""
    seen = looked.seen._replace(now_ts=now_ts)
    graph = hour_lines(seen, columns)
    room = max(rows, MIN_ROWS) - len(graph) - 2
    status = written(status_lines(looked.values, seen, columns), room, columns)
    above = [title(looked.values, columns), *status, *graph]
    return [*above, *[""] * (max(rows, MIN_ROWS) - len(above) - 1), _last_line(seen, columns)]


def hour_of(seen: Seen) -> dict[str, Any]:
    """Return the level of the last hour: `field`, and `levels_dbm` of 60 minutes, the oldest first."""
    hour = seen.part("hour")
    levels = [level if isinstance(level, int) else None for level in hour.get("levels_dbm") or ()]
    return {"field": hour.get("field"), "levels_dbm": ([None] * 60 + levels)[-60:]}


def hour_lines(seen: Seen, columns: int = screen.COLUMNS) -> list[str]:
    """Return the level of the last hour as a graph and its scale, nothing when no level is known.

    On a narrow screen it is as much of the hour as there are columns for.
    """
    minutes = min(60, columns - LABEL_WIDTH - 2)
    levels = hour_of(seen)["levels_dbm"][-minutes:]
    label = _("One hour") if minutes == 60 else screen.span(minutes * 60)
    known = [level for level in levels if level is not None]
    if not known:
        return []
    low = min(known) // SCALE_STEP_DB * SCALE_STEP_DB
    high = max(-(-max(known) // SCALE_STEP_DB) * SCALE_STEP_DB, low + 2 * SCALE_STEP_DB)
    graph = "".join(" " if level is None else _spark((level - low) / (high - low)) for level in levels)
    text = _("{low} to {high} dBm; now {now}, worst {worst}, best {best}").format(
        low=low, high=high, now="-" if levels[-1] is None else levels[-1], worst=min(known), best=max(known)
    )
    indent = " " * (LABEL_WIDTH + 2)
    scale = in_rows(text.replace("; ", SEPARATOR) if minutes < 60 else text, 2, columns - len(indent))
    return [f"  {label:<{LABEL_WIDTH}}{graph}", *(indent + line for line in scale)]


def _spark(share: float) -> str:
    return SPARKS[min(len(SPARKS) - 1, int(share * len(SPARKS)))]


def _last_line(seen: Seen, columns: int) -> str:
    ts = seen.reading.get("ts")
    age = _("reading {age} ago").format(age=screen.span(seen.now_ts - ts)) if ts is not None else ""
    if columns < screen.NARROW_COLUMNS:
        return screen.fit((screen.wib_clock(seen.now_ts), age, _("q: end")), columns)
    return screen.fit((f"{screen.wib_clock(seen.now_ts)} WIB", age, _("Ctrl-C or q ends it")), columns)
