"""What the agent remembers of modems and SIM cards over a restart.

Commands that a model with a firmware refused, so that they are not asked again, and which PIN was
already tried on which card, so that a wrong one is not tried at every boot until the card is blocked.
The file is written only when something new was learned (flash), whole or not at all.
"""

import hashlib
import json
import logging
import os
from pathlib import Path

from agent.language import _

log = logging.getLogger("sinyal.modem")

MEMORY_NAME = "modem.json"
"""Its name in the folder paths.state."""

MAX_MODEMS = 16
"""Models with a firmware that are remembered; the oldest goes first."""

MAX_TRIED_PINS = 32
_MAX_FILE_BYTES = 64 * 1024


class ModemMemory:
    """The remembered facts. file None keeps them only as long as the process lives."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._refused: dict[str, list[str]] = {}
        self._tried_pins: list[str] = []
        self._is_saved = True
        self._is_damaged = False
        self._is_writable = True
        if file is not None:
            self._load(file)

    def is_refused(self, modem: str, command: str) -> bool:
        """Return True when this model and firmware is known to refuse the command."""
        return command in self._refused.get(modem, ())

    def remember_refusal(self, modem: str, command: str) -> None:
        """Remember a refused command; `save` writes it."""
        if self.is_refused(modem, command):
            return
        self._refused.setdefault(modem, []).append(command)
        while len(self._refused) > MAX_MODEMS:
            self._refused.pop(next(iter(self._refused)))
        self._is_saved = False

    def may_try_pin(self, card: str, pin: str) -> bool:
        """Return True when this PIN was not yet tried on this card, and that can be remembered."""
        return (
            self._file is not None and not self._is_damaged and _pin_mark(card, pin) not in self._tried_pins
        )

    def remember_pin(self, card: str, pin: str) -> bool:
        """Write down that the PIN is tried now; return False, and it must not be, when that fails."""
        self._tried_pins = [*self._tried_pins, _pin_mark(card, pin)][-MAX_TRIED_PINS:]
        self._is_saved = False
        return self.save()

    def forget_pin(self, card: str, pin: str) -> None:
        """Note that the PIN was right, so that it may be entered again after the next restart."""
        mark = _pin_mark(card, pin)
        self._tried_pins = [tried for tried in self._tried_pins if tried != mark]
        self._is_saved = False
        self.save()

    def save(self) -> bool:
        """Write what is new, atomically and down to the disk; return whether nothing is left unwritten."""
        if self._is_saved or self._file is None:
            return True
        text = json.dumps({"refused": self._refused, "tried_pins": self._tried_pins}, indent=1)
        beside = self._file.with_name(self._file.name + ".new")
        try:
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as out:
                out.write(text)
                out.flush()
                os.fsync(out.fileno())
            beside.replace(self._file)
            _sync_folder(self._file.parent)
        except OSError as fault:
            if self._is_writable:
                log.warning(
                    _("the modem memory {file} cannot be written: {reason}").format(
                        file=self._file, reason=fault.strerror
                    )
                )
            self._is_writable = False
            return False
        self._is_saved = self._is_writable = True
        return True

    def _load(self, file: Path) -> None:
        try:
            with file.open("rb") as opened:
                document = json.loads(opened.read(_MAX_FILE_BYTES))
            refused = {str(modem): [str(one) for one in all_] for modem, all_ in document["refused"].items()}
            tried_pins = [str(mark) for mark in document["tried_pins"]]
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            # Which PIN was tried is no longer known: in this run none is tried.
            self._is_damaged = True
            log.warning(_("the modem memory {file} is damaged; it starts anew").format(file=file))
            return
        self._refused = refused
        self._tried_pins = tried_pins


def _pin_mark(card: str, pin: str) -> str:
    """Return what stands in the file for a PIN on a card.

    It hides the PIN from a casual look only: four digits are soon guessed. The file is 0600.
    """
    return hashlib.sha256(f"{card}:{pin}".encode()).hexdigest()[:32]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
