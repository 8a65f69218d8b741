"""All commands and their actions, as the parser knows them: for manual page, completions and tests."""

import argparse
import importlib
from collections.abc import Iterator
from typing import NamedTuple

from agent.cli.main import make_parser


class Typed(NamedTuple):
    """What a person can type: the words after `sinyal`, and the parser of what may follow.

    actions: the next word of a command that has actions of its own, () for one that can be run.
    """

    words: tuple[str, ...]
    parser: argparse.ArgumentParser
    actions: tuple[str, ...]

    def options(self) -> list[argparse.Action]:
        """Return the options that are shown in the help, without -h."""
        shown = [one for one in arguments_of(self.parser) if one.option_strings]
        return [one for one in shown if one.help != argparse.SUPPRESS and one.dest != "help"]

    def positionals(self) -> list[argparse.Action]:
        """Return what has no name, the next word of a command with actions left out."""
        return [one for one in arguments_of(self.parser) if not one.option_strings and not _is_next_word(one)]

    def has(self, option: str) -> bool:
        """Return whether it takes an option."""
        return any(option in one.option_strings for one in self.options())


def every_command() -> list[Typed]:
    """Return `sinyal` itself, then all commands and their actions, in the order of the help."""
    return list(_below((), make_parser(None)))


def arguments_of(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Return everything that a parser takes; argparse keeps it to itself."""
    found: list[argparse.Action] = vars(parser)["_actions"]
    return found


def _below(words: tuple[str, ...], parser: argparse.ArgumentParser) -> Iterator[Typed]:
    module = getattr(parser, "module", "")
    if module:  # an action whose arguments are added when it is typed
        importlib.import_module(f"agent.cli.{module}").add_arguments(parser)
        vars(parser)["module"] = ""
    below = next((one.choices for one in arguments_of(parser) if _is_next_word(one)), None)
    subparsers: dict[str, argparse.ArgumentParser] = dict(below) if isinstance(below, dict) else {}
    yield Typed(words, parser, tuple(subparsers))
    for name, sub in subparsers.items():
        yield from _below((*words, name), sub)


def _is_next_word(action: argparse.Action) -> bool:
    return not action.option_strings and isinstance(action.choices, dict)
