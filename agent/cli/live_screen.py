"""A terminal whose screen is drawn again and again, over a line of a kilobyte a second if need be.

Only the cells that changed are sent. However it ends, by Ctrl-C, a signal or a dropped line, the terminal is
left as it was found.
"""

import os
import select
import signal
import sys
import termios
import unicodedata
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Self

BEGIN = "\x1b[?1049h\x1b[?25l"  # a screen of its own, no cursor
END = "\x1b[?25h\x1b[?1049l"
CLEAR = "\x1b[2J"
CLEAR_LINE = "\x1b[K"
DELETE_CHARACTER = "\x1b[P"

SAME_AGAIN_CELLS = 6
"""So many unchanged cells between two changed ones cost less than to go there anew."""

SHIFT_SAVES_CELLS = 10


class HungUp(Exception):
    """The terminal is gone, or somebody asked the command to end."""


class LiveScreen:
    """The terminal of this command, from `with` to its end. keys may be read while it shows."""

    def __init__(self) -> None:
        self._out = sys.stdout.fileno()
        self._in = sys.stdin.fileno() if sys.stdin is not None and sys.stdin.isatty() else None
        self._shown: list[str] = []
        self._size = os.terminal_size((0, 0))
        self._modes: list[Any] | None = None
        self._handlers: dict[int, Any] = {}
        self._is_stale = True

    def __enter__(self) -> Self:
        for number in (signal.SIGHUP, signal.SIGTERM):
            self._handlers[number] = signal.signal(number, self._hang_up)
        self._handlers[signal.SIGCONT] = signal.signal(signal.SIGCONT, self._begin_again)
        if self._in is not None:
            self._modes = termios.tcgetattr(self._in)
        self._begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> bool:
        for ending in (signal.SIGHUP, signal.SIGTERM):
            signal.signal(ending, signal.SIG_IGN)  # nothing may disturb the clearing up
        try:
            if self._in is not None and self._modes is not None:
                termios.tcsetattr(self._in, termios.TCSANOW, self._modes)
            os.write(self._out, END.encode())
        except (OSError, termios.error):
            pass  # the line has dropped
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        return kind is not None and issubclass(kind, HungUp | KeyboardInterrupt)

    @property
    def size(self) -> os.terminal_size:
        """Return columns and rows of the terminal now."""
        try:
            return os.get_terminal_size(self._out)
        except OSError as gone:
            raise HungUp from gone

    def show(self, lines: Sequence[str]) -> int:
        """Let the screen show these lines, cut to its size; return how many bytes that took."""
        size = self.size
        wanted = [plain(line)[: size.columns] for line in lines[: size.lines]]
        sent = ""
        if self._is_stale or size != self._size:
            self._shown, self._size, self._is_stale = [], size, False
            sent = CLEAR
        sent += "".join(changes(self._shown, wanted))
        self._shown = wanted
        self._send(sent)
        return len(sent.encode())

    def wait_key(self, seconds: float) -> str:
        """Wait for a key that long; return it, or "" when none was pressed."""
        if self._in is None:
            select.select([], [], [], seconds)
            return ""
        if not select.select([self._in], [], [], seconds)[0]:
            return ""
        try:
            key = os.read(self._in, 64)
        except OSError as gone:
            raise HungUp from gone
        if not key:
            raise HungUp
        return key.decode(errors="replace")

    def _begin(self) -> None:
        if self._in is not None and self._modes is not None:
            modes = [*self._modes]
            modes[3] &= ~(termios.ICANON | termios.ECHO)
            termios.tcsetattr(self._in, termios.TCSANOW, modes)
        self._is_stale = True
        self._send(BEGIN)

    def _begin_again(self, _number: int, _frame: object) -> None:
        self._begin()

    def _hang_up(self, _number: int, _frame: object) -> None:
        raise HungUp

    def _send(self, text: str) -> None:
        data = text.encode()
        while data:
            try:
                data = data[os.write(self._out, data) :]
            except OSError as gone:
                raise HungUp from gone


def can_be_live() -> bool:
    """Return whether stdout is a terminal that understands where to write."""
    return sys.stdout is not None and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def plain(line: str) -> str:
    """Return a line of which each character takes one cell; what does not is a question mark."""
    if line.isascii() and line.isprintable():
        return line
    return "".join(character if _takes_one_cell(character) else "?" for character in line)


def _takes_one_cell(character: str) -> bool:
    is_wide = unicodedata.east_asian_width(character) in "WF" or unicodedata.combining(character)
    return character.isprintable() and not is_wide


def changes(before: Sequence[str], after: Sequence[str]) -> Iterator[str]:
    """Yield what turns the lines `before` of a terminal into the lines `after`."""
    for row in range(max(len(before), len(after))):
        old = before[row] if row < len(before) else ""
        new = after[row] if row < len(after) else ""
        if old != new:
            yield from _changes_of_row(row + 1, old, new)


def _changes_of_row(row: int, old: str, new: str) -> Iterator[str]:
    # What has moved one cell to the left, as a graph of the last hour does, is moved by the terminal itself.
    first = next((at for at, cell in enumerate(new) if old[at : at + 1] != cell), len(new))
    shifted = old[:first] + old[first + 1 :]
    if _different(old, new) - _different(shifted, new) >= SHIFT_SAVES_CELLS:
        yield f"\x1b[{row};{first + 1}H{DELETE_CHARACTER}"
        old = shifted
    width = len(new)
    old_cells = old.ljust(width)
    at = 0
    while at < width:
        if old_cells[at] == new[at]:
            at += 1
            continue
        end = last = at + 1
        while end < width and end - last < SAME_AGAIN_CELLS:
            end += 1
            if old_cells[end - 1] != new[end - 1]:
                last = end
        yield f"\x1b[{row};{at + 1}H{new[at:last]}"
        at = last
    if len(old.rstrip()) > width:
        yield f"\x1b[{row};{width + 1}H{CLEAR_LINE}"


def _different(old: str, new: str) -> int:
    width = max(len(old), len(new))
    return sum(one != other for one, other in zip(old.ljust(width), new.ljust(width), strict=True))
