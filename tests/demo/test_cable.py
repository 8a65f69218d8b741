import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from agent.demo.cable import Cable


@pytest.fixture
def echo_port() -> Iterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))

    def answer(end: socket.socket) -> None:
        with end, contextlib.suppress(OSError):
            while chunk := end.recv(65536):
                end.sendall(chunk)

    def work() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=work, daemon=True).start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def test_a_whole_cable_carries_both_ways(echo_port: int) -> None:
    with Cable(echo_port) as cable, socket.create_connection(("127.0.0.1", cable.port), 5) as end:
        end.sendall(b"hello")
        assert end.recv(16) == b"hello"


def test_a_cut_cable_ends_what_is_open_and_refuses_what_is_new_until_mended(echo_port: int) -> None:
    with Cable(echo_port) as cable:
        with socket.create_connection(("127.0.0.1", cable.port), 5) as end:
            end.sendall(b"x")
            assert end.recv(16) == b"x"
            cable.cut()
            assert _is_closed(end)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", cable.port), 5)
        cable.mend()
        _wait_for_listener(cable.port)
        with socket.create_connection(("127.0.0.1", cable.port), 5) as end:
            end.sendall(b"again")
            assert end.recv(16) == b"again"


def _wait_for_listener(port: int) -> None:
    until = time.monotonic() + 5
    while time.monotonic() < until:
        with contextlib.suppress(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), 5).close()
            return
        time.sleep(0.02)


def _is_closed(end: socket.socket) -> bool:
    end.settimeout(5)
    until = time.monotonic() + 5
    while time.monotonic() < until:
        try:
            if end.recv(16) == b"":
                return True
        except ConnectionError:
            return True
    return False
