"""`sinyal send`: let the running agent send what waits, now, and tell what became of it."""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from agent.cli.modem_line import configured
from agent.cli.running_agent import runtime_of_running
from agent.errors import BrokerUnreachable, SinyalError
from agent.language import _, ngettext
from agent.pipeline.control_client import ask_daemon

PATIENCE_S = 30.0
LOOK_EVERY_S = 0.3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --json."""
    parser.add_argument("--json", action="store_true", help=_("one JSON document on stdout"))


def run(args: argparse.Namespace) -> int:
    """Ask and wait; return 0 when nothing waits any more, 1 when some does, 5 without a broker."""
    runtime = runtime_of_running(args)
    asked = ask_daemon(runtime, "send_now")
    if asked["paused_until_ts"] is not None:
        raise SinyalError(
            _("sending is paused, nothing was sent"), _("end the pause first: sinyal pause off")
        )
    if asked["state"] == "no broker configured":
        raise SinyalError(
            _("no broker configured; readings stay on this gateway"), _("sinyal config set broker.host NAME")
        )
    # Each address of the broker is tried once, from the beginning, after the question.
    tries = int(asked.get("attempts") or 0) + 1 + len(configured(args)["broker.fallbacks"])
    link, left = _wait(runtime, asked["last_seq"], tries)
    sent = max(0, asked["unsent"] - left)
    if args.json:
        document = {"sent": sent, "unsent": left, "state": link["state"], "problem": link["last_problem"]}
        print(json.dumps(document, ensure_ascii=False))
    if link["state"] != "connected":
        why = link["last_problem"] or _("the broker is not connected")
        raise BrokerUnreachable(str(why), _("readings are kept; find out why: sinyal doctor"))
    if not args.json:
        text = ngettext("{n} reading sent", "{n} readings sent", sent).format(n=sent)
        print(f"{text}, " + _("{n} waiting").format(n=left))
    return 1 if left else 0


def _wait(runtime: Path, last_seq: int, tries: int) -> tuple[dict[str, Any], int]:
    """Look until nothing up to last_seq waits, or cannot go; return the link and how many wait.

    It cannot go after so many tries to connect, when the budget is used up, or within PATIENCE_S.
    """
    ends_at = time.monotonic() + PATIENCE_S
    is_shown = sys.stderr is not None and sys.stderr.isatty()
    while True:
        status: dict[str, Any] = ask_daemon(runtime, "status")["status"]
        queue = status.get("buffer") or {"unsent": 0, "last_seq": last_seq}
        unsent = max(0, queue["unsent"] - max(0, queue["last_seq"] - last_seq))
        if is_shown:
            print("\r\x1b[K" + _("{n} waiting").format(n=unsent), end="", file=sys.stderr, flush=True)
        link = status["link"]
        is_refused = link["state"] == "offline" and link["attempts"] >= tries
        is_refused |= link["last_problem_code"] == "over_budget"
        if unsent == 0 or is_refused or time.monotonic() >= ends_at:
            if is_shown:
                print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            return link, unsent
        time.sleep(LOOK_EVERY_S)
