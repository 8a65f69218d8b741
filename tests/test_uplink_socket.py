import socket
from collections.abc import Iterator

import pytest

from agent.uplink_socket import attempt_bytes, connect, counted, is_address, lookup_bytes


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


def test_a_connection_that_is_accepted_costs_its_look_up_and_what_the_kernel_counts(
    listener: socket.socket,
) -> None:
    charged: list[int] = []
    with connect("localhost", listener.getsockname()[1], timeout_s=10, charge=charged.append) as sock:
        peer, _address = listener.accept()
        with peer:
            sock.sendall(bytes(10_000))
            assert len(peer.recv(10_000, socket.MSG_WAITALL)) == 10_000
            peer.sendall(b"x")
            assert sock.recv(1) == b"x"
        found = counted(sock)

    assert found is not None and found.acked_bytes >= 10_000
    assert 10_000 < found.wire_bytes < 12_000
    # Where localhost is ::1 first, that attempt was refused and is on the bill too.
    assert (
        lookup_bytes("localhost", found=True) <= sum(charged) <= lookup_bytes("localhost", found=True) + 176
    )


def test_an_attempt_that_is_refused_is_charged(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    listener.close()
    charged: list[int] = []

    with pytest.raises(ConnectionRefusedError):
        connect("127.0.0.1", port, timeout_s=10, charge=charged.append)

    assert charged == [0, attempt_bytes(socket.AF_INET, 0)]


def test_a_name_that_is_not_found_is_charged_for_every_question() -> None:
    charged: list[int] = []

    with pytest.raises(socket.gaierror):
        connect("no-such-host.invalid", 80, timeout_s=10, charge=charged.append)

    assert sum(charged) in [4 * (1 + tries) * (46 + len("no-such-host.invalid")) for tries in range(1, 7)]


@pytest.mark.parametrize(("seconds", "tries"), [(0, 1), (4.9, 1), (5, 2), (10.2, 3), (60, 6)])
def test_every_repeated_question_is_charged(seconds: float, tries: int) -> None:
    assert lookup_bytes("a.example", found=False, seconds=seconds) == 4 * (1 + tries) * (46 + 9)


@pytest.mark.parametrize(
    ("seconds", "packets"), [(0, 1), (0.9, 1), (1, 2), (2.9, 2), (3, 3), (5, 3), (7, 4), (10, 4), (15, 5)]
)
def test_every_repeated_syn_is_charged(seconds: float, packets: int) -> None:
    assert attempt_bytes(socket.AF_INET, seconds) == 60 * packets + 96
    assert attempt_bytes(socket.AF_INET6, seconds) == 80 * packets + 96


@pytest.mark.parametrize("host", ["10.0.0.1", "::1", "fe80::1%eth0", b"127.0.0.1"])
def test_an_address_needs_no_look_up(host: str | bytes) -> None:
    assert is_address(host)
    assert lookup_bytes(host, found=True) == lookup_bytes(host, found=False) == 0


@pytest.mark.parametrize("host", ["broker.example", "1.2.3", "", "a\x00b", b"\xff"])
def test_everything_else_is_a_name(host: str | bytes) -> None:
    assert not is_address(host)


def test_a_socket_that_is_no_connection_is_not_counted() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        assert counted(sock) is None
