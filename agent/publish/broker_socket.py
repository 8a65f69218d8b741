"""The socket of one connection: TCP or TLS, its bytes on the wire, and the error that ended it."""

import socket
import ssl
import struct

from agent.publish.problems import Address
from agent.publish.tls_sessions import TlsSessions

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
        self.first_byte: int | None = None
        """What the broker said first, or None."""

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
        if self.first_byte is None and received:
            self.first_byte = received[0]
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

    def tls_session(self) -> ssl.SSLSession | None:
        """Return what a later connection may resume; with TLS 1.3 it comes behind the handshake."""
        return self._sock.session if isinstance(self._sock, ssl.SSLSocket) else None

    def is_resumed(self) -> bool:
        """Return whether TLS went on from an earlier connection, which saves the certificates."""
        return isinstance(self._sock, ssl.SSLSocket) and bool(self._sock.session_reused)

    def has_its_address(self) -> bool:
        """Return whether the board still has the address of our end; asks no network."""
        try:
            host = self._sock.getsockname()[0]
            with socket.socket(self._sock.family, socket.SOCK_DGRAM) as tried:
                tried.bind((host, 0))
        except OSError:
            return False
        return True

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
    address: Address, tls: TlsSessions | None, *, timeout_s: float, unanswered_s: float
) -> socket.socket:
    """Return a socket connected to `address`, through TLS when `tls` is given.

    timeout_s bounds TCP and TLS each (name resolution has the resolver's own limit); after that the kernel
    gives a connection up when sent bytes stay unanswered for unanswered_s. Raises OSError or ValueError
    (an impossible name), and what TlsSessions.context raises.
    """
    context = tls.context() if tls else None
    host = _host_bytes(address[0])
    # getaddrinfo takes bytes too, which the type stubs do not know.
    sock = socket.create_connection((host, address[1]), timeout_s)  # type: ignore[arg-type]
    try:
        # A message is written in one piece: waiting to fill a segment would only delay it.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(unanswered_s * 1000))
        if context is None or tls is None:
            return sock
        return context.wrap_socket(sock, server_hostname=host, session=tls.session(address))
    except ConnectionError as error:
        sock.close()
        raise ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "unexpected EOF") from error
    except BaseException:
        sock.close()
        raise


def _host_bytes(host: str) -> str | bytes:
    """Return a plain ASCII name as bytes: given text, Python loads its IDNA tables, 0.9 MB of memory."""
    return host.encode() if host.isascii() else host
