"""The board itself: processor, memory, storage, temperature.

Sources: proc(5), statvfs(3), /sys/class/thermal.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from agent.collectors.procfs import memory_used_pct, processor_times

THERMAL_ZONES = Path("/sys/class/thermal")


@dataclass(frozen=True, slots=True)
class HostReading:
    """Load of the board. None means the board does not tell."""

    cpu_pct: float | None
    load1: float | None
    mem_used_pct: float | None
    disk_used_pct: float | None
    soc_temp_c: float | None


class HostCollector:
    """Reads the board's load; processor time is counted between two readings.

    state_folder lies on the file system whose use is reported: the one that holds the readings.
    """

    name = "host"

    def __init__(self, state_folder: Path, thermal_zones: Path = THERMAL_ZONES) -> None:
        self._state_folder = state_folder
        self._thermal_zones = thermal_zones
        self._times_before = processor_times()

    def collect(self) -> HostReading:
        """Return the board's load now."""
        return HostReading(
            cpu_pct=self._cpu_pct(),
            load1=os.getloadavg()[0],
            mem_used_pct=memory_used_pct(),
            disk_used_pct=disk_used_pct(self._state_folder),
            soc_temp_c=soc_temp_c(self._thermal_zones),
        )

    def _cpu_pct(self) -> float | None:
        before, self._times_before = self._times_before, processor_times()
        if before is None or self._times_before is None:
            return None
        busy, ticks = (now - earlier for now, earlier in zip(self._times_before, before, strict=True))
        # Idle time may go back a little: the kernel sums it up over processors that sleep.
        return min(100.0, max(0.0, 100 * busy / ticks)) if ticks > 0 else None


def disk_used_pct(folder: Path) -> float | None:
    """Return the used share of the file system of `folder` as df(1) counts it, or None when it is gone.

    Blocks reserved for root count as used: the agent cannot have them.
    """
    try:
        space = os.statvfs(folder)
    except OSError:
        return None
    used = space.f_blocks - space.f_bfree
    total = used + space.f_bavail
    return 100 * used / total if total else None


def soc_temp_c(thermal_zones: Path) -> float | None:
    """Return the processor's temperature in °C, or None on a board without a sensor.

    The zone whose type names the processor wins (cpu-thermal on a Raspberry Pi, x86_pkg_temp on a PC),
    else the first one. Source: Linux Documentation/driver-api/thermal/sysfs-api.rst, `temp` in millidegrees.
    """
    zones = sorted(thermal_zones.glob("thermal_zone*"))
    zones.sort(key=lambda zone: not _names_processor(_read(zone / "type") or ""))
    for zone in zones:
        text = _read(zone / "temp")
        if text is not None and text.lstrip("-").isdigit():
            return int(text) / 1000
    return None


def _names_processor(zone_type: str) -> bool:
    return any(word in zone_type.lower() for word in ("cpu", "soc", "x86_pkg"))


def _read(file: Path) -> str | None:
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError):
        # A sensor that is asleep or gone answers with an I/O error.
        return None
