"""Which board this is, and whether it is the one that was enrolled: a copied SD card must not speak for it.

A serial is written with where it came from ("device-tree:10000000a1b2c3d4", "mac:b8:27:eb:01:02:03,…"). What
lies on the card itself, such as /etc/machine-id, is copied with the card and therefore never asked.
"""

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

ENROLLED_NAME = "enrolled.json"

ROOT = Path("/")

Verdict = Literal["same", "cloned", "unknown"]

_PLACEHOLDERS = re.compile(r"|0+|f+|(x|-|\.)+|none|default.*|to be filled.*|not .*|system serial.*|1234567.*")
"""What makers of PCs leave in the firmware instead of a number (lower case)."""

_ETHERNET = "1"  # ARPHRD_ETHER, linux/if_arp.h
_PERMANENT = "0"  # NET_ADDR_PERM, linux/netdevice.h: the address that is burnt in, not one set by software


class Enrolled(NamedTuple):
    """What was written down when this gateway was enrolled: its id, its board, and when (UTC seconds)."""

    gateway_id: str
    board_serial: str
    enrolled_ts: int


class Standing(NamedTuple):
    """Whether this is the enrolled board.

    "unknown" when no board was enrolled, or this one shows none of the numbers that could tell. enrolled and
    here are the serials, None where there is none.
    """

    verdict: Verdict
    enrolled: str | None
    here: str | None


def board_serial(root: Path = ROOT) -> str | None:
    """Return the numbers by which this board can be told from every other one, None where it shows none.

    Every user can read them, or they are left out: an agent that does not run as root has to find them again.
    """
    for source, found in _SOURCES.items():
        numbers = list(found(root))
        if numbers:
            return f"{source}:{','.join(numbers)}"
    return None


def standing(state: Path, root: Path = ROOT) -> Standing:
    """Compare this board with the enrolled one of the state folder; nothing here raises."""
    enrolled = read_enrolled(state)
    here = board_serial(root)
    if enrolled is None:
        return Standing("unknown", None, here)
    source, _colon, known = enrolled.board_serial.partition(":")
    found = _SOURCES.get(source)
    if found is None or not known:
        return Standing("unknown", enrolled.board_serial, here)
    numbers = list(found(root))
    # One is enough: while a board boots, a network card may come later than the agent.
    if not set(known.split(",")).isdisjoint(numbers):
        return Standing("same", enrolled.board_serial, here)
    # A board that has no such number at all, but another one, is another kind of board.
    verdict: Verdict = "cloned" if numbers or here is not None else "unknown"
    return Standing(verdict, enrolled.board_serial, f"{source}:{','.join(numbers)}" if numbers else here)


def read_enrolled(state: Path) -> Enrolled | None:
    """Return what stands in the state folder's enrolled.json, None without one that can be read."""
    try:
        document = json.loads((state / ENROLLED_NAME).read_text(encoding="utf-8"))
        if document["v"] != 1:
            return None
        return Enrolled(
            str(document["gateway_id"]), str(document["board_serial"] or ""), int(document["enrolled_ts"])
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def write_enrolled(state: Path, gateway_id: str, serial: str | None, ts: float | None = None) -> None:
    """Write down that this board was enrolled, in one step; raises OSError.

    serial is what `board_serial` gave: None for a board without one, of which a copy cannot be told.
    """
    document = {
        "v": 1,
        "gateway_id": gateway_id,
        "board_serial": serial,
        "enrolled_ts": int(time.time() if ts is None else ts),
    }
    beside = state / (ENROLLED_NAME + ".new")
    with beside.open("w", encoding="utf-8") as file:
        json.dump(document, file)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(state / ENROLLED_NAME)


def _device_tree(root: Path) -> Iterator[str]:
    # The kernel ends it with a NUL (Devicetree specification, 2.2.4.2 "string").
    yield from _numbers(root / "proc/device-tree/serial-number")


def _network_card(root: Path) -> Iterator[str]:
    """Give the burnt-in addresses of built-in Ethernet and Wi-Fi; a USB stick may move to another board."""
    try:
        cards = sorted((root / "sys/class/net").iterdir())
    except OSError:
        return
    for card in cards:
        device = os.path.realpath(card / "device")
        if not (card / "device").exists() or "/usb" in device:
            continue
        if _text(card / "type") == _ETHERNET and _text(card / "addr_assign_type") == _PERMANENT:
            yield from _numbers(card / "address")


def _firmware(root: Path) -> Iterator[str]:
    # Most kernels show these to root only.
    for name in ("product_uuid", "product_serial", "board_serial"):
        file = root / "sys/class/dmi/id" / name
        try:
            is_public = bool(file.stat().st_mode & 0o004)
        except OSError:
            continue
        if is_public:
            yield from _numbers(file)


_SOURCES: dict[str, Callable[[Path], Iterator[str]]] = {
    "device-tree": _device_tree,
    "mac": _network_card,
    "dmi": _firmware,
}
"""Where a number may come from, the surest first."""


def _numbers(file: Path) -> Iterator[str]:
    number = _text(file)
    if not _PLACEHOLDERS.fullmatch(number.lower().replace(":", "")):
        yield number.replace(",", ".")


def _text(file: Path) -> str:
    try:
        text = file.read_bytes()[:128].decode("ascii", "replace")
    except OSError:
        return ""
    return "".join(sign for sign in text.strip("\0 \n") if sign.isprintable())
