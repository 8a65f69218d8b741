"""Readings, and a look into a database file from outside the agent."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from agent.contract.catalogue import Row, catalogue

START_TS = 1_768_953_600


def reading(number: int) -> Row:
    """Return a clean reading that is a function of `number`, found again as its `uptime_s`."""
    return catalogue().clean(
        {
            "slot_s": 60,
            "ts": START_TS + 60 * number,
            "ts_quality": "ntp",
            "uptime_s": number,
            "modem_state": "ok",
            "operator_name": "TELKOMSEL" if number % 3 else "Ünïcode-Öperator",
            "rsrp_dbm": -100 - number % 40,
            "rsrq_db": -10.5 + number % 7 / 10,
            "wan_rx_bytes": 9_007_199_254_740_991 if number % 5 == 0 else number,
            "loss_ratio": 0.125,
        }
    )


def query(path: Path, sql: str, *values: object) -> list[tuple[Any, ...]]:
    """Ask a database file that no agent has open."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql, values).fetchall()


def seq_of_number(path: Path) -> list[tuple[int, int]]:
    """Return (seq, number) of every stored reading, and hold the file against SQLite's own check."""
    assert query(path, "PRAGMA integrity_check") == [("ok",)]
    return query(path, "SELECT seq, uptime_s FROM readings ORDER BY seq")
