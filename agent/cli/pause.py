"""`sinyal pause MINUTES|off`: let the running agent send no readings for a while; they are kept."""

import argparse
import json

from agent import screen
from agent.cli.running_agent import runtime_of_running
from agent.errors import UsageMistake
from agent.language import _
from agent.pipeline.control_client import ask_daemon


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the time and --json."""
    parser.add_argument(
        "minutes", metavar=_("MINUTES"), help=_("1 to 1440, or `off` to send again now; it ends by itself")
    )
    parser.add_argument("--json", action="store_true", help=_("one JSON document on stdout"))


def run(args: argparse.Namespace) -> int:
    """Begin or end the pause; return 0."""
    minutes = 0 if args.minutes == "off" else _number(args.minutes)
    until_ts = ask_daemon(runtime_of_running(args), "pause", minutes=minutes)["paused_until_ts"]
    if args.json:
        print(json.dumps({"paused_until_ts": until_ts}))
    elif until_ts is None:
        print(_("Readings are sent again."))
    else:
        until = screen.wib(until_ts)
        print(_("No readings are sent until {when}; they wait on this gateway.").format(when=until))
    return 0


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= 1440):
        raise UsageMistake(
            _("a pause takes 1 to {most} minutes, or off").format(most=1440),
            _("say it like this: {example}").format(example="sinyal pause 30"),
        )
    return int(text)
