"""A worker's promise to show itself again: who looks at it knows by when (`pipeline.watchdog`)."""

import math
import time

WORK_LIMIT_S = 50.0
"""No single step of a worker takes longer: the longest is the reading of a sick modem, which waits 17.5 s
for its turn and asks for 20 s. With five seconds between two looks, a hang is noticed within 60 s."""


class Pulse:
    """Written by one thread and read by another; costs an addition."""

    __slots__ = ("due_monotonic",)

    def __init__(self) -> None:
        self.due_monotonic = math.inf
        """When the thread shows itself at the latest; infinity while it does not run."""

    def begins(self, limit_s: float | None = None) -> None:
        """Say that a step begins, which takes limit_s at most, WORK_LIMIT_S by default."""
        self.due_monotonic = time.monotonic() + (WORK_LIMIT_S if limit_s is None else limit_s)

    def goes_on(self) -> None:
        """Say that the step is long and gets on: it has WORK_LIMIT_S from now, if it had not more."""
        self.due_monotonic = max(self.due_monotonic, time.monotonic() + WORK_LIMIT_S)

    def rests(self, pause_s: float) -> None:
        """Say that the thread waits for pause_s at most."""
        self.begins(pause_s + WORK_LIMIT_S)

    def ends(self) -> None:
        """Say that the thread is no longer there to show itself."""
        self.due_monotonic = math.inf
