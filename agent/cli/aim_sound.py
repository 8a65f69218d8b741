"""The sound of `sinyal aim`, for whoever looks at the antenna and not at the screen.

The terminal's bell has one tone: it rings with every look at the best level, and the more seldom the further
below. The buzzer on the gateway's GPIO tells the level by its pitch.
"""

import sys
from collections.abc import Callable
from typing import Protocol

from agent.aim.aiming import View
from agent.aim.cell_level import share_of_scale
from agent.language import _

LOWEST_HZ, OCTAVES = 220.0, 3.0
"""A3 where the bar is empty, A6 where it is full: a semitone and a half is about two dB."""

SELDOM_LOOKS = 8
DB_A_LOOK = 1.5
"""So many dB below the best leave one more look without a ring."""


class Sound(Protocol):
    """Something that tells a level to the ear."""

    def tell(self, seen: View) -> None:
        """Let one look be heard."""


class Silence:
    """No sound."""

    def tell(self, seen: View) -> None:
        """Do nothing."""


class Bell:
    """The terminal's bell, on stderr: it must not stand among the data."""

    def __init__(self) -> None:
        self._looks_since = 0

    def tell(self, seen: View) -> None:
        """Ring when it is time."""
        below_db = max(0.0, (seen.best_dbm if seen.best_dbm is not None else seen.level_dbm) - seen.level_dbm)
        self._looks_since += 1
        if self._looks_since > min(SELDOM_LOOKS, below_db / DB_A_LOOK):
            self._looks_since = 0
            print("\a", end="", file=sys.stderr, flush=True)


class Buzzer:
    """The buzzer: sounds one pitch (Hz) a look."""

    def __init__(self, sound_hz: Callable[[float], None]) -> None:
        self._sound_hz = sound_hz

    def tell(self, seen: View) -> None:
        """Sound the pitch of the level."""
        self._sound_hz(pitch_hz(share_of_scale(seen.cell.level, seen.level_dbm)))


def pitch_hz(share: float) -> float:
    """Return the tone for a share of the scale, 0 to 1."""
    return LOWEST_HZ * float(2.0 ** (OCTAVES * share))


def find_buzzer() -> Callable[[float], None] | None:
    """Return what sounds a pitch on this gateway's buzzer, None where it has none."""
    return None


def sound_of(wanted: str) -> Sound:
    """Return the sound for `off`, `bell` or `buzzer`; without a buzzer the bell rings, and that is said."""
    if wanted == "off":
        return Silence()
    buzzer = find_buzzer() if wanted == "buzzer" else None
    if buzzer is not None:
        return Buzzer(buzzer)
    if wanted == "buzzer":
        note = _("this gateway has no buzzer; the bell of the terminal rings instead")
        print(f"sinyal: {note}.", file=sys.stderr)
    return Bell()
