"""Asking the modem: one command, one reply, everything bounded, always in step.

An answer that comes late would be taken for the answer to the next command. So after a command
without a final result the line is drained and brought in step again with a bare AT. A line that had begun
before a command was sent is no answer to it, and nothing is below the beginning of a message or USSD text:
then the question is asked again.
"""

import time
from collections.abc import Callable, Mapping
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
from agent.modem.subscriber_text import begins_text

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

CALL_GRACE_S = 2.0
"""The end of a call comes unasked, too: this much longer the command's own final result is waited for."""

MAX_PACE_S = 3.0
"""A modem that takes up to this long to say OK is given twice as long between the lines of an answer."""

MAX_ASKS = 3
"""So often a question is asked into whose answer a message or USSD text came."""

ESCAPE = b"\x1b"
_PROMPT = ">"

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

    ends_at bounds everything that is asked, in seconds of time.monotonic(). in_doubt is called when an
    answer is missing, before the modem is blamed; it may raise a better reason.
    """

    def __init__(self, port: Port, in_doubt: Callable[[], None] = lambda: None) -> None:
        self._port = port
        self._in_doubt = in_doubt
        self._splitter = LineSplitter()
        self._in_step = False
        self._has_begun_line = False
        self._is_in_text = False
        self._started_at = time.monotonic()
        self._has_restarted = False
        self._heard = b""
        self._pace_s = 0.0
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
        A reply with final None came without an end in time, or a message kept coming into it. Raises
        ModemSilent when the modem then does not answer a bare AT either, PortLost, and UsageMistake for a
        command that is not one printable line.
        """
        check_command(command)
        for _ask in range(MAX_ASKS):
            reply = self._ask_once(command, prefixes, deadline_s, late_s)
            if not self._is_in_text or not prefixes:
                return reply
            if time.monotonic() + SYNC_WAIT_S >= self.ends_at:
                break
        return Reply(command, reply.lines, None)

    def _ask_once(self, command: str, prefixes: tuple[str, ...], deadline_s: float, late_s: float) -> Reply:
        self._read_notices(0.0)
        if not self._in_step or self._is_in_text:
            self.synchronise()
            self._read_notices(0.0)
        self._write(command.encode("ascii") + b"\r")
        ends_at = min(time.monotonic() + deadline_s, self.ends_at)
        reply = self._read_reply(command, prefixes, ends_at, late_s)
        if self._is_in_text:
            self._in_step = False
        if reply.final is None:
            self._in_step = False
            self._in_doubt()
            self.synchronise()
        elif reply.final.is_ok and prefixes and not any(is_answer(line, prefixes) for line in reply.lines):
            self._in_doubt()
        return reply

    def synchronise(self) -> bool:
        """Throw away what is under way and make sure the modem answers; return whether it took a bare AT.

        Raises PortLost, and ModemSilent that tells what came instead of an answer.
        """
        has_answered = False
        self._heard = b""
        began = time.monotonic()
        for earlier in range(SYNC_TRIES):
            self._read_notices(_DRAIN_QUIET_S)
            self._is_in_text = False
            if time.monotonic() >= self.ends_at:
                break
            self._write(b"AT\r")
            ends_at = min(time.monotonic() + SYNC_WAIT_S, self.ends_at)
            reply = self._read_reply("AT", (), ends_at, LATE_GRACE_S)
            if reply.final is not None and reply.final.is_ok and not self._is_in_text:
                # An OK may have been the late end of an earlier command: let the other one pass.
                self._read_notices(_DRAIN_QUIET_S)
                self._pace_s = min(MAX_PACE_S, time.monotonic() - began - _DRAIN_QUIET_S)
                self._let_pass(earlier, self._pace_s)
                self._in_step = True
                return True
            # Once it may be the late end of an earlier command; again and again it is the answer to AT.
            has_answered = reply.final is not None
        if not has_answered:
            self._in_doubt()
            raise no_answer(sound_of(self._heard))
        self._in_step = True
        return False

    def _let_pass(self, count: int, patience_s: float) -> None:
        """Read the answers to so many AT that a slow modem still owes, each for as long as one has taken."""
        for _answer in range(count):
            self._read_reply("AT", (), min(time.monotonic() + patience_s, self.ends_at), LATE_GRACE_S)

    def take_restart(self) -> bool:
        """Return True once after the modem told that it has restarted: its settings are gone."""
        has_restarted, self._has_restarted = self._has_restarted, False
        return has_restarted

    def _write(self, sent: bytes) -> None:
        """Send bytes; a line that has begun by now does not belong to the answer."""
        self._has_begun_line = bool(self._splitter.unfinished)
        self._port.write(sent)

    def _read_reply(self, command: str, prefixes: tuple[str, ...], ends_at: float, late_s: float) -> Reply:
        draft = _Draft(command, prefixes, max(late_s, 2 * self._pace_s))
        quiet_s = max(ANSWERED_QUIET_S, 2 * self._pace_s)
        received = 0
        heard_at = time.monotonic()
        while received < MAX_REPLY_BYTES:
            now = time.monotonic()
            until = min(ends_at, draft.ends_at, heard_at + quiet_s if draft.is_answered else ends_at)
            if now >= until:
                break
            chunk = self._receive(until - now)
            if not chunk:
                continue
            received += len(chunk)
            heard_at = time.monotonic()
            for line in self._lines_of(chunk, command):
                draft.take(line, heard_at)
            if draft.final is not None:
                break
            if not prefixes and not draft.wanted_text and self._splitter.unfinished == _PROMPT:
                # Nothing is ever typed there: the modem must not wait for a message's text.
                draft.wanted_text = True
                self._splitter.forget()
                self._port.write(ESCAPE)
        return draft.reply()

    def _lines_of(self, chunk: bytes, command: str) -> list[str]:
        """Return the lines that can belong to the answer; all of them are looked at for what they tell."""
        lines = []
        for line in self._splitter.feed(chunk):
            had_begun, self._has_begun_line = self._has_begun_line, False
            self._note(line, command)
            is_end = read_final_result(line) is not None
            if not had_begun and (is_end or not self._is_in_text):
                lines.append(line)
        return lines

    def _read_notices(self, quiet_s: float) -> None:
        """Read what is there, until nothing comes for quiet_s; it only matters if it tells of something."""
        gives_up_at = time.monotonic() + _DRAIN_LIMIT_S
        received = 0
        while received < MAX_REPLY_BYTES and time.monotonic() < gives_up_at:
            chunk = self._receive(quiet_s)
            if not chunk:
                return
            received += len(chunk)
            for line in self._splitter.feed(chunk):
                self._note(line)

    def _receive(self, timeout_s: float) -> bytes:
        chunk = self._port.read(timeout_s)
        self._heard = (self._heard + chunk)[-_REMEMBERED_BYTES:]
        return chunk

    def _note(self, line: str, command: str = "") -> None:
        if begins_text(line, command):
            self._is_in_text = True
        now = time.monotonic()
        if tells_of_boot(line) or (tells_of_start_up(line) and now - self._started_at > START_UP_S):
            self._started_at = now
            self._has_restarted = True


class _Draft:
    """A reply that is coming in.

    grace_s: how long an OK without the answer is not believed. ends_at: when what is not believed counts.
    """

    def __init__(self, command: str, prefixes: tuple[str, ...], grace_s: float) -> None:
        self._grace_s = grace_s
        self._command = command
        self._prefixes = prefixes
        self._lines: list[str] = []
        self._held_back: FinalResult | None = None
        self.final: FinalResult | None = None
        self.is_answered = False
        self.wanted_text = False
        self.ends_at = float("inf")

    def take(self, line: str, heard_at: float) -> None:
        """Add a line; what comes after the final result is left out."""
        if self.final is not None:
            return
        final = read_final_result(line)
        if final is None:
            if line.upper() != self._command.upper():
                self._lines.append(line)
                self.is_answered = self.is_answered or is_answer(line, self._prefixes)
        elif final.is_of_a_call:
            self._hold_back(final, heard_at + CALL_GRACE_S)
        elif final.is_ok and self._prefixes and not self.is_answered:
            self._hold_back(final, heard_at + self._grace_s)
        else:
            self.final = final

    def _hold_back(self, final: FinalResult, ends_at: float) -> None:
        if self._held_back is None or self._held_back.is_of_a_call:
            self._held_back = final
        self.ends_at = min(self.ends_at, ends_at)

    def reply(self) -> Reply:
        """Return what came."""
        final = self._held_back if self.final is None else self.final
        return Reply(self._command, tuple(self._lines), final, self.wanted_text)


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
