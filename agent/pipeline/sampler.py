"""One reading a slot: asks every collector, makes one clean row of it, and stores it.

The slots are counted on the monotonic clock, so a step of the wall clock neither skips nor doubles a
reading. A slot that passes while a sick modem is being asked is skipped: a gap is a gap.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

from agent.contract.catalogue import Catalogue, Row
from agent.errors import StoreUnusable
from agent.language import _
from agent.pulse import Pulse

log = logging.getLogger("sinyal.sampler")

RING_READINGS = 120
"""Readings kept in memory while the database cannot be written: two hours at one a minute."""

RETRY_S = 10.0
"""How often they are offered to the database again: the next reading may be an hour away."""


EARLY = 0.8
"""A reading sooner after the last one than this part of a slot stands for the time between them."""


class Collector(Protocol):
    """Anything that measures: a name for the log, and one reading each time it is asked."""

    name: str

    def collect(self) -> Any:
        """Return a frozen dataclass, or a mapping, whose names are metrics of the catalogue."""


class Sink(Protocol):
    """Where finished rows go: the buffer's keeper."""

    def append(self, row: Row) -> int:
        """Store one reading and return its seq; raises StoreUnusable."""

    def note_lost_readings(self, rows: int) -> None:
        """Count and report readings that could not be stored; never raises."""


@dataclass(slots=True)
class SamplerHealth:
    """What the sampler can say of itself. lost counts readings that no memory was left for."""

    taken: int = 0
    waiting: int = 0
    lost: int = 0
    last_row: Row | None = None
    last_taken_monotonic: float | None = None
    store_problem: str | None = None


class Sampler:
    """The thread that takes readings.

    interval_s is the length of a slot; stored is called after each stored row with the row, to wake the
    publisher and to show the row on screens.
    """

    def __init__(
        self,
        collectors: Sequence[Collector],
        sink: Sink,
        catalogue: Catalogue,
        *,
        interval_s: float,
        taken: Callable[[], None],
    ) -> None:
        self._collectors = collectors
        self._sink = sink
        self._catalogue = catalogue
        self._interval_s = self._usual_interval_s = interval_s
        self._taken = taken
        self._is_hurried = False
        self._last_began: float | None = None
        self._bell = threading.Event()
        self._ring: deque[Row] = deque(maxlen=RING_READINGS)
        self._lost_told = 0
        self._failing: set[str] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="sampler", daemon=True)
        self.health = SamplerHealth()
        self.pulse = Pulse()

    def start(self) -> None:
        """Begin: the first reading is taken at once."""
        self._thread.start()

    def ask_to_stop(self) -> None:
        """Take no further reading, and keep nothing of one that is under way: it may be cut short."""
        self._stop.set()
        self._bell.set()

    def hurry(self) -> None:
        """Take a reading now; the next slot begins with it."""
        self._is_hurried = True
        self._bell.set()

    def change_pace(self, interval_s: float | None) -> None:
        """Let slots be so long from the next reading on; None is the usual length."""
        self._interval_s = self._usual_interval_s if interval_s is None else interval_s

    def stop(self, timeout_s: float) -> bool:
        """Ask to stop, and return whether the thread ended within timeout_s.

        Readings that still wait in memory are lost then; the log says how many.
        """
        self.ask_to_stop()
        self._thread.join(timeout_s)
        if self._ring:
            text = _("Readings in memory that are lost with this stop: {count}")
            log.error(text.format(count=len(self._ring)))
        return not self._thread.is_alive()

    def is_alive(self) -> bool:
        """Return whether the thread runs."""
        return self._thread.is_alive()

    def _work(self) -> None:
        began, slot, interval_s = time.monotonic(), 0, self._interval_s
        while not self._stop_comes_before(began + slot * interval_s):
            started = time.monotonic()
            is_early, self._is_hurried = self._is_hurried, False
            try:
                self.take_one()
            except Exception:  # the edge of the loop: a reading must follow the next slot, whatever happened
                log.exception(_("unexpected fault while taking a reading; the next slot goes on"))
            if is_early or interval_s != self._interval_s:
                began, slot, interval_s = started, 0, self._interval_s
            slot = max(slot + 1, int((time.monotonic() - began) / interval_s))
        self.pulse.ends()

    def _stop_comes_before(self, moment: float) -> bool:
        """Wait until `moment`, offering what waits in memory; return whether the stop comes first.

        A reading that is wanted at once ends the waiting.
        """
        while (left_s := moment - time.monotonic()) > RETRY_S and self._ring:
            if self._rings(RETRY_S):
                return self._stop.is_set()
            self._store_waiting()
            if not self._ring:
                self._taken()
        while (left_s := moment - time.monotonic()) > 0 and not self._rings(left_s):
            pass
        return self._stop.is_set()

    def _rings(self, timeout_s: float) -> bool:
        """Wait; return whether it was cut short by the stop or by a reading that is wanted at once."""
        self.pulse.rests(timeout_s)
        if self._bell.wait(timeout_s):
            self._bell.clear()
        return self._stop.is_set() or self._is_hurried

    def take_one(self) -> None:
        """Take one reading now and store it, after those that wait in memory."""
        values: dict[str, object] = {"slot_s": self._slot_s()}
        for collector in self._collectors:
            values.update(self._ask(collector))
        if self._stop.is_set():
            return
        row = self._catalogue.clean(values)
        if len(self._ring) == RING_READINGS:
            self.health.lost += 1
        self._ring.append(row)
        self._store_waiting()
        self.health.taken += 1
        self.health.last_row = row
        self.health.last_taken_monotonic = time.monotonic()
        self._taken()

    def _slot_s(self) -> int:
        """Return the seconds the reading stands for: since the last one, where that is less than a slot."""
        now, before = time.monotonic(), self._last_began
        self._last_began = now
        if before is None or now - before >= EARLY * self._interval_s:
            return round(self._interval_s)
        return min(round(self._interval_s), max(1, round(now - before)))

    def _ask(self, collector: Collector) -> Mapping[str, object]:
        self.pulse.begins()
        try:
            reading = collector.collect()
        except Exception:  # one broken collector costs its own fields, never the reading
            if collector.name not in self._failing:
                self._failing.add(collector.name)
                log.exception(
                    _("the collector {name} failed; its fields stay empty").format(name=collector.name)
                )
            return {}
        if collector.name in self._failing:
            self._failing.remove(collector.name)
            log.info(_("the collector {name} works again").format(name=collector.name))
        if isinstance(reading, Mapping):
            return reading
        return {field.name: getattr(reading, field.name) for field in fields(reading)}

    def _store_waiting(self) -> None:
        while self._ring and not self._stop_asked_and_stuck():
            self.pulse.begins()
            try:
                seq = self._sink.append(self._ring[0])
            except StoreUnusable as problem:
                self._note_store_problem(problem)
                break
            self._ring[0]["seq"] = seq
            self._ring.popleft()
            self._note_store_works()
        self.health.waiting = len(self._ring)

    def _stop_asked_and_stuck(self) -> bool:
        return self._stop.is_set() and self.health.store_problem is not None

    def _note_store_problem(self, problem: StoreUnusable) -> None:
        if self.health.store_problem is None:
            log.error(
                _("readings wait in memory until they can be stored, {count} at most").format(
                    count=RING_READINGS
                )
            )
        self.health.store_problem = problem.what

    def _note_store_works(self) -> None:
        if self.health.store_problem is not None:
            lost, self._lost_told = self.health.lost - self._lost_told, self.health.lost
            log.info(_("readings are stored again; {lost} were lost meanwhile").format(lost=lost))
            self.health.store_problem = None
            if lost:
                self._sink.note_lost_readings(lost)
