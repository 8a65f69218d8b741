"""The shells of the two systems, and a recorder that stands where the event would be told."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.support.programs import program

HOOKS = Path(__file__).parents[2] / "firmware_hooks"
EVENT = HOOKS / "sinyal-event"


def shell(name: str) -> list[str]:
    """Return the command of busybox's ash or Debian's dash."""
    return [program("busybox", "busybox-static"), name] if name == "ash" else [program(name)]


class Recorder:
    """A program that writes down its arguments, each call on its own."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "told"
        self.path = folder / "recorder"
        self.path.write_text(f'#!/bin/sh\n{{ printf "%s\\0" "$@"; printf "\\036"; }} >>"{self._file}"\n')
        self.path.chmod(0o755)

    def told(self) -> list[tuple[str, ...]]:
        """Return the arguments of each call."""
        text = self._file.read_text() if self._file.exists() else ""
        return [tuple(call.split("\0")[:-1]) for call in text.split("\x1e")[:-1]]


def run(command: list[str], variables: Mapping[str, str], *, cwd: Path) -> subprocess.CompletedProcess[bytes]:
    """Run a hook as its system does: few variables, no terminal."""
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    return subprocess.run(
        command,
        env={"PATH": path, **variables},
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
    )
