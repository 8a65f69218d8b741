"""The default engine: a bounded GET and POST against a LibreSpeed-compatible server. Runs in a child process.

Source: LibreSpeed backend: `garbage.php?ckSize=N` gives N MiB of random bytes, `empty.php` takes anything
and answers with nothing. Reading stops at the cap; the receive window bounds what is under way then.
"""

import contextlib
import errno
import os
import socket
import ssl
import time
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from agent.budget.speed_size import LIMIT_S, SpeedSize
from agent.errors import SinyalError
from agent.language import _
from agent.uplink_socket import CLOSE_BYTES, bind_to, connect, counted

MIB = 1 << 20
CHUNK_BYTES = 16 * 1024
SEND_BUFFER_BYTES = 32 * 1024
"""Small, so that what was written is what has left."""

CONNECT_S = 10.0
SLACK_BYTES = 6 * 1024
"""What each direction may cost beyond its size before it ends: opening and closing stand beside it."""

LEAST_BYTES = 16 * 1024
"""Fewer bytes than these tell nothing of a rate."""

Progress = Callable[[str, int, float], None]
"""Told of the direction ("down", "up"), bytes so far and seconds so far."""


def in_words(error: BaseException) -> str:
    """Return why nothing came over the network, in the language of the screen where that is known."""
    # speedtest-cli and urllib wrap what happened.
    for _layer in range(2):
        inner = getattr(error, "reason", None) or next(iter(error.args), None)
        if isinstance(inner, BaseException):
            error = inner
    if isinstance(error, socket.gaierror):
        return _("its name is not found")
    if isinstance(error, TimeoutError):
        return _("it does not answer")
    if isinstance(error, ConnectionRefusedError):
        return _("it refuses the connection")
    if isinstance(error, OSError) and error.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENODEV):
        return _("there is no way to it")
    return str(error) or type(error).__name__


class _Connection:
    """One HTTP connection with its cost; small buffers, no redirects followed."""

    def __init__(
        self, url: str, ca_file: Path | None, *, interface: str | None, window_bytes: int | None = None
    ) -> None:
        parts = urlsplit(url)
        self.host = parts.hostname or ""
        self.folder = parts.path.rsplit("/", 1)[0] + "/"
        self._interface = interface
        self._window_bytes = window_bytes
        self._opening_bytes = 0
        if parts.scheme == "https":
            context = ssl.create_default_context(cafile=ca_file)
            self.http: HTTPConnection = HTTPSConnection(
                self.host, parts.port, timeout=CONNECT_S, context=context
            )
        else:
            self.http = HTTPConnection(self.host, parts.port, timeout=CONNECT_S)
        self.sock: socket.socket | None = None
        self._counted: list[socket.socket] = []
        # Set before connecting: a window only ever grows. No public hook exists for it in http.client.
        self.http._create_connection = self._connect  # type: ignore[attr-defined]  # noqa: SLF001

    def _connect(self, address: tuple[str, int], timeout: float, _source: object = None) -> socket.socket:
        sock = connect(*address, timeout_s=timeout, charge=self._charge, prepare=self._prepare)
        # TLS takes the socket over, and a server may ask for its end; this one can always be counted.
        self._counted.append(sock.dup())
        return sock

    def _charge(self, bytes_: int) -> None:
        self._opening_bytes += bytes_

    def _prepare(self, sock: socket.socket, address: str) -> None:
        bind_to(sock, self._interface, address)
        if self._window_bytes is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._window_bytes // 2)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)

    def open(self) -> socket.socket:
        """Return the socket in use, connected anew when the server has closed the last one."""
        if self.http.sock is None:
            self.http.connect()
        # http.client lets go of it when the server wants to close after its answer.
        self.sock = self.http.sock
        return self.sock

    def counts(self) -> tuple[int, int]:
        """Return (bytes on the wire, payload acknowledged) so far."""
        known = [counted(sock) or (0, 0) for sock in self._counted]
        return self._opening_bytes + sum(wire for wire, _acked in known), sum(acked for _wire, acked in known)

    def end(self) -> int:
        """Close everything at once; return the bytes on the wire."""
        cost = self.counts()[0] + CLOSE_BYTES * len(self._counted)
        self.http.close()
        for sock in self._counted:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        self._counted.clear()
        return cost

    def ask(self, path: str) -> HTTPResponse:
        """Return the answer to a GET."""
        self.open()
        self.http.request("GET", self.folder + path)
        return self.answer()

    def answer(self) -> HTTPResponse:
        """Return the answer; one that is not 200 raises SinyalError."""
        answer = self.http.getresponse()
        if answer.status == 200:
            return answer
        if 300 <= answer.status < 400:
            raise SinyalError(
                _("{host} redirects to {where}").format(
                    host=self.host, where=(answer.getheader("Location") or "?")[:200]
                ),
                _("the quota may be used up, or throughput.url is not the server's final address"),
            )
        raise SinyalError(
            _("{host} answered {status} instead of 200").format(host=self.host, status=answer.status),
            _("check throughput.url: it must be the folder that holds garbage.php and empty.php"),
        )


class HttpsEngine:
    """One test against the server at `url`, through `interface` (None: as the routes say)."""

    def __init__(
        self,
        url: str,
        ca_file: Path | None,
        size: SpeedSize,
        progress: Progress,
        *,
        interface: str | None = None,
    ) -> None:
        self._url = url
        self._interface = interface
        self._ca_file = ca_file
        self._size = size
        self._progress = progress
        self._paid_bytes = 0
        self._open: _Connection | None = None
        self.server = urlsplit(url).hostname or ""
        self.servers: list[dict[str, Any]] = []

    @property
    def wire_bytes(self) -> int:
        """Return what the test has cost so far."""
        return self._paid_bytes + (self._open.counts()[0] if self._open is not None else 0)

    def run(self) -> dict[str, Any]:
        """Return rtt_ms, down_kbit_s and up_kbit_s; raises SinyalError."""
        try:
            down_kbit_s, rtt_ms = self._down()
            return {"rtt_ms": rtt_ms, "down_kbit_s": down_kbit_s, "up_kbit_s": self._up()}
        except ssl.SSLCertVerificationError as error:
            raise SinyalError(
                _("the certificate of {host} is not accepted: {reason}").format(
                    host=self.server, reason=error.verify_message
                ),
                _("check the clock of this gateway, and throughput.ca_file for a private authority"),
            ) from None
        except (OSError, HTTPException, ValueError) as error:
            raise SinyalError(
                _("{host} cannot be reached: {reason}").format(host=self.server, reason=in_words(error)),
                _("check the connection, and throughput.url"),
            ) from None

    def _down(self) -> tuple[float, float]:
        connection = self._connection(window_bytes=self._size.window_bytes)
        wanted = self._size.down_payload_bytes
        left_over = 0
        try:
            rtt_ms = self._round_trip_ms(connection)
            whole_mib = -(-wanted // MIB)
            answer = connection.ask(f"garbage.php?ckSize={whole_mib}")
            began = time.monotonic()
            got = self._read(connection, answer, wanted, began)
            seconds = time.monotonic() - began
            announced = answer.length
            left_over = whole_mib * MIB - got if announced is None else announced
        finally:
            # The other end does not know yet that reading has stopped: its window is on the bill.
            self._pay(connection, extra=min(max(0, left_over), self._size.window_bytes))
        if got < LEAST_BYTES:
            raise SinyalError(
                _("{host} gave only {count} bytes").format(host=self.server, count=got),
                _("the link is too slow to be tested, or throughput.url is not a LibreSpeed server"),
            )
        return _kbit_s(got, seconds), rtt_ms

    def _round_trip_ms(self, connection: _Connection) -> float:
        """Return the median of three small questions on the open connection."""
        connection.open()
        took = []
        for _time in range(3):
            began = time.monotonic()
            connection.ask("empty.php").read(CHUNK_BYTES)
            took.append(time.monotonic() - began)
        return round(sorted(took)[1] * 1000, 1)

    def _read(self, connection: _Connection, answer: HTTPResponse, wanted: int, began: float) -> int:
        sock = connection.sock
        assert sock is not None
        got = 0
        # Small packets and repeats cost more than usual; the price that was told holds for them too.
        most = self._size.down_bytes - self._size.window_bytes + SLACK_BYTES
        while got < wanted and (left_s := began + LIMIT_S - time.monotonic()) > 0:
            if connection.counts()[0] >= most:
                break
            sock.settimeout(left_s)
            try:
                chunk = answer.read1(min(CHUNK_BYTES, wanted - got))
            except TimeoutError:
                break
            if not chunk:
                break
            got += len(chunk)
            self._progress("down", got, time.monotonic() - began)
        return got

    def _up(self) -> float:
        connection = self._connection()
        wanted = self._size.up_payload_bytes
        # Random, because some operators compress; the same piece again and again, because memory is short.
        piece = os.urandom(CHUNK_BYTES)
        try:
            sock = connection.open()
            before = connection.counts()[1]
            connection.http.putrequest("POST", f"{connection.folder}empty.php")
            connection.http.putheader("Content-Type", "application/octet-stream")
            connection.http.putheader("Content-Length", str(wanted))
            connection.http.endheaders()
            began = time.monotonic()
            sent = 0
            most = self._size.up_bytes + SLACK_BYTES
            while sent < wanted and (left_s := began + LIMIT_S - time.monotonic()) > 0:
                if connection.counts()[0] >= most:
                    break
                sock.settimeout(left_s)
                try:
                    connection.http.send(piece[: min(CHUNK_BYTES, wanted - sent)])
                except TimeoutError:
                    break
                sent = min(sent + CHUNK_BYTES, wanted)
                self._progress("up", sent, time.monotonic() - began)
            if sent == wanted:
                sock.settimeout(max(0.1, began + LIMIT_S - time.monotonic()))
                try:
                    connection.answer()
                    return _kbit_s(wanted, time.monotonic() - began)
                except TimeoutError:
                    pass
            arrived = connection.counts()[1] - before
            return _kbit_s(min(arrived, wanted), time.monotonic() - began)
        finally:
            self._pay(connection)

    def _connection(self, *, window_bytes: int | None = None) -> _Connection:
        self._open = _Connection(
            self._url, self._ca_file, interface=self._interface, window_bytes=window_bytes
        )
        return self._open

    def _pay(self, connection: _Connection, *, extra: int = 0) -> None:
        self._paid_bytes += connection.end() + extra


def _kbit_s(bytes_: int, seconds: float) -> float:
    return round(bytes_ * 8 / 1000 / max(seconds, 0.001), 1)
