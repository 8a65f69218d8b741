"""The socket of one connection: TCP or TLS, its bytes on the wire, and the error that ended it."""

import socket
import ssl
import struct
from dataclasses import dataclass
from pathlib import Path

from agent.errors import ConfigMistake, NoPermission
from agent.language import _
from agent.publish.problems import Address

_HEADER_BYTES = {socket.AF_INET: 52, socket.AF_INET6: 72}
"""IP and TCP headers of one segment, with the TCP time stamps that Linux sends."""

# Offsets in struct tcp_info, linux/tcp.h: tcpi_bytes_acked and the three after it came with Linux 4.2,
# tcpi_bytes_sent (which counts what was sent again) with 4.19.
_ACKED_RECEIVED_SEGMENTS = struct.Struct("=QQII")
_ACKED_AT = 120
_SENT = struct.Struct("=Q")
_SENT_AT = 200
_TCP_INFO_MAX_BYTES = 512


_WAITS = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The authority the broker must be signed by, and this client's own certificate (PEM files).

    ca_file None means the authorities of the system; cert_file None means no certificate of our own.
    """

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None


def tls_context(files: TlsFiles) -> ssl.SSLContext:
    """Return a context that demands a certificate of the broker, for its name, by ca_file alone, TLS 1.2 on.

    Raises ConfigMistake or NoPermission that names the file which cannot be used.
    """
    for key, path in (
        ("ca_file", files.ca_file),
        ("cert_file", files.cert_file),
        ("key_file", files.key_file),
    ):
        if path is not None:
            _require_readable(f"broker.{key}", path)
    try:
        context = ssl.create_default_context(cafile=files.ca_file)
    except ssl.SSLError:
        raise ConfigMistake(
            _("broker.ca_file: {path} holds no certificate").format(path=files.ca_file),
            _("it must be a PEM file with the certificate of the broker's authority"),
        ) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if files.cert_file is None:
        return context
    try:
        # Without a password OpenSSL would ask for that of an encrypted key on the terminal, and wait.
        context.load_cert_chain(files.cert_file, files.key_file, password="")
    except (ssl.SSLError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise ConfigMistake(
            _("broker.cert_file {cert} and broker.key_file {key} cannot be used together ({reason})").format(
                cert=files.cert_file, key=files.key_file or files.cert_file, reason=reason
            ),
            _("they must be PEM files of one pair, the key without a password"),
        ) from None
    return context


def _require_readable(key: str, path: Path) -> None:
    try:
        path.open("rb").close()
    except PermissionError:
        raise NoPermission(
            _("{key}: no permission to read {path}").format(key=key, path=path),
            _("let the user of the agent read it, or run as that user"),
        ) from None
    except OSError as error:
        raise ConfigMistake(
            _("{key}: {path} cannot be read: {reason}").format(key=key, path=path, reason=error.strerror),
            _("check the path"),
        ) from None


class BrokerSocket:
    """A connected socket as paho wants it.

    Keeps the error that ended the connection (paho turns it into a log line), counts bytes, and does not
    take in a packet that claims more than max_packet_bytes: paho would collect up to 256 MB for it.
    """

    def __init__(self, sock: socket.socket, *, max_packet_bytes: int) -> None:
        self._sock = sock
        self._max_packet_bytes = max_packet_bytes
        self._header_bytes = _HEADER_BYTES.get(sock.family, 72)
        self._mqtt_bytes = 0
        self._final_wire_bytes: int | None = None
        self._send_error: OSError | None = None
        self._receive_error: OSError | None = None
        self.claimed_bytes: int | None = None
        """Size of the packet that was too large to take, or None."""

    @property
    def error(self) -> OSError | None:
        """What ended the connection, None while it lives or when the broker closed it in good order."""
        return self._receive_error or self._send_error

    def recv(self, size: int) -> bytes:
        """Return what has come, at most size bytes; paho asks for the rest of a packet at once."""
        if size > self._max_packet_bytes:
            self.claimed_bytes = size
            raise ConnectionAbortedError
        try:
            received = self._sock.recv(size)
        except _WAITS:
            raise
        except OSError as error:
            self._receive_error = error
            raise
        self._mqtt_bytes += len(received)
        return received

    def send(self, buffer: bytes | bytearray) -> int:
        """Send what the kernel takes now; return how many bytes."""
        try:
            sent = self._sock.send(buffer)
        except _WAITS:
            raise
        except OSError as error:
            if self._send_error is not None:
                raise
            # The broker's reason (a DISCONNECT, a TLS alert) may have come and not been read yet. Reading
            # finds it, or finds the end.
            self._send_error = error
            raise BlockingIOError from error
        self._mqtt_bytes += sent
        return sent

    def close(self) -> None:
        """Close at once, without waiting for anything; a second call does nothing."""
        if self._final_wire_bytes is None:
            self._final_wire_bytes = self.wire_bytes()
            self._sock.close()

    def fileno(self) -> int:
        """Return the file descriptor, -1 when closed."""
        return self._sock.fileno()

    def setblocking(self, flag: bool) -> None:
        """Make the socket wait, or not."""
        self._sock.setblocking(flag)

    def pending(self) -> int:
        """Return how many decrypted bytes wait inside TLS, which no poll can see."""
        return self._sock.pending() if isinstance(self._sock, ssl.SSLSocket) else 0

    def wire_bytes(self) -> int:
        """Return the bytes this connection has cost so far, both ways, headers and repeats included."""
        if self._final_wire_bytes is not None:
            return self._final_wire_bytes
        counted = _counted_by_kernel(self._sock, self._header_bytes)
        return self._mqtt_bytes if counted is None else counted


def _counted_by_kernel(sock: socket.socket, header_bytes: int) -> int | None:
    try:
        counts = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_MAX_BYTES)
    except OSError:
        return None
    if len(counts) < _ACKED_AT + _ACKED_RECEIVED_SEGMENTS.size:
        return None
    sent, received, segments_out, segments_in = _ACKED_RECEIVED_SEGMENTS.unpack_from(counts, _ACKED_AT)
    if len(counts) >= _SENT_AT + _SENT.size:
        (sent,) = _SENT.unpack_from(counts, _SENT_AT)
    return int(sent + received + (segments_out + segments_in) * header_bytes)


def open_socket(
    address: Address, context: ssl.SSLContext | None, *, timeout_s: float, unanswered_s: float
) -> socket.socket:
    """Return a socket connected to `address`, through TLS when a context is given.

    timeout_s bounds TCP and TLS each (name resolution has the resolver's own limit); after that the kernel
    gives a connection up when sent bytes stay unanswered for unanswered_s. Raises OSError or ValueError
    (an impossible name).
    """
    host = _host_bytes(address[0])
    # getaddrinfo takes bytes too, which the type stubs do not know.
    sock = socket.create_connection((host, address[1]), timeout_s)  # type: ignore[arg-type]
    try:
        # A message is written in one piece: waiting to fill a segment would only delay it.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(unanswered_s * 1000))
        if context is None:
            return sock
        return context.wrap_socket(sock, server_hostname=host)
    except ConnectionError as error:
        sock.close()
        raise ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "unexpected EOF") from error
    except BaseException:
        sock.close()
        raise


def _host_bytes(host: str) -> str | bytes:
    """Return a plain ASCII name as bytes: given text, Python loads its IDNA tables, 0.9 MB of memory."""
    return host.encode() if host.isascii() else host
