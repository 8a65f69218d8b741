"""Lines that fit the terminal on which they are shown, a phone's too: broken between words, never cut."""

import sys
import textwrap

from agent import screen


def wrapped(text: str, width: int, more_indent: str = "") -> list[str]:
    """Return a text in lines of at most `width`; lines behind the first begin with more_indent."""
    # A command that is broken at a hyphen cannot be copied.
    return textwrap.wrap(text, width, subsequent_indent=more_indent, break_on_hyphens=False) or [""]


def beside(label: str, label_columns: int, text: str, width: int) -> list[str]:
    """Return a label and its text beside it, further lines of the text below its first."""
    first, *rest = wrapped(text, width - label_columns)
    return [f"{label:<{label_columns}}{first}".rstrip(), *(" " * label_columns + line for line in rest)]


def say(text: str) -> None:
    """Print a text for the person on stderr, where progress and questions stand."""
    print(screen.broken(text, screen.columns(2)), file=sys.stderr)
