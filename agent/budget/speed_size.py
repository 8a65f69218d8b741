"""How large a speed test is, and what it may cost at most."""

from dataclasses import dataclass

SMALLEST_BYTES = 256_000
LARGEST_BYTES = 2_000_000
LARGEST_UNLIMITED_BYTES = 20_000_000
"""Down, on the wire; the way up takes half. Twice a day that is 180 MB a month."""

SECONDS_AT_LAST_RATE = 4
LIMIT_S = 10.0
"""The longest time one direction takes."""

OVERHEAD_BYTES = 24_000
"""Two TLS handshakes with chains of certificates, three small questions for the round trip, headers."""

SPEEDTEST_CLI_OVERHEAD_BYTES = 600_000
"""Ookla's configuration and list of servers, and what two threads have under way when the cap is reached."""

OOKLA_REFUSED = "ookla_refused"
"""The reason of a test that Ookla did not allow; what a day's pause follows from."""

_PAYLOAD_SHARE = 0.94
"""Of what goes over the wire; the rest is headers and acknowledgements, in packets of 1,400 bytes."""


@dataclass(frozen=True, slots=True)
class SpeedSize:
    """Sizes of one test on the wire, in bytes, and the most it may cost."""

    down_bytes: int
    up_bytes: int
    cost_bytes: int

    @property
    def window_bytes(self) -> int:
        """Return what the other end may have under way when reading stops."""
        return max(64 * 1024, self.down_bytes // 16)

    @property
    def down_payload_bytes(self) -> int:
        """Return where reading stops: what is under way then is on the bill as well."""
        return int(self.down_bytes * _PAYLOAD_SHARE) - self.window_bytes

    @property
    def up_payload_bytes(self) -> int:
        """Return how much is posted."""
        return int(self.up_bytes * _PAYLOAD_SHARE)


def speed_size(last_kbit_s: float | None, engine: str, *, unlimited: bool) -> SpeedSize:
    """Return the size for a link whose last download rate is known, the smallest when it is not."""
    largest = LARGEST_UNLIMITED_BYTES if unlimited else LARGEST_BYTES
    at_last_rate = (last_kbit_s or 0.0) * 1000 / 8 * SECONDS_AT_LAST_RATE
    down = int(min(max(at_last_rate, SMALLEST_BYTES), largest))
    up = down // 2
    overhead = OVERHEAD_BYTES if engine == "https" else SPEEDTEST_CLI_OVERHEAD_BYTES
    return SpeedSize(down, up, down + up + overhead)
