"""The command `sinyal-provision`: finds the command and the language, and ends every failure well."""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from agent import __version__, language, screen
from agent.cli.main import HelpFormatter, Parser
from agent.errors import SinyalError, UsageMistake
from agent.language import N_, _

PROGRAM = "sinyal-provision"


class Command(NamedTuple):
    """One command: its module in `provisioning.cli` has add_arguments(parser) and run(args) -> exit code."""

    name: str
    summary: str
    example: str


COMMANDS = (
    Command("inventory", N_("check, show or import the list of sites"), "inventory check sites.csv"),
    Command("ca", N_("the certificate authority: make, sign, withdraw, renew"), "ca sign gw-1.csr --ca ca"),
    Command("enrol", N_("one-time tokens, and the endpoint that takes requests"), "enrol token gw-1 --ca ca"),
    Command("broker", N_("write the broker's set-up; probe a broker"), "broker check broker.example --ca ca"),
    Command(
        "gateway", N_("make the bundle of one gateway, check it, or retire it"), "gateway new gw-1 --ca ca"
    ),
    Command("batch", N_("bundles for many sites, with a report that goes on"), "batch sites.csv --ca ca"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code (contract, section 1)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    language.use_catalogue(Path(__file__).parents[1] / "locale", "provisioning")
    try:
        _choose_language(arguments)
        args = _parse(arguments)
        code = int(importlib.import_module(f"provisioning.cli.{args.command}").run(args))
        sys.stdout.flush()
    except SinyalError as error:
        print(screen.failure_line(error, PROGRAM), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except ImportError as error:
        return _say_missing(error)
    except Exception as error:  # noqa: BLE001 -- the last edge: no traceback ever reaches a provisioner
        return _say_unexpected(error, arguments)
    return code


def _choose_language(arguments: Sequence[str]) -> None:
    wanted = _lang_option(arguments) or os.environ.get("SINYAL_LANG") or language.DEFAULT_LANGUAGE
    language.use_language(language.DEFAULT_LANGUAGE)
    if wanted not in language.LANGUAGES:
        raise UsageMistake(
            _("the language {wanted!r} is not known").format(wanted=wanted),
            _("choose --lang id or --lang en"),
        )
    language.use_language(wanted)
    # argparse looks its own words ("usage:", "show this help …") up in these module globals.
    vars(argparse)["_"] = language._
    vars(argparse)["ngettext"] = language.ngettext


def _lang_option(arguments: Sequence[str]) -> str | None:
    value = None
    for at, argument in enumerate(arguments):
        if argument == "--lang" and at + 1 < len(arguments):
            value = arguments[at + 1]
        elif argument.startswith("--lang="):
            value = argument.partition("=")[2]
    return value


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    common = Parser(add_help=False, argument_default=argparse.SUPPRESS, formatter_class=HelpFormatter)
    common.add_argument("--lang", choices=language.LANGUAGES, help=_("language of the screen"))
    common.add_argument("--debug", action="store_true", help=argparse.SUPPRESS)
    parser = Parser(
        prog=PROGRAM,
        parents=[common],
        description=_("From a blank box to an accepted gateway. Runs on the operator's machine."),
        epilog=_("Each command has its own help: sinyal-provision ca --help"),
        formatter_class=HelpFormatter,
    )
    parser.add_argument(
        "--version",
        action="version",
        version=f"{PROGRAM} {__version__}",
        help=_("show program's version number and exit"),
    )
    commands = parser.add_subparsers(metavar=_("COMMAND"), required=True, dest="command", parser_class=Parser)
    for command in COMMANDS:
        sub = commands.add_parser(
            command.name,
            parents=[common],
            help=_(command.summary),
            description=screen.as_sentence(_(command.summary)),
            epilog=_("example: {example}").format(example=f"{PROGRAM} {command.example}"),
            formatter_class=HelpFormatter,
        )
        if command.name in arguments:
            importlib.import_module(f"provisioning.cli.{command.name}").add_arguments(sub)
    return parser.parse_args(arguments)


def _say_missing(error: ImportError) -> int:
    what = _("the Python library {name} is missing").format(name=error.name or error)
    step = "pip install 'sinyal-desa[provisioning]'"
    print(screen.failure_line(SinyalError(what, step), PROGRAM), file=sys.stderr)
    return 1


def _say_unexpected(error: Exception, arguments: Sequence[str]) -> int:
    if "--debug" in arguments:
        import traceback

        traceback.print_exc()
    what = _("unexpected fault in Sinyal: {name}: {error}").format(name=type(error).__name__, error=error)
    step = _("send this line to the maintainers; --debug shows more")
    print(screen.failure_line(SinyalError(what, step), PROGRAM), file=sys.stderr)
    return 1
