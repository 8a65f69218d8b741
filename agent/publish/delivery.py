"""What goes out on one connection, and when: status, the freshest readings, then the backlog.

A row is sent when the broker acknowledged it with a good reason code on the connection that carried it, and
only then. Until that it is leased here, so that no other message takes it too.
"""

import logging
import math
import socket
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from agent.config.model import PublishConfig
from agent.contract.catalogue import Row
from agent.errors import StoreUnusable
from agent.language import _
from agent.publish import problems
from agent.publish.backoff import Pace, RefusalPause
from agent.publish.messages import State, inventory_facts, inventory_message, status_message
from agent.publish.mqtt import Ack, Connection
from agent.publish.row_source import RowSource, SeqRange
from agent.publish.topics import Topics
from agent.wire.columns import ReadingTooLarge, split_to_fit

log = logging.getLogger("sinyal.publish")

BACKLOG_ROWS = 240
"""Old rows in one message: more compress hardly better, and cost more when they must be repeated."""

MESSAGE_OVERHEAD_BYTES = 238
"""What a message and its acknowledgement cost on the wire beside the payload, with TLS."""

STORE_RETRY_S = 10.0
GOODBYE_S = 2.0

SMALLEST_LIMIT_BYTES = 512
"""A message must be allowed to hold at least one reading, with nearly all metrics in it."""

_TOO_LARGE = 149
_FAILURE = 128


@dataclass(frozen=True, slots=True)
class Gateway:
    """What this gateway says of itself; `inventory` is asked again with every batch."""

    topics: Topics
    version: str
    interval_s: float
    inventory: Callable[[], Mapping[str, object]]


@dataclass(frozen=True, slots=True)
class Parcel:
    """One message, ready or under way. rows is None for status and inventory, which are retained."""

    topic: str
    payload: bytes
    epoch: str
    rows: SeqRange | None = None
    late: bool = False
    inventory: Mapping[str, object] | None = None


@dataclass(slots=True)
class Memory:
    """What one connection leaves for the next; it dies with the process.

    payload_limit_bytes: what the broker turned out to take. refusals: what was already logged.
    unmarked: rows the broker has, but the store could not mark; sending them again would only double them.
    refusal: why readings are refused now, for people; None when they are not.
    """

    pause: RefusalPause = field(default_factory=RefusalPause)
    inventory: Mapping[str, object] | None = None
    payload_limit_bytes: int | None = None
    refusals: set[tuple[str, int]] = field(default_factory=set)
    refusal: str | None = None
    unmarked: list[tuple[str, SeqRange]] = field(default_factory=list)
    store_fails: bool = False
    last_ack_ts: int | None = None


class Delivery:
    """The messages of one open connection.

    taken returns how many readings were stored since the start of the process; it saves asking the store
    about each.
    """

    def __init__(
        self,
        connection: Connection,
        rows: RowSource,
        publish: PublishConfig,
        gateway: Gateway,
        memory: Memory,
        taken: Callable[[], int],
        may_spend: Callable[[int], bool] = lambda _bytes: True,
    ) -> None:
        self._connection = connection
        self._rows = rows
        self._publish = publish
        self._gateway = gateway
        self._memory = memory
        self._taken = taken
        self._may_spend = may_spend
        self._over_budget = False
        self._under_way: dict[int, Parcel] = {}
        self._notices: deque[Parcel] = deque()
        self._fresh: deque[Parcel] = deque()
        self._backlog: deque[Parcel] = deque()
        self._set_aside: list[tuple[str, SeqRange]] = []
        self._pace = Pace(publish.backlog_bytes_per_s)
        self._epoch = ""
        self._after_gap = True
        self._ending = False
        self._backlog_through_seq = -1
        self._backlog_may_wait = True
        self._fresh_due_at = 0.0
        self._taken_when_asked = -1
        self._taken_when_published = taken()
        self._store_retry_at = 0.0
        self._connected_ts = int(time.time())

    def begin(self) -> None:
        """Say that the gateway is online, what it is, and send the freshest readings first."""
        self._notices.append(self._status("online"))
        self._note_inventory()
        self._fill()

    def work(self, wake: socket.socket) -> None:
        """Wait for the broker, for bytes on `wake` or for what is due next, and send what can be sent."""
        self._settle(self._connection.exchange(self._idle_s(), wake))
        self._fill()

    def finish(self, deadline: float) -> bool:
        """Send the freshest unsent readings and say that the gateway goes offline, until `deadline` at most.

        Returns whether the broker was told; if not, it should find out by itself.
        """
        self._ending = True
        self._after_gap = not self._fresh
        end = min(time.monotonic() + GOODBYE_S, deadline)
        told = False
        while (left_s := end - time.monotonic()) > 0:
            if not told:
                self._fill()
            if not told and (not self._fresh or self._over_budget) and self._connection.room > 0:
                self._send(self._status("offline"))
                told = True
            if told and not self._under_way:
                break
            self._settle(self._connection.exchange(left_s))
        return told

    def _fill(self) -> None:
        self._mark_remembered()
        while self._connection.room > 0 and (parcel := self._next_parcel()) is not None:
            self._send(parcel)

    def _next_parcel(self) -> Parcel | None:
        now = time.monotonic()
        may_send_readings = self._may_send_readings(now)
        if may_send_readings and self._fresh_is_due(now):
            self._prepare_fresh(now)
        if self._notices:
            return self._notices.popleft()
        if not may_send_readings:
            return None
        if self._fresh:
            return self._affordable(self._fresh)
        if self._ending or now < self._pace.free_at:
            return None
        if self._backlog_may_wait and not self._backlog:
            self._prepare_backlog()
        return self._affordable(self._backlog) if self._backlog else None

    def _affordable(self, parcels: deque[Parcel]) -> Parcel | None:
        """Return the next of these messages, or None while the budget has no bytes for it."""
        allowed = self._may_spend(len(parcels[0].payload) + MESSAGE_OVERHEAD_BYTES)
        if allowed == self._over_budget:
            self._over_budget = not allowed
            log.info(
                _("readings are sent again")
                if allowed
                else _("the data budget of this month is used up; readings wait here, see: sinyal budget")
            )
        return parcels.popleft() if allowed else None

    def _may_send_readings(self, now: float) -> bool:
        pause = self._memory.pause
        one_is_tried = pause.refused and any(parcel.rows for parcel in self._under_way.values())
        return now >= max(pause.until, self._store_retry_at) and not one_is_tried

    def _fresh_is_due(self, now: float) -> bool:
        if self._fresh:
            return False
        if self._after_gap:
            return True
        taken = self._taken()
        gathered = taken - self._taken_when_published >= self._publish.batch_readings
        return taken != self._taken_when_asked and (gathered or now >= self._fresh_due_at)

    def _prepare_fresh(self, now: float) -> None:
        """Take the newest rows after a gap, else those since the last batch; what is older is backlog."""
        taken = self._taken()
        size = self._publish.batch_readings
        epoch = self._rows.epoch
        run = self._unsent(epoch, newest=True, limit=2 * size)
        if run is None:
            return
        if epoch != self._epoch:
            self._epoch, self._backlog_through_seq, self._after_gap = epoch, -1, True
        fresh = run[-size:] if self._after_gap else self._newer_than_backlog(run)[:size]
        self._after_gap = False
        self._taken_when_asked = taken
        if not fresh:
            return
        self._taken_when_published = taken
        self._fresh_due_at = now + self._publish.interval_s
        self._backlog_through_seq = max(self._backlog_through_seq, _seq(fresh[0]) - 1)
        self._backlog_may_wait = True
        self._fresh.extend(self._parcels(epoch, fresh, late=False))
        self._note_inventory()

    def _newer_than_backlog(self, run: Sequence[Row]) -> list[Row]:
        return [row for row in run if _seq(row) > self._backlog_through_seq]

    def _prepare_backlog(self) -> None:
        epoch = self._rows.epoch
        run = self._unsent(epoch, newest=False, limit=BACKLOG_ROWS)
        if run is None:
            return
        old = [row for row in run if _seq(row) <= self._backlog_through_seq]
        self._backlog_may_wait = bool(old)
        if old:
            self._backlog.extend(self._parcels(epoch, old, late=True))

    def _unsent(self, epoch: str, *, newest: bool, limit: int) -> list[Row] | None:
        """Return unsent rows of `epoch`, or None when the store cannot give them now."""
        ready = (*self._under_way.values(), *self._fresh, *self._backlog)
        leased = [parcel.rows for parcel in ready if parcel.rows and parcel.epoch == epoch]
        leased += [rows for of_epoch, rows in (*self._memory.unmarked, *self._set_aside) if of_epoch == epoch]
        try:
            run = self._rows.unsent_rows(newest=newest, limit=limit, leased=leased)
        except StoreUnusable as problem:
            self._note_store_problem(problem)
            return None
        self._note_store_works()
        # A store that had to begin a new file has begun a new epoch.
        return run if self._rows.epoch == epoch else None

    def _parcels(self, epoch: str, rows: Sequence[Row], *, late: bool) -> list[Parcel]:
        topics = self._gateway.topics
        as_json = self._publish.encoding == "json"
        topic = topics.readings_json if as_json else topics.readings
        try:
            return [
                Parcel(topic, payload, epoch, (first_seq, last_seq), late=late)
                for payload, first_seq, last_seq in split_to_fit(
                    epoch,
                    rows,
                    late=late,
                    max_bytes=self._payload_limit_bytes(topic),
                    encoding="json" if as_json else "columns",
                )
            ]
        except (ReadingTooLarge, ValueError) as problem:
            if len(rows) == 1:
                self._put_aside(epoch, _seq(rows[0]), problem)
                return []
        middle = len(rows) // 2
        return [
            *self._parcels(epoch, rows[:middle], late=late),
            *self._parcels(epoch, rows[middle:], late=late),
        ]

    def _payload_limit_bytes(self, topic: str) -> int:
        of_broker = self._connection.payload_limit_bytes(topic)
        if of_broker < SMALLEST_LIMIT_BYTES:
            raise problems.PACKETS_TOO_SMALL.problem(self._connection.address, max(of_broker, 0))
        learned = self._memory.payload_limit_bytes or of_broker
        return min(self._publish.max_payload_bytes, of_broker, learned)

    def _put_aside(self, epoch: str, seq: int, problem: Exception) -> None:
        """Keep a row that cannot be sent on this connection from holding up the others."""
        last_epoch, (first_seq, last_seq) = self._set_aside[-1] if self._set_aside else ("", (0, 0))
        if (last_epoch, last_seq + 1) == (epoch, seq):
            self._set_aside[-1] = (epoch, (first_seq, seq))
        else:
            self._set_aside.append((epoch, (seq, seq)))
        key = (type(problem).__name__, 0)
        if key not in self._memory.refusals:
            self._memory.refusals.add(key)
            log.warning(
                _("reading {seq} cannot be sent and stays here: {reason}").format(seq=seq, reason=problem)
            )

    def _send(self, parcel: Parcel) -> None:
        mid = self._connection.publish(parcel.topic, parcel.payload, retain=parcel.rows is None)
        self._under_way[mid] = parcel
        if parcel.late:
            self._pace.spend(len(parcel.payload) + MESSAGE_OVERHEAD_BYTES, time.monotonic())

    def _settle(self, acks: Sequence[Ack]) -> None:
        for ack in acks:
            parcel = self._under_way.pop(ack.mid, None)
            if parcel is None:
                continue
            if ack.reason_code < _FAILURE:
                self._note_accepted(parcel)
            else:
                self._note_refused(parcel, ack.reason_code)

    def _note_accepted(self, parcel: Parcel) -> None:
        memory = self._memory
        memory.last_ack_ts = int(time.time())
        memory.refusals = {(topic, code) for topic, code in memory.refusals if topic != parcel.topic}
        if parcel.inventory is not None:
            memory.inventory = parcel.inventory
        if parcel.rows is None:
            return
        if memory.refusal is not None:
            log.info(_("the broker accepts readings again"))
        memory.refusal = None
        memory.pause.end()
        memory.unmarked.append((parcel.epoch, parcel.rows))
        self._mark_remembered()

    def _mark_remembered(self) -> None:
        """Mark what the broker has; what the store cannot mark now stays remembered."""
        unmarked = self._memory.unmarked
        while unmarked and time.monotonic() >= self._store_retry_at:
            epoch, (first_seq, last_seq) = unmarked[0]
            try:
                if epoch == self._rows.epoch:
                    self._rows.mark_sent(first_seq, last_seq)
            except StoreUnusable as problem:
                self._note_store_problem(problem)
                return
            del unmarked[0]
            self._note_store_works()

    def _note_refused(self, parcel: Parcel, code: int) -> None:
        memory = self._memory
        reason, next_step = problems.refusal_words(code)
        text = _("the broker refuses {topic}: {reason} (reason code {code})").format(
            topic=parcel.topic, reason=reason, code=code
        )
        if (parcel.topic, code) not in memory.refusals:
            memory.refusals.add((parcel.topic, code))
            log.warning(
                _("{what}; {next_step}").format(what=text, next_step=next_step) if next_step else text
            )
        if parcel.rows is None:
            return
        memory.refusal = text
        # The rows are unsent again: begin anew with the freshest when the broker may be asked again.
        self._fresh.clear()
        self._backlog.clear()
        self._after_gap = True
        self._backlog_may_wait = True
        if code == _TOO_LARGE and len(parcel.payload) > SMALLEST_LIMIT_BYTES:
            memory.payload_limit_bytes = max(len(parcel.payload) // 2, SMALLEST_LIMIT_BYTES)
        else:
            memory.pause.begin(time.monotonic())

    def _note_store_problem(self, problem: StoreUnusable) -> None:
        self._store_retry_at = time.monotonic() + STORE_RETRY_S
        self._after_gap = True
        if not self._memory.store_fails:
            self._memory.store_fails = True
            log.warning(
                _("stored readings cannot be reached, sending waits: {what}").format(what=problem.what)
            )

    def _note_store_works(self) -> None:
        if self._memory.store_fails:
            self._memory.store_fails = False
            log.info(_("stored readings can be reached again"))

    def _status(self, state: State) -> Parcel:
        now = int(time.time())
        since_ts = self._connected_ts if state == "online" else now
        payload = status_payload(state, self._rows, self._gateway, ts=now, since_ts=since_ts)
        return Parcel(self._gateway.topics.status, payload, self._rows.epoch)

    def _note_inventory(self) -> None:
        epoch = self._rows.epoch
        facts = inventory_facts(self._gateway.inventory(), version=self._gateway.version, epoch=epoch)
        waiting = (*self._notices, *self._under_way.values())
        if facts == self._memory.inventory or any(parcel.inventory == facts for parcel in waiting):
            return
        payload = inventory_message(facts, ts=int(time.time()))
        self._notices.append(Parcel(self._gateway.topics.inventory, payload, epoch, inventory=facts))

    def _idle_s(self) -> float:
        """Return how long nothing is due but an answer of the broker."""
        if self._connection.room <= 0:
            return math.inf
        now = time.monotonic()
        due = [self._memory.pause.until, self._store_retry_at]
        if self._taken() != self._taken_when_asked:
            due.append(self._fresh_due_at)
        if self._backlog or self._backlog_may_wait:
            due.append(self._pace.free_at)
        return min((at - now for at in due if at > now), default=math.inf)


def status_payload(state: State, rows: RowSource, gateway: Gateway, *, ts: int, since_ts: int) -> bytes:
    """Return the `status` of this gateway; what the store cannot say now is left out."""
    try:
        last_seq = rows.counts().last_seq
    except StoreUnusable:
        last_seq = None
    return status_message(
        state,
        ts=ts,
        since_ts=since_ts,
        epoch=rows.epoch,
        last_seq=last_seq,
        version=gateway.version,
        interval_s=gateway.interval_s,
    )


def _seq(row: Row) -> int:
    seq = row["seq"]
    assert isinstance(seq, int)
    return seq
