"""What the commands share: actions with their own help, and the options that name sites and authority."""

import argparse
import ipaddress
import json
import sys
from collections.abc import Callable
from pathlib import Path

from agent import screen
from agent.cli.main import HelpFormatter
from agent.config.keys import RULES
from agent.language import _

AddAction = Callable[[str, str, str], argparse.ArgumentParser]
"""Takes name, summary and example of an action; returns the parser for its arguments."""


def actions_of(parser: argparse.ArgumentParser) -> AddAction:
    """Let a command have actions; each takes the options that `parser` has so far, too."""
    options = argparse.ArgumentParser(add_help=False, parents=[parser])
    actions = parser.add_subparsers(dest="action", required=True, metavar=_("ACTION"))

    def add(name: str, summary: str, example: str) -> argparse.ArgumentParser:
        return actions.add_parser(
            name,
            parents=[options],
            add_help=False,
            help=summary,
            description=screen.as_sentence(summary),
            epilog=_("example: {example}").format(example=f"{parser.prog} {example}"),
            formatter_class=HelpFormatter,
        )

    return add


def add_authority(parser: argparse.ArgumentParser) -> None:
    """Add --ca and --passphrase-file."""
    parser.add_argument(
        "--ca", type=Path, default=Path("ca"), metavar=_("FOLDER"), help=_("folder of the authority (ca)")
    )
    parser.add_argument(
        "--passphrase-file",
        type=Path,
        metavar=_("FILE"),
        help=_("private file with the authority's passphrase; else it is asked"),
    )


def add_sites(parser: argparse.ArgumentParser) -> None:
    """Add --sites and --register."""
    parser.add_argument(
        "--sites",
        type=Path,
        default=Path("sites.csv"),
        metavar=_("FILE"),
        help=_("the list of sites (sites.csv)"),
    )
    add_register(parser)


def add_register(parser: argparse.ArgumentParser) -> None:
    """Add --register."""
    parser.add_argument(
        "--register",
        type=Path,
        action="append",
        default=[],
        metavar=_("FILE"),
        help=_("register of villages of another province or edition, beside the shipped one of Jambi"),
    )


def host(text: str) -> str:
    """Return a host name or address for argparse, or refuse it with what is allowed."""
    try:
        RULES["broker"]["host"].accept(text)
    except ValueError:
        raise argparse.ArgumentTypeError(RULES["broker"]["host"].allowed()) from None
    if not text or not text.isascii() or (":" in text and not _is_address(text)):
        raise argparse.ArgumentTypeError(RULES["broker"]["host"].allowed())
    return text


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add --json."""
    parser.add_argument("--json", action="store_true", help=_("one JSON document on stdout"))


def say(line: str) -> None:
    """Print one line; on a terminal it is broken between words."""
    print(screen.note(line, 1))


def note(line: str) -> None:
    """Print one line on stderr, as `say` does."""
    print(screen.note(line), file=sys.stderr)


def print_json(document: object) -> None:
    """Print one JSON document."""
    print(json.dumps(document, ensure_ascii=False))
