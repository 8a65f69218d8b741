"""How many devices are on the village network: a number, never who.

Hardware addresses are compared in memory while counting, because one device shows up in several tables, and
forgotten with the answer. Present devices count: those the bridge heard, those that answered ARP, those on
the access point; DHCP leases only where none of these can be asked, since a lease outlives a visit.

Sources: /sys/class/net/*/brforward (struct __fdb_entry of linux/if_bridge.h), proc(5) /proc/net/arp,
`iw dev … station dump`, the lease files of dnsmasq(8) and odhcpd.
"""

import contextlib
import os
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

NETWORK_CLASS = Path("/sys/class/net")
ARP = Path("/proc/net/arp")
LEASES = (Path("/tmp/dhcp.leases"), Path("/var/lib/misc/dnsmasq.leases"))  # noqa: S108 -- where OpenWrt has it
ODHCPD_LEASES = Path("/tmp/hosts/odhcpd")  # noqa: S108

HEARD_WITHIN_S = 300
"""A device the bridge has not heard for so long has left (the bridge's own default ageing time)."""

_FDB_ENTRY = struct.Struct("=6sBBIBBH")  # address, port, is_local, age in 1/100 s, port's high byte, unused
_ARP_COMPLETE = 0x2
_STATION_BYTES = 65536


@dataclass(frozen=True, slots=True)
class ClientsReading:
    """Devices on the village network, None where the gateway has no such network."""

    clients_count: int | None


class ClientsCollector:
    """Counts the devices behind `interface`; "auto" is br-lan, else the first bridge."""

    name = "clients"

    def __init__(
        self,
        interface: str,
        *,
        network_class: Path = NETWORK_CLASS,
        arp: Path = ARP,
        leases: tuple[Path, ...] = LEASES,
        odhcpd_leases: Path = ODHCPD_LEASES,
    ) -> None:
        self._interface = interface
        self._network_class = network_class
        self._arp = arp
        self._leases = leases
        self._odhcpd_leases = odhcpd_leases

    def collect(self) -> ClientsReading:
        """Return how many devices are there now."""
        interface = lan_interface(self._interface, self._network_class)
        if not interface:
            return ClientsReading(None)
        tables = [self._bridged(interface), self._answering(interface), self._stations(interface)]
        asked = [table for table in tables if table is not None]
        if asked:
            return ClientsReading(len(set().union(*asked)))
        return ClientsReading(self._leased())

    def _bridged(self, interface: str) -> set[str] | None:
        try:
            table = (self._network_class / interface / "brforward").read_bytes()
        except OSError:
            return None
        whole = len(table) - len(table) % _FDB_ENTRY.size
        return {
            entry[0].hex(":")
            for entry in _FDB_ENTRY.iter_unpack(table[:whole])
            if not entry[2] and entry[3] < HEARD_WITHIN_S * 100
        }

    def _answering(self, interface: str) -> set[str] | None:
        rows = [line.split() for line in _lines(self._arp)[1:]]
        if not (self._network_class / interface).exists():
            return None
        return {
            row[3].lower()
            for row in rows
            if len(row) >= 6
            and row[5] == interface
            and row[2].startswith("0x")
            and int(row[2], 16) & _ARP_COMPLETE
        }

    def _stations(self, interface: str) -> set[str] | None:
        """Return who is on the access point when the interface is one; a bridge has heard them already."""
        if not (self._network_class / interface / "phy80211").exists():
            return None
        words = [line.split() for line in _output_of("iw", "dev", interface, "station", "dump")]
        return {word[1].lower() for word in words if len(word) >= 2 and word[0] == "Station"}

    def _leased(self) -> int | None:
        """Return how many leases run now: dnsmasq's files, else odhcpd's; None without any file."""
        found = [file for file in self._leases if file.exists()]
        if not found:
            lines = _lines(self._odhcpd_leases)
            return (
                len({line.split()[2] for line in lines if line.startswith("# ") and len(line.split()) > 2})
                or None
            )
        now = time.time()
        clients = set()
        for line in (line for file in found for line in _lines(file)):
            words = line.split()
            # 0 is a lease for ever.
            if len(words) >= 4 and words[0].isdigit() and (words[0] == "0" or int(words[0]) > now):
                clients.add(words[1].lower())
        return len(clients)


def lan_interface(configured: str, network_class: Path = NETWORK_CLASS) -> str:
    """Return the interface of the village network: for "auto" br-lan, else the first bridge, else ""."""
    if configured != "auto":
        return configured
    bridges = sorted(folder.parent.name for folder in network_class.glob("*/bridge"))
    return "br-lan" if "br-lan" in bridges else next(iter(bridges), "")


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(errors="replace").splitlines()
    except OSError:
        return []


def _output_of(*command: str) -> Iterator[str]:
    """Yield the lines a program prints; none when there is no such program. Lighter than subprocess."""
    reading, writing = os.pipe()
    try:
        child = os.posix_spawnp(
            command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, writing, 1)]
        )
    except OSError:
        os.close(writing)
        os.close(reading)
        return
    os.close(writing)
    printed = b""
    with contextlib.suppress(OSError):
        while len(printed) < _STATION_BYTES and (chunk := os.read(reading, 4096)):
            printed += chunk
    os.close(reading)
    os.waitpid(child, 0)
    yield from printed.decode(errors="replace").splitlines()
