"""A token bucket between two TCP ends: so many bytes a second each way, hardly any in its buffers."""

import contextlib
import select
import socket
import threading
import time
from typing import Self

STEP_S = 0.02
BUFFER_BYTES = 4096


class _Bucket:
    """Tokens of one direction, shared by all connections as they share a link."""

    def __init__(self, bytes_per_s: float) -> None:
        self._rate = bytes_per_s
        self._tokens = 0.0
        self._filled_at = time.monotonic()
        self._lock = threading.Lock()

    def take(self) -> int:
        """Return how many bytes may pass now, and take them out."""
        with self._lock:
            now = time.monotonic()
            self._tokens += (now - self._filled_at) * self._rate
            self._tokens = min(self._tokens, self._rate * 2 * STEP_S)
            self._filled_at = now
            whole = int(self._tokens)
            self._tokens -= whole
            return whole

    def put_back(self, bytes_: int) -> None:
        """Put back what was not used."""
        with self._lock:
            self._tokens += bytes_


class Shaper:
    """Relays to 127.0.0.1:target_port; down_bytes and up_bytes count what was passed on."""

    def __init__(self, target_port: int, *, bytes_per_s: float) -> None:
        self._target_port = target_port
        self._buckets = {True: _Bucket(bytes_per_s), False: _Bucket(bytes_per_s)}
        self.down_bytes = 0
        self.up_bytes = 0
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(8)
        self.port = int(self._listener.getsockname()[1])

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _address = self._listener.accept()
            except OSError:
                return
            far = socket.socket()
            for end in (near, far):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
            far.connect(("127.0.0.1", self._target_port))
            threading.Thread(target=self._relay, args=(near, far, True), daemon=True).start()
            threading.Thread(target=self._relay, args=(far, near, False), daemon=True).start()

    def _relay(self, source: socket.socket, target: socket.socket, upwards: bool) -> None:
        with contextlib.suppress(OSError):
            self._pass_on(source, target, upwards)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        source.close()

    def _pass_on(self, source: socket.socket, target: socket.socket, upwards: bool) -> None:
        bucket = self._buckets[upwards]
        while True:
            select.select([source], [], [])
            allowed = bucket.take()
            if not allowed:
                time.sleep(STEP_S)
                continue
            chunk = source.recv(allowed)
            if not chunk:
                return
            bucket.put_back(allowed - len(chunk))
            target.sendall(chunk)
            if upwards:
                self.up_bytes += len(chunk)
            else:
                self.down_bytes += len(chunk)
