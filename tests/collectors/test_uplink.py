import socket
import time
from pathlib import Path

import pytest

from agent.collectors import procfs
from agent.collectors.uplink import MEMORY_NAME, UplinkCollector, UplinkReading, default_interface

HEADER = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
WWAN = "wwan0\t00000000\t0100000A\t0003\t0\t0\t700\t00000000\t0\t0\t0\n"
ETH = "eth0\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"
LAN = "br-lan\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
V6_DEFAULT = "0" * 32 + " 00 " + "0" * 32 + " 00 " + "0" * 32 + " 00000400 00000001 00000000 00000003 wwan0\n"
V6_LOOPBACK = "0" * 32 + " 00 " + "0" * 32 + " 00 " + "0" * 32 + " ffffffff 00000001 00000000 00200200 lo\n"


@pytest.mark.parametrize(
    ("ipv4", "ipv6", "expected"),
    [
        (HEADER + WWAN, "", "wwan0"),
        (HEADER + WWAN + ETH, "", "eth0"),
        (HEADER + LAN, "", None),
        (HEADER, V6_LOOPBACK + V6_DEFAULT, "wwan0"),
        (HEADER, V6_LOOPBACK, None),
        (None, None, None),
        (HEADER + "half a li", "", None),
    ],
)
def test_uplink_is_the_interface_of_the_cheapest_default_route(
    ipv4: str | None, ipv6: str | None, expected: str | None, tmp_path: Path
) -> None:
    for name, text in (("route", ipv4), ("ipv6_route", ipv6)):
        if text is not None:
            (tmp_path / name).write_text(text)

    assert default_interface(tmp_path / "route", tmp_path / "ipv6_route") == expected


Interfaces = dict[str, tuple[int, tuple[int, int]]]
"""Number and counters by name."""


def show(monkeypatch: pytest.MonkeyPatch, interfaces: Interfaces) -> None:
    monkeypatch.setattr(procfs, "interface_bytes", lambda: {n: c for n, (_, c) in interfaces.items()})
    monkeypatch.setattr(socket, "if_nameindex", lambda: [(index, n) for n, (index, _) in interfaces.items()])


def collect_all(monkeypatch: pytest.MonkeyPatch, *counted: Interfaces) -> list[UplinkReading]:
    collector = UplinkCollector("wwan0")
    readings = []
    for interfaces in counted:
        show(monkeypatch, interfaces)
        readings.append(collector.collect())
    return readings


def test_bytes_are_counted_between_two_readings(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = collect_all(monkeypatch, {"wwan0": (3, (1000, 100))}, {"wwan0": (3, (1500, 130))})

    assert readings == [UplinkReading(None, None), UplinkReading(500, 30)]


@pytest.mark.parametrize(
    ("before", "now", "used"),
    [
        (1000, 40, 40),
        (2**32 - 100, 50, 150),
        (2**31, 50, 50),
        (2**32 + 5, 50, 50),
        (2**32 - 1, 2**32, 1),
    ],
    ids=["reset", "32-bit wrap", "too far for a wrap", "64-bit reset", "64-bit counter"],
)
def test_a_counter_that_goes_back_was_reset_or_has_wrapped(
    before: int, now: int, used: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    readings = collect_all(monkeypatch, {"wwan0": (3, (before, 0))}, {"wwan0": (3, (now, 0))})

    assert readings[-1].wan_rx_bytes == used


def test_an_interface_made_anew_is_counted_from_its_start(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = collect_all(
        monkeypatch,
        {"wwan0": (3, (1000, 100))},
        {},
        {"wwan0": (4, (2000, 200))},
        {"wwan0": (4, (2001, 202))},
    )

    assert readings[1:] == [UplinkReading(None, None), UplinkReading(2000, 200), UplinkReading(1, 2)]


def test_the_same_interface_after_a_pause_is_counted_on(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = collect_all(monkeypatch, {"wwan0": (3, (1000, 100))}, {}, {"wwan0": (3, (1400, 110))})

    assert readings[-1] == UplinkReading(400, 10)


def test_a_renamed_interface_is_counted_on(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = collect_all(monkeypatch, {"usb0": (3, (1000, 100))}, {"wwan0": (3, (1200, 101))})

    assert readings[-1] == UplinkReading(200, 1)


def test_another_uplink_does_not_bring_its_past_along(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    routes = tmp_path / "route"
    both = {"eth0": (2, (10**9, 10**9)), "wwan0": (3, (1000, 100))}
    collector = UplinkCollector("auto", routes, tmp_path / "none")
    routes.write_text(HEADER + WWAN)
    show(monkeypatch, both)
    collector.collect()
    routes.write_text(HEADER + ETH)
    show(monkeypatch, {**both, "eth0": (2, (10**9 + 70, 10**9 + 7))})

    assert collector.collect() == UplinkReading(70, 7)


class Boot:
    """A gateway whose agent is started again and again; uptime_s and the id of its boot can be set."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.monkeypatch = monkeypatch
        self.id = folder / "boot_id"
        self.begin("one", uptime_s=5000)

    def begin(self, name: str, *, uptime_s: float) -> None:
        self.id.write_text(f"{name}\n")
        self.monkeypatch.setattr(time, "clock_gettime", lambda _clock: uptime_s)

    def first_reading(self, interfaces: Interfaces) -> UplinkReading:
        show(self.monkeypatch, interfaces)
        return UplinkCollector("wwan0", memory_folder=self.folder, boot_id=self.id).collect()


def test_a_restart_of_the_agent_neither_loses_nor_doubles_bytes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    boot = Boot(tmp_path, monkeypatch)
    assert boot.first_reading({"wwan0": (3, (1000, 100))}) == UplinkReading(None, None)
    assert boot.first_reading({"wwan0": (3, (1700, 150))}) == UplinkReading(700, 50)
    assert boot.first_reading({"wwan0": (3, (1700, 150))}) == UplinkReading(0, 0)


def test_after_a_reboot_the_whole_counter_is_new(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    boot = Boot(tmp_path, monkeypatch)
    boot.first_reading({"wwan0": (3, (1000, 100))})
    boot.begin("two", uptime_s=40)

    assert boot.first_reading({"wwan0": (3, (1200, 150))}) == UplinkReading(1200, 150)


def test_without_a_memory_only_a_fresh_boot_is_counted_from_its_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    boot = Boot(tmp_path, monkeypatch)
    boot.begin("two", uptime_s=40)
    assert boot.first_reading({"wwan0": (3, (1200, 150))}) == UplinkReading(1200, 150)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"boot_id": "one", "counters": {"x": [1, 2]}}', "\0"])
def test_a_spoiled_memory_is_no_memory(text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    boot = Boot(tmp_path, monkeypatch)
    (tmp_path / MEMORY_NAME).write_text(text)

    assert boot.first_reading({"wwan0": (3, (1200, 150))}) == UplinkReading(None, None)


def test_interfaces_that_come_and_go_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = collect_all(monkeypatch, *({"lo": (1, (9, 9)), "wwan0": (n, (n, n))} for n in range(3, 200)))

    assert readings[-1] == UplinkReading(199, 199)


def test_the_real_loopback_is_counted() -> None:
    collector = UplinkCollector("lo")
    collector.collect()
    before = collector.total_bytes()
    assert before is not None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.sendto(bytes(10_000), ("127.0.0.1", 9))

    assert (collector.total_bytes() or 0) >= before + 10_000
    assert (collector.collect().wan_rx_bytes or 0) >= 10_000
