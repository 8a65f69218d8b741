"""Traffic on the uplink's interface in the slot.

Sources: interface counters and routes of proc(5).
"""

from dataclasses import dataclass
from pathlib import Path

from agent.collectors import procfs

ROUTES = Path("/proc/net/route")
ROUTES_IPV6 = Path("/proc/net/ipv6_route")


@dataclass(frozen=True, slots=True)
class UplinkReading:
    """Bytes on the uplink since the last reading. None until two readings of one interface are known."""

    wan_rx_bytes: int | None
    wan_tx_bytes: int | None


class UplinkCollector:
    """Counts the uplink's bytes between two readings.

    interface is a name, or "auto" for the interface of the default route, asked anew each time
    because a modem comes back under another name.
    """

    name = "uplink"

    def __init__(self, interface: str, routes: Path = ROUTES, routes_ipv6: Path = ROUTES_IPV6) -> None:
        self._interface = interface
        self._routes = routes
        self._routes_ipv6 = routes_ipv6
        self._last: tuple[str, int, int] | None = None

    def collect(self) -> UplinkReading:
        """Return the bytes since the last call on the same interface."""
        interface = self._interface
        if interface == "auto":
            interface = default_interface(self._routes, self._routes_ipv6) or ""
        counters = procfs.interface_bytes().get(interface)
        last, self._last = self._last, None
        if counters is None:
            return UplinkReading(None, None)
        received, sent = counters
        self._last = (interface, received, sent)
        if last is None or last[0] != interface:
            return UplinkReading(None, None)
        return UplinkReading(_since(last[1], received), _since(last[2], sent))


def _since(before: int, now: int) -> int:
    # A counter that went back was reset with its interface: what it shows was counted since then.
    return now - before if now >= before else now


def default_interface(routes: Path, routes_ipv6: Path) -> str | None:
    """Return the interface of the default route with the lowest metric, IPv4 before IPv6, or None.

    Source: proc(5): /proc/net/route columns Iface Destination Gateway Flags RefCnt Use Metric Mask;
    /proc/net/ipv6_route columns destination, prefix length, …, metric (6th), …, interface (10th).
    """
    candidates: list[tuple[int, str]] = []
    for line in _lines(routes)[1:]:
        columns = line.split()
        if len(columns) >= 8 and columns[1] == "00000000" and columns[7] == "00000000":
            candidates.append((int(columns[6]), columns[0]))
    if not candidates:
        for line in _lines(routes_ipv6):
            columns = line.split()
            if len(columns) >= 10 and columns[0] == "0" * 32 and columns[1] == "00" and columns[9] != "lo":
                candidates.append((int(columns[5], 16), columns[9]))
    return min(candidates)[1] if candidates else None


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text().splitlines()
    except OSError:
        return []
