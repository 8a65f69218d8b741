"""The forwarder: one thread that keeps a connection to the broker and sends what is stored."""

import contextlib
import logging
import math
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from agent.config.model import BrokerConfig, PublishConfig
from agent.errors import SinyalError
from agent.language import _
from agent.publish import problems
from agent.publish.backoff import STARTUP_DELAY_BEFORE_S, Backoff, uniform_s
from agent.publish.delivery import Counters, Delivery, status_payload
from agent.publish.memory import Memory
from agent.publish.mqtt import ACK_TIMEOUT_S, WILL_DELAY_S, Connection, Will
from agent.publish.parcel import Gateway
from agent.publish.patient_store import PatientStore
from agent.publish.problems import CLOCK_WRONG, TOPIC_REFUSED, Address, LinkProblem
from agent.publish.row_source import RowSource
from agent.publish.tls_sessions import TlsFiles, TlsSessions
from agent.publish.topics import Topics

log = logging.getLogger("sinyal.publish")

STABLE_S = 30.0
"""A connection that lives so long has proved itself: the waits begin small again."""

HURRY_SPREAD_S = 4.0
"""Within this time after `hurry` the connection is tried."""

LONGEST_TURN_S = 10.0
"""The thread shows at least so often that it turns, but for a name server or a TCP connection that hangs."""

_MARGIN_S = 0.2
_CLOCK_VERDICTS = frozenset({"tls_expired", "tls_not_yet_valid"})

LinkState = Literal["offline", "connecting", "connected", "no broker configured"]


OVER_BUDGET = "over_budget"
"""Code of the problem that is none of the connection's: the data budget allows none."""

BUDGET_PAUSE_S = 60.0
"""When the data budget allows no connection, it is asked again so often."""

GOODBYE_S = 5.0
"""Time to part in good order when the budget ends."""


@dataclass(frozen=True, slots=True)
class LinkHealth:
    """How the connection to the broker is doing.

    since_ts is when `state` began and last_ack_ts when the broker last took a message (UTC seconds, None for
    never); connects counts accepted connections, attempts those tried since the last accepted one.
    last_problem says why not all is well now, in the person's language, and last_problem_code the same for
    programs; None while all is well. last_reason says why the last connection failed or ended, also when all
    is well again; last_reason_ts when. wire_bytes is what all connections have cost so far, both ways, with
    headers. rows_sent and batches_refused count since the start of the process; suspects are ranges of rows
    that may have ended a connection, stored_seq is the highest seq the centre says it has for good.
    """

    state: LinkState
    since_ts: int
    last_ack_ts: int | None = None
    connects: int = 0
    last_problem: str | None = None
    last_problem_code: str | None = None
    wire_bytes: int = 0
    last_reason: str | None = None
    last_reason_code: str | None = None
    last_reason_ts: int | None = None
    attempts: int = 0
    rows_sent: int = 0
    batches_refused: int = 0
    suspects: int = 0
    stored_seq: int | None = None


class Forwarder:
    """Sends the rows of `rows` to the broker, from its own thread, for as long as it takes.

    gateway_id is the client id and part of every topic; version, interval_s (of readings) and what
    `inventory` returns are told to the centre. may_send_readings is asked before each batch whether so
    many bytes may be spent, and is_paused whether a person wants none sent; status, inventory and events
    always go. clock_is_trusted says whether the wall clock has been set: before that, a certificate that
    seems out of its time is the clock's fault. hear_time takes the UTC second that the centre tells.
    uptime_s gives the seconds since the board booted. Nothing here blocks or raises into the caller.
    """

    def __init__(
        self,
        rows: RowSource,
        broker: BrokerConfig,
        publish: PublishConfig,
        *,
        gateway_id: str,
        version: str,
        interval_s: float,
        inventory: Callable[[], Mapping[str, object]],
        ack_timeout_s: float = ACK_TIMEOUT_S,
        will_delay_s: int = WILL_DELAY_S,
        clock_is_trusted: Callable[[], bool] = lambda: True,
        hear_time: Callable[[int], None] = lambda _ts: None,
        uptime_s: Callable[[], float] = lambda: time.clock_gettime(time.CLOCK_BOOTTIME),
        may_send_readings: Callable[[int], bool] = lambda _bytes: True,
        is_paused: Callable[[], bool] = lambda: False,
        may_connect: Callable[[], bool] = lambda: True,
    ) -> None:
        self._rows = rows
        self._store = PatientStore(rows)
        self._addresses: tuple[Address, ...] = broker.addresses()
        files = TlsFiles(broker.ca_file, broker.cert_file, broker.key_file)
        self._tls = TlsSessions(files) if broker.tls else None
        self._clock_is_trusted = clock_is_trusted
        self._uptime_s = uptime_s
        self._publish = publish
        self._gateway = Gateway(Topics(gateway_id), version, interval_s, inventory)
        self._ack_timeout_s = ack_timeout_s
        self._will_delay_s = will_delay_s
        self._memory = Memory(hear_time=hear_time)
        self._may_send_readings = may_send_readings
        self._is_paused = is_paused
        self._may_connect = may_connect
        self._backoff = Backoff(publish.reconnect_max_s)
        self._address_at = 0
        self._taken = 0
        self._announced = 0
        self._ordered = 0
        self._last_turn = time.monotonic()
        self._stopping = threading.Event()
        self._roused = threading.Event()
        self._deadline = 0.0
        self._wake: tuple[socket.socket, socket.socket] | None = None
        self._thread = threading.Thread(target=self._run, name="forwarder", daemon=True)
        self._said: set[object] = set()
        self._said_connected = False
        state: LinkState = "offline" if self._addresses else "no broker configured"
        self._health = LinkHealth(state, int(time.time()))
        self._closed_wire_bytes = 0
        self._struck_at: Address | None = None

    def start(self) -> None:
        """Begin to connect."""
        self._wake = socket.socketpair()
        for end in self._wake:
            end.setblocking(False)
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Send what is unsent, say goodbye and end, within timeout_s whatever hangs.

        A thread that waits for the network longer than that ends by itself later, without touching the rows.
        """
        self._deadline = time.monotonic() + max(timeout_s - _MARGIN_S, 0.0)
        self._stopping.set()
        self._roused.set()
        self._nudge()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def wake(self, *, urgent: bool = False) -> None:
        """Say that a new reading is stored; urgent: an event, which goes out at once with what is unsent."""
        if urgent:
            self._announced += 1
        else:
            self._taken += 1
        self._nudge()

    def send_now(self) -> None:
        """Let the readings gathered so far go at once, not when the batch is full or its time has come.

        Without a connection the next attempt comes within HURRY_SPREAD_S.
        """
        self._ordered += 1
        self._roused.set()
        self._nudge()

    def hurry(self) -> None:
        """Say that the uplink, or the clock, has just become good: what is unsent goes out now.

        A pause before the next connection ends within HURRY_SPREAD_S; a connection that has lost its address
        to a new uplink ends at once.
        """
        self._backoff.reset()
        self._announced += 1
        self._roused.set()
        self._nudge()

    def is_alive(self) -> bool:
        """Return whether the thread runs."""
        return self._thread.is_alive()

    @property
    def last_turn_monotonic(self) -> float:
        """When the thread last showed that it turns; older than a minute means that it hangs."""
        return self._last_turn

    def health(self) -> LinkHealth:
        """Return how the connection is doing, at most ten seconds old."""
        return self._health

    def _nudge(self) -> None:
        if self._wake is not None:
            # A full pipe means that the thread is woken already, a closed one that it has ended.
            with contextlib.suppress(OSError):
                self._wake[1].send(b"\0")

    def _run(self) -> None:
        try:
            self._work()
        finally:
            for end in self._wake or ():
                end.close()

    def _work(self) -> None:
        if not self._addresses:
            log.info(_("no broker is configured (broker.host); readings stay on this gateway"))
            self._pause(math.inf)
        self._pause(self._startup_delay_s())
        while not self._stopping.is_set():
            if not self._may_connect():
                what = _("the data budget of this month is used up; readings wait here, see: sinyal budget")
                self._set_problem(what, OVER_BUDGET)
                self._pause(BUDGET_PAUSE_S)
                continue
            try:
                self._connect_and_deliver()
            except Exception as error:  # noqa: BLE001 -- the edge of the thread: forwarding must go on
                self._note_fault(error)
            self._pause(self._backoff.next_s(), may_be_short=True)

    def _pause(self, pause_s: float, *, may_be_short: bool = False) -> None:
        """Wait, showing now and then that the thread lives; ends early to stop, and to hurry where it may."""
        until = time.monotonic() + pause_s
        while (left_s := until - time.monotonic()) > 0:
            self._last_turn = time.monotonic()
            self._roused.wait(min(left_s, LONGEST_TURN_S))
            if self._stopping.is_set():
                return
            if self._take_hurry() and may_be_short:
                # A cell that comes back brings all its gateways with it.
                until = min(until, time.monotonic() + uniform_s(HURRY_SPREAD_S))
        self._last_turn = time.monotonic()

    def _take_hurry(self) -> bool:
        was_roused = self._roused.is_set()
        self._roused.clear()
        return was_roused

    def _startup_delay_s(self) -> float:
        """Return how long to wait before the first connection: a whole district boots after a blackout."""
        longest_s = self._publish.startup_delay_max_s
        if longest_s <= 0 or self._uptime_s() >= STARTUP_DELAY_BEFORE_S or not self._addresses:
            return 0.0
        delay_s = uniform_s(longest_s)
        log.info(
            _("the board has just booted; connecting begins in {seconds} s").format(seconds=round(delay_s))
        )
        return delay_s

    def _connect_and_deliver(self) -> None:
        address = self._addresses[self._address_at % len(self._addresses)]
        # A connection that proves itself sets this back to the first address.
        self._address_at += 1
        self._last_turn = time.monotonic()
        self._health = replace(self._health, attempts=self._health.attempts + 1)
        self._show("connecting")
        connection = self._new_connection(address)
        try:
            self._open(connection)
            self._deliver(connection)
        except SinyalError as problem:
            self._note_problem(address, problem)
        finally:
            connection.close(goodbye=False)
            self._closed_wire_bytes += connection.wire_bytes()
            self._show("offline")

    def _open(self, connection: Connection) -> None:
        try:
            connection.open()
        except SinyalError:
            if connection.address == self._struck_at:
                now = time.monotonic()
                self._memory.suspicion.note_not_connected(now)
                self._memory.events.note_not_connected()
                self._memory.topics.note_not_connected()
            raise

    def _new_connection(self, address: Address) -> Connection:
        now = int(time.time())
        topics = self._gateway.topics
        last_words = status_payload("lost", self._rows, self._gateway, ts=now, since_ts=now)
        return Connection(
            address,
            client_id=topics.gateway_id,
            keepalive_s=self._publish.effective_keepalive_s(),
            tls=self._tls,
            will=Will(topics.status, last_words, self._will_delay_s),
            ack_timeout_s=self._ack_timeout_s,
        )

    def _deliver(self, connection: Connection) -> None:
        assert self._wake is not None
        stable_at = time.monotonic() + STABLE_S
        self._health = replace(self._health, connects=self._health.connects + 1, attempts=0)
        self._note_connected(connection.address, ("connected", connection.address))
        counters = Counters(lambda: self._taken, lambda: self._announced, lambda: self._ordered)
        delivery = Delivery(
            connection,
            self._store,
            self._publish,
            self._gateway,
            self._memory,
            counters,
            self._may_send_readings,
            self._is_paused,
        )
        try:
            if not self._stopping.is_set():
                delivery.begin()
            while not self._stopping.is_set() and self._may_connect():
                self._last_turn = time.monotonic()
                self._show("connected", connection)
                delivery.work(self._wake[0])
                if self._take_hurry() and not connection.has_its_address():
                    raise problems.LOST.problem(connection.address, _("the uplink has changed"))
                if time.monotonic() >= stable_at:
                    stable_at = float("inf")
                    self._note_stable(connection.address)
            if not self._stopping.is_set():
                log.warning(_("the data budget of this month is used up; the connection to the broker ends"))
                self._deadline = time.monotonic() + GOODBYE_S
            told = delivery.finish(self._deadline)
        except LinkProblem as problem:
            if self._stopping.is_set():
                raise
            explained = self._note_ended(delivery, connection.address, problem)
            if explained is None:
                raise
            # The refusal was logged when it was found.
            self._set_problem(explained.what, explained.code)
            return
        connection.close(goodbye=told)

    def _note_ended(self, delivery: Delivery, address: Address, problem: LinkProblem) -> LinkProblem | None:
        explained = delivery.note_ended(problem)
        self._struck_at = address
        if self._memory.suspicion.hurries:
            # Finding the row takes some ten connections, each of which moves other readings.
            self._backoff.reset()
            self._address_at -= 1
        return explained

    def _show(self, state: LinkState, connection: Connection | None = None) -> None:
        before = self._health
        problem, code = before.last_problem, before.last_problem_code
        if state == "connected":
            memory = self._memory
            problem, code = memory.refusal, memory.refusal_code
            if problem is None and memory.topic_refusal is not None:
                problem, code = memory.topic_refusal, TOPIC_REFUSED.code
        self._health = replace(
            before,
            state=state,
            since_ts=before.since_ts if before.state == state else int(time.time()),
            last_ack_ts=self._memory.last_ack_ts,
            last_problem=problem,
            last_problem_code=code,
            wire_bytes=self._closed_wire_bytes + (connection.wire_bytes() if connection else 0),
            rows_sent=self._memory.rows_sent,
            batches_refused=self._memory.batches_refused,
            suspects=len(self._memory.suspicion),
            stored_seq=self._memory.stored.seq,
        )

    def _note_connected(self, address: Address, key: object) -> None:
        if key in self._said:
            return
        self._said.add(key)
        self._said_connected = True
        log.info(_("connected to the broker {host}:{port}").format(host=address[0], port=address[1]))

    def _note_stable(self, address: Address) -> None:
        self._backoff.reset()
        self._address_at = 0
        self._said.clear()
        if not self._said_connected:
            self._note_connected(address, "stable")

    def _note_problem(self, address: Address, problem: SinyalError) -> None:
        is_about_time = isinstance(problem, LinkProblem) and problem.code in _CLOCK_VERDICTS
        if is_about_time and not self._clock_is_trusted():
            problem = CLOCK_WRONG.problem(address)
        code = problem.code if isinstance(problem, LinkProblem) else "tls_files"
        self._set_problem(problem.what, code)
        key = (address, code if isinstance(problem, LinkProblem) else problem.what)
        if key in self._said or self._stopping.is_set():
            return
        self._said.add(key)
        self._said_connected = False
        words = [problem.what, problem.next_step, _("readings are kept, and the agent goes on trying")]
        log.warning("; ".join(word for word in words if word))

    def _set_problem(self, what: str, code: str) -> None:
        self._health = replace(
            self._health,
            last_problem=what,
            last_problem_code=code,
            last_reason=what,
            last_reason_code=code,
            last_reason_ts=int(time.time()),
        )

    def _note_fault(self, error: Exception) -> None:
        self._set_problem(repr(error), "fault")
        if repr(error) not in self._said:
            self._said.add(repr(error))
            self._said_connected = False
            log.error(_("unexpected fault while sending; the agent connects anew"), exc_info=error)
