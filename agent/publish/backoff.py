"""How long to wait before the next try, and how fast the backlog may flow."""

import os
from typing import Protocol

_GROWTH = 3
_LAST_SHARE = 0.95

REFUSAL_PAUSE_S = 60.0
REFUSAL_PAUSE_MAX_S = 900.0


class Chance(Protocol):
    """Where the jitter comes from; random.Random fits."""

    def uniform(self, a: float, b: float) -> float:
        """Return a number from a to b."""


class _SystemChance:
    """The kernel's random numbers: gateways that boot together share no seed, and `random` costs memory."""

    def uniform(self, a: float, b: float) -> float:
        return a + (b - a) * int.from_bytes(os.urandom(4), "big") / 0xFFFFFFFF


STARTUP_DELAY_BEFORE_S = 600.0
"""A board that booted longer ago has not just got its power back with all the others."""


def uniform_s(longest_s: float, chance: Chance | None = None) -> float:
    """Return a time from 0 to longest_s."""
    return (chance or _SystemChance()).uniform(0.0, longest_s)


class Backoff:
    """Waits between connection attempts: full jitter that grows to longest_s.

    While it grows (1 s, 3 s, 9 s …) the wait is drawn from the whole range, which spreads the gateways of
    a district that lost the same broker. At the longest wait they are spread out, and only the last
    twentieth is drawn: full jitter there would double the connects of a long outage.
    """

    def __init__(self, longest_s: float, chance: Chance | None = None) -> None:
        self._longest_s = longest_s
        self._chance = chance or _SystemChance()
        self._tries = 0

    def next_s(self) -> float:
        """Return the seconds to wait now, and count the try."""
        step_s = _GROWTH ** min(self._tries, 20)
        self._tries += 1
        if step_s < self._longest_s:
            return self._chance.uniform(0.0, step_s)
        return self._chance.uniform(_LAST_SHARE * self._longest_s, self._longest_s)

    def reset(self) -> None:
        """Begin again at the shortest wait: a connection has proved itself."""
        self._tries = 0


class Pace:
    """Spreads bytes over time; bytes_per_s 0 means as fast as the broker acknowledges."""

    def __init__(self, bytes_per_s: float) -> None:
        self._bytes_per_s = bytes_per_s
        self.free_at = 0.0

    def spend(self, size_bytes: int, now: float) -> None:
        """Note that size_bytes went out at `now`; `free_at` is when the next may follow."""
        if self._bytes_per_s > 0:
            self.free_at = max(now, self.free_at) + size_bytes / self._bytes_per_s


class RefusalPause:
    """The pause after a broker refused readings: a minute, doubling to a quarter of an hour.

    `until` is the monotonic time before which no reading is sent. While `refused` is true only one message
    is tried at a time. It outlives connections: a new one must not hammer a broker that says no.
    """

    def __init__(self) -> None:
        self.refused = False
        self.until = 0.0
        self._pause_s = REFUSAL_PAUSE_S

    def begin(self, now: float) -> None:
        """Note a refusal; those of messages already under way do not lengthen the pause."""
        if now < self.until:
            return
        self._pause_s = min(self._pause_s * 2, REFUSAL_PAUSE_MAX_S) if self.refused else REFUSAL_PAUSE_S
        self.refused = True
        self.until = now + self._pause_s

    def end(self) -> None:
        """Note that a reading was accepted."""
        self.refused = False
        self.until = 0.0
