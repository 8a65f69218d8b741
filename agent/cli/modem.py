"""`sinyal modem find|read|at|record|simulate`: only the module of the action that was typed is imported."""

import argparse
import importlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from agent import screen
from agent.cli.main import HelpFormatter, Parser
from agent.language import N_, _


class Action(NamedTuple):
    """One action: its module in `agent.cli` has add_arguments(parser) and run(args) -> exit code."""

    name: str
    module: str
    summary: str
    example: str


ACTIONS = (
    Action("find", "modem_find", N_("list the ports of modems and what each is"), "sinyal modem find"),
    Action("read", "modem_read", N_("one reading: modem, SIM, network, signal"), "sinyal modem read --cells"),
    Action("at", "modem_at", N_("one AT command and its answer"), "sinyal modem at AT+CSQ"),
    Action(
        "record", "modem_record", N_("record a modem session, subscriber numbers masked"),
        "sinyal modem record my-modem.txt",
    ),
    Action(
        "simulate", "modem_simulate", N_("play a recorded modem on a port of its own"),
        "sinyal modem simulate my-modem.txt",
    ),
)  # fmt: skip


class _ActionParser(Parser):
    """Gets the arguments of its action when it is the one that was typed."""

    module = ""

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """Let the action's module add its arguments, then parse."""
        if self.module:
            importlib.import_module(f"agent.cli.{self.module}").add_arguments(self)
            self.module = ""
            known, unknown = super().parse_known_args(args, namespace)
            if unknown:  # said here, or the next step would be the help of all commands
                self.error(_("unrecognized arguments: %s") % " ".join(unknown))
            return known, unknown
        return super().parse_known_args(args, namespace)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the actions; each takes the options that `parser` has so far, too."""
    options = _ActionParser(add_help=False, parents=[parser])
    names = "|".join(action.name for action in ACTIONS)
    actions = parser.add_subparsers(dest="action", required=True, metavar=names, parser_class=_ActionParser)
    for action in ACTIONS:
        summary = _(action.summary)
        sub = actions.add_parser(
            action.name,
            parents=[options],
            add_help=False,
            help=summary,
            description=screen.as_sentence(summary),
            epilog=_("example: {example}").format(example=action.example),
            formatter_class=HelpFormatter,
        )
        sub.module = action.module


def run(args: argparse.Namespace) -> int:
    """Do what `args.action` names; return the exit code."""
    module = next(action.module for action in ACTIONS if action.name == args.action)
    return int(importlib.import_module(f"agent.cli.{module}").run(args))
