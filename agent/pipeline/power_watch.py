"""What happens when mains goes, comes back, or the battery runs down; in the daemon.

An input of the box tells at once; supplies that the kernel knows are looked at every few seconds.
"""

import logging
import time
from collections.abc import Callable
from typing import Any

from agent.collectors.power import PowerReading
from agent.config.model import PowerConfig
from agent.language import _

log = logging.getLogger("sinyal.power")

LOW_FOR_S = 60.0
"""So long the battery must be low, without mains, before anything is stopped."""


class PowerWatch:
    """Told of power by whoever sees it; tells the centre, and stops the agent when that is configured.

    note_event: as Keeper.note_event; an event is committed at once, and every reading with it. take_reading:
    called when mains went, so that the last reading before a power cut says so. pace: is told the seconds
    between readings while mains is away, None for the usual.
    """

    def __init__(
        self,
        config: PowerConfig,
        *,
        note_event: Callable[[str, str, dict[str, Any]], None],
        take_reading: Callable[[], None],
        pace: Callable[[float | None], None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._note_event = note_event
        self._take_reading = take_reading
        self._pace = pace
        self._now = now
        self._mains: bool | None = None
        self._battery_low = False
        self._undervoltage = False
        self._low_since: float | None = None
        self._is_low_input = False
        self.ends_with = ""
        """"" to go on, else "stop" or "poweroff": what a low battery asks for now."""

    @property
    def mains(self) -> bool | None:
        """Return whether mains is present, None when nobody tells."""
        return self._mains

    @property
    def battery_low(self) -> bool:
        """Return whether the battery is low while mains is away."""
        return self._battery_low

    @property
    def undervoltage(self) -> bool:
        """Return whether the board's own voltage is too low."""
        return self._undervoltage

    @property
    def saves_power(self) -> bool:
        """Return whether the low-power profile is in use: mains is away, and one is configured."""
        return self._mains is False and self._config.low_power_interval_s > 0

    @property
    def is_back(self) -> bool:
        """Return whether an agent stopped by a low battery may begin again: mains is there, where known.

        A battery alone does not count then: its voltage rises as soon as nothing draws on it.
        """
        return not self._battery_low if self._mains is None else self._mains

    def note_mains(self, present: bool, edge_at: float) -> None:
        """Take in mains, with the time.monotonic() of its edge; the same again changes nothing."""
        before, self._mains = self._mains, present
        if present == before or (before is None and present):
            return
        what = "mains_returned" if present else "mains_lost"
        log.warning(_("mains power is back") if present else _("mains power is away"))
        evidence = {"edge_age_s": round(max(0.0, self._now() - edge_at), 1), "mains_present": present}
        self._note_event("power", what, evidence)
        low_power_s = self._config.low_power_interval_s
        if low_power_s > 0:
            self._pace(None if present else float(low_power_s))
        self._take_reading()

    def note_battery_input(self, low: bool) -> None:
        """Take in the input that says that the battery is nearly empty."""
        self._is_low_input = low

    def look(self, reading: PowerReading) -> None:
        """Take in what the kernel tells, and see whether the battery asks for an end."""
        if reading.mains_present is not None:
            self.note_mains(bool(reading.mains_present), self._now())
        self._look_at_voltage(bool(reading.undervoltage))
        self._look_at_battery(reading)

    def _look_at_voltage(self, is_under: bool) -> None:
        if is_under == self._undervoltage:
            return
        self._undervoltage = is_under
        if is_under:
            log.warning(_("the board's voltage is too low. Next step: a better power supply or cable"))
        self._note_event("power", "undervoltage" if is_under else "undervoltage_over", {})

    def _look_at_battery(self, reading: PowerReading) -> None:
        config = self._config
        volts, percent = reading.battery_v, reading.battery_pct
        is_low = self._is_low_input
        is_low |= percent is not None and percent <= config.low_battery_pct
        is_low |= volts is not None and 0 < volts <= config.low_battery_v
        is_low &= self._mains is not True
        if is_low != self._battery_low:
            self._battery_low = is_low
            self._low_since = self._now() if is_low else None
            self.ends_with = ""
            log.warning(
                _("the battery is nearly empty") if is_low else _("the battery is no longer nearly empty")
            )
            evidence = {"battery_v": volts, "battery_pct": percent}
            self._note_event("power", "battery_low" if is_low else "battery_low_over", evidence)
        if self._low_since is None or not config.on_low_battery or self.ends_with:
            return
        if self._mains is None and not self._is_low_input:
            return  # it may well be charging
        if self._now() - self._low_since >= LOW_FOR_S:
            self.ends_with = config.on_low_battery
            self._note_event("power", "stopping", {"then": self.ends_with})
