"""What time it really is: the board's clock when it can be believed, else what modem or centre tell.

    kernel (NTP) · clock chip ──┐
    modem (network time) ───────┼──▶ UTC second at which this boot began ──▶ buffer, which corrects rows
    centre (over the broker) ───┘

The system clock is never set here, but for the floor at the start (collectors.clock.raise_to_floor). A step
of it is noticed against the clock of the boot, reported as an event, and changes nothing else.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Protocol

from agent.buffer.true_time import RANKS, SAME_S, is_trusted
from agent.collectors.clock import AGENT_BIRTH_TS, ClockReading
from agent.contract.catalogue import Value
from agent.contract.events import Evidence
from agent.errors import StoreUnusable
from agent.language import _

log = logging.getLogger("sinyal.clock")

ASK_MODEM_EVERY_S = 60.0
ASK_MODEM_LATER_S = 900.0
"""While no time is known the modem is asked: each minute in the first ten, then each quarter of an hour."""

_EAGER_QUESTIONS = 10

STEP_LASTS_S = 600.0
"""So long a clock that has stepped must stay there before it is believed against what it showed before."""

FARTHEST_AHEAD_S = 5 * 366 * 86400
"""No time so far beyond what is known already is taken from anybody."""


class Clocks(Protocol):
    """The board's clocks."""

    def collect(self) -> ClockReading:
        """Return the clocks now."""


class TimeStore(Protocol):
    """Where true time goes: the buffer's keeper."""

    def note_true_time(self, true_s: float, quality: str) -> int:
        """Take in when this boot began; returns how many rows go out again for it."""

    def newest_true_ts(self) -> int | None:
        """Return the newest believable UTC second among the readings."""

    def note_event(self, type_: str, what: str, evidence: Evidence, *, quality: str) -> None:
        """Take an event in."""


class TrueClock:
    """The collector of the clocks, which also finds out the true time of this boot.

    clocks: the board's own. store: where true time is kept. ask_modem: returns the network's UTC second or
    None, given one that is certainly past.
    """

    name = "clock"

    def __init__(self, clocks: Clocks, store: TimeStore, ask_modem: Callable[[float], int | None]) -> None:
        self._clocks = clocks
        self._store = store
        self._ask_modem = ask_modem
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._best: tuple[float, str] | None = None
        self._rival: tuple[float, float] | None = None
        self._untold: tuple[float, str] | None = None
        self._wall_base_s: float | None = None
        self._wall_is_trusted = False
        self._questions = 0
        self._ask_again_at = 0.0

    @property
    def is_trusted(self) -> bool:
        """Return whether the system clock, by which certificates are judged, can be believed."""
        return self._wall_is_trusted

    def hear_from_centre(self, ts: float) -> None:
        """Take in the UTC second that the centre told just now; any thread."""
        if AGENT_BIRTH_TS <= ts <= max(time.time(), AGENT_BIRTH_TS) + FARTHEST_AHEAD_S:
            self._offer(ts - time.clock_gettime(time.CLOCK_BOOTTIME), "broker")

    def collect(self) -> Mapping[str, Value]:
        """Return ts and ts_quality by the best clock there is, uptime_s, and clock_offset_s.

        clock_offset_s (true time less system clock, s) is there while the system clock is known to be off.
        Any thread, one after the other.
        """
        with self._turn:
            return self._collect()

    def _collect(self) -> Mapping[str, Value]:
        reading = self._clocks.collect()
        wall_base_s = reading.ts - reading.uptime_s
        self._watch(wall_base_s, reading.ts_quality)
        if is_trusted(reading.ts_quality):
            self._offer(wall_base_s, reading.ts_quality)
        elif self._best is None and time.monotonic() >= self._ask_again_at:
            self._ask_the_modem()
        self._tell()
        taken: dict[str, Value] = {
            "ts": reading.ts,
            "ts_quality": reading.ts_quality,
            "uptime_s": reading.uptime_s,
        }
        with self._lock:
            best = self._best
        is_stepped = best is not None and abs(best[0] - wall_base_s) >= SAME_S
        if best is not None and (RANKS[best[1]] > RANKS[reading.ts_quality] or is_stepped):
            taken["ts"], taken["ts_quality"] = best[0] + reading.uptime_s, best[1]
        if best is not None and is_stepped:
            taken["clock_offset_s"] = best[0] - wall_base_s
        return taken

    def _ask_the_modem(self) -> None:
        self._questions += 1
        pause_s = ASK_MODEM_EVERY_S if self._questions < _EAGER_QUESTIONS else ASK_MODEM_LATER_S
        self._ask_again_at = time.monotonic() + pause_s
        try:
            floor_ts = max(self._store.newest_true_ts() or 0, AGENT_BIRTH_TS)
        except StoreUnusable:
            floor_ts = AGENT_BIRTH_TS
        ts = self._ask_modem(floor_ts)
        if ts is not None:
            self._offer(ts - time.clock_gettime(time.CLOCK_BOOTTIME), "modem")

    def _offer(self, true_s: float, quality: str) -> None:
        with self._lock:
            if self._best is not None:
                known_s, known = self._best
                if RANKS[quality] < RANKS[known]:
                    return
                if RANKS[quality] == RANKS[known] and not self._has_moved_for_good(known_s, true_s):
                    return
            self._best = self._untold = (true_s, quality)

    def _has_moved_for_good(self, known_s: float, true_s: float) -> bool:
        """Return whether the same source has shown another time for long enough to be believed again."""
        if abs(true_s - known_s) < SAME_S:
            self._rival = None
            return False
        now = time.monotonic()
        if self._rival is None or abs(self._rival[0] - true_s) >= SAME_S:
            self._rival = true_s, now
        if now - self._rival[1] < STEP_LASTS_S:
            return False
        self._rival = None
        return True

    def _tell(self) -> None:
        """Give the store what it does not have yet; a store that fails is told with the next reading."""
        with self._lock:
            untold = self._untold
        if untold is None:
            return
        try:
            again = self._store.note_true_time(*untold)
        except StoreUnusable:
            return
        with self._lock:
            if self._untold == untold:
                self._untold = None
        if again:
            log.info(
                _("true time is known ({quality}); {rows} readings go out again with it").format(
                    quality=untold[1], rows=again
                )
            )
            self._store.note_event("clock", "corrected", {"rows": again}, quality=untold[1])

    def _watch(self, wall_base_s: float, quality: str) -> None:
        before, self._wall_base_s = self._wall_base_s, wall_base_s
        self._wall_is_trusted = is_trusted(quality)
        step_s = wall_base_s - before if before is not None else 0.0
        if abs(step_s) < SAME_S:
            return
        log.warning(
            _("the system clock stepped by {step} s; readings keep their order").format(step=round(step_s, 1))
        )
        self._store.note_event("clock", "stepped", {"step_s": round(step_s, 1)}, quality=quality)


def newest_file_ts(files: Iterable[Path | None]) -> int:
    """Return when the newest of these files was written (UTC seconds, no far future), 0 without any."""
    written = [0]
    for file in files:
        with contextlib.suppress(OSError):
            if file is not None:
                written.append(int(file.stat().st_mtime))
    return max(ts for ts in written if ts <= AGENT_BIRTH_TS + FARTHEST_AHEAD_S)
