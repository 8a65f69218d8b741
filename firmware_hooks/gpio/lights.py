"""One light, told the time: which level it has now, and when the next one is due."""

from firmware_hooks.gpio.lines import Output
from firmware_hooks.gpio.patterns import OFF, Pattern, seconds_of


class Light:
    """Shows a pattern until it is given another, and now and then one in between.

    Times are time.monotonic() seconds. A late step costs nothing: the phase follows the clock.
    """

    def __init__(self, output: Output) -> None:
        self._output = output
        self._pattern = OFF
        self._began_at = 0.0
        self._between: Pattern | None = None
        self._between_from = self._between_until = 0.0
        self._level: bool | None = None

    def show(self, pattern: Pattern, now: float) -> None:
        """Show a pattern from its beginning; the one that is shown already just goes on."""
        if pattern != self._pattern:
            self._pattern, self._began_at = pattern, now

    def show_between(self, pattern: Pattern, now: float, seconds: float) -> None:
        """Show another pattern for a while."""
        self._between, self._between_from, self._between_until = pattern, now, now + seconds

    def step(self, now: float) -> float | None:
        """Set the level of this moment; return when the next change is due, None for never."""
        pattern, began_at = self._pattern, self._began_at
        if self._between is not None and now < self._between_until:
            pattern, began_at = self._between, self._between_from
        elif self._between is not None:
            self._between = None
            self._began_at = began_at = now
        level, left_s = _phase(pattern, now - began_at)
        if level != self._level:
            self._output.write(level)
            self._level = level
        due = None if len(pattern) == 1 else now + left_s
        if self._between is not None:
            due = self._between_until if due is None else min(due, self._between_until)
        return due

    def close(self) -> None:
        """Go dark and give the line back."""
        self._output.close()


def _phase(pattern: Pattern, since_s: float) -> tuple[bool, float]:
    """Return the level at a moment of a pattern, and the seconds until its next step."""
    at = round(since_s % seconds_of(pattern), 6)
    for lit, seconds in pattern:
        if at < seconds:
            return lit, seconds - at
        at = round(at - seconds, 6)
    lit, seconds = pattern[0]  # rounding: the very end is the beginning
    return lit, seconds
