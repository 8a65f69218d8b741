"""Asking a person at a terminal: yes or no, or a word; questions stand on stderr, stdout is for results."""

import sys

from agent import screen
from agent.errors import UsageMistake
from agent.language import _

YES = {"y", "ya", "yes"}


def require_terminal(what: str) -> None:
    """Raise UsageMistake when nobody can be asked; what names the thing that needs a person."""
    if not sys.stdin.isatty():
        raise UsageMistake(
            _("{what} asks a person, and nobody can be asked here").format(what=what),
            _("type the command at a terminal"),
        )


def is_wanted(question: str) -> bool:
    """Return whether the answer was yes; everything else, the end of the input too, is no."""
    return typed(f"{question} {_('[y/N]')}").lower() in YES


def typed(question: str) -> str:
    """Return what was typed, "" at the end of the input."""
    print(f"{screen.broken(question, screen.columns(2) - 1)} ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()
