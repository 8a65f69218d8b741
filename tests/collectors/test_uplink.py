from pathlib import Path

import pytest

from agent.collectors import procfs
from agent.collectors.uplink import UplinkCollector, UplinkReading, default_interface

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


def collect_all(monkeypatch: pytest.MonkeyPatch, *counted: dict[str, tuple[int, int]]) -> list[UplinkReading]:
    answers = iter(counted)
    monkeypatch.setattr(procfs, "interface_bytes", lambda: next(answers))
    collector = UplinkCollector("wwan0")
    return [collector.collect() for _ in counted]


def test_bytes_are_counted_between_two_readings(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = collect_all(monkeypatch, {"wwan0": (1000, 100)}, {"wwan0": (1500, 130)})

    assert readings == [UplinkReading(None, None), UplinkReading(500, 30)]


def test_a_counter_reset_with_its_interface_counts_from_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = collect_all(monkeypatch, {"wwan0": (1000, 100)}, {"wwan0": (40, 7)})

    assert readings[-1] == UplinkReading(40, 7)


def test_an_interface_that_was_gone_starts_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = collect_all(
        monkeypatch,
        {"wwan0": (1000, 100)},
        {},
        {"wwan0": (2000, 200)},
        {"wwan0": (2001, 202)},
    )

    assert readings[1:] == [UplinkReading(None, None), UplinkReading(None, None), UplinkReading(1, 2)]


def test_the_real_loopback_is_counted() -> None:
    collector = UplinkCollector("lo")
    collector.collect()

    reading = collector.collect()

    assert reading.wan_rx_bytes is not None
    assert reading.wan_rx_bytes >= 0
