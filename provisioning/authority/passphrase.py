"""The passphrase of the authority's key: from a prompt or a private file, never from the command line."""

import os
import stat
import sys
from getpass import getpass
from pathlib import Path

from agent.errors import NoPermission, SinyalError, UsageMistake
from agent.language import _

SHORTEST_CHARS = 12
MAX_BYTES = 1024


class PassphraseWrong(SinyalError):
    """The passphrase does not open the key of the authority."""


def passphrase(file: Path | None, *, twice: bool = False) -> bytes:
    """Return the passphrase that `file` holds in its first line, or that a person types unseen.

    twice: it is a new one, asked twice and refused when it is too short. Raises UsageMistake, and
    NoPermission for a file that other users can read.
    """
    typed = _from_file(file) if file is not None else _typed(twice=twice)
    if twice and len(typed) < SHORTEST_CHARS:
        raise UsageMistake(
            _("the passphrase is shorter than {n} characters").format(n=SHORTEST_CHARS),
            _("take five words that belong to nothing, and keep them apart from the folder"),
        )
    if not typed:
        raise UsageMistake(
            _("the passphrase of the authority is empty"), _("type it, or name --passphrase-file")
        )
    return typed.encode()


def _from_file(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            found = os.fstat(opened.fileno())
            content = opened.read(MAX_BYTES)
    except OSError as error:
        raise UsageMistake(
            _("--passphrase-file {file}: {reason}").format(file=file, reason=error.strerror),
            _("name a file that holds the passphrase in one line"),
        ) from None
    if stat.S_ISREG(found.st_mode) and found.st_mode & 0o077:
        raise NoPermission(
            _("--passphrase-file {file} can be read by other users").format(file=file), f"chmod 600 {file}"
        )
    try:
        return content.decode().partition("\n")[0].rstrip("\r")
    except UnicodeDecodeError:
        raise UsageMistake(
            _("--passphrase-file {file} is no text").format(file=file),
            _("name a file that holds the passphrase in one line"),
        ) from None


def _typed(*, twice: bool) -> str:
    if not sys.stdin.isatty():
        raise UsageMistake(
            _("the passphrase of the authority is needed, and there is no terminal to type it"),
            _("name --passphrase-file"),
        )
    try:
        first = getpass(
            _("New passphrase of the authority: ") if twice else _("Passphrase of the authority: ")
        )
        if twice and getpass(_("The same again: ")) != first:
            raise UsageMistake(_("the two passphrases differ"), _("repeat the command"))
    except EOFError:
        raise UsageMistake(_("no passphrase was typed"), _("repeat the command")) from None
    return first
