"""The relay in the modem's power: cuts it for a while, never for good.

Wired through the normally closed contact, so that an inactive line, a closed line and a dead agent all mean
"modem powered". Active is the exception, and ends by itself.
"""

from firmware_hooks.gpio.lines import Output


class Relay:
    """Times are time.monotonic() seconds. off_s: how long a cut lasts. pause_s: from one to the next."""

    def __init__(self, output: Output, *, off_s: float, pause_s: float) -> None:
        self._output = output
        self._off_s = off_s
        self._pause_s = pause_s
        self._off_until: float | None = None
        self._not_before: float | None = None

    @property
    def is_cutting(self) -> bool:
        """Return whether the modem is without power now."""
        return self._off_until is not None

    def cut(self, now: float) -> bool:
        """Cut the power, unless it is cut now or was within pause_s; return whether it was done."""
        if self.is_cutting or (self._not_before is not None and now < self._not_before):
            return False
        self._not_before = now + self._off_s + self._pause_s
        self._off_until = now + self._off_s
        try:
            self._output.write(True)
        except Exception:
            self._off_until = None
            raise
        return True

    def step(self, now: float) -> float | None:
        """Give the power back when it is time; return when that will be, None when it is there."""
        if self._off_until is not None and now >= self._off_until:
            self.restore()
        return self._off_until

    def restore(self) -> None:
        """Give the power back now, whatever was planned."""
        self._output.write(False)
        self._off_until = None

    def close(self) -> None:
        """Give power and line back."""
        try:
            self.restore()
        finally:
            self._output.close()
