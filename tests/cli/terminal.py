"""A person at a terminal: reads what a command says and types answers, on a real pseudo-terminal."""

import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self


class Terminal:
    """One command on a terminal of its own; `with` ends it whatever happens."""

    def __init__(self, arguments: Sequence[str], folder: Path) -> None:
        self._master, slave = pty.openpty()
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SINYAL_")}
        environment["PYTHONPATH"] = str(Path(__file__).parents[2])
        self.process = subprocess.Popen(
            [sys.executable, "-m", "agent", *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=folder,
            env=environment,
            start_new_session=True,
        )
        os.close(slave)
        self.seen = ""
        self._read_to = 0

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(self, *_error: object) -> None:
        """End the command."""
        self.process.kill()
        self.process.wait()
        os.close(self._master)

    def wait_for(self, text: str, timeout_s: float = 60) -> None:
        """Wait until the screen has shown a text behind the last one waited for."""
        until = time.monotonic() + timeout_s
        while text not in self.seen[self._read_to :]:
            assert time.monotonic() < until, f"not seen: {text!r} in:\n{self.seen}"
            if not self._read(0.2) and self.process.poll() is not None:
                assert text in self.seen[self._read_to :], f"ended without {text!r}:\n{self.seen}"
        self._read_to = self.seen.index(text, self._read_to) + len(text)

    def answer(self, question: str, line: str) -> None:
        """Wait for a question and type a line."""
        self.wait_for(question)
        os.write(self._master, f"{line}\n".encode())

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        os.killpg(self.process.pid, signal.SIGINT)

    def end(self, timeout_s: float = 60) -> int:
        """Wait for the command to end; return its exit code."""
        until = time.monotonic() + timeout_s
        while self.process.poll() is None or self._read(0):
            assert time.monotonic() < until, self.seen
            self._read(0.1)
        return self.process.wait()

    def _read(self, wait_s: float) -> bool:
        if not select.select([self._master], [], [], wait_s)[0]:
            return False
        try:
            read = os.read(self._master, 4096)
        except OSError:  # EIO: the other end is closed
            return False
        self.seen += read.decode("utf-8", "replace").replace("\r\n", "\n")
        return bool(read)
