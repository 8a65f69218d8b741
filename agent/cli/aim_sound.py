"""The sound of `sinyal aim`, for whoever looks at the antenna and not at the screen.

The terminal's bell has one tone: it rings with every look at the best level, and the more seldom the further
below. The buzzer on the gateway's GPIO tells the level by its pitch.
"""

import contextlib
import queue
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from agent.aim.aiming import View
from agent.aim.cell_level import share_of_scale
from agent.errors import SinyalError
from agent.language import _
from agent.pipeline.control_client import ask_daemon
from agent.pipeline.snapshot import daemon_runs

LOWEST_HZ, OCTAVES = 220.0, 3.0
"""A3 where the bar is empty, A6 where it is full: a semitone and a half is about two dB."""

BEEP_S = 0.15

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
    """The buzzer: sounds one pitch (Hz) a look, in a thread of its own: the agent may answer slowly."""

    def __init__(self, sound_hz: Callable[[float], None]) -> None:
        self._sound_hz = sound_hz
        self._pitches: queue.Queue[float] = queue.Queue(1)
        threading.Thread(target=self._work, name="aim-sound", daemon=True).start()

    def tell(self, seen: View) -> None:
        """Sound the pitch of the level, unless an earlier one still waits."""
        with contextlib.suppress(queue.Full):
            self._pitches.put_nowait(pitch_hz(share_of_scale(seen.cell.level, seen.level_dbm)))

    def _work(self) -> None:
        with contextlib.suppress(SinyalError):  # the agent has stopped, or the line is gone: silence
            while True:
                self._sound_hz(self._pitches.get())


def pitch_hz(share: float) -> float:
    """Return the tone for a share of the scale, 0 to 1."""
    return LOWEST_HZ * float(2.0 ** (OCTAVES * share))


def find_buzzer(runtime: Path) -> Callable[[float], None] | None:
    """Return what sounds a pitch on this gateway's buzzer, None where it has none: the agent has its line.

    What it returns may raise SinyalError.
    """

    def beep(pitch: float) -> bool:
        answer = ask_daemon(runtime, "gpio_beep", pitch_hz=round(pitch), seconds=BEEP_S)
        return bool(answer.get("has_buzzer"))

    def sound(pitch: float) -> None:
        beep(pitch)

    try:
        return sound if daemon_runs(runtime) and beep(LOWEST_HZ) else None
    except SinyalError:
        return None


def sound_of(wanted: str, runtime: Path) -> Sound:
    """Return the sound for `off`, `bell` or `buzzer`; without a buzzer the bell rings, and that is said.

    runtime: the folder in which a running agent is asked.
    """
    if wanted == "off":
        return Silence()
    buzzer = find_buzzer(runtime) if wanted == "buzzer" else None
    if buzzer is not None:
        return Buzzer(buzzer)
    if wanted == "buzzer":
        note = _("this gateway has no buzzer; the bell of the terminal rings instead")
        print(f"sinyal: {note}.", file=sys.stderr)
    return Bell()
