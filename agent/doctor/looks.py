"""Looks that run side by side, each in a thread of its own that may hang without harm."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

log = logging.getLogger("sinyal.doctor")

_Seen = TypeVar("_Seen")

TICK_S = 0.5


class Look(Generic[_Seen]):
    """One look, begun at once. seen is what it saw, None as long as it has not ended, or when it failed."""

    def __init__(self, look: Callable[[], _Seen]) -> None:
        self.seen: _Seen | None = None
        self._look = look
        # A daemon thread: the command ends although a name server or a disk never answers.
        self._thread = threading.Thread(target=self._run, name="doctor", daemon=True)
        self._thread.start()

    @property
    def has_ended(self) -> bool:
        """Return whether there is nothing more to wait for."""
        return not self._thread.is_alive()

    def wait(self, timeout_s: float) -> _Seen | None:
        """Wait at most so long, and return what was seen so far."""
        self._thread.join(max(0.0, timeout_s))
        return self.seen

    def _run(self) -> None:
        try:
            self.seen = self._look()
        except Exception:  # the edge of the thread: one look that fails must not hide the others
            log.debug("a look failed", exc_info=True)


def wait_for_all(looks: Sequence[Look[Any]], limit_s: float, tick: Callable[[float], None]) -> None:
    """Wait until all have ended, at most limit_s; tick is told every half second how long it has been."""
    began = time.monotonic()
    while (waited_s := time.monotonic() - began) < limit_s:
        waiting = next((look for look in looks if not look.has_ended), None)
        if waiting is None:
            return
        waiting.wait(min(TICK_S, limit_s - waited_s))
        tick(time.monotonic() - began)
