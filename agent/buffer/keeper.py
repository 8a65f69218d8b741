"""The one thread that owns the database; everybody else asks it.

A publisher's callback, the sampler and a command thus never wait for each other's lock, only for the
disk, and for that no longer than CALL_S.
"""

import logging
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from agent.buffer.ranges import SeqRange
from agent.buffer.store import BufferCounts, Store
from agent.contract.catalogue import Row
from agent.contract.events import Event, Evidence
from agent.errors import StoreUnusable
from agent.language import _

log = logging.getLogger("sinyal.buffer")

START_S = 40.0
CALL_S = 5.0
# Once a call has waited in vain, the next ones look only whether the disk is back.
HUNG_CALL_S = 0.1
CLOSE_S = 2.0
WAITING_CALLS = 64
# So many questions in a row may go before a slice of salvage that is due.
PASS_SALVAGE_OVER = 50

Answer = TypeVar("Answer")


@dataclass(slots=True, eq=False)
class _Call(Generic[Answer]):
    """One question to the thread; `replies` receives the answer or the exception."""

    ask: Callable[[Store], Answer]
    replies: "queue.SimpleQueue[Answer | Exception]" = field(default_factory=queue.SimpleQueue)


class Keeper:
    """A Store that any thread may use: each method waits for its answer, at most CALL_S.

    The parameters, promises and errors are those of Store. A database that fails, also at start(), is
    tried again by later calls and by the commit that is due; both changes are logged once. event_stored is
    called, in the keeper's thread, when an event can be sent; it must neither wait nor raise.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_bytes: int,
        commit_interval_s: float,
        commit_readings: int,
        keep_days: int,
        event_stored: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = Store(
            path,
            max_bytes=max_bytes,
            commit_interval_s=commit_interval_s,
            commit_readings=commit_readings,
            keep_days=keep_days,
        )
        self.pulse = self._store.pulse
        self._calls: queue.Queue[_Call[Any] | None] = queue.Queue(WAITING_CALLS)
        # A daemon thread: a disk that hangs in a write must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="buffer", daemon=True)
        self._late_append: tuple[Row, _Call[int]] | None = None
        self._hung = False
        self._closing = False
        self._logged = ""
        self._passed_over = 0
        self._event_stored = event_stored
        self._events_written = 0

    @property
    def epoch(self) -> str:
        """Return the epoch of the rows, "" until the database could be opened once."""
        return self._store.epoch

    @property
    def boot(self) -> int:
        """Return the number of this boot, 0 until the database could be opened once."""
        return self._store.boot

    @property
    def damaged_file(self) -> Path | None:
        """Return where a damaged database was moved since the start, or None."""
        return self._store.file.damaged_file

    def start(self) -> None:
        """Start the thread and open the database; may be called again after it raised StoreUnusable."""
        if not self._thread.is_alive():
            self._thread.start()
        self._wait(self._put(Store.open), START_S)

    def append(self, row: Row) -> int:
        """Store one reading and return its seq: see Store.append for what that promises."""
        late, self._late_append = self._late_append, None
        # The row that got no answer in time may still be stored: offered again, it waits for that answer.
        call = late[1] if late and late[0] == row else self._put(lambda store: store.append(row))
        try:
            return self._wait(call, CALL_S)
        except _NoAnswer:
            self._late_append = (row, call)
            raise

    def commit(self) -> None:
        """Write what is held in RAM now, for one who is about to stop."""
        self._ask(Store.commit)

    def unsent_rows(self, *, newest: bool, limit: int, leased: Sequence[SeqRange]) -> list[Row]:
        """Return a run of committed rows that are not yet acknowledged: see Store.unsent_rows."""
        return self._ask(lambda store: store.unsent_rows(newest=newest, limit=limit, leased=leased))

    def mark_sent(self, first_seq: int, last_seq: int) -> None:
        """Take rows as acknowledged: see Store.mark_sent."""
        self._ask(lambda store: store.mark_sent(first_seq, last_seq))

    def note_event(self, type_: str, what: str, evidence: Evidence, *, quality: str = "unset") -> None:
        """Take an event in, to be committed at once when the disk allows: see Store.note_event.

        Waits for nothing; when even the questions to a hanging disk pile up, the event is lost.
        """
        with suppress(StoreUnusable):
            self._put(lambda store: store.note_event(type_, what, evidence, quality=quality))

    def note_lost_readings(self, rows: int) -> None:
        """Count readings that were lost before the database could take them: see Store.note_lost_readings."""
        with suppress(StoreUnusable):
            self._put(lambda store: store.note_lost_readings(rows))

    def quarantine(self, first_seq: int, last_seq: int, reason: str) -> None:
        """Offer rows no more that no broker takes: see Store.quarantine."""
        self._ask(lambda store: store.quarantine(first_seq, last_seq, reason))

    def note_stored(self, epoch: str, seq: int) -> None:
        """Note up to where the centre has every row for good: see Store.note_stored."""
        self._ask(lambda store: store.note_stored(epoch, seq))

    def resend(self, first_seq: int, last_seq: int, *, quarantined: bool = True) -> int:
        """Take stored rows as unsent again and return how many: see Store.resend."""
        return self._ask(lambda store: store.resend(first_seq, last_seq, quarantined=quarantined))

    def salvaged_rows(self, limit: int) -> tuple[str, list[Row]]:
        """Return unsent rows of an earlier, damaged database: see Store.salvaged_rows."""
        return self._ask(lambda store: store.salvaged_rows(limit))

    def mark_salvaged_sent(self, epoch: str, first_seq: int, last_seq: int) -> None:
        """Take salvaged rows as acknowledged."""
        self._ask(lambda store: store.mark_salvaged_sent(epoch, first_seq, last_seq))

    def unsent_events(self, limit: int) -> list[Event]:
        """Return the oldest events that are not acknowledged."""
        return self._ask(lambda store: store.unsent_events(limit))

    def mark_event_sent(self, number: int) -> None:
        """Take an event as acknowledged."""
        self._ask(lambda store: store.mark_event_sent(number))

    def note_true_time(self, true_s: float, quality: str) -> int:
        """Take in when this boot began, by a clock that can be believed: see Store.note_true_time."""
        return self._ask(lambda store: store.note_true_time(true_s, quality))

    def newest_true_ts(self) -> int | None:
        """Return the newest believable UTC second among the readings, None when there is none."""
        return self._ask(Store.newest_true_ts)

    def read(self, work: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """Let `work` ask the database, in the thread that owns it; all others wait: see Store.read."""
        return self._ask(lambda store: store.read(work))

    def write(self, work: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """Let `work` change tables of its own in one durable transaction: see Store.write."""
        return self._ask(lambda store: store.write(work))

    def counts(self) -> BufferCounts:
        """Return what the database holds: see BufferCounts."""
        return self._ask(Store.counts)

    def close(self) -> None:
        """Commit, close and end the thread, within CLOSE_S whatever the disk does."""
        self._closing = True
        with suppress(queue.Full):  # then there is enough to wake the thread
            self._calls.put_nowait(None)
        if self._thread.is_alive():
            self._thread.join(CLOSE_S)
        if self._thread.is_alive():
            log.error(_("The disk hangs: the newest readings may be lost"))

    # ---- the asking threads ----

    def _ask(self, ask: Callable[[Store], Answer]) -> Answer:
        return self._wait(self._put(ask), CALL_S)

    def _put(self, ask: Callable[[Store], Answer]) -> _Call[Answer]:
        if self._closing:
            raise StoreUnusable(_("The reading database is closed"))
        call = _Call(ask)
        try:
            self._calls.put_nowait(call)
        except queue.Full:
            raise _NoAnswer(self._store.path) from None
        return call

    def _wait(self, call: _Call[Answer], wait_s: float) -> Answer:
        try:
            reply = call.replies.get(timeout=HUNG_CALL_S if self._hung else wait_s)
        except queue.Empty:
            self._hung = True
            raise _NoAnswer(self._store.path) from None
        if isinstance(reply, Exception):
            raise reply
        return reply

    # ---- the thread ----

    def _run(self) -> None:
        while (call := self._next_call()) is not None:
            self.pulse.begins()
            try:
                reply = call.ask(self._store)
            except Exception as failure:  # noqa: BLE001 -- belongs to the one who asked; this thread lives on
                reply = failure
            self._hung = False
            self._log_change()
            call.replies.put(reply)
            self._tell_of_events()
        held = self._store.held
        self.pulse.ends()
        try:
            self._store.close()
        except StoreUnusable as failure:
            self._log_change()
            if held:
                text = _("Readings in memory that are lost with this stop: {count}").format(count=held)
                log.error("%s. %s.", failure.what, text)  # noqa: TRY400 -- a sentence

    def _next_call(self) -> _Call[Any] | None:
        """Wait for the next question; None ends the thread.

        A commit that is due goes before all questions, unless the last one failed, and so does a look at the
        file; a slice of salvage after them, unless they never end.
        """
        if self._closing and self._calls.empty():
            return None
        commit_s, salvage_s = self._store.seconds_to_commit(), self._store.file.seconds_to_salvage()
        look_s = self._store.file.seconds_to_look()
        if commit_s == 0 and (self._calls.empty() or not self._store.file.failure):
            return _Call(Store.commit)
        if look_s == 0:
            return _Call(_look)
        if salvage_s == 0 and (self._calls.empty() or self._passed_over >= PASS_SALVAGE_OVER):
            self._passed_over = 0
            return _Call(_salvage)
        self._passed_over += salvage_s == 0
        due = [seconds for seconds in (commit_s, look_s, salvage_s) if seconds is not None]
        wait_s = min(due, default=None)
        if wait_s is None:
            self.pulse.ends()  # until somebody asks
        else:
            self.pulse.rests(wait_s)
        try:
            return self._calls.get(timeout=wait_s)
        except queue.Empty:
            if commit_s == min(due):
                return _Call(Store.commit)
            return _Call(_look if look_s == min(due) else _salvage)

    def _tell_of_events(self) -> None:
        if self._store.events_written != self._events_written:
            self._events_written = self._store.events_written
            self._event_stored()

    def _log_change(self) -> None:
        failure = self._store.file.failure
        what = failure.what if failure else ""
        if what == self._logged:
            return
        self._logged = what
        if failure:
            log.error("%s. %s.", failure.what, failure.next_step)
        else:
            log.info(_("The reading database can be written again"))


class _NoAnswer(StoreUnusable):
    """The thread is busy with the disk for longer than a caller may wait."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            _("The reading database {path} does not answer").format(path=path),
            _("Look at `dmesg`: the disk may hang"),
        )


def _look(store: Store) -> None:
    store.file.look()


def _salvage(store: Store) -> None:
    store.file.salvage()
