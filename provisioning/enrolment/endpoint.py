"""The HTTPS endpoint: one path, small bodies, few threads, and nothing in its log that opens anything."""

import contextlib
import logging
import socket
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from agent.enrolment.sending import PATH
from agent.errors import SinyalError
from provisioning.authority.requests import MAX_BYTES
from provisioning.enrolment.desk import Desk, Presented, Refused
from provisioning.enrolment.rate_limit import RateLimit

TIMEOUT_S = 20.0
MOST_AT_ONCE = 16
_log = logging.getLogger("sinyal.enrolment")


def server_context(ca_file: Path, cert_file: Path, key_file: Path) -> ssl.SSLContext:
    """Return a context that verifies a client's certificate when it shows one; raises OSError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(cert_file, key_file)
    context.load_verify_locations(ca_file)
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


class Endpoint(ThreadingHTTPServer):
    """Serves until shutdown(). said is told a line for each decision, for the screen or a log."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 32

    def __init__(
        self,
        address: tuple[str, int],
        context: ssl.SSLContext,
        desk: Desk,
        *,
        said: Callable[[str, str, str], None] = lambda *_: None,
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, _Handler)
        self._context = context
        self.desk = desk
        self.said = said
        self.limit = RateLimit()
        self._places = threading.BoundedSemaphore(MOST_AT_ONCE)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread of its own, when there is a place."""
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Make TLS in the connection's own thread, so that a silent client holds up nobody else."""
        try:
            request.settimeout(TIMEOUT_S)
            try:
                secure = self._context.wrap_socket(request, server_side=True)
            except OSError:
                self.shutdown_request(request)
                return
            super().process_request_thread(secure, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 -- socketserver's signature
        """Leave a connection that broke to itself."""
        _log.debug("connection from %s broke", client_address)


class _Handler(BaseHTTPRequestHandler):
    server: Endpoint
    server_version = "sinyal"
    sys_version = ""
    timeout = TIMEOUT_S
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.close_connection = True
        if self.path != PATH:
            self._answer(404, "path")
            return
        address = self.client_address[0]
        if not self.server.limit.is_open_for(address):
            self._answer(429, "rate")
            return
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or not 0 < int(length) <= MAX_BYTES:
            self._answer(413, "request")
            return
        body = self.rfile.read(int(length))
        kind, _space, token = self.headers.get("Authorization", "").partition(" ")
        try:
            name, pem = self.server.desk.sign(
                body, token=token if kind == "Token" else None, presented=self._presented()
            )
        except Refused as refusal:
            self.server.limit.failed(address)
            self.server.said(address, "-", refusal.word)
            self._answer(403, refusal.word)
        except (SinyalError, OSError) as failure:
            self.server.said(address, "-", str(failure))
            self._answer(503, "busy")
        else:
            self.server.said(address, name, "signed")
            self._answer(200, pem.decode(), "application/x-pem-file")

    def _presented(self) -> Presented | None:
        connection = self.connection
        certificate = connection.getpeercert() if isinstance(connection, ssl.SSLSocket) else None
        if not certificate:
            return None
        subject: Any = certificate["subject"]
        names = [pair[1] for part in subject for pair in part if pair[0] == "commonName"]
        return Presented(str(names[0]) if names else "", str(certificate["serialNumber"]))

    def _answer(self, status: int, text: str, kind: str = "text/plain") -> None:
        content = text.encode()
        with contextlib.suppress(OSError):
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- http.server's signature
        """Say nothing: what is worth a line goes through `said`, and a header may hold a token."""
