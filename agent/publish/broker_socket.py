"""The socket of one connection: TCP or TLS, its bytes on the wire, and the error that ended it."""

import socket
import ssl

from agent.publish.problems import Address
from agent.publish.tls_sessions import TlsSessions
from agent.uplink_socket import CLOSE_BYTES, Charge, connect, counted

_WAITS = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class BrokerSocket:
    """A connected socket as paho wants it.

    Keeps the error that ended the connection (paho turns it into a log line), counts bytes, and does not
    take in a packet that claims more than max_packet_bytes: paho would collect up to 256 MB for it.
    """

    def __init__(self, sock: socket.socket, *, max_packet_bytes: int) -> None:
        self._sock = sock
        self._max_packet_bytes = max_packet_bytes
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
            self._final_wire_bytes = self.wire_bytes() + CLOSE_BYTES
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
        by_kernel = counted(self._sock)
        return self._mqtt_bytes if by_kernel is None else by_kernel.wire_bytes


def open_socket(
    address: Address,
    tls: TlsSessions | None,
    *,
    timeout_s: float,
    unanswered_s: float,
    charge: Charge,
) -> socket.socket:
    """Return a socket connected to `address`, through TLS when `tls` is given.

    timeout_s bounds TCP and TLS each (name resolution has the resolver's own limit); after that the kernel
    gives a connection up when sent bytes stay unanswered for unanswered_s. charge is told of what was
    spent beside the socket that is returned: looking the name up, and attempts that failed. Raises OSError or
    ValueError (an impossible name), and what TlsSessions.context raises.
    """
    context = tls.context() if tls else None
    host = _host_bytes(address[0])
    sock = connect(host, address[1], timeout_s=timeout_s, charge=charge)
    # TLS takes the socket over and closes it when it fails; this one can still be counted then.
    twin = sock.dup()
    try:
        # A message is written in one piece: waiting to fill a segment would only delay it.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(unanswered_s * 1000))
        if context is None or tls is None:
            return sock
        return context.wrap_socket(sock, server_hostname=host, session=tls.session(address))
    except BaseException as error:
        by_kernel = counted(twin)
        charge(CLOSE_BYTES + (by_kernel.wire_bytes if by_kernel is not None else 0))
        sock.close()
        if isinstance(error, ConnectionError):
            raise ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "unexpected EOF") from error
        raise
    finally:
        twin.close()


def _host_bytes(host: str) -> str | bytes:
    """Return a plain ASCII name as bytes: given text, Python loads its IDNA tables, 0.9 MB of memory."""
    return host.encode() if host.isascii() else host
