"""Keeps a second agent, with a runtime folder of its own, from waiting for this one's readings.

The folder itself is locked: that leaves no file behind and works on a full or read-only disk.
"""

import contextlib
import errno
import fcntl
import os
import time
from pathlib import Path

from agent.errors import SinyalError
from agent.language import _

PATIENCE_S = 1.0
"""An agent that is just ending is waited for."""


class StateLock:
    """Held by the one daemon of a state folder for as long as its process lives."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._descriptor: int | None = None

    def take(self) -> None:
        """Take the lock; raises SinyalError naming the process that has it.

        A file system that cannot lock folders is none to refuse to work on.
        """
        try:
            descriptor = os.open(self._state, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return  # the keeper says what is wrong with the folder
        if not _is_locked_within(descriptor, PATIENCE_S):
            inode = os.fstat(descriptor).st_ino
            os.close(descriptor)
            raise SinyalError(
                _("another agent (process {pid}) keeps its readings in {folder}").format(
                    pid=_holder(inode) or "?", folder=self._state
                ),
                _("stop that one first, or give this one its own paths.state"),
            )
        self._descriptor = descriptor

    def release(self) -> None:
        """Let go of the lock."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _is_locked_within(descriptor: int, patience_s: float) -> bool:
    until = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as fault:
            if fault.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                return True
            if time.monotonic() >= until:
                return False
            time.sleep(0.05)
        else:
            return True


def _holder(inode: int) -> str | None:
    """Return the number of the process that has a lock on `inode`, or None. Source: proc_locks(5)."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/locks").read_text().splitlines():
            words = line.split()
            if len(words) >= 6 and words[1] == "FLOCK" and words[5].endswith(f":{inode}"):
                return words[4]
    return None
