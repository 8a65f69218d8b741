"""What the comparison asks of a program that forwards samples."""

import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from tests.support.listener import Heard

SAMPLE_S = 1.5
"""Forty samples a minute."""


class Peer(Protocol):
    """One program with its source of samples; `name` stands in the table."""

    name: str

    @property
    def pid(self) -> int:
        """The process whose memory and disk are counted."""

    def start(self) -> None:
        """Start it, or start it again after kill()."""

    def hold(self) -> None:
        """Give it no further samples, so that it has taken all that were given."""

    def kill(self) -> None:
        """End it with SIGKILL."""

    def taken(self) -> set[int]:
        """Return the samples that it had taken over when it was killed."""

    def arrived(self, heard: Iterable[Heard]) -> set[int]:
        """Return its samples among what came to the centre."""

    def close(self) -> None:
        """Leave nothing running."""


class Program:
    """A child process in a folder of its own, whose words go nowhere: writing them would count as disk."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def begin(self, command: list[str], environment: dict[str, str] | None = None) -> None:
        """Start the process."""
        self._process = subprocess.Popen(
            command,
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    @property
    def pid(self) -> int:
        """Its number."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """End it with SIGKILL; a second call does nothing."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
