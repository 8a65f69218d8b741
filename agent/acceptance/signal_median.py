"""The signal of some minutes in one figure: the median of what the readings said."""

from collections.abc import Mapping
from statistics import median
from typing import Any

LEVELS = ("rsrp_dbm", "rscp_dbm", "rssi_dbm")
"""One of them is the level of a reading: 4G and 5G, 3G, 2G."""


class SignalMedian:
    """Readings added one by one; a reading that is added twice counts once."""

    def __init__(self) -> None:
        self._levels: dict[str, list[float]] = {name: [] for name in LEVELS}
        self._sinr_db: list[float] = []
        self._seen: set[object] = set()
        self._without = 0
        self._last: Mapping[str, Any] = {}
        self._cells: set[object] = set()

    def add(self, reading: Mapping[str, Any]) -> bool:
        """Add a reading; return whether it was a new one."""
        if reading.get("seq") in self._seen:
            return False
        self._seen.add(reading.get("seq"))
        level = next((name for name in LEVELS if isinstance(reading.get(name), int | float)), None)
        if level is None:
            self._without += 1
            return True
        self._levels[level].append(reading[level])
        if isinstance(reading.get("sinr_db"), int | float):
            self._sinr_db.append(reading["sinr_db"])
        if reading.get("cell_id") is not None:
            self._cells.add(reading["cell_id"])
        self._last = reading
        return True

    @property
    def readings(self) -> int:
        """Return how many readings were added."""
        return len(self._seen)

    def level(self) -> tuple[str, float] | None:
        """Return the name of the level measured most often and its median in dBm; None: never measured."""
        name = max(LEVELS, key=lambda each: len(self._levels[each]))
        return (name, median(self._levels[name])) if self._levels[name] else None

    def finding(self, seconds: float) -> dict[str, Any]:
        """Return what was measured in that time, None where it was not."""
        level = self.level()
        values = self._levels[level[0]] if level else []
        return {
            "seconds": round(seconds),
            "readings": self.readings,
            "readings_without": self._without,
            "field": level[0] if level else None,
            "median_dbm": level[1] if level else None,
            "lowest_dbm": min(values, default=None),
            "highest_dbm": max(values, default=None),
            "median_sinr_db": round(median(self._sinr_db), 1) if self._sinr_db else None,
            "cells": len(self._cells),
            **{
                name: self._last.get(name)
                for name in ("operator_name", "operator_mccmnc", "access_technology", "band", "signal_class")
            },
        }
