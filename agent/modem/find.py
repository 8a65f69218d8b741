"""Finding the modem's AT port, by what the kernel knows of each port rather than by its name.

ttyUSB numbers move at each reset of the modem; what stays is the place on the USB bus with the interface
number. OpenWrt has no /dev/serial/by-id, so sysfs is read directly.
Sources: port roles as published for udev by ModemManager, vendors' USB documents.
"""

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agent.language import _
from agent.modem.conversation import Conversation, ModemSilent
from agent.modem.port import PortBusy, PortForbidden, PortLost, PortMissing, PortStuck, SerialPort

AUTO = "auto"

Role = Literal["at", "unknown", "other"]

Voice = Literal["at", "nmea", "diag", "none"]
"""What a port is by what it says: AT, a GPS, binary frames as of a diagnostics or PPP port, or no answer."""

_AT_INTERFACES = {
    usb_id: interface
    for interface, usb_ids in (
        (0, ("2cb7:010a", "8087:095a")),
        (1, ("2cb7:0104", "2cb7:0106")),
        (2, ("2c7c:0121", "2c7c:0125", "2c7c:0191", "2c7c:0195", "2c7c:0296", "2c7c:0306", "2c7c:0512")),
        (2, ("2c7c:0800", "2c7c:0801", "1e0e:9001", "1e0e:9205", "1e0e:9206", "2cb7:0007", "2cb7:01a2")),
        (2, ("0489:e0b4", "413c:81d7")),
        (3, ("1e0e:9100", "1e0e:9200", "2cb7:0115", "2cb7:01a4", "1199:9071", "1199:9079")),
        (4, ("1e0e:9011",)),
        (5, ("2c7c:0128",)),
        (6, ("0e8d:7126", "0e8d:7127")),
    )
    for usb_id in usb_ids
}
"""USB vendor and product to the interface that speaks AT; all other ports of these are left alone."""

_SECOND_AT_NEXT = frozenset(("2c7c", "1e0e"))
"""Makers whose port behind the AT port takes AT commands too."""

_HUAWEI = "12d1"
_HUAWEI_ROLES: dict[str, Role] = {"02": "at", "12": "unknown", "01": "unknown"}
"""By bInterfaceProtocol: 02 is the AT port, 01 the modem (PPP) port; GPS and DIAG have others."""

_NEVER_PROBED = frozenset(("0403", "10c4", "1a86", "067b", "2341", "2e8a", "1366", "0483"))
"""Adapters and boards that may carry anything, from a solar charger to a relay: never written to."""

LISTEN_S = 1.2
"""How long an unknown port is listened to before it is written to: a GPS prints a line each second."""

PROBE_AGAIN_S = 300.0
_WWAN_AT = re.compile(r"wwan\d+(at\d+)")
_NMEA_SIGN = b"$G"
_HDLC_FLAG = b"\x7e"


@dataclass(frozen=True, slots=True)
class FoundPort:
    """A serial port of a modem, or of what may be one.

    usb_id: "2c7c:0125", "" when not on USB. interface: USB interface number, None when not on USB.
    location: the place on the bus with the interface, the same after each reset. role: "at" when known
    to speak AT, "unknown" when only asking can tell, "other" when known to be something else.
    product: how the device names itself, "" when it does not.
    """

    device: str
    usb_id: str
    interface: int | None
    location: str
    role: Role
    product: str = ""


def find_ports(sys: Path = Path("/sys"), dev: Path = Path("/dev")) -> tuple[FoundPort, ...]:
    """Return all ports a modem may have, known AT ports first, then by place on the bus."""
    found = [
        _describe(entry, dev / entry.name)
        for pattern in ("class/tty/ttyUSB*", "class/tty/ttyACM*", "class/wwan/wwan*at*")
        for entry in sys.glob(pattern)
    ]
    order: dict[Role, int] = {"at": 0, "unknown": 1, "other": 2}
    return tuple(sorted(found, key=lambda port: (order[port.role], port.location)))


def _describe(entry: Path, device: Path) -> FoundPort:
    place = entry.resolve()
    if match := _WWAN_AT.fullmatch(entry.name):
        # wwan0 becomes wwan1 after a reset, too: the bus it hangs on stays.
        bus = next((one.name for one in place.parents if not one.name.startswith(("wwan", "mhi"))), "")
        return FoundPort(str(device), "", None, f"{bus}:{match[1]}", "at")
    interface = next((one for one in place.parents if (one / "bInterfaceNumber").exists()), None)
    if interface is None:
        return FoundPort(str(device), "", None, entry.name, "unknown")
    usb_id = f"{_attribute(interface.parent, 'idVendor')}:{_attribute(interface.parent, 'idProduct')}"
    text = _attribute(interface, "bInterfaceNumber")
    number = int(text, 16) if text else None
    role = _role(usb_id, number, interface)
    return FoundPort(
        str(device), usb_id, number, interface.name, role, _attribute(interface.parent, "product")
    )


def _role(usb_id: str, number: int | None, interface: Path) -> Role:
    vendor = usb_id.partition(":")[0]
    protocol = _attribute(interface, "bInterfaceProtocol")
    if usb_id in _AT_INTERFACES:
        return "at" if number == _AT_INTERFACES[usb_id] else "other"
    if vendor in _NEVER_PROBED:
        return "other"
    if vendor == _HUAWEI and _attribute(interface, "bInterfaceClass") == "ff":
        return _HUAWEI_ROLES.get(protocol, "other")
    return "unknown"


def _attribute(folder: Path, name: str) -> str:
    try:
        return (folder / name).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def usb_device(location: str) -> str | None:
    """Return the USB device that a place on the bus belongs to, "1-1.4" of "1-1.4:1.2"; None off USB."""
    match = re.match(r"(\d+-\d+(?:\.\d+)*):", location)
    return match[1] if match else None


def second_ports(ports: Iterable[FoundPort], location: str) -> list[FoundPort]:
    """Return the ports of the same device that may speak AT as well, the likeliest first.

    The port next to the AT port carries PPP and takes AT commands on Quectel and SIMCom. Source: the roles
    that ModemManager publishes for udev ("secondary").
    """
    device = usb_device(location)
    found = []
    for port in ports:
        if device is None or port.location == location or usb_device(port.location) != device:
            continue
        at = _AT_INTERFACES.get(port.usb_id)
        is_second = at is not None and port.usb_id[:4] in _SECOND_AT_NEXT and port.interface == at + 1
        if is_second or port.role != "other":
            found.append((not is_second, port.location, port))
    return [port for _order, _location, port in sorted(found, key=lambda one: one[:2])]


def voice_of(device: str, ends_at: float) -> Voice:
    """Listen to an unknown port and then ask whether it speaks AT: GPS and binary ports are not written to.

    ends_at: time.monotonic() at which it must be over. Raises PortBusy, PortMissing, PortForbidden.
    """
    port = SerialPort(device)
    try:
        heard = port.read(LISTEN_S)
        if _NMEA_SIGN in heard:
            return "nmea"
        if _HDLC_FLAG in heard:
            return "diag"
        conversation = Conversation(port)
        conversation.ends_at = ends_at
        return "at" if conversation.synchronise() else "none"
    except (ModemSilent, PortLost, PortStuck):
        return "none"
    finally:
        port.close()


def speaks_at(device: str, ends_at: float) -> bool:
    """Return whether an unknown port speaks AT; as `voice_of`."""
    return voice_of(device, ends_at) == "at"


class PortFinder:
    """Finds the port anew at each opening.

    wanted: "auto" or a path. Once opened, the modem is followed by its place on the bus, also when the
    kernel gives it another name.
    """

    def __init__(
        self,
        wanted: str,
        *,
        list_ports: Callable[[], Iterable[FoundPort]] = find_ports,
        probe: Callable[[str, float], bool] = speaks_at,
    ) -> None:
        self._wanted = wanted
        self._list_ports = list_ports
        self._probe = probe
        self._location: str | None = None
        self._probe_again_at: dict[str, float] = {}

    def find(self, ends_at: float) -> str:
        """Return the path to open; raises PortMissing, and PortBusy when the only candidate is held.

        ends_at: time.monotonic() until which unknown ports may be probed.
        """
        ports = tuple(self._list_ports())
        for port in ports:
            if port.location == self._location:
                return port.device
        if self._wanted != AUTO:
            return self._wanted
        known = next((port.device for port in ports if port.role == "at"), None)
        return known or self._probe_unknown(ports, ends_at)

    def remember(self, device: str) -> None:
        """Note that this port was opened, so that its modem is found again under another name."""
        name = Path(device).resolve().name
        for port in self._list_ports():
            if Path(port.device).name == name:
                self._location = port.location

    @property
    def location(self) -> str:
        """Return the place on the bus of the port that was opened last, "" before that and off the bus."""
        return self._location or ""

    def prefer_other(self, ends_at: float) -> str | None:
        """Follow another port of the same modem that speaks AT from now on; None when there is none."""
        for port in second_ports(self._list_ports(), self.location):
            try:
                if time.monotonic() < ends_at and self._probe(port.device, ends_at):
                    self._location = port.location
                    return port.device
            except (PortBusy, PortMissing, PortForbidden):
                continue
        return None

    def _probe_unknown(self, ports: tuple[FoundPort, ...], ends_at: float) -> str:
        held: PortBusy | None = None
        for port in ports:
            now = time.monotonic()
            if port.role != "unknown" or now < self._probe_again_at.get(port.location, 0.0) or now >= ends_at:
                continue
            try:
                if self._probe(port.device, ends_at):
                    return port.device
                self._probe_again_at[port.location] = now + PROBE_AGAIN_S
            except PortBusy as busy:
                held = busy
            except (PortMissing, PortForbidden):
                continue
        if held is not None:
            raise held
        raise PortMissing(
            _("no modem found"),
            _("plug the modem in, or name its port: --port PORT, or modem.port in the configuration"),
        )
