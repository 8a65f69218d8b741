"""How much may be spent on what: the cap of a month and its steps.

    0 ────────── 80 % ───────────────── cap less liveness ──────── cap
      everything  │ no speed tests        │ liveness, events    │ nothing

Liveness has a part of the cap for itself, so that the cap holds and the centre still hears that the gateway
lives: what probes, keepalives and reconnects of the days left need, and never more than 5 % of the cap. Where
that is too little, probes come more rarely.
"""

from dataclasses import dataclass
from typing import Literal

from agent.config.model import BudgetConfig

Use = Literal["mqtt", "probes", "throughput", "other"]

USES: tuple[Use, ...] = ("mqtt", "probes", "throughput", "other")
"""What bytes are spent on. `other` holds also what a power cut left uncertain."""

Stage = Literal["all", "no_throughput", "liveness_only", "closed"]

THROUGHPUT_SHARE = 0.8
LIVENESS_SHARE = 0.05

LIVENESS_BYTES_A_DAY = 400_000
"""One 56-byte echo a minute with its answer (242 kB), keepalives (30 kB), 20 reconnects with TLS (120 kB)."""


CONNECTION_BYTES = 8192
"""What connecting with TLS, or parting in good order, costs at most: with less left no connection is kept."""

SLOWEST_PROBES = 60
"""When liveness runs short, probes come up to so many times more rarely."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a gateway. month_bytes None: counted and shown, never refused."""

    month_bytes: int | None
    begins_on: int
    rupiah_per_mb: float

    def liveness_bytes(self, days_left: int) -> int:
        """Return the part of the cap that only liveness and events may use."""
        if self.month_bytes is None:
            return 0
        return min(int(self.month_bytes * LIVENESS_SHARE), max(0, days_left) * LIVENESS_BYTES_A_DAY)

    def left_for_throughput(self, used: int) -> float:
        """Return the bytes that speed tests may still use."""
        return self._left(int((self.month_bytes or 0) * THROUGHPUT_SHARE), used)

    def left_for_readings(self, used: int, days_left: int) -> float:
        """Return the bytes that readings may still use; days_left are those after today."""
        return self._left((self.month_bytes or 0) - self.liveness_bytes(days_left), used)

    def probes_rarer(self, used: int, days_left: int) -> float:
        """Return how many times more rarely probes must come so that the rest lasts to the month's end.

        1 as long as readings may be sent, 0 when the cap is used up; days_left are those after today.
        """
        left = self.left(used)
        if left <= 0:
            return 0.0
        if self.left_for_readings(used, days_left) > 0:
            return 1.0
        return min(max(1.0, (days_left + 1) * LIVENESS_BYTES_A_DAY / left), SLOWEST_PROBES)

    def left(self, used: int) -> float:
        """Return the bytes left of the cap."""
        return self._left(self.month_bytes or 0, used)

    def stage(self, used: int, days_left: int) -> Stage:
        """Return what may still be spent on."""
        if self.left(used) <= 0:
            return "closed"
        if self.left_for_readings(used, days_left) <= 0:
            return "liveness_only"
        return "no_throughput" if self.left_for_throughput(used) <= 0 else "all"

    def rupiah(self, bytes_: float) -> float | None:
        """Return what so many bytes cost, or None without a price."""
        return round(bytes_ / 1e6 * self.rupiah_per_mb, 2) if self.rupiah_per_mb else None

    def _left(self, part: int, used: int) -> float:
        return float("inf") if self.month_bytes is None else max(0, part - used)


def limits_of(budget: BudgetConfig) -> Limits:
    """Return the limits that a configuration sets."""
    capped = budget.profile == "prepaid"
    return Limits(budget.month_bytes if capped else None, budget.day_of_month, budget.rupiah_per_mb)
