"""What one TCP connection has cost on the wire, headers and repeats included, as the kernel counts it.

Source: struct tcp_info of linux/tcp.h; tcpi_bytes_acked and the three after it came with Linux 4.2.
"""

import socket
import struct

_HEADER_BYTES = {socket.AF_INET: 52, socket.AF_INET6: 72}
"""IP and TCP headers of one segment, with the TCP time stamps that Linux sends."""

HANDSHAKE_BYTES = 4 * 60
"""SYN, FIN and their answers, where the kernel can no longer be asked."""

_COUNTS = struct.Struct("=QQII")
_COUNTS_AT = 120
_INFO_BYTES = 232


def wire_bytes(sock: socket.socket) -> tuple[int, int] | None:
    """Return (bytes on the wire both ways, payload the other end has acknowledged), None if not known."""
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES)
    except OSError:
        return None
    if len(info) < _COUNTS_AT + _COUNTS.size:
        return None
    acked, received, segments_out, segments_in = _COUNTS.unpack_from(info, _COUNTS_AT)
    headers = (segments_out + segments_in) * _HEADER_BYTES.get(sock.family, 72)
    return acked + received + headers, acked
