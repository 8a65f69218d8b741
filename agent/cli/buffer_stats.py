"""`sinyal buffer stats`: what the reading database holds, on one screen."""

import argparse
import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

from agent import screen
from agent.cli.buffer_source import buffer_source
from agent.cli.wrapping import beside
from agent.config.toml_text import one_line
from agent.language import _

LABEL_WIDTH = 17

MB = 1_000_000

SHOWN_LINES = 5
"""Of quarantined ranges and damaged files; --json has more."""


def run(args: argparse.Namespace) -> int:
    """Print what is stored; always 0, whatever is stored."""
    stats = dict(buffer_source(args).stats())
    for ours in ("v", "ok"):
        stats.pop(ours, None)
    stats["sent"] = stats["stored"] - stats["unsent"] - stats["quarantined"]
    oldest_ts = stats["oldest_unsent_ts"]
    stats["oldest_unsent_s"] = None if oldest_ts is None else max(0, round(time.time() - oldest_ts))
    if args.json:
        print(json.dumps(stats, ensure_ascii=False))
        return 0
    for label, text in _lines(stats):
        print("\n".join(beside(label, LABEL_WIDTH, text, screen.columns())))
    return 0


def _lines(stats: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield (
        _("Readings"),
        _("{stored} stored: {unsent} waiting, {sent} sent and kept as history").format_map(stats),
    )
    if stats["stored"]:
        yield _("First"), _row_text(stats, "first")
        yield _("Last"), _row_text(stats, "last")
    if stats["oldest_unsent_seq"] is not None:
        age_s = stats["oldest_unsent_s"]
        age = () if age_s is None else (_("{age} old").format(age=screen.span(age_s)),)
        yield _("Oldest waiting"), screen.fit((_row_text(stats, "oldest_unsent"), *age), _room())
    yield _("Events"), _("{events_unsent} waiting").format_map(stats)
    if stats["salvaged_unsent"]:
        yield _("Salvaged"), _("{salvaged_unsent} readings of a damaged database waiting").format_map(stats)
    yield from _lost_lines(stats)
    yield _("Space"), _space_text(stats)
    for damaged in stats["damaged_files"][-SHOWN_LINES:]:
        yield _("Damaged file"), f"{one_line(damaged['file'])} ({_size(damaged['bytes'])})"
    yield _("Epoch"), str(stats["epoch"])


def _room() -> int:
    return screen.COLUMNS - LABEL_WIDTH


def _row_text(stats: Mapping[str, Any], which: str) -> str:
    ts = stats[f"{which}_ts"]
    when = _("time not known") if ts is None else screen.wib(ts)
    return f"seq {stats[f'{which}_seq']}, {when}"


def _lost_lines(stats: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield _("Folded"), _("{folded} readings into rollups, for want of room").format_map(stats)
    yield _("Dropped"), _("{dropped} readings, for want of room").format_map(stats)
    yield _("Quarantined"), _("{quarantined} readings that no broker took").format_map(stats)
    for held in stats["quarantined_ranges"][:SHOWN_LINES]:
        reasons = one_line(", ".join(held["reasons"])) or _("reason not known")
        where = f"seq {held['first_seq']}-{held['last_seq']}"
        yield "", screen.fit((where, reasons), _room())


def _space_text(stats: Mapping[str, Any]) -> str:
    text = _("{used} of {most}").format(used=_size(stats["bytes_used"]), most=_size(stats["max_bytes"]))
    free = stats["disk_free_bytes"]
    if free is None:
        return text
    return screen.fit((text, _("{free} free on the disk").format(free=_size(free))), _room())


def _size(count: int) -> str:
    if count >= 1000 * MB:
        return f"{screen.number(count / MB / 1000, 1)} GB"
    return f"{screen.number(count / MB, 1)} MB"
