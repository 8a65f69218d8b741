"""The buzzer: a level that can be heard from the mast, higher is better."""

from firmware_hooks.gpio.lines import Sounder

LOWEST_HZ = 300.0
HIGHEST_HZ = 2400.0
"""Three octaves, in which cheap piezo discs are loud and an ear hears one dB."""

WORST_DBM = -120.0
BEST_DBM = -70.0
"""RSRP at the two ends; beyond them the pitch stays."""


def pitch_hz(level: float, worst: float = WORST_DBM, best: float = BEST_DBM) -> float:
    """Return the pitch of a level; equal steps of the level sound like equal steps."""
    share = min(1.0, max(0.0, (level - worst) / (best - worst)))
    return float(LOWEST_HZ * (HIGHEST_HZ / LOWEST_HZ) ** share)


class Buzzer:
    """Plays beeps one after the other. Times are time.monotonic() seconds."""

    def __init__(self, sounder: Sounder) -> None:
        self._sounder = sounder
        self._waiting: list[tuple[float | None, float]] = []
        self._until: float | None = None

    def beep(self, pitch: float | None, seconds: float) -> None:
        """Play a tone, or None for a silence, after those that wait."""
        self._waiting.append((pitch, seconds))

    def hush(self) -> None:
        """Forget what waits; the tone that sounds ends at the next step."""
        self._waiting.clear()
        self._until = None if self._until is None else 0.0

    def step(self, now: float) -> float | None:
        """Begin or end a tone; return when the next step is due, None when all is silent."""
        if self._until is not None and now < self._until:
            return self._until
        if self._waiting:
            pitch, seconds = self._waiting.pop(0)
            self._sounder.sound(pitch)
            self._until = now + seconds
        elif self._until is not None:
            self._sounder.sound(None)
            self._until = None
        return self._until

    def close(self) -> None:
        """Fall silent and give the line back."""
        self._sounder.close()
