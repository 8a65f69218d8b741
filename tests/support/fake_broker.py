"""A broker on a plain socket that answers by the rules of MQTT 5, or breaks one of them on demand.

It is strict: whatever a client does against the rules stands in `violations`. It knows as much of MQTT as
the tests of the forwarder need, and serves one client at a time.
"""

import contextlib
import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBCOMP, SUBSCRIBE, SUBACK = 1, 2, 3, 4, 5, 7, 8, 9
PINGREQ, PINGRESP, DISCONNECT = 12, 13, 14

_ANSWERS = (PUBACK, PUBREC, PUBCOMP, PINGRESP)
"""What a client may send because of bytes that were sent to it after CONNACK."""

NO_ANSWER = None
"""For Behaviour.connack: the connection is accepted, and nothing ever comes."""

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Behaviour:
    """How the broker answers.

    connack: reason code, raw bytes, or NO_ANSWER. receive_maximum, max_packet_bytes and server_keepalive_s
    stand in the CONNACK when they are set. after_connack: "close", or raw bytes to send then.
    puback: reason code, "missing", "wrong_mid", "doubled", "late" (after late_s), "half" (then nothing
    more), "close", "reset", "refuse_and_close" (reason code 135, then the end), or "disconnect" (with
    disconnect_code). only_topic: topics that end otherwise are answered well; only_if: so are payloads for
    which it is false. hold_s: PUBACKs go out when the client was silent for so long.
    suback: reason code, or "close"; `subscribed` are topics of messages that are sent then, `said` raw
    packets. pingresp: whether a ping is answered.
    """

    connack: int | bytes | None = 0
    receive_maximum: int | None = None
    max_packet_bytes: int | None = None
    server_keepalive_s: int | None = None
    after_connack: str | bytes = b""
    puback: int | str = 0
    late_s: float = 1.0
    disconnect_code: int = 0x97
    only_topic: str = ""
    only_if: Callable[[bytes], bool] = lambda _payload: True
    hold_s: float = 0.0
    suback: int | str = 1
    subscribed: tuple[bytes, ...] = ()
    pingresp: bool = True
    said: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Published:
    """One PUBLISH as it came; connection counts from 1."""

    connection: int
    mid: int
    topic: str
    payload: bytes
    retain: bool
    dup: bool


@dataclass
class Record:
    """What the broker saw."""

    connects: int = 0
    client_ids: list[str] = field(default_factory=list)
    clean_starts: list[bool] = field(default_factory=list)
    keepalives_s: list[int] = field(default_factory=list)
    wills: list[tuple[str, bytes]] = field(default_factory=list)
    published: list[Published] = field(default_factory=list)
    acknowledged: list[tuple[int, int]] = field(default_factory=list)
    """(connection, mid) of each PUBACK with a good reason code that was sent whole."""

    most_under_way: int = 0
    pings: int = 0
    filters: list[str] = field(default_factory=list)
    disconnects: list[int] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)


class FakeBroker:
    """Listens on a free loopback port; set `behaviour` to change how the next packets are answered."""

    def __init__(self, behaviour: Behaviour | None = None) -> None:
        self.behaviour = behaviour or Behaviour()
        self.record = Record()
        self._ended = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(0.1)
        self.port: int = self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End everything; fail when the client broke a rule."""
        self._ended.set()
        self._thread.join(5)
        self._listening.close()
        assert self.record.violations == [], self.record.violations

    def wait_for(self, what: str, condition: Callable[[Record], bool], timeout_s: float = 60) -> None:
        """Wait until the record fulfils the condition; fail naming `what`."""
        until = time.monotonic() + timeout_s
        while not condition(self.record):
            if time.monotonic() > until:
                raise AssertionError(f"not within {timeout_s} s: {what}; saw {self.record}")
            time.sleep(0.01)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _serve(self) -> None:
        while not self._ended.is_set():
            try:
                client, _address = self._listening.accept()
            except TimeoutError:
                continue
            with client:
                client.settimeout(0.1)
                try:
                    _Visit(self, client).serve()
                except _ClientLeft:
                    continue
                except OSError:
                    # The client has dropped the connection while something was sent to it.
                    continue

    def is_ended(self) -> bool:
        """Return whether close() was called."""
        return self._ended.is_set()


class _ClientLeft(Exception):
    """The client closed the connection, or the test is over."""


class _Visit:
    """One connection of a client."""

    def __init__(self, broker: FakeBroker, client: socket.socket) -> None:
        self._broker = broker
        self._record = broker.record
        self._client = client
        self._waiting: set[int] = set()
        self._held: list[tuple[int, int, int | str]] = []
        self._limits = broker.behaviour
        self._mute = False

    def serve(self) -> None:
        kind, flags, body = self._packet()
        if kind != CONNECT or flags:
            self._violation(f"first packet is {kind}, flags {flags}")
            return
        self._record.connects += 1
        self._read_connect(body)
        if not self._greet():
            return
        while True:
            self._release_when_silent()
            kind, flags, body = self._packet()
            if kind == PUBLISH:
                if not self._answer(flags, body):
                    return
            elif kind == PINGREQ:
                self._record.pings += 1
                if self._broker.behaviour.pingresp:
                    self._send(PINGRESP, b"")
            elif kind == SUBSCRIBE:
                if not self._subscribe(flags, body):
                    return
            elif kind == DISCONNECT:
                self._record.disconnects.append(body[0] if body else 0)
                return
            elif kind not in _ANSWERS or not self._limits.after_connack:
                self._violation(f"packet {kind} was not expected")

    def _release_when_silent(self) -> None:
        if self._held and not select.select([self._client], [], [], self._broker.behaviour.hold_s)[0]:
            for connection, mid, how in self._held:
                self._acknowledge(connection, mid, how)
            self._held.clear()

    def _violation(self, text: str) -> None:
        self._record.violations.append(text)

    def _receive(self, size: int) -> bytes:
        received = b""
        while len(received) < size:
            if self._broker.is_ended():
                raise _ClientLeft
            with contextlib.suppress(TimeoutError):
                part = self._client.recv(size - len(received))
                if not part:
                    raise _ClientLeft
                received += part
        return received

    def _packet(self) -> tuple[int, int, bytes]:
        first = self._receive(1)[0]
        size = shift = 0
        length_bytes = 0
        while True:
            byte = self._receive(1)[0]
            length_bytes += 1
            size |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                break
        limit = self._limits.max_packet_bytes
        if limit is not None and 1 + length_bytes + size > limit:
            self._violation(f"packet of {1 + length_bytes + size} bytes, allowed are {limit}")
        return first >> 4, first & 0x0F, self._receive(size)

    def _read_connect(self, body: bytes) -> None:
        if body[:7] != b"\x00\x04MQTT\x05":
            self._violation(f"not MQTT 5: {body[:7]!r}")
        flags = body[7]
        self._record.clean_starts.append(bool(flags & 0x02))
        self._record.keepalives_s.append(struct.unpack_from("!H", body, 8)[0])
        rest = _skip_properties(body[10:])
        client_id, rest = _text(rest)
        self._record.client_ids.append(client_id.decode())
        if flags & 0x04:
            topic, rest = _text(_skip_properties(rest))
            payload, rest = _text(rest)
            self._record.wills.append((topic.decode(), payload))
        if rest:
            self._violation(f"{len(rest)} bytes too many in CONNECT")

    def _greet(self) -> bool:
        behaviour = self._limits
        if behaviour.connack is NO_ANSWER:
            while True:
                self._receive(1)
        if isinstance(behaviour.connack, bytes):
            self._client.sendall(behaviour.connack)
            return not behaviour.connack.startswith(b"HTTP")
        properties = b""
        if behaviour.server_keepalive_s is not None:
            properties += b"\x13" + struct.pack("!H", behaviour.server_keepalive_s)
        if behaviour.receive_maximum is not None:
            properties += b"\x21" + struct.pack("!H", behaviour.receive_maximum)
        if behaviour.max_packet_bytes is not None:
            properties += b"\x27" + struct.pack("!L", behaviour.max_packet_bytes)
        self._send(CONNACK, bytes([0, behaviour.connack, len(properties)]) + properties)
        if isinstance(behaviour.after_connack, bytes):
            self._client.sendall(behaviour.after_connack)
        return behaviour.connack == 0 and behaviour.after_connack != "close"

    def _answer(self, flags: int, body: bytes) -> bool:
        topic_bytes, rest = _text(body)
        topic = topic_bytes.decode()
        (mid,) = struct.unpack_from("!H", rest)
        payload = _skip_properties(rest[2:])
        if flags >> 1 & 3 != 1:
            self._violation(f"QoS {flags >> 1 & 3} on {topic}")
        if mid in self._waiting or mid == 0:
            self._violation(f"packet identifier {mid} is in use")
        self._waiting.add(mid)
        self._record.most_under_way = max(self._record.most_under_way, len(self._waiting))
        window = self._limits.receive_maximum
        if window is not None and len(self._waiting) > window:
            self._violation(f"{len(self._waiting)} messages under way, allowed are {window}")
        connection = self._record.connects
        self._record.published.append(
            Published(connection, mid, topic, payload, bool(flags & 1), bool(flags & 8))
        )
        behaviour = self._broker.behaviour
        is_meant = topic.endswith(behaviour.only_topic) and behaviour.only_if(payload)
        how = behaviour.puback if is_meant else 0
        if how in ("close", "reset", "disconnect", "refuse_and_close"):
            if how == "refuse_and_close":
                self._send(PUBACK, struct.pack("!HBB", mid, 135, 0))
            elif how == "disconnect":
                self._send(DISCONNECT, bytes([behaviour.disconnect_code, 0]))
            elif how == "reset":
                self._client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            return False
        if how == "late":
            time.sleep(behaviour.late_s)
        if behaviour.hold_s:
            self._held.append((connection, mid, how))
        else:
            self._acknowledge(connection, mid, how)
        return True

    def _subscribe(self, flags: int, body: bytes) -> bool:
        if flags != 2:
            self._violation(f"SUBSCRIBE with flags {flags}")
        filters, rest = 0, _skip_properties(body[2:])
        while rest:
            topic, rest = _text(rest)
            self._record.filters.append(topic.decode())
            filters, rest = filters + 1, rest[1:]
        behaviour = self._broker.behaviour
        if not isinstance(behaviour.suback, int):
            return False
        self._send(SUBACK, body[:2] + b"\x00" + bytes([behaviour.suback]) * filters)
        for topic in behaviour.subscribed:
            self._client.sendall(publish_packet(topic))
        for packet in behaviour.said:
            self._client.sendall(packet)
        return True

    def _acknowledge(self, connection: int, mid: int, how: int | str) -> None:
        if how == "missing" or self._mute:
            return
        if how == "wrong_mid":
            self._send(PUBACK, struct.pack("!H", mid + 1000))
            return
        if how == "half":
            self._client.sendall(bytes([PUBACK << 4, 2, mid >> 8]))
            self._mute = True
            return
        code = how if isinstance(how, int) else 0
        self._waiting.discard(mid)
        if code < 128:
            self._record.acknowledged.append((connection, mid))
        answer = struct.pack("!HBB", mid, code, 0) if code else struct.pack("!H", mid)
        for _time in range(2 if how == "doubled" else 1):
            self._send(PUBACK, answer)

    def _send(self, kind: int, body: bytes) -> None:
        assert len(body) < 128
        self._client.sendall(bytes([kind << 4, len(body)]) + body)


def publish_packet(topic: bytes, payload: bytes = b"{}") -> bytes:
    """Return a PUBLISH with QoS 0 as a broker would send it, for a topic that may be no text at all."""
    body = struct.pack("!H", len(topic)) + topic + b"\x00" + payload
    left, length = len(body), b""
    while left >= 128:
        length, left = length + bytes([left % 128 | 128]), left // 128
    return bytes([PUBLISH << 4]) + length + bytes([left]) + body


def _text(body: bytes) -> tuple[bytes, bytes]:
    (size,) = struct.unpack_from("!H", body)
    return body[2 : 2 + size], body[2 + size :]


def _skip_properties(body: bytes) -> bytes:
    size = shift = at = 0
    while True:
        byte = body[at]
        size |= (byte & 0x7F) << shift
        shift += 7
        at += 1
        if not byte & 0x80:
            return body[at + size :]
