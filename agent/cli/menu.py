"""`sinyal menu`: a short numbered list for those who remember no command; runs one and comes back."""

import argparse
from typing import NamedTuple

from agent import screen
from agent.cli import main
from agent.language import N_, _, current_language


class Choice(NamedTuple):
    """A line of the menu: what a person wants, and what is run for it."""

    wish: str
    words: tuple[str, ...]


CHOICES = (
    Choice(N_("How is this gateway doing?"), ("status",)),
    Choice(N_("What is broken, and what to do next"), ("doctor",)),
    Choice(N_("Aim the antenna"), ("aim",)),
    Choice(N_("Read modem, SIM card and signal"), ("modem", "read")),
    Choice(N_("Find the port of the modem"), ("modem", "find")),
    Choice(N_("What failed, when and why"), ("outages",)),
    Choice(N_("Send to the centre what waits"), ("send",)),
    Choice(N_("How much data was used"), ("budget",)),
    Choice(N_("Is the configuration right?"), ("config", "check")),
    Choice(N_("Make a help file for the technician"), ("support-bundle",)),
)
"""Those whose command this release does not have are left out."""

END = "0"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add nothing: who comes here remembers no options."""


def run(args: argparse.Namespace) -> int:
    """Ask for a number and run its command, until 0 or the end of the input; return 0."""
    options = ["--lang", current_language()]
    if args.configuration.named is not None:
        options += ["--config", str(args.configuration.named)]
    known = {command.name for command in main.COMMANDS}
    choices = [choice for choice in CHOICES if choice.words[0] in known]
    while True:
        _show(choices)
        typed = _asked(_("Number:") + " ")
        if typed is None or typed.strip() == END:
            return 0
        if not (typed.strip().isascii() and typed.strip().isdigit() and 1 <= int(typed) <= len(choices)):
            print(_("Type a number from 0 to {last}, then Enter.").format(last=len(choices)))
            continue
        main.main([*choices[int(typed) - 1].words, *options])
        if _asked(_("Enter: back to the menu") + " ") is None:
            return 0


def _show(choices: list[Choice]) -> None:
    print()
    columns = screen.columns()
    for number, choice in enumerate(choices, 1):
        if columns < screen.NARROW_COLUMNS:
            print(screen.broken(f"{number:>2} {_(choice.wish)}", columns))
        else:
            print(f"{number:>3}  {_(choice.wish):<44}sinyal {' '.join(choice.words)}")
    print(f"{END:>3}  {_('End')}")


def _asked(question: str) -> str | None:
    """Return what was typed, None at the end of the input."""
    try:
        return input(question)
    except EOFError:
        print()
        return None
