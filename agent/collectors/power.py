"""Mains, battery and supply voltage of the board, as the kernel tells them.

Sources: Linux Documentation/ABI/testing/sysfs-class-power (`online`, `capacity`, `voltage_now` in µV);
raspberrypi-hwmon (`in0_lcrit_alarm`); the Raspberry Pi firmware's get_throttled (bit 0: under-voltage now).
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

SUPPLIES = Path("/sys/class/power_supply")
HWMON = Path("/sys/class/hwmon")
THROTTLED = Path("/sys/devices/platform/soc/soc:firmware/get_throttled")

UNDERVOLTAGE_NOW = 1


@dataclass(frozen=True, slots=True)
class PowerReading:
    """Power. None where nothing tells."""

    mains_present: int | None
    battery_v: float | None
    battery_pct: float | None
    undervoltage: int | None


class PowerCollector:
    """Reads the named supplies; mains_input, an input of the box for mains, goes before the kernel's."""

    name = "power"

    def __init__(
        self,
        mains_supply: str,
        battery_supply: str,
        mains_input: Callable[[], bool | None] = lambda: None,
        *,
        supplies: Path = SUPPLIES,
        hwmon: Path = HWMON,
        throttled: Path = THROTTLED,
    ) -> None:
        self._mains = supplies / mains_supply if mains_supply else None
        self._battery = supplies / battery_supply if battery_supply else None
        self._mains_input = mains_input
        self._throttled = throttled
        self._alarm = _rpi_alarm(hwmon)

    def collect(self) -> PowerReading:
        """Return the power of now."""
        microvolts = None if self._battery is None else _number(self._battery / "voltage_now")
        return PowerReading(
            mains_present=self._mains_present(),
            battery_v=None if microvolts is None else microvolts / 1e6,
            battery_pct=None if self._battery is None else _number(self._battery / "capacity"),
            undervoltage=self._undervoltage(),
        )

    def _mains_present(self) -> int | None:
        by_input = self._mains_input()
        if by_input is not None:
            return int(by_input)
        online = None if self._mains is None else _number(self._mains / "online")
        return None if online is None else int(online > 0)

    def _undervoltage(self) -> int | None:
        alarm = None if self._alarm is None else _number(self._alarm)
        bits = _number(self._throttled, base=16)
        if alarm is None and bits is None:
            return None
        return int(bool(alarm) or bool((bits or 0) & UNDERVOLTAGE_NOW))


def _rpi_alarm(hwmon: Path) -> Path | None:
    for name in sorted(hwmon.glob("hwmon*/name")):
        try:
            if name.read_text().strip() == "rpi_volt":
                return name.with_name("in0_lcrit_alarm")
        except OSError:
            continue
    return None


def _number(file: Path, base: int = 10) -> int | None:
    try:
        return int(file.read_text().strip(), base)
    except (OSError, ValueError):  # ValueError: not a number, or bytes that are no text
        return None
