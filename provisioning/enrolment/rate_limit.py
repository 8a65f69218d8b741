"""How many wrong tries the endpoint takes, from one address and in all."""

import threading
import time
from collections import deque
from collections.abc import Callable

WINDOW_S = 300.0
MOST_FROM_ONE = 5
MOST_IN_ALL = 100
"""Many gateways may stand behind one address of an operator, so only failures are counted."""

MOST_ADDRESSES = 10_000


class RateLimit:
    """Counts failures; safe for use by many threads."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._all: deque[float] = deque(maxlen=MOST_IN_ALL)
        self._of: dict[str, deque[float]] = {}

    def is_open_for(self, address: str) -> bool:
        """Return whether a try from this address is looked at."""
        with self._lock:
            since = self._now() - WINDOW_S
            mine = self._of.get(address, ())
            return (
                sum(at > since for at in mine) < MOST_FROM_ONE
                and sum(at > since for at in self._all) < MOST_IN_ALL
            )

    def failed(self, address: str) -> None:
        """Count a failure."""
        with self._lock:
            if address not in self._of and len(self._of) >= MOST_ADDRESSES:
                self._of.clear()
            self._of.setdefault(address, deque(maxlen=MOST_FROM_ONE)).append(self._now())
            self._all.append(self._now())
