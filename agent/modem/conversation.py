"""Asking the modem: one command, one reply, everything bounded, always in step.

An answer that comes late would be taken for the answer to the next command. So after a command
without a final result the line is drained and brought in step again with a bare AT.
"""

import time
from collections.abc import Mapping
from typing import Protocol

from agent.errors import ModemUnavailable, UsageMistake
from agent.language import N_, _
from agent.modem.at_reply import (
    FinalResult,
    LineSplitter,
    Reply,
    is_answer,
    read_final_result,
    tells_of_boot,
    tells_of_start_up,
)
from agent.modem.no_answer import Sound, sound_of

MAX_REPLY_BYTES = 32 * 1024
"""More than any answer; a modem that babbles on is cut off here."""

MAX_COMMAND_CHARACTERS = 512
DEFAULT_DEADLINE_S = 3.0

SYNC_TRIES = 3
SYNC_WAIT_S = 1.0
_DRAIN_QUIET_S = 0.1
_DRAIN_LIMIT_S = 0.5

_REMEMBERED_BYTES = 2048
"""So much of what came last is kept, to tell what a port without answers is."""

ANSWERED_QUIET_S = 1.0
"""Silence after a whole answer line that counts as its end: a Wavecom ends +CPIN? without any OK."""

LATE_GRACE_S = 0.3
"""A final result without the answer asked for may belong to an earlier command: wait this much more."""

START_UP_S = 60.0
"""Notices that end a start come within this time after it, and tell of no second one."""


class ModemSilent(ModemUnavailable):
    """The modem does not answer, or babbles without an end."""


def no_answer(sound: Sound) -> ModemSilent:
    """Return the error for a port that says this instead of answering."""
    what, next_step = _INSTEAD_OF_ANSWERS[sound]
    return ModemSilent(_(what), _(next_step))


_INSTEAD_OF_ANSWERS: Mapping[Sound, tuple[str, str]] = {
    "nothing": (
        N_("the modem does not answer"),
        N_("take the modem's power away for ten seconds, then look again"),
    ),
    "noise": (
        N_("noise without an end comes from the port, and no answer"),
        N_("take the modem's power away for ten seconds; if it goes on, try another port: sinyal modem find"),
    ),
    "gps": (
        N_("the port tells positions (GPS, NMEA) and takes no AT commands"),
        N_("use the modem's AT port; find it with: sinyal modem find"),
    ),
    "echo": (
        N_("the port only sends back what it is sent, as a loose cable or another program does"),
        N_("check the cable, or find the modem's AT port with: sinyal modem find"),
    ),
}


class Port(Protocol):
    """What a conversation needs of a port; both raise PortLost, `write` PortStuck too."""

    def read(self, timeout_s: float) -> bytes:
        """Return what has arrived, b"" when nothing came within timeout_s."""

    def write(self, command: bytes) -> None:
        """Send bytes."""


class Conversation:
    """Commands and replies on one open port.

    ends_at bounds everything that is asked, in seconds of time.monotonic().
    """

    def __init__(self, port: Port) -> None:
        self._port = port
        self._splitter = LineSplitter()
        self._in_step = False
        self._started_at = time.monotonic()
        self._has_restarted = False
        self._heard = b""
        self.ends_at = float("inf")

    def ask(
        self,
        command: str,
        *prefixes: str,
        deadline_s: float = DEFAULT_DEADLINE_S,
        late_s: float = LATE_GRACE_S,
    ) -> Reply:
        """Send a command and return its reply.

        prefixes: what the answer lines can begin with, "" for lines of any kind; none = no line is due.
        late_s: how long after an OK an answer that is due may still come.
        A reply with final None came without an end in time. Raises ModemSilent when the modem then
        does not answer a bare AT either, PortLost, and UsageMistake for a command that is not one
        printable line.
        """
        check_command(command)
        if not self._in_step:
            self.synchronise()
        self._read_notices(0.0)
        self._splitter.forget()
        self._port.write(command.encode("ascii") + b"\r")
        ends_at = min(time.monotonic() + deadline_s, self.ends_at)
        reply = self._read_reply(command, prefixes, ends_at, late_s)
        if reply.final is None:
            self._in_step = False
            self.synchronise()
        return reply

    def synchronise(self) -> bool:
        """Throw away what is under way and make sure the modem answers; return whether it took a bare AT.

        Raises PortLost, and ModemSilent that tells what came instead of an answer.
        """
        has_answered = False
        self._heard = b""
        for _try in range(SYNC_TRIES):
            self._read_notices(_DRAIN_QUIET_S)
            self._splitter.forget()
            if time.monotonic() >= self.ends_at:
                break
            self._port.write(b"AT\r")
            ends_at = min(time.monotonic() + SYNC_WAIT_S, self.ends_at)
            reply = self._read_reply("AT", (), ends_at, LATE_GRACE_S)
            if reply.final is not None and reply.final.is_ok:
                # An OK may have been the late end of an earlier command: let the other one pass.
                self._read_notices(_DRAIN_QUIET_S)
                self._in_step = True
                return True
            # Once it may be the late end of an earlier command; again and again it is the answer to AT.
            has_answered = reply.final is not None
        if not has_answered:
            raise no_answer(sound_of(self._heard))
        self._in_step = True
        return False

    def take_restart(self) -> bool:
        """Return True once after the modem told that it has restarted: its settings are gone."""
        has_restarted, self._has_restarted = self._has_restarted, False
        return has_restarted

    def _read_reply(self, command: str, prefixes: tuple[str, ...], ends_at: float, late_s: float) -> Reply:
        lines: list[str] = []
        held_back: FinalResult | None = None
        is_answered = False
        received = 0
        heard_at = time.monotonic()
        while received < MAX_REPLY_BYTES:
            now = time.monotonic()
            until = min(ends_at, heard_at + ANSWERED_QUIET_S) if is_answered else ends_at
            if now >= until:
                break
            chunk = self._receive(until - now)
            if not chunk:
                continue
            received += len(chunk)
            heard_at = time.monotonic()
            final: FinalResult | None = None
            for line in self._splitter.feed(chunk):
                self._note_restart(line)
                if final is not None:
                    continue
                final = read_final_result(line)
                if final is not None and final.is_ok and prefixes and not is_answered:
                    held_back, final = held_back or final, None
                    ends_at = min(ends_at, heard_at + late_s)
                elif final is None and line.upper() != command.upper():
                    lines.append(line)
                    is_answered = is_answered or is_answer(line, prefixes)
            if final is not None:
                return Reply(command, tuple(lines), final)
        return Reply(command, tuple(lines), held_back)

    def _read_notices(self, quiet_s: float) -> None:
        """Read what is there, until nothing comes for quiet_s; it only matters if it tells of a restart."""
        gives_up_at = time.monotonic() + _DRAIN_LIMIT_S
        received = 0
        while received < MAX_REPLY_BYTES and time.monotonic() < gives_up_at:
            chunk = self._receive(quiet_s)
            if not chunk:
                return
            received += len(chunk)
            for line in self._splitter.feed(chunk):
                self._note_restart(line)

    def _receive(self, timeout_s: float) -> bytes:
        chunk = self._port.read(timeout_s)
        self._heard = (self._heard + chunk)[-_REMEMBERED_BYTES:]
        return chunk

    def _note_restart(self, line: str) -> None:
        now = time.monotonic()
        if tells_of_boot(line) or (tells_of_start_up(line) and now - self._started_at > START_UP_S):
            self._started_at = now
            self._has_restarted = True


def check_command(command: str) -> None:
    """Raise UsageMistake for anything that could be read as a second command or as binary."""
    is_one_line = command.isascii() and command.isprintable()
    if not is_one_line or not 0 < len(command) <= MAX_COMMAND_CHARACTERS:
        raise UsageMistake(
            _("an AT command is one line of printable characters, at most {count}").format(
                count=MAX_COMMAND_CHARACTERS
            ),
            _("type it shorter, without line ends and accents"),
        )
