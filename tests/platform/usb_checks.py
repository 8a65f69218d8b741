"""Runs inside the emulated machine: a USB modem on a virtual bus is found, lost, found again and reset."""

import contextlib
import os
import subprocess
import sys
import threading
import time
import tty
from pathlib import Path

from agent.modem.find import PortFinder, usb_device
from agent.modem.port import PortLost, SerialPort

GADGET = Path("/sys/kernel/config/usb_gadget/modem")
SWITCH = Path("/sys/bus/usb/devices/1-1/authorized")
STRANGER = 4711
"""A user and group of no rights."""


def saw(name: str, text: object) -> None:
    """Print one finding as the test reads it."""
    print("SAW", name, text, flush=True)


def make_modem() -> None:
    """Describe a modem with one AT port (CDC ACM)."""
    for folder in ("", "strings/0x409", "configs/c.1", "functions/acm.usb0"):
        (GADGET / folder).mkdir(parents=True, exist_ok=True)
    for name, value in (("idVendor", "0x1234"), ("idProduct", "0x0001"), ("strings/0x409/product", "Modem")):
        (GADGET / name).write_text(value)
    (GADGET / "configs/c.1/acm.usb0").symlink_to(GADGET / "functions/acm.usb0")


def plug(is_in: bool) -> None:
    """Plug the modem in or pull it out."""
    (GADGET / "UDC").write_text("dummy_udc.0" if is_in else "\n")


def answer() -> None:
    """Be the modem: OK to each line, for ever, through every unplugging."""
    while True:
        with contextlib.suppress(OSError):
            line = os.open("/dev/ttyGS0", os.O_RDWR | os.O_NOCTTY)
            try:
                tty.setraw(line)
                while heard := os.read(line, 100):
                    os.write(line, b"\r\nOK\r\n" * heard.count(b"\r"))
            finally:
                os.close(line)
        time.sleep(0.1)


def found(finder: PortFinder) -> str:
    """Return the port once the finder has it and it can be opened, "" after half a minute."""
    ends_at = time.monotonic() + 40
    while time.monotonic() < ends_at:
        with contextlib.suppress(Exception):
            device = finder.find(time.monotonic() + 10)
            if Path(device).exists():
                return device
        time.sleep(0.5)
    return ""


def asked(port: SerialPort) -> str:
    """Return what the modem says to AT."""
    port.write(b"AT\r")
    heard, ends_at = b"", time.monotonic() + 20
    while b"OK" not in heard and time.monotonic() < ends_at:
        heard += port.read(5)
    return "OK" if b"OK" in heard else repr(heard)


def as_stranger(command: list[str]) -> int:
    """Return the exit code of a command that has the rights of nobody in particular."""
    return subprocess.run(command, user=STRANGER, group=STRANGER, extra_groups=(), check=False).returncode


def main() -> None:
    """Find, ask, lose, find again under another name, and take it off the bus with the rights of the hook."""
    make_modem()
    plug(True)
    threading.Thread(target=answer, daemon=True).start()
    finder = PortFinder("auto")
    device = found(finder)
    port = SerialPort(device)
    finder.remember(device)
    saw("usb-found", (device, finder.location, usb_device(finder.location), asked(port)))

    plug(False)
    try:
        while port.read(20):
            pass
        saw("usb-pulled", "nothing noticed")
    except PortLost:
        saw("usb-pulled", "lost")
    # Its descriptor is still open: the kernel gives another number.
    plug(True)
    again = found(finder)
    with contextlib.closing(SerialPort(again)) as other:
        saw("usb-again", (again != device, asked(other)))
    port.close()

    reset = [sys.executable, "-c", "from agent.recovery.usb_reset import *; reset_usb('1-1')"]
    refused = as_stranger(reset)
    place = str(Path("/sys/class/tty", Path(again).name).resolve()).removeprefix("/sys")
    variables = {"ACTION": "add", "DEVICENAME": Path(again).name, "DEVPATH": place}
    hook = {**os.environ, **variables, "SINYAL_GROUP": str(STRANGER), "SINYAL_EVENT": "/bin/true"}
    subprocess.run(["/bin/sh", "/hook"], env=hook, check=True)
    before = Path("/sys/class/tty", Path(again).name).stat().st_ino
    done = as_stranger(reset)
    back = found(finder)
    anew = Path("/sys/class/tty", Path(back).name).stat().st_ino != before
    with contextlib.closing(SerialPort(back)) as other:
        saw("usb-reset", (refused, done, anew, asked(other)))


main()
