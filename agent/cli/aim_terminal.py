"""A terminal for `sinyal aim`: keys one by one, and a few lines drawn over themselves, changed signs only.

A redraw costs some dozens of bytes, so that it works over a line of 1 kB/s. However it ends, the terminal is
left as it was found.
"""

import contextlib
import os
import select
import signal
import sys
import termios
from collections.abc import Sequence
from typing import Any, Self

from agent import screen

_HIDE_CURSOR, _SHOW_CURSOR, _CLEAR_BELOW = "\x1b[?25l", "\x1b[?25h", "\x1b[J"


class LineGone(OSError):
    """Nobody is at the other end of the terminal any more."""


class AimTerminal:
    """Owns the terminal while it is entered. descriptor: where keys come from."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._before: list[Any] | None = None
        self._continue_before: Any = None
        self._drawn: list[str] = []
        self._size = (0, 0)
        self._is_stale = True

    def __enter__(self) -> Self:
        """Take keys one by one, without showing them."""
        self._before = termios.tcgetattr(self._descriptor)
        self._take_keys()
        # After Ctrl-Z and fg the shell's own settings are in force.
        self._continue_before = signal.signal(signal.SIGCONT, lambda _number, _frame: self._take_keys())
        self._write(_HIDE_CURSOR)
        return self

    def __exit__(self, *_exception: object) -> None:
        """Leave the terminal as it was; the last picture stays above the cursor."""
        signal.signal(signal.SIGCONT, self._continue_before)
        # Not drained first: on a stuck line that would take for ever. A line that is gone needs nothing.
        with contextlib.suppress(OSError, termios.error):
            assert self._before is not None
            termios.tcsetattr(self._descriptor, termios.TCSANOW, self._before)
        with contextlib.suppress(OSError):
            self._write(_SHOW_CURSOR)

    def columns(self) -> int:
        """Return how many signs a line may have: never the last column, at which some terminals wrap."""
        return min(screen.COLUMNS, self._measured()[0]) - 1

    def keys(self, patience_s: float) -> str:
        """Return the keys pressed, waiting up to patience_s for one; raises LineGone."""
        try:
            ready, _out, _bad = select.select([self._descriptor], [], [], patience_s)
            if not ready:
                return ""
            pressed = os.read(self._descriptor, 64)
        except OSError as fault:
            raise LineGone(*fault.args) from None
        if not pressed:
            raise LineGone
        return pressed.decode("utf-8", "replace")

    def draw(self, lines: Sequence[str]) -> None:
        """Show these lines in place of the last ones."""
        size = self._measured()
        shown = list(lines)[: max(1, size[1] - 1)]
        out = ""
        if self._is_stale or size != self._size or len(shown) != len(self._drawn):
            out = (f"\x1b[{len(self._drawn)}A\r" if self._drawn else "\r") + _CLEAR_BELOW
            out += "".join(f"{line}\n" for line in shown)
        else:
            for at, (line, before) in enumerate(zip(shown, self._drawn, strict=True)):
                out += _change(line, before, len(shown) - at)
        self._drawn, self._size, self._is_stale = shown, size, False
        if out:
            self._write(out)

    def _measured(self) -> tuple[int, int]:
        try:
            size = os.get_terminal_size(self._descriptor)
        except OSError:
            return screen.COLUMNS, 24
        return size.columns or screen.COLUMNS, size.lines or 24

    def _take_keys(self) -> None:
        with contextlib.suppress(OSError, termios.error):
            settings = termios.tcgetattr(self._descriptor)
            settings[3] &= ~(termios.ICANON | termios.ECHO)
            settings[6][termios.VMIN], settings[6][termios.VTIME] = 1, 0
            termios.tcsetattr(self._descriptor, termios.TCSANOW, settings)
        self._is_stale = True

    def _write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()


def _change(line: str, before: str, up: int) -> str:
    """Return what turns one line into the other, `up` lines above the cursor, which comes back."""
    if line == before:
        return ""
    same = _same_signs(line, before)
    end = len(line)
    if len(line) == len(before):
        end -= _same_signs(line[same:][::-1], before[same:][::-1])
    to_column = f"\x1b[{same}C" if same else ""
    rest = "\x1b[K" if len(line) < len(before) else ""
    return f"\x1b[{up}A\r{to_column}{line[same:end]}{rest}\x1b[{up}B\r"


def _same_signs(one: str, other: str) -> int:
    """Return how many signs both begin with."""
    both = enumerate(zip(one, other, strict=False))
    return next((at for at, (mine, its) in both if mine != its), min(len(one), len(other)))
