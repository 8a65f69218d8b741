"""Sockets on the uplink: which interface they leave by, and what they cost, failures included.

The kernel counts a connection (struct tcp_info, tcp(7)). What it cannot be asked afterwards, a look-up and an
attempt that nobody accepted, is charged at a bound that no usual network goes beyond.

Sources: SO_BINDTODEVICE of socket(7); struct tcp_info of linux/tcp.h, where tcpi_bytes_acked and the three
after it came with Linux 4.2, tcpi_bytes_sent (which counts repeats) with 4.19. Look-ups: RFC 1035,
resolv.conf(5). Repeats of SYN after 1, 3, 7 … seconds: tcp(7), tcp_syn_retries.
"""

import contextlib
import socket
import struct
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

Charge = Callable[[int], None]
"""Takes bytes on the wire that no connection will account for."""

Place = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[str | int | bytes, ...]]
"""One answer of socket.getaddrinfo: family, kind, protocol, canonical name, socket address."""

_HEADER_BYTES = {socket.AF_INET: 52, socket.AF_INET6: 72}
"""IP and TCP headers of one segment, with the TCP time stamps that Linux sends."""

_SYN_BYTES = {socket.AF_INET: 60, socket.AF_INET6: 80}
_REFUSAL_BYTES = 96
"""A reset, or what ICMP says together with the beginning of our packet."""

CLOSE_BYTES = 4 * 60
"""FIN and its answers, both ways, where the kernel can no longer be asked."""

_ACKED_RECEIVED_SEGMENTS = struct.Struct("=QQII")
_ACKED_AT = 120
_SENT = struct.Struct("=Q")
_SENT_AT = 200
_TCP_INFO_MAX_BYTES = 512

_QUESTION_BYTES = 20 + 8 + 12 + 2 + 4
"""Headers of IP, UDP and DNS, and what a question holds beside its name."""

_ANSWER_BYTES = 160
"""What an answer holds beside the question: a few names and addresses."""

_FAMILIES = 2
_ROUNDS = 2
"""A name that is not found as it stands is asked for once more, with the domain of `search`."""

_ASKS_AGAIN_S = 5
_MOST_TRIES = 6
"""Two attempts with three name servers, each after 5 s: what resolv.conf(5) allows by default."""


_SO_BINDTODEVICE = 25
_IP_UNICAST_IF, _IPV6_UNICAST_IF = 50, 76  # linux/in.h, linux/in6.h


class Counted(NamedTuple):
    """What a connection has cost: wire bytes both ways, and the payload that the other end acknowledged."""

    wire_bytes: int
    acked_bytes: int


def bind_to(sock: socket.socket, interface: str | None, address: str) -> None:
    """Make a socket leave through `interface`; an address of this very machine needs none.

    Raises OSError when there is no such interface: another way out would tell of another link.
    """
    if interface is None or address.startswith("127.") or address == "::1":
        return
    index = socket.if_nametoindex(interface)
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, _SO_BINDTODEVICE, interface.encode() + b"\0")
        return
    # Without the right to bind (before Linux 5.7) the kernel still takes it as the way out.
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_UNICAST_IF, struct.pack("!I", index))
    else:
        sock.setsockopt(socket.IPPROTO_IP, _IP_UNICAST_IF, struct.pack("!I", index))


def counted(sock: socket.socket) -> Counted | None:
    """Return what a connection has cost so far, headers and repeats included; None if not known."""
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_MAX_BYTES)
    except OSError:
        return None
    if len(info) < _ACKED_AT + _ACKED_RECEIVED_SEGMENTS.size:
        return None
    acked, received, segments_out, segments_in = _ACKED_RECEIVED_SEGMENTS.unpack_from(info, _ACKED_AT)
    sent = acked
    if len(info) >= _SENT_AT + _SENT.size:
        (sent,) = _SENT.unpack_from(info, _SENT_AT)
    headers = (segments_out + segments_in) * _HEADER_BYTES.get(sock.family, 72)
    return Counted(max(sent, acked) + received + headers, acked)


def lookup_bytes(name: str | bytes, *, found: bool, seconds: float = 0.0) -> int:
    """Return what looking a host name up costs for both families of addresses; 0 for an IP address.

    An answer is charged as it usually is. Without one, or with a "no" after so many seconds: as many
    questions as fit into them, and a "no".
    """
    if is_address(name):
        return 0
    question = _QUESTION_BYTES + len(name)
    if found:
        return _FAMILIES * (2 * question + _ANSWER_BYTES)
    tries = min(_MOST_TRIES, 1 + int(seconds // _ASKS_AGAIN_S))
    return _FAMILIES * _ROUNDS * (tries + 1) * question


def attempt_bytes(family: int, seconds: float) -> int:
    """Return what an attempt to connect costs that failed after so many seconds: each SYN, and a refusal."""
    repeats = 0
    while (1 << (repeats + 1)) - 1 <= seconds:
        repeats += 1
    return (1 + repeats) * _SYN_BYTES.get(socket.AddressFamily(family), 80) + _REFUSAL_BYTES


def is_address(host: str | bytes) -> bool:
    """Return whether `host` is an IP address and no name."""
    text = host.decode("ascii", "replace") if isinstance(host, bytes) else host
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, text.partition("%")[0])
        except (OSError, ValueError):
            continue
        return True
    return False


def look_up(host: str | bytes, port: int | None = None) -> Sequence[Place]:
    """Return where `host` is: what socket.getaddrinfo gives for a stream socket.

    Raises OSError when it has no address, UnicodeError or ValueError for an impossible name.
    """
    if isinstance(host, str) and host.isascii():
        # For a str it loads the codec "idna" with its tables, 0.35 MB that plain names have no use for.
        host = host.encode("ascii")
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


def connect(
    host: str | bytes,
    port: int,
    *,
    timeout_s: float,
    charge: Charge,
    prepare: Callable[[socket.socket, str], None] = lambda _sock, _address: None,
) -> socket.socket:
    """Return a socket connected to the first address of `host` that accepts.

    prepare: called with each socket and the address before it connects. charge: told of what the look-up and
    the attempts that failed have cost. Raises OSError, or ValueError for an impossible name.
    """
    began = time.monotonic()
    try:
        places = look_up(host, port)
    except (OSError, UnicodeError):
        charge(lookup_bytes(host, found=False, seconds=time.monotonic() - began))
        raise
    charge(lookup_bytes(host, found=True))
    fault: OSError = OSError("no address")
    for family, kind, protocol, _name, where in places:
        sock = socket.socket(family, kind, protocol)
        began = time.monotonic()
        try:
            prepare(sock, str(where[0]))
            sock.settimeout(timeout_s)
            sock.connect(where)
        except OSError as error:
            sock.close()
            charge(attempt_bytes(family, time.monotonic() - began))
            fault = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise fault
