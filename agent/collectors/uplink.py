"""Traffic on the uplink's interface in the slot.

A modem comes back under another name, an agent is restarted, a board reboots: the counters of all
interfaces are remembered by interface number, in the runtime folder (memory), with the id of the boot they
belong to. The kernel gives a number to one interface only as long as it runs; a name says nothing.

Sources: interface counters and routes of proc(5), if_nameindex(3).
"""

import contextlib
import json
import socket
import time
from dataclasses import dataclass
from pathlib import Path

from agent.collectors import procfs

ROUTES = Path("/proc/net/route")
ROUTES_IPV6 = Path("/proc/net/ipv6_route")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

MEMORY_NAME = "uplink.json"
REMEMBERED = 32
"""Interfaces remembered, at most: a modem that falls off and comes back gets a new number each time."""

FRESH_BOOT_S = 900.0
"""An agent that starts so soon after the boot, and remembers nothing, missed nothing: counters are whole."""

_WRAP = 1 << 32
_MOST_IN_A_SLOT = 1 << 31
"""What no uplink of a village carries between two readings: so a lower figure was a reset, not a wrap."""


@dataclass(frozen=True, slots=True)
class UplinkReading:
    """Bytes on the uplink since the last reading. None: no uplink, or nothing to compare with."""

    wan_rx_bytes: int | None
    wan_tx_bytes: int | None


class UplinkCollector:
    """Counts the uplink's bytes between two readings, each byte once.

    interface is a name, or "auto" for the interface of the default route, asked anew each time. Counters are
    remembered in memory_folder over a restart of the agent; None remembers them only in this process.
    """

    name = "uplink"

    def __init__(
        self,
        interface: str,
        routes: Path = ROUTES,
        routes_ipv6: Path = ROUTES_IPV6,
        *,
        memory_folder: Path | None = None,
        boot_id: Path = BOOT_ID,
    ) -> None:
        self._interface = interface
        self._routes = routes
        self._routes_ipv6 = routes_ipv6
        self._memory = memory_folder / MEMORY_NAME if memory_folder is not None else None
        self._boot_id = _first_line(boot_id)
        self._seen: dict[int, tuple[int, int]] | None = None
        if self._memory is not None:
            self._seen = self._remembered(self._memory)

    def collect(self) -> UplinkReading:
        """Return the bytes since the last reading; an interface made since then is counted from its start."""
        now = _counters()
        before, self._seen = self._seen, _merged(self._seen or {}, now)
        self._remember()
        number = now.get(self.interface_now())
        if before is None or number is None:
            return UplinkReading(None, None)
        index, received, sent = number
        last = before.get(index, (0, 0))
        return UplinkReading(_since(last[0], received), _since(last[1], sent))

    def interface_now(self) -> str:
        """Return the name of the uplink's interface, "" while there is none."""
        if self._interface != "auto":
            return self._interface
        return default_interface(self._routes, self._routes_ipv6) or ""

    def total_bytes(self) -> int | None:
        """Return what the uplink's interface has counted so far, both ways, or None while there is none."""
        number = _counters().get(self.interface_now())
        return None if number is None else number[1] + number[2]

    def received_bytes(self) -> int | None:
        """Return what the uplink's interface has received so far, or None while there is none."""
        number = _counters().get(self.interface_now())
        return None if number is None else number[1]

    def _remembered(self, memory: Path) -> dict[int, tuple[int, int]] | None:
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
            kept = json.loads(memory.read_text(encoding="utf-8"))
            if kept["boot_id"] != self._boot_id:
                # The agent counted up to the end of an earlier boot; everything in this one is new.
                return {}
            return {int(index): (int(rx), int(tx)) for index, (rx, tx) in kept["counters"].items()}
        return {} if time.clock_gettime(time.CLOCK_BOOTTIME) < FRESH_BOOT_S else None

    def _remember(self) -> None:
        if self._memory is None:
            return
        beside = self._memory.with_suffix(".new")
        with contextlib.suppress(OSError):
            beside.write_text(
                json.dumps({"boot_id": self._boot_id, "counters": self._seen}), encoding="utf-8"
            )
            beside.replace(self._memory)


def _counters() -> dict[str, tuple[int, int, int]]:
    """Return (number, bytes received, bytes sent) of each interface by name."""
    numbers = {name: index for index, name in socket.if_nameindex()}
    counted = procfs.interface_bytes()
    return {name: (numbers[name], *both) for name, both in counted.items() if name in numbers}


def _merged(
    seen: dict[int, tuple[int, int]], now: dict[str, tuple[int, int, int]]
) -> dict[int, tuple[int, int]]:
    merged = seen | {index: (received, sent) for index, received, sent in now.values()}
    # Numbers rise: the lowest belong to interfaces that are gone longest, or were always there.
    present = {index for index, _rx, _tx in now.values()}
    for index in sorted(merged.keys() - present)[: max(0, len(merged) - REMEMBERED)]:
        del merged[index]
    return merged


def _since(before: int, now: int) -> int:
    if now >= before:
        return now - before
    if before < _WRAP and now + _WRAP - before < _MOST_IN_A_SLOT:
        # The driver counts in 32 bits and has begun anew at zero.
        return now + _WRAP - before
    # A counter that went back was reset: what it shows was counted since then.
    return now


def _first_line(file: Path) -> str:
    lines = _lines(file)
    return lines[0].strip() if lines else ""


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
