"""The uplink of the demo: a TCP relay between agent and broker that can be cut and mended."""

import contextlib
import selectors
import socket
import threading
from typing import Self

_CHUNK_BYTES = 65536


class Cable:
    """Relays connections from its own loopback port to `broker_port` while it is whole.

    Cutting it resets what is open and refuses what is new, as a modem that lost its bearer does.
    """

    def __init__(self, broker_port: int) -> None:
        self._broker_port = broker_port
        self._listener: socket.socket | None = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._peers: dict[socket.socket, socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._wake_out, self._wake_in = socket.socketpair()
        self._selector.register(self._wake_out, selectors.EVENT_READ)
        self._is_cut = False
        self._ends = False
        self._thread = threading.Thread(target=self._relay, name="cable", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._ends = True
        self._wake_in.send(b".")
        self._thread.join()
        for end in (self._listener, self._wake_out, self._wake_in):
            if end is not None:
                end.close()
        self._selector.close()

    def cut(self) -> None:
        """Reset all connections and refuse new ones."""
        self._is_cut = True
        self._wake_in.send(b".")

    def mend(self) -> None:
        """Let connections through again."""
        self._is_cut = False
        self._wake_in.send(b".")

    def _relay(self) -> None:
        while not self._ends:
            for key, _events in self._selector.select():
                end = key.fileobj
                assert isinstance(end, socket.socket)
                if end is self._wake_out:
                    end.recv(16)
                elif end is self._listener:
                    self._join_ends(end.accept()[0])
                elif end in self._peers:
                    self._pass_on(end)
            self._listen_while_whole()
            if self._is_cut or self._ends:
                for end in list(self._peers):
                    self._drop(end)

    def _listen_while_whole(self) -> None:
        """Refuse new connections while cut: nobody listens then."""
        if self._is_cut and self._listener is not None:
            self._selector.unregister(self._listener)
            self._listener.close()
            self._listener = None
        elif not self._is_cut and self._listener is None:
            self._listener = socket.create_server(("127.0.0.1", self.port))
            self._selector.register(self._listener, selectors.EVENT_READ)

    def _join_ends(self, near: socket.socket) -> None:
        try:
            far = socket.create_connection(("127.0.0.1", self._broker_port), timeout=2)
        except OSError:
            near.close()
            return
        self._peers[near], self._peers[far] = far, near
        for end in (near, far):
            self._selector.register(end, selectors.EVENT_READ)

    def _pass_on(self, end: socket.socket) -> None:
        try:
            chunk = end.recv(_CHUNK_BYTES)
            if chunk:
                self._peers[end].sendall(chunk)
                return
        except OSError:
            pass
        self._drop(end)

    def _drop(self, end: socket.socket) -> None:
        far = self._peers.pop(end, None)
        if far is None:
            return
        self._peers.pop(far, None)
        for closing in (end, far):
            with contextlib.suppress(KeyError):
                self._selector.unregister(closing)
            closing.close()
