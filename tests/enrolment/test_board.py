"""Which board this is: serials from a made-up root folder, compared with what was enrolled."""

from pathlib import Path

import pytest

from agent.enrolment.board import ENROLLED_NAME, board_serial, read_enrolled, standing, write_enrolled


def raspberry(root: Path, serial: str) -> Path:
    file = root / "proc/device-tree/serial-number"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(serial.encode() + b"\0")
    return root


def network_card(
    root: Path, name: str, address: str, *, bus: str = "platform/soc", assigned: str = "0", kind: str = "1"
) -> Path:
    device = root / "sys/devices" / bus / name
    device.mkdir(parents=True)
    card = root / "sys/class/net" / name
    card.mkdir(parents=True)
    (card / "device").symlink_to(device)
    for file, text in (("address", address), ("addr_assign_type", assigned), ("type", kind)):
        (card / file).write_text(text + "\n")
    return root


def firmware(root: Path, name: str, text: str) -> Path:
    file = root / "sys/class/dmi/id" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text + "\n")
    return root


def test_the_device_tree_comes_first(tmp_path: Path) -> None:
    raspberry(tmp_path, "10000000a1b2c3d4")
    network_card(tmp_path, "eth0", "b8:27:eb:01:02:03")
    assert board_serial(tmp_path) == "device-tree:10000000a1b2c3d4"


def test_a_board_without_a_device_tree_is_known_by_its_built_in_network_card(tmp_path: Path) -> None:
    network_card(tmp_path, "enx0", "00:11:22:33:44:55", bus="pci0/usb1/1-1")
    network_card(tmp_path, "br-lan", "02:11:22:33:44:55", assigned="3")
    network_card(tmp_path, "wwan0", "00:00:00:00:00:01", kind="65534")
    network_card(tmp_path, "eth0", "b8:27:eb:01:02:03")
    assert board_serial(tmp_path) == "mac:b8:27:eb:01:02:03"


@pytest.mark.parametrize(
    "text", ["", "0", "00000000", "Default string", "To be filled by O.E.M.", "Not Specified", "None", "...."]
)
def test_a_number_that_the_maker_never_filled_in_is_none(tmp_path: Path, text: str) -> None:
    assert board_serial(firmware(tmp_path, "product_serial", text)) is None


def test_a_number_for_root_alone_is_left_out(tmp_path: Path) -> None:
    firmware(tmp_path, "product_serial", "R9-77")
    (tmp_path / "sys/class/dmi/id/product_serial").chmod(0o400)
    assert board_serial(tmp_path) is None
    firmware(tmp_path, "board_serial", "B-12")
    assert board_serial(tmp_path) == "dmi:B-12"


def test_the_enrolled_board_is_the_same_and_another_one_a_clone(tmp_path: Path) -> None:
    here, other = raspberry(tmp_path / "a", "1000a"), raspberry(tmp_path / "b", "1000b")
    write_enrolled(tmp_path, "gw-1", board_serial(here), 1_790_000_000)
    enrolled = read_enrolled(tmp_path)
    assert enrolled is not None
    assert (enrolled.gateway_id, enrolled.enrolled_ts) == ("gw-1", 1_790_000_000)
    assert standing(tmp_path, here) == ("same", "device-tree:1000a", "device-tree:1000a")
    assert standing(tmp_path, other) == ("cloned", "device-tree:1000a", "device-tree:1000b")


def test_a_card_moved_to_another_kind_of_board_is_a_clone(tmp_path: Path) -> None:
    write_enrolled(tmp_path, "gw-1", board_serial(raspberry(tmp_path / "a", "1000a")))
    pc = network_card(tmp_path / "pc", "eth0", "b8:27:eb:01:02:03")
    assert standing(tmp_path, pc).verdict == "cloned"


def test_any_network_card_of_the_enrolled_board_will_do(tmp_path: Path) -> None:
    root = network_card(tmp_path / "own", "eth0", "b8:27:eb:01:02:03")
    network_card(root, "wlan0", "b8:27:eb:01:02:99")
    write_enrolled(tmp_path, "gw-1", board_serial(root))
    early = network_card(tmp_path / "early", "wlan0", "b8:27:eb:01:02:99")
    assert standing(tmp_path, early).verdict == "same"
    assert (
        standing(tmp_path, network_card(tmp_path / "other", "eth0", "b8:27:eb:77:77:77")).verdict == "cloned"
    )


@pytest.mark.parametrize(
    "content",
    [
        None,
        "",
        "[]",
        "{",
        "[" * 100_000,
        '{"v":2,"gateway_id":"a","board_serial":"device-tree:1","enrolled_ts":1}',
        '{"v":1,"gateway_id":"a","board_serial":null,"enrolled_ts":1}',
        '{"v":1,"gateway_id":"a","board_serial":"palm-reading:1","enrolled_ts":1}',
        '{"v":1,"gateway_id":"a","board_serial":"device-tree:","enrolled_ts":1}',
    ],
)
def test_without_a_readable_enrolment_nothing_is_accused(tmp_path: Path, content: str | None) -> None:
    root = raspberry(tmp_path, "1000a")
    if content is not None:
        (tmp_path / ENROLLED_NAME).write_text(content)
    assert standing(tmp_path, root).verdict == "unknown"


def test_a_board_that_shows_no_number_is_not_accused(tmp_path: Path) -> None:
    write_enrolled(tmp_path, "gw-1", "device-tree:1000a")
    (tmp_path / "bare").mkdir()
    assert standing(tmp_path, tmp_path / "bare").verdict == "unknown"
