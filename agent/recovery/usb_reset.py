"""Taking a USB device off the bus and back, as if it had been pulled out; its power stays on.

Source: Linux Documentation/ABI/testing/sysfs-bus-usb (`authorized`), driver-api/usb (bind, unbind).
"""

import time
from collections.abc import Callable
from pathlib import Path

USB_DEVICES = Path("/sys/bus/usb/devices")

AWAY_S = 2.0


def reset_usb(
    device: str, devices: Path = USB_DEVICES, pause: Callable[[float], object] = time.sleep
) -> None:
    """Take `device` ("1-1.4") off the bus and bring it back; raises OSError when that is not allowed."""
    switch = devices / device / "authorized"
    if switch.exists():
        switch.write_text("0")
        try:
            pause(AWAY_S)
        finally:
            switch.write_text("1")
        return
    driver = devices.parent / "drivers" / "usb"
    (driver / "unbind").write_text(device)
    try:
        pause(AWAY_S)
    finally:
        (driver / "bind").write_text(device)
