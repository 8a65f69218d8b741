"""The thread of `sinyal aim` that looks at the modem, up to twice a second, whatever the screen does."""

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Self

from agent.errors import SinyalError

EVERY_S = 0.5
"""Twice a second where the modem is quick enough; a slow one is asked again at once."""

REST_S = 0.05
"""So long at least the modem is left to others between two looks."""

AFTER_PROBLEM_S = 1.0


class Look(NamedTuple):
    """What came of a look, at_s seconds after the beginning: the fields, or what went wrong."""

    at_s: float
    fields: Mapping[str, Any] | None
    problem: SinyalError | None = None


class ModemWatch:
    """Looks while it is entered. glance: asks the modem once. began: monotonic second of the beginning."""

    def __init__(self, glance: Callable[[], Mapping[str, Any]], began: float) -> None:
        self._glance = glance
        self._began = began
        self._looks: queue.SimpleQueue[Look] = queue.SimpleQueue()
        self._stop = threading.Event()
        # A daemon thread: a modem that hangs must not keep a person waiting after Ctrl-C.
        self._thread = threading.Thread(target=self._work, name="aim-modem", daemon=True)
        self.problem: SinyalError | None = None

    def __enter__(self) -> Self:
        """Begin to look."""
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        """Begin no further look."""
        self._stop.set()

    def now_s(self) -> float:
        """Return the seconds since the beginning."""
        return time.monotonic() - self._began

    def next(self, patience_s: float) -> Look | None:
        """Return the next look, None when there is none within patience_s."""
        with contextlib.suppress(queue.Empty):
            return self._looks.get(timeout=patience_s) if patience_s else self._looks.get_nowait()
        return None

    def _work(self) -> None:
        while not self._stop.is_set():
            began = time.monotonic()
            pause_s = EVERY_S
            try:
                fields = self._glance()["fields"]
                self.problem = None
                self._looks.put(Look(self.now_s(), fields))
            except SinyalError as fault:
                self.problem, pause_s = fault, AFTER_PROBLEM_S
                self._looks.put(Look(self.now_s(), None, fault))
            self._stop.wait(max(REST_S, pause_s - (time.monotonic() - began)))
