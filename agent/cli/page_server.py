"""Shows the village page to the village network: one page, nothing else, no names kept of who asked."""

import contextlib
import errno
import fcntl
import socket
import struct
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from agent.collectors.clients import lan_interface
from agent.errors import NoPermission, SinyalError, UsageMistake
from agent.language import _

FRESH_S = 15.0
"""The page is made anew no sooner than this, however many ask for it."""

REQUEST_LIMIT_S = 10.0
MOST_AT_ONCE = 16

_SIOCGIFADDR = 0x8915
"""netdevice(7): the IPv4 address of an interface."""


class PageServer(ThreadingHTTPServer):
    """Serves what `page` gives at / and /index.html. Raises SinyalError when it cannot listen there."""

    daemon_threads = True

    def __init__(self, address: str, port: int, page: Callable[[], str]) -> None:
        self._page = page
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(MOST_AT_ONCE)
        self._made: bytes | None = None
        self._made_s = 0.0
        try:
            super().__init__((address, port), _Handler)
        except PermissionError:
            raise NoPermission(
                _("no permission to listen at port {port}").format(port=port),
                _("choose a port above 1023: --port 8080"),
            ) from None
        except (OSError, OverflowError) as error:
            if getattr(error, "errno", None) == errno.EADDRINUSE:
                raise SinyalError(
                    _("port {port} is taken by another program").format(port=port),
                    _("choose another one: --port 8081"),
                ) from None
            raise UsageMistake(
                _("{address} is no address of this gateway").format(address=address),
                _("choose one of those that `ip address` shows"),
            ) from None

    @property
    def url(self) -> str:
        """Return where the page is."""
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}/"

    def page(self) -> bytes:
        """Return the page, made anew when it is not fresh; the last one while it cannot be made."""
        with self._lock:
            if self._made is None or time.monotonic() - self._made_s >= FRESH_S:
                try:
                    self._made = self._page().encode()
                except SinyalError:
                    if self._made is None:
                        raise
                self._made_s = time.monotonic()
            return self._made

    def server_bind(self) -> None:
        """Bind without asking the name service for our own name, which may take long offline."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread of its own, while not too many are at it."""
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, and give the place back."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a phone that leaves in the middle of an answer is no fault."""


class _Handler(BaseHTTPRequestHandler):
    timeout = REQUEST_LIMIT_S
    server_version = "sinyal"
    sys_version = ""

    def do_GET(self) -> None:
        self._answer(with_page=True)

    def do_HEAD(self) -> None:
        self._answer(with_page=False)

    def _answer(self, *, with_page: bool) -> None:
        assert isinstance(self.server, PageServer)
        if self.path.partition("?")[0] not in ("/", "/index.html"):
            self.send_error(404)
            return
        try:
            page = self.server.page()
        except SinyalError:
            self.send_error(503)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(page)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if with_page:
            self.wfile.write(page)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the base class's name
        pass


def lan_address(interface: str) -> str | None:
    """Return the IPv4 address of the village network ("auto" or an interface), None when there is none."""
    name = lan_interface(interface)
    if not name:
        return None
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        request = struct.pack("256s", name.encode()[:15])
        return socket.inet_ntoa(fcntl.ioctl(asking.fileno(), _SIOCGIFADDR, request)[20:24])
    return None
