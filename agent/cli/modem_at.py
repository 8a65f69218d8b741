"""`sinyal modem at CMD`: one AT command and its answer; what could change or cut something needs --yes."""

import argparse
import json
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from agent.cli.modem_line import add_port, open_modem
from agent.errors import SinyalError, UsageMistake
from agent.language import N_, _
from agent.modem.at_reply import FinalResult
from agent.modem.error_words import error_words
from agent.modem.typed_command import check_typed_command, is_network_search, why_dangerous


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command, --port, --yes and --json."""
    parser.add_argument("at_command", metavar="CMD", help=_("an AT command such as AT+CSQ, in quotes"))
    add_port(parser)
    parser.add_argument(
        "--yes", action="store_true", help=_("also send what can change a setting or cut the connection")
    )
    parser.add_argument("--json", action="store_true", help=_("one JSON document on stdout"))


def run(args: argparse.Namespace) -> int:
    """Send the command and print the answer; return 0 on OK, 1 on an error, 4 when there is no modem."""
    try:
        answer = _ask(args)
    except SinyalError as fault:
        if args.json:
            _print_json(args.at_command, {"port": args.port, "lines": []}, None, fault.what)
        raise
    told = answer["final"]
    final = None if told is None else FinalResult(told["word"], told["code"], told["text"])
    words = _NO_END if final is None else error_words(final)
    if args.json:
        _print_json(args.at_command.strip(), answer, final, None if words is None else _(words))
    else:
        for line in answer["lines"]:
            print("".join(sign if sign.isprintable() else "?" for sign in line))
        if final is not None:
            print(_as_printed(final))
    if final is None:
        raise SinyalError(
            f"{answer['port']}: {_(_NO_END)}",
            _("send it once more; if it never ends, the modem may not know this command"),
        )
    if not final.is_ok and not args.json and words and final.code is not None:
        print(f"{_as_printed(final)} = {words}", file=sys.stderr)
    return 0 if final.is_ok else 1


_NO_END = N_("the modem did not end its answer in time")


def _ask(args: argparse.Namespace) -> Mapping[str, Any]:
    check_typed_command(args.at_command)
    command = args.at_command.strip()
    reason = why_dangerous(command)
    if reason is not None and not args.yes:
        raise UsageMistake(
            _("{command} is not sent: {reason}").format(command=command, reason=reason),
            _("if you are sure, add --yes"),
        )
    with open_modem(args) as modem, _patience(command):
        return modem.at(command, may_write=args.yes)


@contextmanager
def _patience(command: str) -> Iterator[None]:
    """Say on a terminal that a search of all networks goes on, and for how long already."""
    if not is_network_search(command) or sys.stderr is None or not sys.stderr.isatty():
        yield
        return
    ended = threading.Event()
    began = time.monotonic()

    def show() -> None:
        while not ended.wait(1.0):
            text = _("searching all networks, up to three minutes: {seconds} s").format(
                seconds=round(time.monotonic() - began)
            )
            print(f"\r{text}", end="", file=sys.stderr, flush=True)

    showing = threading.Thread(target=show, daemon=True)
    showing.start()
    try:
        yield
    finally:
        ended.set()
        showing.join()
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _as_printed(final: FinalResult) -> str:
    cause = final.text if final.code is None else str(final.code)
    return f"{final.word}: {cause}" if cause else final.word


def _print_json(command: str, answer: Any, final: FinalResult | None, words: str | None) -> None:
    document = {
        "command": command,
        "port": answer["port"],
        "ok": final is not None and final.is_ok,
        "lines": answer["lines"],
        "final": None if final is None else final.word,
        "error_code": None if final is None else final.code,
        "error_text": words,
    }
    print(json.dumps(document, ensure_ascii=False))
