"""Probes on real sockets."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from agent.link import probe as probe_module
from agent.link.probe import probe

PING_GROUPS = Path("/proc/sys/net/ipv4/ping_group_range")


def can_ping() -> bool:
    low, high = (int(word) for word in PING_GROUPS.read_text().split())
    return os.geteuid() == 0 or low <= os.getegid() <= high


@pytest.fixture
def without_icmp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_module, "_icmp_socket", lambda _family, _version: None)


@pytest.mark.skipif(not can_ping(), reason="this user may not send ICMP echoes (net.ipv4.ping_group_range)")
@pytest.mark.parametrize(("address", "wire_bytes"), [("127.0.0.1", 56), ("::1", 96)])
def test_an_echo_is_answered_and_costs_two_bare_packets(address: str, wire_bytes: int) -> None:
    if address == "::1" and not Path("/proc/net/if_inet6").exists():
        pytest.skip("no IPv6 here")
    outcome = probe(address, 443, interface=None)
    assert outcome.how == "icmp"
    assert outcome.rtt_ms is not None and 0 <= outcome.rtt_ms < 1000
    assert outcome.wire_bytes == wire_bytes


def test_a_connection_that_is_accepted_is_an_answer(without_icmp: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        outcome = probe("127.0.0.1", server.getsockname()[1], interface=None)
    assert outcome.how == "tcp"
    assert outcome.rtt_ms is not None


def test_a_connection_that_is_refused_is_none(without_icmp: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    outcome = probe("127.0.0.1", port, interface=None)
    assert (outcome.rtt_ms, outcome.why) == (None, "refused")


def test_silence_ends_after_the_limit(without_icmp: None) -> None:
    # A full queue of connections answers nobody.
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        waiting = [socket.socket() for _one in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(server.getsockname())
        outcome = probe("127.0.0.1", server.getsockname()[1], interface=None, timeout_s=0.3)
        for one in waiting:
            one.close()
    assert (outcome.rtt_ms, outcome.why) == (None, "timeout")


def test_an_interface_that_does_not_exist_is_no_reason_to_raise() -> None:
    outcome = probe("192.0.2.1", 443, interface="nowhere0", timeout_s=0.2)
    assert outcome.rtt_ms is None


RAW_ECHO = """
import socket
from agent.link import probe
real = socket.socket
def refuse_ping_sockets(family, kind, protocol=0, *rest):
    if kind == socket.SOCK_DGRAM:
        raise PermissionError(13, "no ping group")
    return real(family, kind, protocol, *rest)
probe.socket.socket = refuse_ping_sockets
print(probe.probe("127.0.0.1", 443, interface=None))
"""


@pytest.mark.needs_root
def test_a_raw_socket_stands_in_for_a_ping_socket() -> None:
    if os.geteuid() != 0:
        pytest.skip("raw sockets need root")
    done = subprocess.run([sys.executable, "-c", RAW_ECHO], capture_output=True, text=True, check=True)
    assert "how='icmp'" in done.stdout and "rtt_ms=None" not in done.stdout


def test_answers_to_others_and_broken_packets_are_no_answers() -> None:
    request = probe_module._request(4, 7, 9)
    answer = b"\x00" + request[1:]
    header = b"\x45" + bytes(19)
    assert probe_module._answers(header + answer, 4, 7, 9, is_raw=True)
    assert not probe_module._answers(header + answer, 4, 8, 9, is_raw=True)
    assert not probe_module._answers(header + answer, 4, 7, 10, is_raw=True)
    assert not probe_module._answers(header + request, 4, 7, 9, is_raw=True)
    for cut in range(8):
        assert not probe_module._answers(answer[:cut], 4, None, 9, is_raw=False)
    assert not probe_module._answers(b"", 4, 7, 9, is_raw=True)


def test_the_checksum_of_a_raw_request_is_right() -> None:
    for sequence in (0, 1, 9, 0xFFFF):
        packet = probe_module._request(4, 0xBEEF, sequence)
        total = sum(int.from_bytes(packet[at : at + 2], "big") for at in range(0, 8, 2))
        while total >> 16:
            total = (total & 0xFFFF) + (total >> 16)
        assert total == 0xFFFF
