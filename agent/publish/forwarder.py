"""The forwarder: one thread that keeps a connection to the broker and sends what is stored."""

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from agent.config.model import BrokerConfig, PublishConfig
from agent.errors import SinyalError
from agent.language import _
from agent.publish.backoff import Backoff
from agent.publish.broker_socket import TlsFiles
from agent.publish.delivery import Delivery, Gateway, Memory, status_payload
from agent.publish.mqtt import ACK_TIMEOUT_S, WILL_DELAY_S, Connection, Will
from agent.publish.problems import Address, LinkProblem
from agent.publish.row_source import RowSource
from agent.publish.topics import Topics

log = logging.getLogger("sinyal.publish")

STABLE_S = 30.0
"""A connection that lives so long has proved itself: the waits begin small again."""

_MARGIN_S = 0.2

LinkState = Literal["offline", "connecting", "connected", "no broker configured"]


@dataclass(frozen=True, slots=True)
class LinkHealth:
    """How the connection to the broker is doing.

    since_ts is when `state` began and last_ack_ts when the broker last took a message (UTC seconds, None for
    never); connects counts accepted connections. last_problem says why not all is well now, in the person's
    language, and last_problem_code the same for programs; None while all is well. wire_bytes is what all
    connections have cost so far, both ways, headers included.
    """

    state: LinkState
    since_ts: int
    last_ack_ts: int | None = None
    connects: int = 0
    last_problem: str | None = None
    last_problem_code: str | None = None
    wire_bytes: int = 0


class Forwarder:
    """Sends the rows of `rows` to the broker, from its own thread, for as long as it takes.

    gateway_id is the client id and part of every topic; version, interval_s (of readings) and what
    `inventory` returns are told to the centre. may_send_readings is asked before each batch whether so many
    bytes may be spent; status and inventory always go. Nothing here blocks or raises into the caller.
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
        may_send_readings: Callable[[int], bool] = lambda _bytes: True,
    ) -> None:
        self._rows = rows
        self._addresses: tuple[Address, ...] = broker.addresses()
        self._tls = TlsFiles(broker.ca_file, broker.cert_file, broker.key_file) if broker.tls else None
        self._publish = publish
        self._gateway = Gateway(Topics(gateway_id), version, interval_s, inventory)
        self._ack_timeout_s = ack_timeout_s
        self._will_delay_s = will_delay_s
        self._memory = Memory()
        self._may_send_readings = may_send_readings
        self._backoff = Backoff(publish.reconnect_max_s)
        self._address_at = 0
        self._taken = 0
        self._stopping = threading.Event()
        self._deadline = 0.0
        self._wake: tuple[socket.socket, socket.socket] | None = None
        self._thread = threading.Thread(target=self._run, name="forwarder", daemon=True)
        self._said: set[object] = set()
        self._said_connected = False
        state: LinkState = "offline" if self._addresses else "no broker configured"
        self._health = LinkHealth(state, int(time.time()))
        self._closed_wire_bytes = 0

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
        self._nudge()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def wake(self) -> None:
        """Say that a new reading is stored."""
        self._taken += 1
        self._nudge()

    def is_alive(self) -> bool:
        """Return whether the thread runs."""
        return self._thread.is_alive()

    def health(self) -> LinkHealth:
        """Return how the connection is doing, at most ten seconds old."""
        return self._health

    def _nudge(self) -> None:
        if self._wake is not None:
            # A full pipe means that the thread is woken already, a closed one that it has ended.
            with contextlib.suppress(OSError):
                self._wake[1].send(b"\0")

    def _run(self) -> None:
        if not self._addresses:
            log.info(_("no broker is configured (broker.host); readings stay on this gateway"))
            self._stopping.wait()
        while not self._stopping.is_set():
            try:
                self._connect_and_deliver()
            except Exception as error:  # noqa: BLE001 -- the edge of the thread: forwarding must go on
                self._note_fault(error)
            self._stopping.wait(self._backoff.next_s())
        for end in self._wake or ():
            end.close()

    def _connect_and_deliver(self) -> None:
        address = self._addresses[self._address_at % len(self._addresses)]
        # A connection that proves itself sets this back to the first address.
        self._address_at += 1
        self._show("connecting")
        connection = self._new_connection(address)
        try:
            connection.open()
            self._deliver(connection)
        except SinyalError as problem:
            self._note_problem(address, problem)
        finally:
            connection.close(goodbye=False)
            self._closed_wire_bytes += connection.wire_bytes()
            self._show("offline")

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
        self._health = replace(self._health, connects=self._health.connects + 1)
        self._note_connected(connection.address, ("connected", connection.address))
        delivery = Delivery(
            connection,
            self._rows,
            self._publish,
            self._gateway,
            self._memory,
            lambda: self._taken,
            self._may_send_readings,
        )
        if not self._stopping.is_set():
            delivery.begin()
        while not self._stopping.is_set():
            self._show("connected", connection)
            delivery.work(self._wake[0])
            if time.monotonic() >= stable_at:
                stable_at = float("inf")
                self._note_stable(connection.address)
        told = delivery.finish(self._deadline)
        connection.close(goodbye=told)

    def _show(self, state: LinkState, connection: Connection | None = None) -> None:
        before = self._health
        problem, code = before.last_problem, before.last_problem_code
        if state == "connected":
            problem = self._memory.refusal
            code = "refused_by_broker" if problem else None
        self._health = replace(
            before,
            state=state,
            since_ts=before.since_ts if before.state == state else int(time.time()),
            last_ack_ts=self._memory.last_ack_ts,
            last_problem=problem,
            last_problem_code=code,
            wire_bytes=self._closed_wire_bytes + (connection.wire_bytes() if connection else 0),
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
        code = problem.code if isinstance(problem, LinkProblem) else "tls_files"
        self._health = replace(self._health, last_problem=problem.what, last_problem_code=code)
        key = (address, code if isinstance(problem, LinkProblem) else problem.what)
        if key in self._said or self._stopping.is_set():
            return
        self._said.add(key)
        self._said_connected = False
        words = [problem.what, problem.next_step, _("readings are kept, and the agent goes on trying")]
        log.warning("; ".join(word for word in words if word))

    def _note_fault(self, error: Exception) -> None:
        self._health = replace(self._health, last_problem=repr(error), last_problem_code="fault")
        if repr(error) not in self._said:
            self._said.add(repr(error))
            self._said_connected = False
            log.error(_("unexpected fault while sending; the agent connects anew"), exc_info=error)
