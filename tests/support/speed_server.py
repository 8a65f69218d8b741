"""Loopback imitations of a LibreSpeed server and of a server that speedtest-cli tests against."""

import contextlib
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self
from urllib.parse import parse_qs, urlsplit

MIB = 1 << 20
BLOCK = bytes(range(256)) * 256


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30
    server: "_Server"

    def do_GET(self) -> None:
        self.server.owner.asked.append(self.path)
        parts = urlsplit(self.path)
        name = parts.path.rpartition("/")[2]
        if self.server.owner.answer is not None:
            self._say(self.server.owner.answer, 0)
        elif name == "garbage.php":
            self._give(int(parse_qs(parts.query)["ckSize"][0]) * MIB)
        elif name == "empty.php":
            self._say(200, 0)
        elif name == "latency.txt":
            self._say(200, 9)
            self.wfile.write(b"test=test")
        elif name.startswith("random"):
            self._give(2 * int(name.removeprefix("random").partition("x")[0]) ** 2)
        else:
            self._say(404, 0)

    def do_POST(self) -> None:
        self.server.owner.asked.append(self.path)
        left = int(self.headers["Content-Length"])
        while left and (chunk := self.rfile.read(min(left, 8192))):
            self.server.owner.taken_bytes += len(chunk)
            left -= len(chunk)
        body = b"size=500" if self.path.startswith("/speedtest/upload.php") else b""
        self._say(self.server.owner.answer or 200, len(body))
        self.wfile.write(body)

    def _give(self, count: int) -> None:
        self._say(200, count)
        while count > 0:
            block = BLOCK[: min(count, len(BLOCK))]
            self.wfile.write(block)
            self.server.owner.given_bytes += len(block)
            count -= len(block)

    def _say(self, status: int, length: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        if 300 <= status < 400:
            self.send_header("Location", "http://quota.example/paket-habis")
        if self.server.owner.closes:
            self.send_header("Connection", "close")
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        pass

    def handle(self) -> None:
        # A client that leaves in the middle is what is tested here.
        with contextlib.suppress(OSError):
            super().handle()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    owner: "SpeedServer"

    def handle_error(self, *_args: object) -> None:
        pass


class SpeedServer:
    """Serves /backend/garbage.php and empty.php, /speedtest/latency.txt, random*.jpg and upload.php.

    answer: a status to give to everything, with a Location; closes: end the connection after each answer;
    unknown paths get 404. taken_bytes counts the bodies posted, given_bytes those handed to the kernel.
    """

    def __init__(
        self, *, answer: int | None = None, closes: bool = False, tls: tuple[Path, Path] | None = None
    ) -> None:
        self.answer = answer
        self.closes = closes
        self.taken_bytes = 0
        self.given_bytes = 0
        self.asked: list[str] = []
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.owner = self
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)
