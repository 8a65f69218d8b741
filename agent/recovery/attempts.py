"""What the ladder has done, in the reading database: written before it is done, counted across restarts.

Time here is powered time: seconds the box was seen running since its first trouble. It never goes back and no
wrong clock moves it; what a power cut takes of it, at most SAVE_S, makes the limits stricter, never looser.
"""

import sqlite3
from collections.abc import Callable
from typing import Protocol, TypeVar

from agent.recovery.rungs import DAY_S, RungName

Answer = TypeVar("Answer")

SAVE_S = 3600.0
"""How often powered time is written while an attempt still counts: 24 small writes a day at most."""

_CREATE = (
    "CREATE TABLE IF NOT EXISTS recovery_attempts (at_s REAL NOT NULL, rung TEXT NOT NULL) STRICT",
    # One row: powered time, and the moment of which boot that was.
    "CREATE TABLE IF NOT EXISTS recovery_clock (one INTEGER PRIMARY KEY CHECK (one = 1),"
    " powered_s REAL NOT NULL, boot INTEGER NOT NULL, uptime_s REAL NOT NULL) STRICT",
)


class Records(Protocol):
    """Who owns the database; both raise StoreUnusable."""

    def read(self, work: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """Let `work` ask the database."""

    def write(self, work: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """Let `work` change the database in one durable transaction."""


class Attempts:
    """The attempts of the last day. boot: the number of this boot. uptime_s: tells seconds since boot."""

    def __init__(self, records: Records, boot: int, uptime_s: Callable[[], float]) -> None:
        self._records = records
        self._boot = boot
        self._uptime_s = uptime_s
        self._offset_s, self._known = records.read(self._load)
        self._saved_at_s = self.now_s()

    def _load(self, connection: sqlite3.Connection) -> tuple[float, list[tuple[float, RungName]]]:
        if not exist(connection):
            return 0.0, []
        clock = connection.execute("SELECT powered_s, boot, uptime_s FROM recovery_clock").fetchone()
        attempts = connection.execute("SELECT at_s, rung FROM recovery_attempts").fetchall()
        if clock is None:
            return 0.0, attempts
        powered_s, boot, uptime_s = clock
        # In another boot all of its uptime is new; of the earlier one only what was written is known.
        return (powered_s - uptime_s if boot == self._boot else powered_s), attempts

    def now_s(self) -> float:
        """Return powered time now."""
        return self._offset_s + self._uptime_s()

    def count_since(self, rung: RungName, since_s: float) -> int:
        """Return how often a rung was done after a moment."""
        return sum(1 for at_s, name in self._known if name == rung and at_s > since_s)

    def charge(self, rung: RungName) -> None:
        """Write an attempt down, before it is done; raises StoreUnusable: then it must not be."""
        now_s = self.now_s()

        def work(connection: sqlite3.Connection) -> None:
            for statement in _CREATE:
                connection.execute(statement)
            connection.execute("DELETE FROM recovery_attempts WHERE at_s <= ?", (now_s - DAY_S,))
            connection.execute("INSERT INTO recovery_attempts VALUES (?, ?)", (now_s, rung))
            self._write_clock(connection, now_s)

        self._records.write(work)
        self._saved_at_s = now_s
        self._known = [one for one in self._known if one[0] > now_s - DAY_S] + [(now_s, rung)]

    def save_clock(self) -> None:
        """Write powered time when that is due and an attempt still counts; raises StoreUnusable."""
        now_s = self.now_s()
        if now_s - self._saved_at_s < SAVE_S or not any(at_s > now_s - DAY_S for at_s, _rung in self._known):
            return
        self._records.write(lambda connection: self._write_clock(connection, now_s))
        self._saved_at_s = now_s

    def _write_clock(self, connection: sqlite3.Connection, now_s: float) -> None:
        connection.execute(
            "INSERT OR REPLACE INTO recovery_clock VALUES (1, ?, ?, ?)",
            (now_s, self._boot, self._uptime_s()),
        )


def exist(connection: sqlite3.Connection) -> bool:
    """Return whether anything was ever done on this box."""
    query = "SELECT count(*) FROM sqlite_master WHERE name = 'recovery_attempts'"
    return bool(connection.execute(query).fetchone()[0])
