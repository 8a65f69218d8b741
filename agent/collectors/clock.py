"""The clocks of the board: wall time with its quality, and time since boot.

Sources: adjtimex(2) (return value TIME_ERROR while the kernel's clock is not synchronised),
clock_gettime(2) CLOCK_BOOTTIME, /sys/class/rtc.
"""

import ctypes
import time
from dataclasses import dataclass
from pathlib import Path

TIME_ERROR = 5
CLOCK_CHIPS = Path("/sys/class/rtc")

AGENT_BIRTH_TS = 1767225600
"""2026-01-01T00:00Z: a clock that shows less was never set, whatever its chip says."""

# struct timex is 208 bytes on 64-bit Linux and less elsewhere; zeros ask to read and change nothing.
_TIMEX_BYTES = 512


@dataclass(frozen=True, slots=True)
class ClockReading:
    """When a reading was taken. ts is UTC seconds; uptime_s counts from boot, sleep included."""

    ts: float
    ts_quality: str
    uptime_s: float


class ClockCollector:
    """Reads the clocks and says how far the wall clock can be believed."""

    name = "clock"

    def __init__(self, clock_chips: Path = CLOCK_CHIPS) -> None:
        self._clock_chips = clock_chips
        self._libc = ctypes.CDLL(None)

    def collect(self) -> ClockReading:
        """Return the clocks now: `ntp` when the kernel's clock is synchronised, `rtc` with a clock chip."""
        ts = time.time()
        if ts < AGENT_BIRTH_TS:
            quality = "unset"
        elif self._kernel_is_synchronised():
            quality = "ntp"
        elif any(self._clock_chips.glob("rtc*")):
            quality = "rtc"
        else:
            quality = "unset"
        return ClockReading(ts, quality, time.clock_gettime(time.CLOCK_BOOTTIME))

    def _kernel_is_synchronised(self) -> bool:
        state = int(self._libc.adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES)))
        return 0 <= state < TIME_ERROR


def raise_to_floor(floor_ts: float) -> bool:
    """Set a system clock that was never set to `floor_ts`; return whether that was wanted and done.

    Only a clock before AGENT_BIRTH_TS is touched: with one of 1970 no certificate is valid yet, and with one
    that is merely late most are. Not every platform lets the agent do it; then nothing happens.
    """
    if time.time() >= AGENT_BIRTH_TS or floor_ts < AGENT_BIRTH_TS:
        return False
    try:
        time.clock_settime(time.CLOCK_REALTIME, floor_ts)
    except (OSError, OverflowError):
        return False
    return True
