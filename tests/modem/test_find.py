"""Finding the AT port by what the kernel knows, in a made-up /sys and on real pseudo-terminals."""

import time
from pathlib import Path

import pytest

from agent.modem.find import (
    AUTO,
    FoundPort,
    PortFinder,
    find_ports,
    second_ports,
    speaks_at,
    usb_device,
    voice_of,
)
from agent.modem.port import PortBusy, PortMissing
from agent.modem.simulator import Behaviour, SimulatedModem
from agent.modem.transcript import parse_transcript

TALK = parse_transcript("> AT+CSQ\n< +CSQ: 20,99\n< OK\n")


class FakeSys:
    """Builds the part of /sys that tells about serial ports."""

    def __init__(self, root: Path) -> None:
        self.root = root / "sys"
        (self.root / "class" / "tty").mkdir(parents=True)

    def usb_tty(
        self, name: str, place: str, usb_id: str, interface: int, protocol: str = "00", usb_class: str = "ff"
    ) -> None:
        device = self.root / "devices" / "pci0" / "usb1" / place
        folder = device / f"{place}:1.{interface}"
        # usb-serial puts one more folder in between, cdc-acm does not.
        port = folder / name / "tty" / name if name.startswith("ttyUSB") else folder / "tty" / name
        port.mkdir(parents=True)
        vendor, product = usb_id.split(":")
        (device / "idVendor").write_text(vendor + "\n")
        (device / "idProduct").write_text(product + "\n")
        (folder / "bInterfaceNumber").write_text(f"{interface:02x}\n")
        (folder / "bInterfaceClass").write_text(usb_class + "\n")
        (folder / "bInterfaceProtocol").write_text(protocol + "\n")
        (self.root / "class" / "tty" / name).symlink_to(port)

    def ec25(self, first: int, place: str = "1-1.2", skip: int | None = None) -> None:
        numbers = [number for number in range(first, first + 5) if number != skip][:4]
        for interface, number in enumerate(numbers):
            self.usb_tty(f"ttyUSB{number}", place, "2c7c:0125", interface)

    def clear(self) -> None:
        for link in (self.root / "class" / "tty").iterdir():
            link.unlink()

    def ports(self) -> tuple[FoundPort, ...]:
        return find_ports(self.root)


@pytest.fixture
def fake_sys(tmp_path: Path) -> FakeSys:
    return FakeSys(tmp_path)


def never_probe(device: str, _ends_at: float) -> bool:
    raise AssertionError(device)


def test_the_known_at_interface_comes_first_and_its_siblings_are_left_alone(fake_sys: FakeSys) -> None:
    fake_sys.ec25(0)
    assert fake_sys.ports()[0] == FoundPort("/dev/ttyUSB2", "2c7c:0125", 2, "1-1.2:1.2", "at")
    assert [port.role for port in fake_sys.ports()] == ["at", "other", "other", "other"]
    finder = PortFinder(AUTO, list_ports=fake_sys.ports, probe=never_probe)
    assert finder.find(time.monotonic() + 5) == "/dev/ttyUSB2"


@pytest.mark.parametrize("wanted", [AUTO, "/dev/ttyUSB2"])
def test_a_modem_is_followed_to_its_new_name_after_a_reset(wanted: str, fake_sys: FakeSys) -> None:
    fake_sys.ec25(0)
    finder = PortFinder(wanted, list_ports=fake_sys.ports, probe=never_probe)
    finder.remember(finder.find(0))
    fake_sys.clear()
    # ttyUSB2 was still held open when the modem came back.
    for link, device in (("ttyUSB0", 0), ("ttyUSB1", 1), ("ttyUSB3", 2), ("ttyUSB4", 3)):
        place = fake_sys.root / "devices/pci0/usb1/1-1.2" / f"1-1.2:1.{device}" / link / "tty" / link
        place.mkdir(parents=True, exist_ok=True)
        (fake_sys.root / "class" / "tty" / link).symlink_to(place)
    assert finder.find(0) == "/dev/ttyUSB3"


def test_two_equal_sticks_are_told_apart_by_their_place(fake_sys: FakeSys) -> None:
    fake_sys.ec25(0, "1-1.2")
    fake_sys.ec25(4, "1-1.3")
    finder = PortFinder(AUTO, list_ports=fake_sys.ports, probe=never_probe)
    finder.remember("/dev/ttyUSB6")
    assert finder.find(0) == "/dev/ttyUSB6"


def test_an_explicit_port_is_taken_as_it_is(fake_sys: FakeSys) -> None:
    finder = PortFinder("/dev/modem-at", list_ports=fake_sys.ports, probe=never_probe)
    finder.remember("/dev/modem-at")
    assert finder.find(0) == "/dev/modem-at"


def test_adapters_that_may_carry_anything_are_never_probed(fake_sys: FakeSys) -> None:
    for number, usb_id in enumerate(("0403:6001", "10c4:ea60", "1a86:7523", "067b:2303", "2341:0043")):
        fake_sys.usb_tty(f"ttyUSB{number}", f"1-{number + 1}", usb_id, 0)
    finder = PortFinder(AUTO, list_ports=fake_sys.ports, probe=never_probe)
    with pytest.raises(PortMissing, match="modem"):
        finder.find(time.monotonic() + 5)


def test_huawei_ports_are_known_by_protocol(fake_sys: FakeSys) -> None:
    for number, protocol in enumerate(("01", "02", "05", "14")):
        fake_sys.usb_tty(f"ttyUSB{number}", "1-1", "12d1:1506", number, protocol)
    assert {port.device: port.role for port in fake_sys.ports()} == {
        "/dev/ttyUSB1": "at",
        "/dev/ttyUSB0": "unknown",
        "/dev/ttyUSB2": "other",
        "/dev/ttyUSB3": "other",
    }


def test_unknown_ports_are_asked_in_turn_and_a_deaf_one_not_each_time(fake_sys: FakeSys) -> None:
    for number in range(3):
        fake_sys.usb_tty(f"ttyACM{number}", "1-1", "1546:1146", number * 2, usb_class="02")
    asked: list[str] = []

    def probe(device: str, _ends_at: float) -> bool:
        asked.append(device)
        return device == "/dev/ttyACM1"

    finder = PortFinder(AUTO, list_ports=fake_sys.ports, probe=probe)
    assert finder.find(time.monotonic() + 5) == "/dev/ttyACM1"
    assert finder.find(time.monotonic() + 5) == "/dev/ttyACM1"
    assert asked == ["/dev/ttyACM0", "/dev/ttyACM1", "/dev/ttyACM1"]


def test_a_held_unknown_port_is_told_when_no_other_answers(fake_sys: FakeSys) -> None:
    fake_sys.usb_tty("ttyACM0", "1-1", "1546:1146", 0)

    def probe(device: str, _ends_at: float) -> bool:
        raise PortBusy(device)

    with pytest.raises(PortBusy):
        PortFinder(AUTO, list_ports=fake_sys.ports, probe=probe).find(time.monotonic() + 5)


def test_probing_stops_when_the_time_is_up(fake_sys: FakeSys) -> None:
    fake_sys.usb_tty("ttyACM0", "1-1", "1546:1146", 0)
    with pytest.raises(PortMissing):
        PortFinder(AUTO, list_ports=fake_sys.ports, probe=never_probe).find(time.monotonic() - 1)


def pcie_modem(fake_sys: FakeSys, number: int, bus: str = "0000:01:00.0") -> None:
    for kind in (f"wwan{number}at0", f"wwan{number}qcdm0"):
        port = fake_sys.root / "devices" / "pci0" / bus / "mhi0" / "wwan" / f"wwan{number}" / kind
        port.mkdir(parents=True)
        (fake_sys.root / "class" / "wwan").mkdir(exist_ok=True)
        (fake_sys.root / "class" / "wwan" / kind).symlink_to(port)


def test_a_pcie_modem_is_found_and_followed_to_its_new_name(fake_sys: FakeSys) -> None:
    pcie_modem(fake_sys, 0)
    assert fake_sys.ports() == (FoundPort("/dev/wwan0at0", "", None, "0000:01:00.0:at0", "at"),)

    finder = PortFinder("auto", list_ports=fake_sys.ports, probe=never_probe)
    finder.remember("/dev/wwan0at0")
    for link in (fake_sys.root / "class" / "wwan").iterdir():
        link.unlink()
    pcie_modem(fake_sys, 0, "0000:00:02.0")
    pcie_modem(fake_sys, 1)
    assert finder.find(time.monotonic() + 1) == "/dev/wwan1at0"


def test_the_at_port_of_a_usb_modem_without_a_tty_is_found(fake_sys: FakeSys) -> None:
    fake_sys.ec25(0)
    port = fake_sys.root / "devices" / "pci0" / "usb1" / "1-1.2" / "1-1.2:1.3" / "wwan" / "wwan0" / "wwan0at0"
    port.mkdir(parents=True)
    (fake_sys.root / "class" / "wwan").mkdir()
    (fake_sys.root / "class" / "wwan" / "wwan0at0").symlink_to(port)
    assert [one.device for one in fake_sys.ports() if one.role == "at"] == ["/dev/ttyUSB2", "/dev/wwan0at0"]


def test_no_sysfs_is_no_modem(tmp_path: Path) -> None:
    assert find_ports(tmp_path / "nothing") == ()


def test_a_modem_is_recognised_by_asking() -> None:
    with SimulatedModem(TALK) as modem:
        assert speaks_at(str(modem.path), time.monotonic() + 10)


@pytest.mark.parametrize(
    ("spoken", "voice"),
    [(b"$GPGGA,123519,4807.038,N\r\n", "nmea"), (b"\x7e\xff\x7d\x23\xc0\x21\x7e", "diag")],
)
def test_gps_and_binary_ports_are_heard_and_never_written_to(spoken: bytes, voice: str) -> None:
    with SimulatedModem(TALK, Behaviour(garbage_at_open=spoken)) as port:
        assert voice_of(str(port.path), time.monotonic() + 10) == voice
        assert not port.heard


def test_what_answers_everything_with_an_error_is_no_at_port() -> None:
    with SimulatedModem(parse_transcript("> AT\n< ERROR\n")) as port:
        assert not speaks_at(str(port.path), time.monotonic() + 10)


def test_a_deaf_port_is_given_up_in_time() -> None:
    with SimulatedModem(TALK, Behaviour(hang_after=0)) as port:
        began = time.monotonic()
        assert not speaks_at(str(port.path), time.monotonic() + 3)
        assert time.monotonic() - began < 6


@pytest.mark.parametrize(
    ("location", "device"),
    [("1-1.2:1.2", "1-1.2"), ("2-1:1.0", "2-1"), ("ttyS0", None), ("0000:01:00.0:at0", None), ("", None)],
)
def test_the_usb_device_is_told_by_the_place_on_the_bus(location: str, device: str | None) -> None:
    assert usb_device(location) == device


def test_the_port_behind_the_at_port_is_the_likeliest_other_one_of_the_same_modem(tmp_path: Path) -> None:
    fake = FakeSys(tmp_path)
    fake.ec25(0)
    fake.usb_tty("ttyUSB9", "1-1.3", "2c7c:0125", 3)
    ports = find_ports(fake.root, tmp_path)
    assert [Path(port.device).name for port in second_ports(ports, "1-1.2:1.2")] == ["ttyUSB3"]
    assert second_ports(ports, "ttyS0") == []


def test_another_port_that_answers_is_followed_from_then_on(tmp_path: Path) -> None:
    fake = FakeSys(tmp_path)
    fake.ec25(0)
    asked: list[str] = []

    def probe(device: str, _ends_at: float) -> bool:
        asked.append(Path(device).name)
        return Path(device).name == "ttyUSB3"

    finder = PortFinder(AUTO, list_ports=lambda: find_ports(fake.root, tmp_path), probe=probe)
    ends_at = time.monotonic() + 60
    first = finder.find(ends_at)
    finder.remember(first)
    assert (Path(first).name, finder.location) == ("ttyUSB2", "1-1.2:1.2")
    other = finder.prefer_other(ends_at)
    assert other is not None
    assert Path(other).name == "ttyUSB3"
    assert Path(finder.find(ends_at)).name == "ttyUSB3"
    # The way back is open, too: its first port is asked when this one fails.
    assert finder.prefer_other(ends_at) is None
    assert asked == ["ttyUSB3", "ttyUSB2"]
