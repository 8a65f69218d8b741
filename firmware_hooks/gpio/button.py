"""One button with three meanings, by how long it is held."""

from typing import Literal

from firmware_hooks.gpio.debounce import Debounce

Press = Literal["short", "long", "very_long"]

STABLE_S = 0.05
LONG_S = 3.0
VERY_LONG_S = 10.0
STUCK_S = 60.0
"""Held longer it is a fault or a thing that leans against it, and means nothing."""


class Button:
    """Times are time.monotonic() seconds. Counts on release, so that holding on changes the meaning."""

    def __init__(self, level: bool) -> None:
        self._contact = Debounce(level, STABLE_S)
        # One that is held already when the agent starts means nothing either.
        self._pressed_at: float | None = None

    def edge(self, level: bool, at: float) -> None:
        """Take in an edge."""
        self._contact.edge(level, at)

    def step(self, now: float) -> Press | None:
        """Return the press that has just ended, else None."""
        at = self._contact.settle(now)
        if at is None:
            return None
        if self._contact.level:
            self._pressed_at = at
            return None
        began, self._pressed_at = self._pressed_at, None
        if began is None or at - began >= STUCK_S:
            return None
        held_s = at - began
        if held_s >= VERY_LONG_S:
            return "very_long"
        return "long" if held_s >= LONG_S else "short"

    def held(self, now: float) -> Press | None:
        """Return what letting go now would mean, None while it is not held."""
        if self._pressed_at is None or now - self._pressed_at >= STUCK_S:
            return None
        held_s = now - self._pressed_at
        if held_s >= VERY_LONG_S:
            return "very_long"
        return "long" if held_s >= LONG_S else "short"

    def due(self, now: float) -> float | None:
        """Return when `step` and `held` have something new to tell, None for not before the next edge."""
        moments = [] if self._contact.due is None else [self._contact.due]
        if self._pressed_at is not None:
            later = (self._pressed_at + seconds for seconds in (LONG_S, VERY_LONG_S, STUCK_S))
            moments += [moment for moment in later if moment > now][:1]
        return min(moments, default=None)
