"""What goes out on one connection, and when: status, events, the freshest readings, then the backlog.

A row is sent when the broker acknowledged it with a good reason code on the connection that carried it, and
only then. Until that it is leased here, so that no other message takes it too.
"""

import logging
import math
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from agent.config.model import PublishConfig
from agent.errors import StoreUnusable
from agent.language import _
from agent.publish import problems
from agent.publish.backoff import Pace
from agent.publish.event_outlet import EventOutlet
from agent.publish.memory import Memory
from agent.publish.messages import State, inventory_facts, inventory_message, status_message
from agent.publish.mqtt import Ack, Connection
from agent.publish.parcel import Gateway, Parcel
from agent.publish.patient_store import Debt, PatientStore
from agent.publish.problems import LinkProblem
from agent.publish.reading_queue import ReadingQueue
from agent.publish.row_source import RowSource, SeqRange
from agent.publish.stored_listener import StoredListener
from agent.publish.suspects import SOON_S

log = logging.getLogger("sinyal.publish")

MESSAGE_OVERHEAD_BYTES = 238
"""What a message and its acknowledgement cost on the wire beside the payload, with TLS."""

GOODBYE_S = 2.0

SMALLEST_LIMIT_BYTES = 512
"""A message must be allowed to hold at least one reading, with nearly all metrics in it."""

LARGE_BATCH_BYTES = 8192
"""What a batch may cost at most, for the data budget."""

_TOO_LARGE = 149
_FAILURE = 128
_NOT_ALLOWED = 135
_REFUSES_TOPIC = frozenset({128, 131, _NOT_ALLOWED})
"""Negative PUBACKs that speak of every event of this type, as far as can be known."""


class Counters(NamedTuple):
    """Counts since the process began: readings taken, calls that an event waits, orders to send now."""

    taken: Callable[[], int]
    announced: Callable[[], int]
    ordered: Callable[[], int] = lambda: 0


class Delivery:
    """The messages of one open connection."""

    def __init__(
        self,
        connection: Connection,
        store: PatientStore,
        publish: PublishConfig,
        gateway: Gateway,
        memory: Memory,
        counters: Counters,
        may_spend: Callable[[int], bool] = lambda _bytes: True,
        is_paused: Callable[[], bool] = lambda: False,
    ) -> None:
        self._connection = connection
        self._store = store
        self._gateway = gateway
        self._memory = memory
        self._may_spend = may_spend
        self._batch_is_granted = False
        self._is_paused = is_paused
        self._ordered, self._ordered_before = counters.ordered, counters.ordered()
        self._over_budget = False
        self._batch_costs_bytes = min(publish.max_payload_bytes, LARGE_BATCH_BYTES) + MESSAGE_OVERHEAD_BYTES
        self._under_way: dict[int, Parcel] = {}
        self._notices: deque[Parcel] = deque()
        self._waits_to_be_alone: Parcel | None = None
        self._pace = Pace(publish.backlog_bytes_per_s)
        self._readings = ReadingQueue(
            store,
            publish,
            gateway.topics,
            memory,
            counters.taken,
            self._on_the_way,
            self._reading_limit_bytes(publish.max_payload_bytes),
        )
        self._events = EventOutlet(
            store,
            gateway.topics,
            memory.events,
            memory.topics,
            counters.announced,
            connection.payload_limit_bytes,
        )
        self._listener = StoredListener(connection, store, gateway.topics, memory)
        self._ending = False
        self._flows = False
        self._sent_at = 0.0
        self._refused_at = -math.inf
        self._refusal: LinkProblem | None = None
        self._connected_ts = int(time.time())

    def begin(self) -> None:
        """Say that the gateway is online, what it is, and send the freshest readings first."""
        self._notices.append(self._status("online"))
        self._note_inventory()
        self._fill()

    def work(self, wake: socket.socket) -> None:
        """Wait for the broker, for bytes on `wake` or for what is due next, and send what can be sent."""
        self._settle(self._connection.exchange(self._idle_s(), wake))
        again_to = self._listener.work(time.monotonic())
        if again_to is not None:
            self._readings.send_again(again_to)
        if self._ordered() != self._ordered_before:
            self._ordered_before = self._ordered()
            self._readings.close_batch(time.monotonic())
        self._fill()

    def finish(self, deadline: float) -> bool:
        """Send the freshest unsent readings and say that the gateway goes offline, until `deadline` at most.

        Returns whether the broker was told; if not, it should find out by itself.
        """
        self._ending = True
        self._readings.end()
        end = min(time.monotonic() + GOODBYE_S, deadline)
        told = False
        while (left_s := end - time.monotonic()) > 0:
            if not told:
                self._fill()
            nothing_fresh = not self._readings.has_fresh or self._over_budget or self._is_paused()
            if not told and nothing_fresh and self._may_say_goodbye():
                self._send(self._status("offline"))
                told = True
            if told and not self._under_way:
                break
            self._settle(self._connection.exchange(left_s))
        return told

    def note_ended(self, problem: LinkProblem) -> LinkProblem | None:
        """Note why the connection ended, and what may have ended it.

        Returns what the broker refused, when that is why it hung up; it is logged.
        """
        now = time.monotonic()
        under_way = list(self._under_way.values())
        memory = self._memory
        if self._listener.is_asking():
            if problem.by_peer:
                memory.ended_subscriptions += 1
            return None
        # A broker that hangs up on what it refused does not blame what else was under way.
        on_refusal = problem.by_peer and now - self._refused_at <= SOON_S
        by_peer = problem.by_peer and not on_refusal
        since_sent = now - self._sent_at
        memory.events.note_ended(under_way, by_peer=by_peer, seconds_since_sent=since_sent, now=now)
        memory.suspicion.note_ended(under_way, by_peer=by_peer, seconds_since_sent=since_sent, now=now)
        refused = memory.topics.note_ended(under_way, by_peer=by_peer, seconds_since_sent=since_sent)
        if on_refusal:
            memory.topics.doubt(under_way)
            return self._refusal
        if refused is not None:
            # The topic is to blame, and not the event on it.
            memory.events.note_not_connected()
            words = problems.TOPIC_ENDS_CONNECTIONS.problem(self._connection.address, refused)
            return self._note_topic_refused(refused, words.what, now)
        if memory.suspicion.blames_broker:
            words = problems.READINGS_END_CONNECTIONS.problem(self._connection.address)
            self._note_refusal(words.what, words.code)
            if (words.code, 0) not in memory.refusals:
                memory.refusals.add((words.code, 0))
                log.warning(_("{what}; {next_step}").format(what=words.what, next_step=words.next_step))
            memory.pause.begin(now)
        return None

    def _may_say_goodbye(self) -> bool:
        alone = any(parcel.alone for parcel in self._under_way.values())
        return self._connection.room > 0 and not alone and self._waits_to_be_alone is None

    def _on_the_way(self) -> Iterable[Parcel]:
        waiting = (self._waits_to_be_alone,) if self._waits_to_be_alone is not None else ()
        return (*self._under_way.values(), *waiting)

    def _fill(self) -> None:
        self._store.pay_debts()
        while self._connection.room > 0 and (parcel := self._next_parcel()) is not None:
            self._send(parcel)

    def _next_parcel(self) -> Parcel | None:
        if any(parcel.alone for parcel in self._under_way.values()):
            return None
        parcel = self._waits_to_be_alone or self._chosen(time.monotonic())
        self._waits_to_be_alone = None
        if parcel is not None and parcel.alone and self._under_way:
            self._waits_to_be_alone = parcel
            return None
        return parcel

    def _chosen(self, now: float) -> Parcel | None:
        may_send_readings = self._may_send_readings(now) and self._can_pay()
        if may_send_readings and self._readings.fresh_is_due(now) and self._readings.prepare_fresh(now):
            self._note_inventory()
        notice = self._next_notice(now, doubtful=False)
        if notice is not None:
            return notice
        if self._listener.is_asking() and not self._ending:
            return None
        event = self._events.next(now)
        if event is not None:
            self._readings.close_batch(now)
            return event
        if not may_send_readings:
            return self._next_doubtful(now)
        return (self._next_doubtful(now) if self._flows else None) or self._chosen_readings(now)

    def _next_notice(self, now: float, *, doubtful: bool) -> Parcel | None:
        topics = self._memory.topics
        for notice in self._notices:
            if topics.may_send(notice.topic, now) and topics.is_doubtful(notice.topic) is doubtful:
                self._notices.remove(notice)
                fresh = notice if notice.inventory is not None else self._status("online")
                return fresh._replace(alone=doubtful)
        return None

    def _next_doubtful(self, now: float) -> Parcel | None:
        """Return a message that may end the connection; when readings can go, they have gone before."""
        if self._ending or any(parcel.rows for parcel in self._under_way.values()):
            return None
        return self._next_notice(now, doubtful=True) or self._events.next(now, doubtful=True)

    def _chosen_readings(self, now: float) -> Parcel | None:
        parcel = self._readings.next_fresh(now)
        if parcel is None and not self._ending:
            parcel = self._readings.next_suspect(now)
        if parcel is not None or self._ending or now < self._pace.free_at:
            return parcel
        if not (self._flows and self._listener.wants_to_ask()):
            parcel = self._readings.next_old(now)
        parcel = parcel or self._next_doubtful(now)
        # Alone, for the answer of some brokers to a subscription they do not allow is to hang up.
        if parcel is None and not self._under_way and self._listener.wants_to_ask():
            self._listener.ask(now)
        return parcel

    def _can_pay(self) -> bool:
        """Return whether the data budget has room for a batch; said once when that changes.

        What it grants stays held until it is counted, so one grant is asked for each batch, not each turn.
        """
        if self._batch_is_granted:
            return True
        can_pay = self._batch_is_granted = self._may_spend(self._batch_costs_bytes)
        if can_pay == self._over_budget:
            self._over_budget = not can_pay
            log.info(
                _("readings are sent again")
                if can_pay
                else _("the data budget of this month is used up; readings wait here, see: sinyal budget")
            )
        return can_pay

    def _may_send_readings(self, now: float) -> bool:
        if self._is_paused():
            return False
        pause = self._memory.pause
        one_is_tried = pause.refused and any(parcel.rows for parcel in self._under_way.values())
        return now >= max(pause.until, self._store.retry_at) and not one_is_tried

    def _reading_limit_bytes(self, configured_bytes: int) -> Callable[[str], int]:
        def limit_bytes(topic: str) -> int:
            of_broker = self._connection.payload_limit_bytes(topic)
            if of_broker < SMALLEST_LIMIT_BYTES:
                raise problems.PACKETS_TOO_SMALL.problem(self._connection.address, max(of_broker, 0))
            return min(configured_bytes, of_broker)

        return limit_bytes

    def _send(self, parcel: Parcel) -> None:
        mid = self._connection.publish(parcel.topic, parcel.payload, retain=parcel.retained)
        self._under_way[mid] = parcel
        if parcel.rows:
            self._batch_is_granted = False
        self._sent_at = time.monotonic()
        if parcel.late:
            self._pace.spend(len(parcel.payload) + MESSAGE_OVERHEAD_BYTES, self._sent_at)

    def _settle(self, acks: Sequence[Ack]) -> None:
        for ack in acks:
            parcel = self._under_way.pop(ack.mid, None)
            if parcel is None:
                continue
            if ack.reason_code < _FAILURE:
                self._note_accepted(parcel)
            else:
                self._note_refused(parcel, ack.reason_code)
        self._store.pay_debts()

    def _note_accepted(self, parcel: Parcel) -> None:
        memory = self._memory
        memory.last_ack_ts = int(time.time())
        memory.refusals = {(topic, code) for topic, code in memory.refusals if topic != parcel.topic}
        if parcel.rows is None and memory.topics.note_accepted(parcel.topic):
            log.info(_("the broker accepts {topic} again").format(topic=parcel.topic))
            self._tell_refused_topics()
        if parcel.inventory is not None:
            memory.inventory = parcel.inventory
        if parcel.event is not None:
            self._events.note_accepted(parcel)
        if parcel.rows is not None:
            self._note_readings_accepted(parcel)

    def _note_readings_accepted(self, parcel: Parcel) -> None:
        assert parcel.rows is not None
        memory = self._memory
        now = time.monotonic()
        self._flows = True
        if memory.refusal is not None:
            log.info(_("the broker accepts readings again"))
            memory.refusals.discard((problems.READINGS_END_CONNECTIONS.code, 0))
        memory.refusal = memory.refusal_code = None
        memory.pause.end()
        # Seqs, as a rollup stands for more than one row and a range of salvaged rows has holes.
        memory.rows_sent += parcel.rows[1] - parcel.rows[0] + 1
        self._store.owe(Debt("salvaged" if parcel.salvaged else "sent", parcel.epoch, parcel.rows))
        if not parcel.salvaged:
            memory.stored.note_acknowledged(parcel.epoch, parcel.rows, now)
        for guilty in memory.suspicion.note_accepted(parcel, now):
            log.warning(
                _("reading {seq} ended {count} connections and is not sent any more").format(
                    seq=guilty.rows[0], count=guilty.strikes
                )
            )
            self._owe_setting_aside(guilty.epoch, guilty.rows, "ends_connections", salvaged=guilty.salvaged)

    def _owe_setting_aside(self, epoch: str, rows: SeqRange, reason: str, *, salvaged: bool) -> None:
        self._store.owe(Debt("salvaged" if salvaged else "quarantine", epoch, rows, reason))

    def _note_refused(self, parcel: Parcel, code: int) -> None:
        memory = self._memory
        now = self._refused_at = time.monotonic()
        reason, next_step = problems.refusal_words(code)
        text = _("the broker refuses {topic}: {reason} (reason code {code})").format(
            topic=parcel.topic, reason=reason, code=code
        )
        if (parcel.topic, code) not in memory.refusals:
            memory.refusals.add((parcel.topic, code))
            log.warning(
                _("{what}; {next_step}").format(what=text, next_step=next_step) if next_step else text
            )
        if parcel.event is not None:
            self._events.note_refused(parcel, code, now)
        if parcel.rows is None:
            self._refusal = LinkProblem(problems.TOPIC_REFUSED.code, text, next_step)
            if parcel.event is None or code in _REFUSES_TOPIC:
                self._refusal = self._note_topic_refused(parcel.topic, "", now)
            if parcel.event is None and not self._ending:
                self._notices.append(parcel)
            return
        memory.batches_refused += 1
        self._refusal = LinkProblem("refused_by_broker", text, next_step)
        self._note_refusal(text, "refused_by_broker")
        # The rows are unsent again: begin anew with the freshest when the broker may be asked again.
        self._readings.begin_anew()
        if code != _TOO_LARGE or len(parcel.payload) <= SMALLEST_LIMIT_BYTES:
            memory.pause.begin(now)
        elif parcel.rows[0] == parcel.rows[1]:
            self._owe_setting_aside(parcel.epoch, parcel.rows, "too_large", salvaged=parcel.salvaged)
        else:
            memory.refused_bytes = min(memory.refused_bytes or len(parcel.payload), len(parcel.payload))

    def _note_topic_refused(self, topic: str, text: str, now: float) -> LinkProblem:
        """Let the topic rest, and return what is to be told of it; text is logged when the topic was good."""
        if self._memory.topics.note_refused(topic, now) and text:
            next_step = problems.refusal_words(_NOT_ALLOWED)[1]
            log.warning(_("{what}; {next_step}").format(what=text, next_step=next_step))
        return self._tell_refused_topics() or problems.TOPIC_REFUSED.problem(self._connection.address, topic)

    def _tell_refused_topics(self) -> LinkProblem | None:
        refused = ", ".join(self._memory.topics.refused())
        words = problems.TOPIC_REFUSED.problem(self._connection.address, refused) if refused else None
        self._memory.topic_refusal = words.what if words is not None else None
        return words

    def _note_refusal(self, text: str, code: str) -> None:
        self._memory.refusal, self._memory.refusal_code = text, code

    def _status(self, state: State) -> Parcel:
        now = int(time.time())
        since_ts = self._connected_ts if state == "online" else now
        payload = status_payload(state, self._store.rows, self._gateway, ts=now, since_ts=since_ts)
        return Parcel(self._gateway.topics.status, payload, self._store.epoch)

    def _note_inventory(self) -> None:
        epoch = self._store.epoch
        facts = inventory_facts(self._gateway.inventory(), version=self._gateway.version, epoch=epoch)
        waiting = (*self._notices, *self._under_way.values())
        if facts == self._memory.inventory or any(parcel.inventory == facts for parcel in waiting):
            return
        payload = inventory_message(facts, ts=int(time.time()))
        self._notices = deque(parcel for parcel in self._notices if parcel.inventory is None)
        self._notices.append(Parcel(self._gateway.topics.inventory, payload, epoch, inventory=facts))

    def _idle_s(self) -> float:
        """Return how long nothing is due but an answer of the broker."""
        if self._connection.room <= 0:
            return math.inf
        now = time.monotonic()
        due = [
            self._memory.pause.until,
            self._store.retry_at,
            self._events.due_at(),
            self._listener.due_at(now),
            self._memory.suspicion.next_at(now) or 0.0,
            self._memory.topics.next_at(now) or 0.0,
        ]
        if self._readings.has_news():
            due.append(self._readings.fresh_due_at)
        if self._readings.may_have_old:
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
