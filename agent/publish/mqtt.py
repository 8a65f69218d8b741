"""One connection to an MQTT 5 broker; the only place that knows paho-mqtt.

A Connection is used once and by one thread. paho gets no thread of its own: an exception would end that one
without a word, and `publish()` in one thread against a callback in another can lock for ever. paho's own
queue stays empty: a fresh client has nothing to send again, and nothing is published while not connected.
"""

import math
import select
import socket
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from agent.language import _
from agent.publish import problems
from agent.publish.broker_socket import BrokerSocket, open_socket
from agent.publish.light_paho import NEXT_STEP, LibraryUnusable, light_paho
from agent.publish.problems import Address, LinkProblem
from agent.publish.tls_sessions import TlsSessions

with light_paho():
    import paho.mqtt.client as paho
    from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode
    from paho.mqtt.subscribeoptions import SubscribeOptions

if not hasattr(paho.Client, "_create_socket"):
    # Rather no connection than one that paho opens without our TLS.
    raise LibraryUnusable(_("this paho-mqtt is too new for Sinyal"), NEXT_STEP)

CONNECT_TIMEOUT_S = 5.0
"""For TCP, for TLS and for the broker's CONNACK, each."""

ACK_TIMEOUT_S = 30.0
"""A message unacknowledged for so long ends the connection: the surest sign of a dead link."""

OUR_WINDOW = 4
"""Messages under way at once: enough to keep a slow link busy, few enough to repeat after a fade."""

WILL_DELAY_S = 300
"""A fade shorter than this does not show as `lost`."""

MAX_INCOMING_BYTES = 1 << 20

MAX_HEARD_BYTES = 16_384
MOST_HEARD = 8
"""What the centre may have said before it is read: larger messages and older ones are dropped."""

_LONGEST_TURN_S = 10.0
_CONNACK = 0x20
_PAHO_FOUND_PROTOCOL_ERROR = 130
_PAHO_GOT_NO_PINGRESP = 141
_LARGEST_MQTT_PACKET = 268_435_455 + 5
_ROOM_FOR_HEADERS_BYTES = 5 + 2 + 2 + 1  # fixed header, topic length, packet identifier, empty properties


def _accept_every_reason() -> None:
    # mosquitto puts 149 (packet too large) into a PUBACK, where the standard does not list it. paho would
    # call that malformed and drop the connection without telling which message it was, for ever.
    for code, names in ReasonCode.names.items():
        for packet_types in names.values() if code >= 128 else ():
            for packet_type in (PacketTypes.CONNACK, PacketTypes.PUBACK, PacketTypes.DISCONNECT):
                if packet_type not in packet_types:
                    packet_types.append(packet_type)


_accept_every_reason()


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker says for us when we are gone without a goodbye: retained, QoS 1, after delay_s."""

    topic: str
    payload: bytes
    delay_s: int = WILL_DELAY_S


@dataclass(frozen=True, slots=True)
class Ack:
    """The broker's answer to a message: reason_code below 128 is good (MQTT 5, 3.4.2.1)."""

    mid: int
    reason_code: int


class Message(NamedTuple):
    """A message that came."""

    topic: str
    payload: bytes
    retained: bool


class _Client(paho.Client):
    """paho's client on a socket that we open."""

    def __init__(self, client_id: str, broker_socket: BrokerSocket) -> None:
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=paho.MQTTv5,
            reconnect_on_failure=False,
        )
        self._broker_socket = broker_socket

    def _create_socket(self) -> BrokerSocket:
        return self._broker_socket


class Connection:
    """One connection, from open() to close().

    address and tls say where; client_id, keepalive_s and will go into CONNECT. Without a will the session
    ends with the connection. Every method that meets a problem raises LinkProblem, and the connection is
    then of no more use than to be closed.
    """

    def __init__(
        self,
        address: Address,
        *,
        client_id: str,
        keepalive_s: int,
        tls: TlsSessions | None = None,
        will: Will | None = None,
        ack_timeout_s: float = ACK_TIMEOUT_S,
    ) -> None:
        self.address = address
        self._client_id = client_id
        self._keepalive_s = keepalive_s
        self._tls = tls
        self._will = will
        self._ack_timeout_s = ack_timeout_s
        self._socket: BrokerSocket | None = None
        self._opening_bytes = 0
        self._client: _Client | None = None
        self._sent_at: dict[int, float] = {}
        self._window = 0
        self._max_packet_bytes = _LARGEST_MQTT_PACKET
        # The callbacks only append here: they run inside paho's locks and must not raise.
        self._connacks: deque[tuple[ReasonCode, Any]] = deque()
        self._acks: deque[tuple[int, ReasonCode]] = deque()
        self._subacks: deque[list[ReasonCode]] = deque()
        self._messages: deque[paho.MQTTMessage] = deque()
        self._goodbyes: deque[tuple[paho.DisconnectFlags, ReasonCode]] = deque()

    def open(self) -> None:
        """Connect and wait for the broker's CONNACK.

        Raises LinkProblem, or ConfigMistake / NoPermission for a TLS file that cannot be used.
        """
        try:
            opened = open_socket(
                self.address,
                self._tls,
                timeout_s=CONNECT_TIMEOUT_S,
                unanswered_s=self._ack_timeout_s,
                charge=self._charge,
            )
        except (OSError, ValueError) as error:
            self._forget_session()
            raise problems.connect_problem(self.address, error) from error
        self._socket = BrokerSocket(opened, max_packet_bytes=MAX_INCOMING_BYTES)
        self._client = client = self._prepared_client(self._socket)
        session = _properties(PacketTypes.CONNECT)
        session.MaximumPacketSize = MAX_INCOMING_BYTES
        if self._will is not None:
            # A will waits no longer than its session lives, and a clean start would end the session, so that
            # every reconnect would show as `lost`.
            session.SessionExpiryInterval = self._will.delay_s
        client.connect(*self.address, self._keepalive_s, clean_start=self._will is None, properties=session)
        try:
            self._await_connack()
        except LinkProblem:
            # Whatever the reason was, it must not lie in a session that the broker cannot use.
            self._forget_session()
            raise
        self._keep_session()

    def _prepared_client(self, broker_socket: BrokerSocket) -> _Client:
        client = _Client(self._client_id, broker_socket)
        if self._will is not None:
            delay = _properties(PacketTypes.WILLMESSAGE)
            delay.WillDelayInterval = self._will.delay_s
            client.will_set(self._will.topic, self._will.payload, qos=1, retain=True, properties=delay)
        client.on_connect = lambda _c, _u, _flags, reason, properties: self._connacks.append(
            (reason, properties)
        )
        client.on_publish = lambda _c, _u, mid, reason, _properties: self._acks.append((mid, reason))
        client.on_subscribe = lambda _c, _u, _mid, reasons, _properties: self._subacks.append(reasons)
        client.on_disconnect = lambda _c, _u, flags, reason, _properties: self._goodbyes.append(
            (flags, reason)
        )
        return client

    def _await_connack(self) -> None:
        deadline = time.monotonic() + CONNECT_TIMEOUT_S
        while not self._connacks:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise problems.NO_ANSWER.problem(self.address)
            self._turn(left_s)
            if not self._connacks:
                self._raise_when_lost(answered=False)
        reason, granted = self._connacks.popleft()
        if reason.is_failure:
            raise problems.connack_problem(self.address, reason.value, reason.getName())
        self._window = min(OUR_WINDOW, getattr(granted, "ReceiveMaximum", OUR_WINDOW))
        self._max_packet_bytes = getattr(granted, "MaximumPacketSize", _LARGEST_MQTT_PACKET)

    def _keep_session(self) -> None:
        if self._tls is not None and self._socket is not None:
            self._tls.keep(self.address, self._socket.tls_session())

    def _forget_session(self) -> None:
        if self._tls is not None:
            self._tls.forget(self.address)

    @property
    def is_resumed(self) -> bool:
        """Whether TLS went on from an earlier connection."""
        return self._socket is not None and self._socket.is_resumed()

    def payload_limit_bytes(self, topic: str) -> int:
        """Return how large a payload the broker takes on `topic`; may be below zero for a mad broker."""
        return self._max_packet_bytes - _ROOM_FOR_HEADERS_BYTES - len(topic.encode())

    @property
    def room(self) -> int:
        """How many more messages may be under way now; 0 while the end of the connection is being read."""
        ending = self._socket is None or self._socket.error is not None
        return 0 if ending else self._window - len(self._sent_at)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        """Send a message with QoS 1 and return its mid, which means something on this connection only.

        There must be `room`. Whether the broker has it is known from its Ack alone: after a LinkProblem it
        may or may not have arrived.
        """
        self._raise_when_lost()
        assert self._client is not None
        sent = self._client.publish(topic, payload, qos=1, retain=retain)
        if sent.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._raise_when_lost()
            raise problems.LOST.problem(self.address, paho.error_string(sent.rc))
        self._sent_at[sent.mid] = time.monotonic()
        return sent.mid

    def subscribe(self, topics: Iterable[str]) -> None:
        """Ask for messages on `topics` with QoS 1; raises LinkProblem when the broker refuses one."""
        self._raise_when_lost()
        assert self._client is not None
        # Not before: what nobody reads must not gather here.
        self._client.on_message = lambda _c, _u, message: self._messages.append(message)
        wanted = [(topic, SubscribeOptions(qos=1)) for topic in topics]
        try:
            self._client.subscribe(wanted)
        except ValueError:
            asked = ", ".join(topic for topic, _options in wanted)
            raise problems.FILTER_IMPOSSIBLE.problem(self.address, asked) from None
        deadline = time.monotonic() + CONNECT_TIMEOUT_S
        while not self._subacks:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise problems.TIMEOUT.problem(self.address)
            self._turn(left_s)
            if not self._subacks:
                self._raise_when_lost()
        for (topic, _options), reason in zip(wanted, self._subacks.popleft(), strict=False):
            if reason.is_failure:
                raise problems.SUBSCRIPTION_REFUSED.problem(self.address, topic)

    def listen(self, topic: str) -> None:
        """Ask for messages on `topic` without waiting: see `listening` and `heard`. For one topic only.

        With QoS 0, which needs no answer of ours: the topic is retained, and the link carries it or ends.
        """
        self._raise_when_lost()
        assert self._client is not None
        self._client.on_message = self._hear
        self._client.subscribe(topic, qos=0)

    def _hear(self, _client: object, _userdata: object, message: paho.MQTTMessage) -> None:
        # A flood must not gather: the newest messages of a size that can mean something are enough.
        if len(message.payload) <= MAX_HEARD_BYTES:
            self._messages.append(message)
            while len(self._messages) > MOST_HEARD:
                self._messages.popleft()

    def listening(self) -> bool | None:
        """Return whether the broker granted what `listen` asked for; None while it has not answered."""
        if not self._subacks:
            return None
        return not any(reason.is_failure for reason in self._subacks[-1])

    def heard(self) -> list[Message]:
        """Return the messages that came since the last call, without waiting."""
        came = [read for message in self._messages if (read := _readable(message)) is not None]
        self._messages.clear()
        return came

    def exchange(self, timeout_s: float, wake: socket.socket | None = None) -> list[Ack]:
        """Wait at most timeout_s for the broker, or for bytes on `wake`; return the acknowledgements.

        Must be called at least a few times per keepalive. Raises LinkProblem when the connection is lost or a
        message stayed unacknowledged for too long, but first returns what had come before.
        """
        self._turn(min(timeout_s, self._time_to_oldest_ack_s()), wake)
        acks = [Ack(mid, reason.value) for mid, reason in self._acks]
        self._acks.clear()
        for ack in acks:
            self._sent_at.pop(ack.mid, None)
        if not acks:
            self._raise_when_lost()
            if self._time_to_oldest_ack_s() <= 0:
                raise problems.NO_ACKNOWLEDGEMENT.problem(self.address, round(self._ack_timeout_s))
        return acks

    def receive(self, timeout_s: float) -> list[Message]:
        """Wait at most timeout_s and return the messages that came; raises LinkProblem as `exchange` does."""
        if not self._messages:
            self._turn(timeout_s)
        if not self._messages:
            self._raise_when_lost()
        return self.heard()

    def close(self, *, goodbye: bool) -> None:
        """Close at once. With goodbye the broker drops the will, without it the broker will say it."""
        if self._client is not None and goodbye:
            self._client.disconnect()
        if self._socket is not None:
            if self._window:
                # The newest ticket: TLS 1.3 gives them one by one, and each serves once.
                self._keep_session()
            self._socket.close()
        self._client = None
        # The last words: what nobody will read needs no memory.
        self._messages.clear()

    def has_its_address(self) -> bool:
        """Return whether this board still has the address that the connection was made from."""
        return self._socket is not None and self._socket.has_its_address()

    def wire_bytes(self) -> int:
        """Return the bytes this connection has cost so far, both ways, with headers, repeats and look-up."""
        return self._opening_bytes + (self._socket.wire_bytes() if self._socket is not None else 0)

    def _charge(self, bytes_: int) -> None:
        self._opening_bytes += bytes_

    def _time_to_oldest_ack_s(self) -> float:
        if not self._sent_at:
            return math.inf
        return next(iter(self._sent_at.values())) + self._ack_timeout_s - time.monotonic()

    def _turn(self, timeout_s: float, wake: socket.socket | None = None) -> None:
        client, broker_socket = self._client, self._socket
        if client is None or broker_socket is None or client.socket() is None:
            return
        poll = select.poll()
        poll.register(broker_socket, select.POLLIN | (select.POLLOUT if client.want_write() else 0))
        if wake is not None:
            poll.register(wake, select.POLLIN)
        waits_inside_tls = broker_socket.pending() > 0
        longest_s = 0.0 if waits_inside_tls else min(_LONGEST_TURN_S, client.keepalive / 4 or 1.0)
        ready = dict(poll.poll(math.ceil(min(max(timeout_s, 0.0), longest_s) * 1000)))
        if wake is not None and wake.fileno() in ready:
            wake.recv(4096)
        events = ready.get(broker_socket.fileno(), 0)
        if events & ~select.POLLOUT or waits_inside_tls:
            client.loop_read()
        if events & select.POLLOUT:
            client.loop_write()
        client.loop_misc()

    def _raise_when_lost(self, *, answered: bool = True) -> None:
        if self._client is None or self._client.socket() is None:
            raise self._loss(answered=answered)

    def _loss(self, *, answered: bool) -> LinkProblem:
        broker_socket = self._socket
        if broker_socket is not None and broker_socket.claimed_bytes is not None:
            return problems.PACKET_TOO_LARGE.problem(self.address, broker_socket.claimed_bytes)
        flags, reason = self._goodbyes[-1] if self._goodbyes else (None, None)
        if flags is not None and reason is not None and flags.is_disconnect_packet_from_server:
            return problems.disconnect_problem(self.address, reason.value, reason.getName())
        error = broker_socket.error if broker_socket is not None else None
        if error is None and reason == _PAHO_FOUND_PROTOCOL_ERROR:
            # A broker of MQTT 3.1.1 answers with a CONNACK of its own shape.
            is_older = not answered and broker_socket is not None and broker_socket.first_byte == _CONNACK
            return (problems.OLDER_MQTT if is_older else problems.NOT_MQTT).problem(self.address)
        if error is None and reason == _PAHO_GOT_NO_PINGRESP:
            return problems.NO_PING.problem(self.address)
        return problems.lost_problem(self.address, error, answered=answered)


def _properties(packet_type: int) -> Properties:
    return Properties(packet_type)  # type: ignore[no-untyped-call]  # paho gives this class no types


def _readable(message: paho.MQTTMessage) -> Message | None:
    # Topics are decoded late by paho; one that is not UTF-8 raises here, where it harms nobody.
    try:
        return Message(message.topic, bytes(message.payload), message.retain)
    except UnicodeDecodeError:
        return None
