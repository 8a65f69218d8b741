"""Which readings go next on a connection: the freshest, suspects, the backlog, and what was salvaged."""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from agent.config.model import PublishConfig
from agent.contract.catalogue import Row
from agent.language import _
from agent.publish.memory import Memory
from agent.publish.parcel import Parcel
from agent.publish.patient_store import Debt, PatientStore
from agent.publish.row_source import RowSource, SeqRange
from agent.publish.suspects import Suspect
from agent.publish.topics import Topics
from agent.wire.columns import ReadingTooLarge, split_to_fit

log = logging.getLogger("sinyal.publish")

BACKLOG_ROWS = 120
"""Old rows in one message: more compress hardly better, and cost more when they must be repeated."""


class ReadingQueue:
    """The readings of one connection.

    taken returns how many readings were stored since the start of the process; it saves asking the store
    about each. on_the_way gives the messages that are out, payload_limit_bytes how large one may be.
    """

    def __init__(
        self,
        store: PatientStore,
        publish: PublishConfig,
        topics: Topics,
        memory: Memory,
        taken: Callable[[], int],
        on_the_way: Callable[[], Iterable[Parcel]],
        payload_limit_bytes: Callable[[str], int],
    ) -> None:
        self._store = store
        self._publish = publish
        self._topics = topics
        self._memory = memory
        self._taken = taken
        self._on_the_way = on_the_way
        self._payload_limit_bytes = payload_limit_bytes
        self._fresh: deque[Parcel] = deque()
        self._backlog: deque[Parcel] = deque()
        self._salvaged: deque[Parcel] = deque()
        self._salvage_may_wait = True
        self._epoch = ""
        self._after_gap = True
        self._backlog_through_seq = -1
        self._backlog_may_wait = True
        self._taken_when_asked = -1
        self._taken_when_published = taken()
        self.fresh_due_at = 0.0

    @property
    def has_fresh(self) -> bool:
        """Return whether a fresh batch is ready."""
        return bool(self._fresh)

    @property
    def may_have_old(self) -> bool:
        """Return whether old rows wait, as far as is known."""
        return bool(self._backlog or self._backlog_may_wait or self._salvaged or self._salvage_may_wait)

    def has_news(self) -> bool:
        """Return whether readings came since the store was asked last."""
        return self._taken() != self._taken_when_asked

    def begin_anew(self) -> None:
        """Forget what was prepared: its rows are unsent again, and the freshest go first."""
        self._fresh.clear()
        self._backlog.clear()
        self._salvaged.clear()
        self._after_gap = self._backlog_may_wait = self._salvage_may_wait = True

    def end(self) -> None:
        """Prepare the last batch, with what is unsent now."""
        self._after_gap = not self._fresh

    def close_batch(self, now: float) -> None:
        """Let the readings gathered so far follow an event at once."""
        if self._taken() != self._taken_when_published:
            self.fresh_due_at = now

    def send_again(self, last_seq: int) -> None:
        """Note that rows up to last_seq are unsent again."""
        self._backlog_through_seq = max(self._backlog_through_seq, last_seq)
        self._backlog_may_wait = True

    def fresh_is_due(self, now: float) -> bool:
        """Return whether it is time to prepare a fresh batch."""
        if self._fresh:
            return False
        if self._after_gap:
            return True
        taken = self._taken()
        gathered = taken - self._taken_when_published >= self._publish.batch_readings
        return taken != self._taken_when_asked and (gathered or now >= self.fresh_due_at)

    def prepare_fresh(self, now: float) -> bool:
        """Take the newest rows after a gap, else those since the last batch; what is older is backlog.

        Returns whether there was anything to take.
        """
        taken = self._taken()
        size = self._publish.batch_readings
        epoch = self._store.epoch
        run = self._unsent(epoch, newest=True, limit=2 * size)
        if run is None:
            return False
        if epoch != self._epoch:
            self._epoch, self._backlog_through_seq, self._after_gap = epoch, -1, True
            self._salvage_may_wait = True
            self._memory.suspicion.drop_other_epochs(epoch)
        fresh = run[-size:] if self._after_gap else self._newer_than_backlog(run)
        # What came while a batch was on the way, and is more than one: the rest is news still.
        left = len(fresh[size:])
        fresh = fresh[:size]
        self._after_gap = False
        self._taken_when_asked = taken - left
        if not fresh:
            return False
        self._taken_when_published = taken - left
        self.fresh_due_at = now + self._publish.interval_s
        self._backlog_through_seq = max(self._backlog_through_seq, seq_of(fresh[0]) - 1)
        self._backlog_may_wait = True
        self._fresh.extend(self._parcels(epoch, fresh, late=False))
        return True

    def next_fresh(self, now: float) -> Parcel | None:
        """Return the next message with fresh readings."""
        return self._with_caution(self._fresh.popleft(), now) if self._fresh else None

    def next_suspect(self, now: float) -> Parcel | None:
        """Return readings that may be what ended a connection, to travel alone."""
        suspicion = self._memory.suspicion
        while (suspect := suspicion.next(now)) is not None:
            if (parcel := self._suspect_parcel(suspect)) is not None or now < self._store.retry_at:
                return parcel
        return None

    def next_old(self, now: float) -> Parcel | None:
        """Return the next message with old readings; at last suspects that nothing else could clear."""
        if self._backlog_may_wait and not self._backlog:
            self._prepare_backlog()
        if self._backlog:
            return self._with_caution(self._backlog.popleft(), now)
        if self._salvage_may_wait and not self._salvaged:
            self._prepare_salvaged()
        if self._salvaged:
            return self._with_caution(self._salvaged.popleft(), now)
        if any(parcel.rows for parcel in self._on_the_way()):
            return None
        suspect = self._memory.suspicion.next_when_nothing_else_is_left(now)
        return self._suspect_parcel(suspect) if suspect is not None else None

    def _with_caution(self, parcel: Parcel, now: float) -> Parcel:
        return parcel._replace(alone=True) if self._memory.suspicion.is_cautious(now) else parcel

    def _newer_than_backlog(self, run: Sequence[Row]) -> list[Row]:
        return [row for row in run if seq_of(row) > self._backlog_through_seq]

    def _prepare_backlog(self) -> None:
        epoch = self._store.epoch
        run = self._unsent(epoch, newest=False, limit=BACKLOG_ROWS)
        if run is None:
            return
        old = [row for row in run if seq_of(row) <= self._backlog_through_seq]
        self._backlog_may_wait = bool(old)
        if old:
            self._backlog.extend(self._parcels(epoch, old, late=True))

    def _prepare_salvaged(self) -> None:
        """Take rows of an earlier epoch, when those taken before are told of: the store knows no leases."""
        out = any(parcel.salvaged for parcel in self._on_the_way())
        owed = any(debt.kind == "salvaged" for debt in self._store.debts)
        if out or owed or self._memory.suspicion.suspects_salvaged():
            return
        found = self._store.ask(lambda rows: rows.salvaged_rows(BACKLOG_ROWS))
        if found is None:
            return
        epoch, rows = found
        self._salvage_may_wait = bool(rows)
        if rows:
            self._salvaged.extend(self._parcels(epoch, rows, late=True, salvaged=True))

    def _suspect_parcel(self, suspect: Suspect) -> Parcel | None:
        """Return a message with the first of the suspect's rows; a suspect without rows is forgotten."""
        rows = self._store.ask(lambda store: _rows_of(store, suspect))
        if rows is None:
            return None
        parcels = self._parcels(suspect.epoch, rows, late=True, salvaged=suspect.salvaged) if rows else []
        if not parcels:
            self._memory.suspicion.forget(suspect)
            return None
        first = parcels[0]
        assert first.rows is not None
        if first.rows != suspect.rows:
            self._memory.suspicion.narrow(suspect, first.rows)
        return first._replace(suspect=True, alone=True)

    def _unsent(self, epoch: str, *, newest: bool, limit: int) -> list[Row] | None:
        """Return unsent rows of `epoch`, or None when the store cannot give them now."""
        leased = self._leased(epoch)
        run = self._store.ask(lambda rows: rows.unsent_rows(newest=newest, limit=limit, leased=leased))
        if run is None:
            self._after_gap = True
        # A store that had to begin a new file has begun a new epoch.
        return run if self._store.epoch == epoch else None

    def _leased(self, epoch: str) -> list[SeqRange]:
        ready = (*self._on_the_way(), *self._fresh, *self._backlog)
        return [
            *(
                parcel.rows
                for parcel in ready
                if parcel.rows and parcel.epoch == epoch and not (parcel.suspect or parcel.salvaged)
            ),
            *self._memory.suspicion.leased(epoch),
            *(
                debt.rows
                for debt in self._store.debts
                if debt.epoch == epoch and debt.kind in ("sent", "quarantine")
            ),
        ]

    def _parcels(
        self, epoch: str, rows: Sequence[Row], *, late: bool, salvaged: bool = False
    ) -> list[Parcel]:
        as_json = self._publish.encoding == "json"
        topic = self._topics.readings_json if as_json else self._topics.readings
        limit = self._payload_limit_bytes(topic)
        refused = self._memory.refused_bytes
        if refused is not None:
            limit = min(limit, refused - 1 if len(rows) == 1 else max(refused // 2, 1))
        try:
            return [
                Parcel(topic, payload, epoch, (first_seq, last_seq), late=late, salvaged=salvaged)
                for payload, first_seq, last_seq in split_to_fit(
                    epoch,
                    rows,
                    late=late,
                    max_bytes=limit,
                    encoding="json" if as_json else "columns",
                )
            ]
        except (ReadingTooLarge, ValueError) as problem:
            if len(rows) == 1:
                self._set_aside(epoch, seq_of(rows[0]), problem, salvaged=salvaged)
                return []
        middle = len(rows) // 2
        return [
            *self._parcels(epoch, rows[:middle], late=late, salvaged=salvaged),
            *self._parcels(epoch, rows[middle:], late=late, salvaged=salvaged),
        ]

    def _set_aside(self, epoch: str, seq: int, problem: Exception, *, salvaged: bool) -> None:
        """Keep a row that no message can hold from holding up the others."""
        reason = "too_large" if isinstance(problem, ReadingTooLarge) else "not_encodable"
        self._store.owe(Debt("salvaged" if salvaged else "quarantine", epoch, (seq, seq), reason))
        key = (reason, 0)
        if key not in self._memory.refusals:
            self._memory.refusals.add(key)
            log.warning(
                _("reading {seq} cannot be sent and stays here: {reason}").format(seq=seq, reason=problem)
            )


def _rows_of(store: RowSource, suspect: Suspect) -> list[Row]:
    """Return the unbroken unsent rows that a suspect begins with; raises StoreUnusable."""
    first, last = suspect.rows
    if suspect.salvaged:
        epoch, rows = store.salvaged_rows(BACKLOG_ROWS)
        return [row for row in rows if first <= seq_of(row) <= last] if epoch == suspect.epoch else []
    if store.epoch != suspect.epoch:
        return []
    last_seq = store.counts().last_seq or last
    others = [rows for rows in ((1, first - 1), (last + 1, last_seq)) if rows[0] <= rows[1]]
    return store.unsent_rows(newest=False, limit=last - first + 1, leased=others)


def seq_of(row: Row) -> int:
    """Return the number of a stored row."""
    seq = row["seq"]
    assert isinstance(seq, int)
    return seq
