"""Being told to stop, safely: SIGTERM, Ctrl-C, or a terminal that goes away.

A handler that touches a lock (threading.Event.set does) can deadlock with the very thread it interrupts, so
ours only writes a byte into a pipe, and the main thread waits for that pipe.
"""

import contextlib
import os
import select
import signal
from types import FrameType

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class StopSignal:
    """Catches the stop signals from its making on; made in the main thread, once a process."""

    def __init__(self) -> None:
        self._told, self._teller = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        for number in STOP_SIGNALS:
            signal.signal(number, self._catch)

    def wait(self, timeout_s: float) -> bool:
        """Wait until told to stop, at most timeout_s; return whether a stop signal has ever come."""
        # The byte is never read: once told, always told.
        return bool(select.select([self._told], [], [], timeout_s)[0])

    def _catch(self, _number: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._teller, b".")
