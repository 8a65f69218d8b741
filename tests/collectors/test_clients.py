import socket
import struct
import time
from pathlib import Path

import pytest

from agent.collectors.clients import ClientsCollector
from agent.contract.publication import published_clients_count

ARP_HEADER = "IP address       HW type     Flags       HW address            Mask     Device\n"


def arp_line(number: int, *, flags: str = "0x2", device: str = "br-lan") -> str:
    return f"192.168.1.{number}  0x1  {flags}  02:00:00:00:00:{number:02x}  *  {device}\n"


def fdb_entry(number: int, *, local: int = 0, age_s: int = 1) -> bytes:
    return struct.pack("=6sBBIBBH", bytes([2, 0, 0, 0, 0, number]), 1, local, age_s * 100, 0, 0, 0)


class House:
    """The files of a gateway with a village network."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.network_class = folder / "net"
        self.network_class.mkdir()

    def bridge(self, name: str, table: bytes | None) -> None:
        (self.network_class / name / "bridge").mkdir(parents=True)
        if table is not None:
            (self.network_class / name / "brforward").write_bytes(table)

    def count(self, interface: str = "auto") -> int | None:
        return (
            ClientsCollector(
                interface,
                network_class=self.network_class,
                arp=self.folder / "arp",
                leases=(self.folder / "leases",),
                odhcpd_leases=self.folder / "odhcpd",
            )
            .collect()
            .clients_count
        )


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_a_gateway_without_a_village_network_does_not_know(house: House) -> None:
    assert house.count() is None


def test_a_device_in_bridge_and_arp_table_counts_once(house: House) -> None:
    house.bridge("br-lan", fdb_entry(1) + fdb_entry(2))
    (house.folder / "arp").write_text(ARP_HEADER + arp_line(2) + arp_line(3))

    assert house.count() == 3


def test_the_gateway_itself_those_who_left_and_other_networks_do_not_count(house: House) -> None:
    house.bridge("br-lan", fdb_entry(1, local=1) + fdb_entry(2, age_s=400) + fdb_entry(3) + b"half")
    (house.folder / "arp").write_text(ARP_HEADER + arp_line(4, flags="0x0") + arp_line(5, device="wwan0"))

    assert house.count() == 1


def test_br_lan_is_preferred_and_a_name_is_obeyed(house: House) -> None:
    house.bridge("br-guest", fdb_entry(1))
    assert house.count() == 1
    house.bridge("br-lan", b"")
    assert house.count() == 0
    assert house.count("br-guest") == 1


def test_leases_count_where_nothing_else_can_be_asked(house: House) -> None:
    (house.folder / "leases").write_text(
        f"{int(time.time()) + 900} 02:00:00:00:00:01 192.168.1.7 phone *\n"
        "0 02:00:00:00:00:02 192.168.1.8 * *\n1000 02:00:00:00:00:03 192.168.1.9 * *\nnonsense\n"
    )

    assert house.count("eth9") == 2


def test_the_access_point_is_asked_for_its_stations(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    (house.network_class / "wlan0" / "phy80211").mkdir(parents=True)
    tools = house.folder / "tools"
    tools.mkdir()
    (tools / "iw").write_text(
        "#!/bin/sh\n[ \"$*\" = 'dev wlan0 station dump' ] || exit 1\n"
        "for n in 1 2; do printf 'Station 02:00:00:00:00:0%s (on wlan0)\\n\\tsignal: -60 dBm\\n' $n; done\n"
    )
    (tools / "iw").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    assert house.count("wlan0") == 2

    monkeypatch.setenv("PATH", str(house.folder))
    assert house.count("wlan0") == 0


def test_the_real_tables_of_this_machine_can_be_read() -> None:
    for _index, name in socket.if_nameindex():
        count = ClientsCollector(name).collect().clients_count
        assert count is None or count >= 0


def test_fewer_than_five_devices_are_published_as_such() -> None:
    assert [published_clients_count(count) for count in (None, 0, 4, 5, 60)] == [None, "<5", "<5", 5, 60]
