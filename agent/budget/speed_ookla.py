"""The second engine: speedtest-cli, kept to a number of bytes. Runs in a child process, never elsewhere.

speedtest-cli 2.1.3 bounds its tests by time alone, its result leaves out what was under way when it stopped,
and its import takes stdout away. So every socket of the process is counted and capped here, the rates come
from those counts, and the caller gives a file of its own to write to.
"""

import contextlib
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit

import speedtest

from agent.budget.speed_https import Progress, in_words
from agent.budget.speed_size import LIMIT_S, SpeedSize
from agent.errors import SinyalError
from agent.language import _
from agent.uplink_socket import CLOSE_BYTES, attempt_bytes, bind_to, counted, lookup_bytes

THREADS = 2
WINDOW_BYTES = 64 * 1024
"""Receive window of each thread: what may be under way beyond the cap."""

UPLOAD_BYTES = (32768, 131072)
"""Sizes of the posted pieces; speedtest-cli holds each of them in memory whole, and would take 7 MiB.

Not 65536: it announces that many bytes and makes 7 fewer, so that the server waits for them until the end.
"""
DOWNLOAD_PIXELS = (350, 500, 750, 1000)
"""Sizes of the pictures that are fetched: a quarter, a half, one and two million bytes."""

ROUNDS = 20
LISTS_BYTES = 400_000
"""What configuration and list of servers may cost."""


NEAREST = 3
"""Servers kept from Ookla's list; the one that answers fastest is taken."""

_REFUSALS = (403, 429)


class RefusedByOokla(SinyalError):
    """Ookla does not want to be asked for a while."""


class _Refused(Exception):
    """Ookla does not want to be asked."""


class CapReached(OSError):
    """The bytes of this phase are used up. speedtest-cli takes an OSError for the end of a transfer."""


class ByteCap:
    """Counts what the sockets of this process carry, and ends them at the cap of the phase."""

    def __init__(self) -> None:
        self.left = LISTS_BYTES
        self.carried = 0
        self.asks_lists = True
        """Whether configuration and list of servers are being asked for."""
        self.interface: str | None = None
        """Through which the sockets leave; None: as the routes say."""
        self._open: dict[int, socket.socket] = {}
        self._closed_wire_bytes = 0

    def begin(self, bytes_: int) -> None:
        """Begin a phase that may carry so many bytes."""
        self.left = bytes_
        self.carried = 0

    def isSet(self) -> bool:  # noqa: N802 -- the name speedtest-cli asks for
        """Return whether the phase is over."""
        return self.left <= 0

    def allowed(self, wanted: int) -> int:
        """Return how many bytes may be carried at once; raises CapReached at the end."""
        if self.left <= 0:
            raise CapReached
        return min(wanted, self.left)

    def count(self, bytes_: int) -> int:
        """Count bytes that were carried, and return them."""
        self.left -= bytes_
        self.carried += bytes_
        return bytes_

    def watch(self, sock: socket.socket) -> None:
        """Count a connection on the wire from now on."""
        self._open[sock.fileno()] = sock.dup()

    def settle(self, number: int) -> None:
        """Count a connection that ends for the last time."""
        twin = self._open.pop(number, None)
        if twin is not None:
            # The other end of one that was cut does not know it yet: its window is on the bill.
            under_way = WINDOW_BYTES if self.left <= 0 else 0
            self._closed_wire_bytes += _wire_bytes(twin) + CLOSE_BYTES + under_way
            with contextlib.suppress(OSError):
                twin.shutdown(socket.SHUT_RDWR)
            twin.close()

    def wire_bytes(self) -> int:
        """Return what all connections have cost so far."""
        twins = tuple(self._open.values())
        return self._closed_wire_bytes + sum(_wire_bytes(twin) + CLOSE_BYTES for twin in twins)

    def charge(self, wire_bytes: int) -> None:
        """Count what no open connection will account for: look-ups, and attempts that failed."""
        self._closed_wire_bytes += wire_bytes


def _wire_bytes(sock: socket.socket) -> int:
    found = counted(sock)
    return found.wire_bytes if found is not None else 0


cap = ByteCap()


class _Capped:
    """What a plain and a TLS socket have in common: each transfer is cut to what is allowed."""

    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:
        allowed = cap.allowed(nbytes or len(buffer))
        return cap.count(super().recv_into(buffer, allowed, flags))  # type: ignore[misc]

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        received: bytes = super().recv(cap.allowed(buflen), flags)  # type: ignore[misc]
        cap.count(len(received))
        return received

    def send(self, data: Any, flags: int = 0) -> int:
        return cap.count(super().send(memoryview(data)[: cap.allowed(len(data))], flags))  # type: ignore[misc]

    def sendall(self, data: Any, flags: int = 0) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[self.send(rest, flags) :]

    def close(self) -> None:
        number = self.fileno()  # type: ignore[attr-defined]
        super().close()  # type: ignore[misc]
        if number >= 0 and self.fileno() < 0:  # type: ignore[attr-defined]
            cap.settle(number)


class CappedSocket(_Capped, socket.socket):
    """A socket of this process."""

    def connect(self, address: Any) -> None:
        """Connect, with a small window, unless the cap is reached."""
        cap.allowed(1)
        self.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, WINDOW_BYTES // 2)
        self.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, WINDOW_BYTES // 2)
        bind_to(self, cap.interface, str(address[0]))
        began = time.monotonic()
        try:
            super().connect(address)
        except OSError:
            cap.charge(attempt_bytes(self.family, time.monotonic() - began))
            raise
        cap.watch(self)


class CappedTlsSocket(_Capped, ssl.SSLSocket):
    """A TLS socket of this process."""


_look_up = socket.getaddrinfo


def _counted_look_up(host: Any, *details: Any, **more: Any) -> Any:
    found, began = False, time.monotonic()
    try:
        places = _look_up(host, *details, **more)
        found = True
    finally:
        if host:
            cap.charge(lookup_bytes(host, found=found, seconds=time.monotonic() - began))
    return places


def take_over_sockets() -> None:
    """Let every connection and every look-up of this process be counted and capped."""
    socket.getaddrinfo = _counted_look_up
    socket.socket = CappedSocket  # type: ignore[misc]
    ssl.SSLContext.sslsocket_class = CappedTlsSocket


def _opener_of_one_attempt(build: Any) -> Any:
    """Return speedtest-cli's maker of openers, changed so that a refusal is not followed by other tries."""

    def made(*details: Any, **more: Any) -> Any:
        opener = build(*details, **more)
        opens = opener.open

        def once(*request: Any, **settings: Any) -> Any:
            try:
                return opens(*request, **settings)
            except HTTPError as error:
                if error.code in _REFUSALS and cap.asks_lists:
                    raise _Refused from error
                raise

        opener.open = once
        return opener

    return made


class _OwnServer(speedtest.Speedtest):  # type: ignore[misc]
    """speedtest-cli against servers that are known: asks nobody else, not even for its configuration."""

    def get_config(self) -> dict[str, Any]:
        """Set what Ookla's configuration would say."""
        self.config.update(
            {
                "client": {"ip": "", "lat": "0", "lon": "0"},
                "ignore_servers": [],
                "threads": {"upload": THREADS, "download": THREADS},
                "upload_max": ROUNDS * len(UPLOAD_BYTES),
                "counts": {"upload": ROUNDS, "download": ROUNDS},
                "sizes": {"upload": list(UPLOAD_BYTES), "download": list(DOWNLOAD_PIXELS)},
                "length": {"upload": LIMIT_S, "download": LIMIT_S},
            }
        )
        self.lat_lon = (0.0, 0.0)
        configuration: dict[str, Any] = self.config
        return configuration


class OoklaEngine:
    """One test with speedtest-cli: against `url`, or with an empty one against Ookla's nearest server.

    known: servers that an earlier test told of, so that Ookla's lists need not be asked. servers: those of
    this test, to be told the next one; empty for a server of one's own.
    """

    def __init__(
        self,
        url: str,
        size: SpeedSize,
        progress: Progress,
        *,
        interface: str | None = None,
        known: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        cap.interface = interface
        self._known = [dict(server) for server in known]
        self.servers: list[dict[str, Any]] = []
        self._url = url
        self._size = size
        self._progress = progress
        self.server = (urlsplit(url).hostname or "") if url else "speedtest.net"

    @property
    def wire_bytes(self) -> int:
        """Return what the test has cost so far."""
        return cap.wire_bytes()

    def run(self) -> dict[str, Any]:
        """Return rtt_ms, down_kbit_s and up_kbit_s; raises SinyalError."""
        take_over_sockets()
        try:
            return self._run()
        except _Refused:
            raise RefusedByOokla(
                _("Ookla refuses this gateway"),
                _("it is not asked again for a day; or use throughput.engine https and a server of your own"),
            ) from None
        except (speedtest.SpeedtestException, OSError, ValueError, KeyError) as error:
            raise SinyalError(
                _("{host} cannot be reached: {reason}").format(host=self.server, reason=in_words(error)),
                _("check the connection; Ookla also refuses at times: better an https server of your own"),
            ) from None

    def _run(self) -> dict[str, Any]:
        cap.begin(LISTS_BYTES)
        if self._url:
            test = _OwnServer(secure=self._url.startswith("https:"), shutdown_event=cap, timeout=LIMIT_S)
            parts = urlsplit(self._url)
            folder = f"{parts.scheme}://{parts.netloc}{parts.path.rpartition('/')[0]}"
            nearest = {"url": f"{folder}/upload.php", "host": folder, "id": 0, "name": "", "d": 0.0}
            best = test.get_best_server([nearest])
        elif self._known:
            test = _OwnServer(secure=True, shutdown_event=cap, timeout=LIMIT_S)
            best = test.get_best_server(self._known)
            self.server = str(best.get("host", self.server))
            self.servers = self._known
        else:
            speedtest.build_opener = _opener_of_one_attempt(speedtest.build_opener)
            test = speedtest.Speedtest(secure=True, shutdown_event=cap, timeout=LIMIT_S)
            test.config.update(sizes={"upload": list(UPLOAD_BYTES), "download": list(DOWNLOAD_PIXELS)})
            test.config.update(upload_max=ROUNDS * len(UPLOAD_BYTES))
            test.config.update(counts={"upload": ROUNDS, "download": ROUNDS})
            test.config.update(length={"upload": LIMIT_S, "download": LIMIT_S})
            test.get_servers()
            nearest_ones = test.get_closest_servers(NEAREST)
            best = test.get_best_server(nearest_ones)
            kept = ("url", "host", "id", "name", "d")
            self.servers = [{name: server.get(name, "") for name in kept} for server in nearest_ones]
            self.server = str(best.get("host", self.server))
        cap.asks_lists = False
        if float(best["latency"]) >= 1_000_000:
            self.servers = []
            raise SinyalError(
                _("{host} does not answer as a server of speedtest-cli").format(host=self.server),
                _("check throughput.url: it must be the folder that holds upload.php and latency.txt"),
            )
        down = self._measure("down", self._size.down_payload_bytes, lambda: test.download(threads=THREADS))
        up = self._measure(
            "up", self._size.up_payload_bytes, lambda: test.upload(pre_allocate=False, threads=THREADS)
        )
        return {"rtt_ms": round(float(best["latency"]), 1), "down_kbit_s": down, "up_kbit_s": up}

    def _measure(self, direction: str, bytes_: int, transfer: Any) -> float:
        cap.begin(bytes_)
        began = time.monotonic()
        transfer()
        seconds = time.monotonic() - began
        self._progress(direction, cap.carried, seconds)
        return round(cap.carried * 8 / 1000 / max(seconds, 0.001), 1)
