"""A command on a real pseudo-terminal of 80 x 24, as a person has it."""

import contextlib
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from fcntl import ioctl
from typing import Any, Self

PATIENCE_S = 60.0


class TerminalProgram:
    """`sinyal` with arguments, on a terminal of its own; shown: everything it has printed."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        self._master, self._slave = pty.openpty()
        ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.settings_before = self.settings()
        clean = {name: value for name, value in os.environ.items() if not name.startswith("SINYAL_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "agent", *arguments],
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            env={**clean, **environment},
            start_new_session=True,
            preexec_fn=lambda: ioctl(0, termios.TIOCSCTTY, 0),
        )
        self.shown = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for descriptor in (self._master, self._slave):
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def settings(self) -> list[Any]:
        """Return the settings of the terminal."""
        return termios.tcgetattr(self._slave)

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._master, text.encode())

    def hang_up(self) -> None:
        """Cut the line, as a dropped SSH connection does."""
        os.close(self._slave)
        os.close(self._master)

    def read(self, patience_s: float = 0.05) -> str:
        """Take in what was printed and return all of it."""
        while select.select([self._master], [], [], patience_s)[0]:
            try:
                self.shown += os.read(self._master, 65536).decode("utf-8", "replace")
            except OSError:
                break
        return self.shown

    def wait_for(self, text: str) -> None:
        """Wait until a text was printed."""
        self.wait_until(lambda: text in self.read(), text)

    def wait_until(self, holds: Callable[[], bool], what: str = "") -> None:
        """Wait until something holds, and keep the terminal from filling up meanwhile."""
        ends_at = time.monotonic() + PATIENCE_S
        while not holds():
            self.read()
            assert time.monotonic() < ends_at, f"{what!r} never came:\n{self.shown}"

    def end(self) -> int:
        """Wait for its end and return the exit code."""
        self.wait_until(lambda: self.process.poll() is not None, "the end")
        self.read()
        return self.process.wait()

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self.type("\x03")

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)
