"""`sinyal budget`: what the agent itself has used of the data quota, and where that leads."""

import argparse
import json
from collections.abc import Mapping
from typing import Any

from agent import screen
from agent.cli.wrapping import beside
from agent.language import N_, _
from agent.pipeline.budget_client import budget_document_now

BAR_WIDTH = 20

USES = {
    "mqtt": N_("reports"),
    "probes": N_("link checks"),
    "throughput": N_("speed tests"),
    "other": N_("other"),
}

STAGES = {
    "all": N_("everything may be sent"),
    "no_throughput": N_("speed tests have stopped until the next month"),
    "liveness_only": N_("readings wait until the next month; only signs of life and events are sent"),
    "closed": N_("the cap is reached; nothing more is sent this month"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `sinyal budget`."""
    parser.add_argument("--json", action="store_true", help=_("one JSON document on stdout"))


def run(args: argparse.Namespace) -> int:
    """Print the budget; return 1 when something is held back by it."""
    document = budget_document_now(args.configuration.load().config)
    if args.json:
        print(json.dumps(document, ensure_ascii=False))
    else:
        lines = _lines(document)
        width = max(len(label) for label, _text in lines)
        for label, text in lines:
            print("\n".join(beside(label, width + 1, text, screen.columns())))
    return 0 if document["stage"] == "all" else 1


def _lines(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    used = screen.fit((megabytes(document["used_bytes"]), rupiah(document["used_rupiah"])))
    lines = [(_("Month"), f"{document['month_first']} - {document['month_last']}")]
    if document["max_bytes"] is None:
        lines.append((_("Used"), used))
        lines.append((_("Left"), _("no quota (profile unlimited)")))
    else:
        share = document["used_bytes"] / document["max_bytes"]
        bar = screen.bar(share, BAR_WIDTH)
        pct = screen.number(document["used_pct"], 1)
        lines.append((_("Used"), f"{used}  [{bar}] {pct} %"))
        text = _("{left} of {cap}").format(
            left=megabytes(document["left_bytes"]), cap=megabytes(document["max_bytes"])
        )
        lines.append((_("Left"), text))
    for use, name in USES.items():
        lines.append((f"  {_(name)}", megabytes(document["by_use"][use])))
    lines.append((_("Today"), megabytes(document["today_bytes"])))
    forecast = (megabytes(document["forecast_bytes"]), rupiah(document["forecast_rupiah"]))
    lines.append((_("Forecast"), screen.fit((*forecast, _("by the end of the month")))))
    lines.append((_("State"), _(STAGES[document["stage"]])))
    return lines


def megabytes(bytes_: float) -> str:
    """Return bytes as "12.3 MB", small amounts as "84 kB"."""
    if bytes_ < 1e6:
        return f"{screen.number(bytes_ / 1e3)} kB"
    return f"{screen.number(bytes_ / 1e6, 1)} MB"


def rupiah(amount: float | None) -> str:
    """Return an amount as "Rp 1.234" (separators by language), "" without a price."""
    if amount is None:
        return ""
    # Below a hundred rupiah a rounded figure would often be a zero.
    if 0 < amount < 100:
        return f"Rp {screen.number(amount, 1)}"
    grouped = f"{round(amount):,}"
    return "Rp " + (grouped.replace(",", ".") if screen.number(0.5, 1) == "0,5" else grouped)
