"""One probe: whether a host answers, and after how long.

An ICMP echo where the kernel lets this user send one (RFC 792; a ping socket, net.ipv4.ping_group_range, else
a raw socket), else the time a TCP connection takes. It leaves through the uplink's interface.
"""

import errno
import os
import select
import socket
import struct
import time
from typing import NamedTuple

from agent.uplink_socket import attempt_bytes, bind_to

TIMEOUT_S = 3.0
"""Satellite links and 2G answer within two seconds."""

TCP_PORT = 443
"""Where a host is knocked at that names no port of its own, when ICMP is not allowed."""

_ECHO = struct.Struct("!BBHHH")
_ASK, _ANSWER = {4: (8, 0), 6: (128, 129)}, {4: 0, 6: 129}
_HEADER_BYTES = {4: 20, 6: 40}
_ECHO_BYTES = _ECHO.size
# SYN, SYN with ACK, ACK, RST: header of IP aside.
_TCP_OPEN_BYTES, _TCP_CLOSE_BYTES = 40, 80
_RECEIVE_BYTES = 256

# ip(7), ipv6(7): errors with what ICMP said; struct sock_extended_err begins with errno, origin, type, code.
_RECVERR = {4: (socket.IPPROTO_IP, 11), 6: (socket.IPPROTO_IPV6, 25)}
_EXTENDED_ERROR = struct.Struct("=IBBB")
_BY_ICMP = (2, 3)
_PROHIBITED = {(3, 9), (3, 10), (3, 13), (1, 1)}
"""Type and code of "administratively prohibited" (RFC 1812, 5.2.7.1; RFC 4443, 3.1)."""

_REFUSED = (errno.ECONNREFUSED, errno.ECONNRESET, errno.EACCES, errno.EPERM)
"""Somebody on the way says no with a reset, or this machine's own firewall does."""


class Outcome(NamedTuple):
    """What came of a probe.

    rtt_ms is None without an answer; then why says `timeout`, `refused`, `unreachable` or `no_address`.
    how: `icmp` or `tcp`. wire_bytes: what it cost, IP headers included.
    """

    rtt_ms: float | None
    why: str
    how: str
    wire_bytes: int


class Target(NamedTuple):
    """A host to probe: a name or an address, and the port to knock at where ICMP is not allowed."""

    host: str
    port: int = TCP_PORT


NO_ADDRESS = Outcome(None, "no_address", "", 0)


def probe(address: str, port: int, *, interface: str | None, timeout_s: float = TIMEOUT_S) -> Outcome:
    """Probe an IP address through `interface` (None: as the routes say); never raises."""
    version = 6 if ":" in address else 4
    family = socket.AF_INET6 if version == 6 else socket.AF_INET
    opened = _icmp_socket(family, version)
    if opened is None:
        return _knock(family, version, (address, port), interface, timeout_s)
    sock, is_raw = opened
    with sock:
        return _echo(sock, version, address, interface, timeout_s, is_raw=is_raw)


def _icmp_socket(family: int, version: int) -> tuple[socket.socket, bool] | None:
    protocol = socket.IPPROTO_ICMPV6 if version == 6 else socket.IPPROTO_ICMP
    for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW):
        try:
            return socket.socket(family, kind, protocol), kind == socket.SOCK_RAW
        except OSError:
            continue
    return None


_sequence = 0


def _echo(
    sock: socket.socket, version: int, address: str, interface: str | None, timeout_s: float, *, is_raw: bool
) -> Outcome:
    global _sequence
    _sequence = (_sequence + 1) & 0xFFFF
    identity = os.getpid() & 0xFFFF
    packet_bytes = _HEADER_BYTES[version] + _ECHO_BYTES
    began = time.monotonic()
    try:
        bind_to(sock, interface, address)
        sock.setblocking(False)
        sock.setsockopt(*_RECVERR[version], 1)
        # Connected, a socket also hears the ICMP errors that come back.
        sock.connect((address, 0))
        sock.send(_request(version, identity, _sequence))
        while (left_s := began + timeout_s - time.monotonic()) > 0:
            if not _wait(sock, select.POLLIN, left_s):
                break
            heard = sock.recv(_RECEIVE_BYTES)
            if _answers(heard, version, identity if is_raw else None, _sequence, is_raw=is_raw):
                rtt_ms = (time.monotonic() - began) * 1000
                return Outcome(rtt_ms, "", "icmp", 2 * packet_bytes)
    except OSError as error:
        why = "refused" if _is_prohibited(sock) else _why(error)
        # What ICMP says back holds our packet and its own two headers.
        return Outcome(None, why, "icmp", 2 * packet_bytes + _HEADER_BYTES[version] + _ECHO_BYTES)
    return Outcome(None, "timeout", "icmp", packet_bytes)


def _is_prohibited(sock: socket.socket) -> bool:
    """Return whether the error of a socket is somebody's "administratively prohibited"."""
    try:
        _packet, told, _flags, _source = sock.recvmsg(_RECEIVE_BYTES, _RECEIVE_BYTES, socket.MSG_ERRQUEUE)
    except OSError:
        return False
    for _level, _kind, content in told:
        if len(content) >= _EXTENDED_ERROR.size:
            _errno, origin, kind, code = _EXTENDED_ERROR.unpack_from(content)
            if origin in _BY_ICMP and (kind, code) in _PROHIBITED:
                return True
    return False


def _request(version: int, identity: int, sequence: int) -> bytes:
    kind = _ASK[version][0]
    # The kernel writes the checksum of ICMPv6 and of ping sockets; a raw ICMP socket leaves it to us.
    total = (kind << 8) + identity + sequence
    total = (total & 0xFFFF) + (total >> 16)
    checksum = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    return _ECHO.pack(kind, 0, checksum, identity, sequence)


def _answers(heard: bytes, version: int, identity: int | None, sequence: int, *, is_raw: bool) -> bool:
    if is_raw and version == 4:
        # Raw ICMP comes with its IP header, whose length in words is in the low half of the first byte.
        heard = heard[(heard[0] & 0x0F) * 4 :] if heard else heard
    if len(heard) < _ECHO_BYTES:
        return False
    kind, _code, _checksum, told_identity, told_sequence = _ECHO.unpack_from(heard)
    # A ping socket has an identity of the kernel's choice, and is given nothing else.
    is_ours = identity is None or told_identity == identity
    return bool(kind == _ANSWER[version] and told_sequence == sequence and is_ours)


def _knock(
    family: int, version: int, where: tuple[str, int], interface: str | None, timeout_s: float
) -> Outcome:
    """Measure how long a TCP connection takes; it is reset at once, which saves two packets."""
    header = _HEADER_BYTES[version]
    began = time.monotonic()
    try:
        with socket.socket(family, socket.SOCK_STREAM) as sock:
            bind_to(sock, interface, where[0])
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            code = sock.connect_ex(where)
            if code == errno.EINPROGRESS:
                if not _wait(sock, select.POLLOUT, timeout_s):
                    return Outcome(None, "timeout", "tcp", attempt_bytes(family, timeout_s))
                code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                tried_bytes = attempt_bytes(family, time.monotonic() - began)
                return Outcome(None, _why(OSError(code, "")), "tcp", tried_bytes)
            rtt_ms = (time.monotonic() - began) * 1000
            return Outcome(rtt_ms, "", "tcp", 4 * header + _TCP_OPEN_BYTES + _TCP_CLOSE_BYTES)
    except OSError as error:
        return Outcome(None, _why(error), "tcp", 0)


def _wait(sock: socket.socket, what: int, timeout_s: float) -> bool:
    poll = select.poll()
    poll.register(sock, what)
    return bool(poll.poll(max(0.0, timeout_s) * 1000))


def _why(error: OSError) -> str:
    return "refused" if error.errno in _REFUSED else "unreachable"
