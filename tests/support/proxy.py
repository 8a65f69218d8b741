"""A TCP proxy between a gateway and its broker that can be as bad as a mobile network."""

import select
import socket
import struct
import threading
import time
from typing import Literal, Self

Mode = Literal["pass", "stall", "drop_answers", "refuse", "reset", "slow"]

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_CHUNK_BYTES = 65536


class Proxy:
    """Relays to 127.0.0.1:target_port in the way `mode` says; the mode may change at any time.

    pass: as it comes. stall: keeps the sockets open and swallows all bytes, like a NAT that forgot (the
    connections are reset when the mode changes). drop_answers: only what the broker sends is swallowed.
    refuse: nobody listens, and open connections end. reset: each connection is reset at once.
    slow: bytes_per_s in each direction.
    """

    def __init__(self, target_port: int, *, bytes_per_s: float = 2000) -> None:
        self._target_port = target_port
        self._bytes_per_s = bytes_per_s
        self._mode: Mode = "pass"
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._to_end: dict[socket.socket, bool] = {}
        self._listening: socket.socket | None = None
        self._workers: list[threading.Thread] = []
        self.accepted = 0
        self.up_bytes = 0
        self.down_bytes = 0
        self.port = 0
        self._listen()

    @property
    def mode(self) -> Mode:
        """How the proxy behaves now."""
        return self._mode

    @mode.setter
    def mode(self, mode: Mode) -> None:
        before, self._mode = self._mode, mode
        if before == "stall" or mode in ("refuse", "reset"):
            self._end_all(reset=mode != "refuse")
        if mode == "refuse":
            self._deafen()
        elif self._listening is None:
            self._listen()

    def close(self) -> None:
        """End everything."""
        self._deafen()
        self._end_all(reset=False)
        for worker in self._workers:
            worker.join(5)

    def _end_all(self, *, reset: bool) -> None:
        with self._lock:
            self._to_end.update(dict.fromkeys(self._open, reset))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _listen(self) -> None:
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", self.port))
        listening.listen(16)
        self.port = listening.getsockname()[1]
        self._listening = listening
        self._start(self._accept, listening)

    def _deafen(self) -> None:
        listening, self._listening = self._listening, None
        if listening is not None:
            # close() alone does not wake a thread inside accept().
            listening.shutdown(socket.SHUT_RDWR)
            listening.close()

    def _start(self, work: object, *arguments: object) -> None:
        worker = threading.Thread(target=work, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._workers.append(worker)
        worker.start()

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                near, _address = listening.accept()
            except OSError:
                return
            self.accepted += 1
            if self._mode == "reset":
                near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
                near.close()
                continue
            try:
                far = socket.create_connection(("127.0.0.1", self._target_port), 5)
            except OSError:
                near.close()
                continue
            far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._open.add(near)
            self._start(self._relay, near, far)

    def _relay(self, near: socket.socket, far: socket.socket) -> None:
        poll = select.poll()
        poll.register(near, select.POLLIN)
        poll.register(far, select.POLLIN)
        with near, far:
            near_number = near.fileno()
            try:
                while near not in self._to_end:
                    for number, _events in poll.poll(20):
                        upwards = number == near_number
                        received = (near if upwards else far).recv(_CHUNK_BYTES)
                        if not received:
                            return
                        self._pass_on(received, far if upwards else near, upwards=upwards)
            except OSError:
                return
            finally:
                with self._lock:
                    self._open.discard(near)
                    reset = self._to_end.pop(near, False)
                if reset:
                    for end in (near, far):
                        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)

    def _pass_on(self, received: bytes, towards: socket.socket, *, upwards: bool) -> None:
        if upwards:
            self.up_bytes += len(received)
        else:
            self.down_bytes += len(received)
        mode = self._mode
        if mode == "stall" or (mode == "drop_answers" and not upwards):
            return
        if mode != "slow":
            towards.sendall(received)
            return
        step = max(int(self._bytes_per_s / 20), 1)
        for at in range(0, len(received), step):
            towards.sendall(received[at : at + step])
            time.sleep(step / self._bytes_per_s)
