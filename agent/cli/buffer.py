"""`sinyal buffer stats|export|resend`: what is stored, take it along, let a range be sent again."""

import argparse
import importlib

from agent import screen
from agent.cli.main import HelpFormatter
from agent.language import _

MODULES = {"stats": "buffer_stats", "export": "buffer_export", "resend": "buffer_resend"}
"""The module of each action in `agent.cli` has run(args) -> exit code."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add stats, export and resend; each takes the options that `parser` has so far, too."""
    options = argparse.ArgumentParser(add_help=False, parents=[parser])
    actions = parser.add_subparsers(dest="action", required=True, metavar="stats|export|resend")

    def add_action(name: str, summary: str, example: str) -> argparse.ArgumentParser:
        return actions.add_parser(
            name,
            parents=[options],
            add_help=False,
            help=summary,
            description=screen.as_sentence(summary),
            epilog=_("example: {example}").format(example=example),
            formatter_class=HelpFormatter,
        )

    stats = add_action("stats", _("what the reading database holds"), "sinyal buffer stats")
    export = add_action("export", _("all stored rows as JSON lines or CSV"), "sinyal buffer export rows.csv")
    resend = add_action("resend", _("let stored rows be sent again"), "sinyal buffer resend 4711 5000")
    for action in (stats, resend):
        action.add_argument("--json", action="store_true", help=_("one JSON document on stdout"))
    for action in (export, resend):
        action.add_argument("--yes", action="store_true", help=_("do not ask"))
    _add_export_arguments(export)
    resend.add_argument("first_seq", type=int, metavar="FROM", help=_("the first seq"))
    resend.add_argument("last_seq", type=int, metavar="TO", help=_("the last seq, included"))


def _add_export_arguments(export: argparse.ArgumentParser) -> None:
    export.add_argument(
        "file", nargs="?", default="-", metavar="FILE", help=_("write here; - or none is stdout")
    )
    export.add_argument(
        "--format", choices=("jsonl", "csv"), help=_("default: csv for a FILE named .csv, else jsonl")
    )
    export.add_argument(
        "--unsent", action="store_true", help=_("only rows that the broker does not have yet")
    )
    export.add_argument(
        "--public", action="store_true", help=_("only what anybody may see; fewer than five devices are <5")
    )
    export.add_argument("--from", dest="first_seq", type=int, metavar="SEQ", help=_("the first seq"))
    export.add_argument("--to", dest="last_seq", type=int, metavar="SEQ", help=_("the last seq, included"))
    export.add_argument(
        "--since", metavar=_("TIME"), help=_("from this time, such as 2026-11-21 or 2026-11-21T09:30 (WIB)")
    )
    export.add_argument("--until", metavar=_("TIME"), help=_("to this time, included"))


def run(args: argparse.Namespace) -> int:
    """Do what `args.action` names; return the exit code."""
    return int(importlib.import_module(f"agent.cli.{MODULES[args.action]}").run(args))
