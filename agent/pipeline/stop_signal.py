"""Being told to stop, safely: SIGTERM, Ctrl-C, or a terminal that goes away.

A handler that touches a lock (threading.Event.set does) can deadlock with the very thread it interrupts, so
ours only writes a byte into a pipe, and the main thread waits for that pipe. The kernel may give the signal
to any thread, and Python's handler would then wait until the main thread wakes for another reason: hence the
byte is written by the interpreter itself, in whatever thread was hit.
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
        signal.set_wakeup_fd(self._teller, warn_on_full_buffer=False)

    def wait(self, timeout_s: float) -> bool:
        """Wait until told to stop, at most timeout_s; return whether a stop signal has ever come."""
        # The byte is never read: once told, always told.
        return bool(select.select([self._told], [], [], timeout_s)[0])

    def _catch(self, _number: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._teller, b".")
