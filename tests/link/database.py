"""A real reading database, written to as the sampler would, in seconds that a test chooses."""

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.buffer.keeper import Keeper
from agent.buffer.true_time import TrueTimes
from agent.contract.catalogue import catalogue
from agent.link.outage import DatedOutage
from agent.link.tables import Correct, outages


def open_keeper(folder: Path) -> Keeper:
    keeper = Keeper(
        folder / "sinyal.db", max_bytes=16 << 20, commit_interval_s=0, commit_readings=1, keep_days=90
    )
    keeper.start()
    return keeper


class Board:
    """A gateway in one folder whose boots, uptime and clock a test sets."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.keeper = open_keeper(folder)

    def restart(self) -> None:
        self.keeper.close()
        self.keeper = open_keeper(self.folder)

    def boot(self, number: int, *, true_s: float | None = None) -> None:
        """Number this boot, and tell when it truly began."""
        self.keeper.close()
        with sqlite3.connect(self.folder / "sinyal.db") as connection:
            connection.execute("DELETE FROM boots")
            boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
            connection.execute("INSERT INTO boots VALUES (?, ?)", (number, boot_id))
        connection.close()
        self.keeper = open_keeper(self.folder)
        assert self.keeper.boot == number
        if true_s is not None:
            self.know(true_s)

    def know(self, true_s: float) -> None:
        self.keeper.note_true_time(true_s, "ntp")

    def read(self, uptime_s: float, *, slot_s: int = 60, **values: Any) -> None:
        row = {
            "boot": self.keeper.boot,
            "uptime_s": uptime_s,
            "slot_s": slot_s,
            "ts": 1000,
            "ts_quality": "unset",
        }
        self.keeper.append(catalogue().clean({**row, **values}))

    def readings(self, from_s: float, to_s: float, *, link_up: int | None = 1) -> None:
        """Take a reading a minute from from_s to to_s."""
        at = from_s
        while at <= to_s:
            self.read(at, link_up=link_up)
            at += 60

    def correct(self, connection: sqlite3.Connection) -> Correct:
        return TrueTimes(connection, boot=self.keeper.boot).corrected

    def outages(self) -> list[DatedOutage]:
        return self.keeper.read(lambda connection: outages(connection, self.correct(connection)))

    def events(self) -> list[Mapping[str, Any]]:
        return [{"what": event.what, **event.evidence} for event in self.keeper.unsent_events(100)]
