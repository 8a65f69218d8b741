"""What is looked at once when the link has failed, and again while it stays so: the evidence for `causes`.

Runs in a short-lived thread; everything has a limit, and counts its bytes.
"""

import contextlib
import fcntl
import socket
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from agent.link.causes import Evidence, Value
from agent.link.probe import NO_ADDRESS, Outcome, Target, probe
from agent.uplink_socket import attempt_bytes, bind_to, is_address, look_up, lookup_bytes

_SIOCGIFADDR = 0x8915
_INTERFACE_NAME_BYTES = 16
_IPV6_ADDRESSES = "/proc/net/if_inet6"
_SCOPE_GLOBAL = "00"

MAX_PORT = 65535
HTTP_LIMIT_S = 8.0
HTTP_MAX_BYTES = 2048
_HTTP_FRAME_BYTES = 10 * 52
"""Headers of the packets that carry one question and one answer, from SYN to the last FIN."""


class PageCheck(NamedTuple):
    """A page of plain HTTP whose answer is known: status 204, or 200 with `text` in it when text is set."""

    host: str
    port: int
    path: str
    text: str


def page_check(url: str, text: str) -> PageCheck | None:
    """Return the check of a configured "http://host[:port]/path", None for "" and an impossible port."""
    if not url:
        return None
    place, _slash, path = url.removeprefix("http://").partition("/")
    host, colon, port = place.rpartition(":")
    if not colon or port.endswith("]"):
        host, port = place, "80"
    if not port.isdecimal() or not 1 <= int(port) <= MAX_PORT:
        return None
    return PageCheck(host.strip("[]"), int(port), "/" + path, text)


class Findings(NamedTuple):
    """What the checks found, and what they cost."""

    evidence: Evidence
    wire_bytes: int


def look_around(
    targets: Sequence[tuple[Target, str]],
    page: PageCheck | None,
    *,
    names: Sequence[str] = (),
    route: Callable[[], str | None],
    interface: str | None,
    reach: Callable[..., Outcome] = probe,
) -> Findings:
    """Check routes, addresses, names and the page.

    targets: with the last known address of each, "" for none. names: hosts that should resolve too. route:
    tells the interface of the default route. interface: the uplink's by configuration, None for that one.
    """
    evidence: dict[str, Value] = {}
    routed = route()
    evidence["default_route"] = routed is not None
    leaves_by = interface or routed
    if leaves_by is not None:
        evidence["interface"] = leaves_by
        evidence["ip_address"] = has_address(leaves_by)
    else:
        evidence["ip_address"] = False
    outcomes = [
        reach(address, target.port, interface=leaves_by) if address else NO_ADDRESS
        for target, address in targets
    ]
    used = sum(outcome.wire_bytes for outcome in outcomes)
    known = [outcome for outcome in outcomes if outcome is not NO_ADDRESS]
    if known:
        evidence["addresses_answer"] = any(outcome.rtt_ms is not None for outcome in known)
        evidence["refused_everywhere"] = all(outcome.why == "refused" for outcome in known)
        evidence["probed_by"] = known[0].how
    resolves, address, cost = _resolve(page, [*names, *(target.host for target, _address in targets)])
    evidence["names_resolve"] = resolves
    used += cost
    if page is not None and address:
        redirected, cost = fetch_is_redirected(page, address, interface=leaves_by)
        evidence["redirected"] = redirected
        used += cost
    return Findings({name: value for name, value in evidence.items() if value is not None}, used)


def has_address(interface: str) -> bool:
    """Return whether an interface has an IPv4 address, or a global IPv6 one (netdevice(7), proc(5))."""
    request = struct.pack(f"{_INTERFACE_NAME_BYTES}s24x", interface.encode()[: _INTERFACE_NAME_BYTES - 1])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, contextlib.suppress(OSError):
        fcntl.ioctl(sock, _SIOCGIFADDR, request)
        return True
    with contextlib.suppress(OSError), open(_IPV6_ADDRESSES, encoding="ascii") as lines:  # noqa: PTH123 -- proc
        for line in lines:
            columns = line.split()
            if len(columns) >= 6 and columns[5] == interface and columns[3] == _SCOPE_GLOBAL:
                return True
    return False


def _resolve(page: PageCheck | None, hosts: Sequence[str]) -> tuple[bool | None, str, int]:
    """Return whether names resolve (None: there is none), the address of the page's host, the cost."""
    names = [host for host in ([page.host] if page else []) + list(hosts) if not is_address(host)]
    works: bool | None = None
    page_address = page.host if page is not None and is_address(page.host) else ""
    used = 0
    for name in dict.fromkeys(names):
        began = time.monotonic()
        try:
            found = look_up(name)
        except (OSError, UnicodeError):
            works = works or False
            used += lookup_bytes(name, found=False, seconds=time.monotonic() - began)
            continue
        works = True
        used += lookup_bytes(name, found=True)
        if page is not None and name == page.host:
            page_address = str(found[0][4][0])
    return works, page_address, used


def fetch_is_redirected(
    page: PageCheck, address: str, *, interface: str | None, limit_s: float = HTTP_LIMIT_S
) -> tuple[bool | None, int]:
    """Return whether somebody else answers in place of the page (None: nobody answers), and the bytes used.

    By its address and with so little of HTTP/1.1 that no library is needed: only the beginning is read.
    """
    request = (
        f"GET {page.path} HTTP/1.1\r\nHost: {page.host}\r\nUser-Agent: sinyal\r\nConnection: close\r\n\r\n"
    ).encode("ascii", "replace")
    heard = b""
    ends_at = time.monotonic() + limit_s
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    began = time.monotonic()
    used = 0
    try:
        with socket.socket(family, socket.SOCK_STREAM) as sock:
            bind_to(sock, interface, address)
            sock.settimeout(limit_s)
            sock.connect((address, page.port))
            used = _HTTP_FRAME_BYTES
            sock.sendall(request)
            used += len(request)
            while len(heard) < HTTP_MAX_BYTES and (left_s := ends_at - time.monotonic()) > 0:
                sock.settimeout(left_s)
                chunk = sock.recv(HTTP_MAX_BYTES - len(heard))
                heard += chunk
                if not chunk or _is_enough(page, heard):
                    break
    except OSError:
        used = used or attempt_bytes(family, time.monotonic() - began)
    return _is_foreign(page, heard), used + len(heard)


def _is_enough(page: PageCheck, heard: bytes) -> bool:
    status = _status(heard)
    return status is not None and (status != 200 or (bool(page.text) and page.text.encode() in heard))


def _status(heard: bytes) -> int | None:
    line, line_end, _rest = heard.partition(b"\r\n")
    words = line.split()
    if not line_end or len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        return None
    return int(words[1])


def _is_foreign(page: PageCheck, heard: bytes) -> bool | None:
    status = _status(heard)
    if status is None:
        return None
    is_ours = status == 200 and page.text.encode() in heard if page.text else status == 204
    # 511 is "network authentication required" (RFC 6585); other faults of a server are its own.
    return not is_ours and (status < 500 or status == 511)


def modem_evidence(reading: Mapping[str, object], *, expected: bool) -> dict[str, Value]:
    """Return what a reading of the modem says; one that is not expected says nothing by being missing."""
    evidence: dict[str, Value] = {"modem_expected": expected}
    state = reading.get("modem_state")
    if expected and isinstance(state, str):
        evidence["modem_state"] = state
    for name in ("sim_state", "registration", "signal_class", "access_technology"):
        value = reading.get(name)
        if isinstance(value, str):
            evidence[name] = value
    return evidence
