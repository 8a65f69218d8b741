"""A modem made of a transcript, on a real pseudo-terminal: strict, and able to misbehave.

It answers ERROR to every command that the transcript does not hold (a bare AT excepted), so that a
mistyped command cannot pass unseen, and it records what it heard.
"""

import os
import pty
import random
import select
import threading
import tty
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from agent.errors import UsageMistake
from agent.language import _
from agent.modem.transcript import Answer, Transcript, command_key, frame

HEARD_COMMANDS = 2000
"""The last so many commands are recorded."""

_TICK_S = 0.02
_MAX_COMMAND_BYTES = 1024
ESCAPE = b"\x1b"
_REFUSED = Answer((frame("ERROR"),))
_ALIVE = Answer((frame("OK"),))
_FLOOD = b"\xa5~garbage without an end " * 32


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How a simulated modem behaves; the defaults are a healthy one.

    echo: commands come back. bytewise: each byte is written on its own. byte_delay_s, line_delay_s:
    pauses before each byte or line. notices: unsolicited lines, each put between two lines with
    notice_chance. lose_line_chance: part of the answer lines that get lost. seed: makes chances repeat.
    garbage_at_open: sent when a program opens the port. hang_after: commands answered before it falls
    silent. flood_after: commands answered before it babbles without an end. unplug_after: commands
    answered before it vanishes in the middle of the next answer.
    """

    echo: bool = False
    bytewise: bool = False
    byte_delay_s: float = 0.0
    line_delay_s: float = 0.0
    notices: tuple[str, ...] = ()
    notice_chance: float = 0.3
    lose_line_chance: float = 0.0
    seed: int = 0
    garbage_at_open: bytes = b""
    hang_after: int | None = None
    flood_after: int | None = None
    unplug_after: int | None = None


class SimulatedModem:
    """Serves a transcript as long as the `with` block lasts.

    path: what to open; the link when one is given. heard: the last commands, as typed.
    """

    def __init__(
        self, transcript: Transcript, behaviour: Behaviour = Behaviour(), link: Path | None = None
    ) -> None:
        self._transcript = transcript
        self._behaviour = behaviour
        self._link = link
        self._random = random.Random(behaviour.seed)  # noqa: S311 -- chances that repeat are the point
        self._turns: dict[str, int] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._master = -1
        self._device = ""
        self._answered = 0
        self.heard: deque[str] = deque(maxlen=HEARD_COMMANDS)

    @property
    def path(self) -> Path:
        """Return the port to open."""
        return self._link or Path(self._device)

    @property
    def is_plugged_in(self) -> bool:
        """Return True while it serves; False after `unplug`, or when it vanished as its behaviour wants."""
        return self._thread is not None and self._thread.is_alive()

    def __enter__(self) -> Self:
        """Plug the modem in."""
        self.plug_in(self._link)
        return self

    def __exit__(self, *_exception: object) -> None:
        """Unplug it and take the link away."""
        self.unplug()

    def plug_in(self, link: Path | None = None) -> None:
        """Appear, after `unplug` under another device name, and with `link` pointing at it.

        Raises UsageMistake when something other than a link is already there.
        """
        if link is not None and os.path.lexists(link) and not link.is_symlink():
            raise UsageMistake(
                _("{link} exists already and is no link").format(link=link),
                _("choose another name for the port"),
            )
        self._master, slave = pty.openpty()
        self._device = os.ttyname(slave)
        tty.setraw(slave)
        os.close(slave)  # or the modem would look like a second program that holds the port
        os.set_blocking(self._master, False)
        self._link = link
        if link is not None:
            _point(link, self._device)
        self._stop.clear()
        self._thread = threading.Thread(target=self._serve, name="simulated-modem", daemon=True)
        self._thread.start()

    def unplug(self) -> None:
        """Vanish at once, in the middle of an answer too."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._link is not None and self._link.is_symlink():
            self._link.unlink()

    def notify(self, line: str) -> None:
        """Send an unsolicited line now."""
        self._send(frame(line))

    def _serve(self) -> None:
        """Answer until unplugged; closing the master side is what makes the port vanish."""
        events = select.poll()
        events.register(self._master, select.POLLIN)
        typed = b""
        is_open = False
        while not self._stop.is_set():
            flags = next((flags for _fd, flags in events.poll(_TICK_S * 1000)), 0)
            if flags & select.POLLHUP:  # no program has the port open
                is_open, typed = False, b""
                self._stop.wait(_TICK_S)
                continue
            if not is_open:
                is_open = True
                self._send(self._behaviour.garbage_at_open)
            if flags & select.POLLIN:
                typed = self._hear(typed + self._receive())
        os.close(self._master)

    def _receive(self) -> bytes:
        try:
            return os.read(self._master, _MAX_COMMAND_BYTES)
        except OSError:  # closed by the program in this instant
            return b""

    def _hear(self, typed: bytes) -> bytes:
        """Answer the whole commands in `typed` and return the rest; ESC ends what is being typed."""
        _dropped, escape, after = typed.rpartition(ESCAPE)
        if escape:
            self._send(frame("OK"))
            typed = after
        *commands, rest = typed.replace(b"\n", b"\r").split(b"\r")
        for command in commands:
            text = command.decode("ascii", "replace").strip()
            if text and not self._stop.is_set():
                self._answer(text)
        return rest[-_MAX_COMMAND_BYTES:]

    def _answer(self, command: str) -> None:
        behaviour = self._behaviour
        answered = self._answered
        self._answered += 1
        self.heard.append(command)
        if behaviour.hang_after is not None and answered >= behaviour.hang_after:
            return
        while behaviour.flood_after is not None and answered >= behaviour.flood_after:
            if self._stop.is_set():
                return
            self._send(_FLOOD)
        answer = self._next_answer(command)
        if behaviour.echo:
            self._send(command.encode() + b"\r")
        for piece in answer.pieces:
            if behaviour.unplug_after is not None and answered >= behaviour.unplug_after:
                self._send(piece[: len(piece) // 2])
                self._stop.set()
                return
            self._send_line(piece)
        for piece in answer.unsolicited:
            self._send(piece)

    def _next_answer(self, command: str) -> Answer:
        key = command_key(command)
        turns = self._transcript.answers.get(key)
        if turns is None:
            return _ALIVE if key == "AT" else _REFUSED
        turn = self._turns.get(key, 0)
        self._turns[key] = turn + 1
        return turns[turn % len(turns)]

    def _send_line(self, piece: bytes) -> None:
        behaviour = self._behaviour
        self._stop.wait(behaviour.line_delay_s)
        if behaviour.notices and self._random.random() < behaviour.notice_chance:
            self._send(frame(self._random.choice(behaviour.notices)))
        if self._random.random() >= behaviour.lose_line_chance:
            self._send(piece)

    def _send(self, sent: bytes) -> None:
        if not self._behaviour.bytewise:
            self._write(sent)
            return
        for code in sent:
            self._write(bytes((code,)))
            self._stop.wait(self._behaviour.byte_delay_s)

    def _write(self, sent: bytes) -> None:
        while sent and not self._stop.is_set():
            try:
                sent = sent[os.write(self._master, sent) :]
            except BlockingIOError:  # nobody reads at the moment
                self._stop.wait(_TICK_S)
            except OSError:  # nobody has the port open
                return


def serve(
    transcript: Transcript, behaviour: Behaviour, link: Path, stop: threading.Event | None = None
) -> None:
    """Serve a transcript at `link` until `stop` is set, or until interrupted.

    Raises UsageMistake when something other than a link is already there.
    """
    with SimulatedModem(transcript, behaviour, link):
        (stop or threading.Event()).wait()


def _point(link: Path, device: str) -> None:
    """Make `link` point at the device in one step."""
    beside = link.with_name(link.name + ".new")
    beside.unlink(missing_ok=True)
    beside.symlink_to(device)
    beside.replace(link)
