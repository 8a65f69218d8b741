"""The tables of the budget in the reading database, and every SQL statement about them.

Each function works on a connection that the caller owns: Keeper.read and Keeper.write, or Store's.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, TypeVar

Answer = TypeVar("Answer")

KEPT_DAYS = 400
KEPT_TESTS = 1000

_CREATE = (
    # What was used on a billing day (days since 1970-01-01 in WIB), by use.
    "CREATE TABLE IF NOT EXISTS budget_days (day INTEGER NOT NULL, use TEXT NOT NULL,"
    " bytes INTEGER NOT NULL, PRIMARY KEY (day, use)) STRICT, WITHOUT ROWID",
    # What may have been used since those figures were written: one row, 0 after a clean stop.
    "CREATE TABLE IF NOT EXISTS budget_reserve (one INTEGER PRIMARY KEY CHECK (one = 1),"
    " bytes INTEGER NOT NULL) STRICT",
    "CREATE TABLE IF NOT EXISTS throughput_tests (number INTEGER PRIMARY KEY AUTOINCREMENT,"
    " ts INTEGER NOT NULL, day INTEGER NOT NULL, why TEXT NOT NULL, engine TEXT NOT NULL,"
    " server TEXT NOT NULL, state TEXT NOT NULL, reason TEXT, reserved_bytes INTEGER NOT NULL,"
    " bytes INTEGER NOT NULL, seconds REAL, rtt_ms REAL, down_kbit_s REAL, up_kbit_s REAL) STRICT",
    # Ookla's servers near here, as JSON: one row.
    "CREATE TABLE IF NOT EXISTS throughput_servers (one INTEGER PRIMARY KEY CHECK (one = 1),"
    " ts INTEGER NOT NULL, servers TEXT NOT NULL) STRICT",
)

TEST_COLUMNS = (
    "number",
    "ts",
    "day",
    "why",
    "engine",
    "server",
    "state",
    "reason",
    "bytes",
    "seconds",
    "rtt_ms",
    "down_kbit_s",
    "up_kbit_s",
)


class Records(Protocol):
    """Who owns the database: the buffer's keeper in the agent, its store in a command."""

    def read(self, work: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """Let `work` ask the database; raises StoreUnusable."""

    def write(self, work: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """Let `work` change the database in one durable transaction; raises StoreUnusable."""


def create(connection: sqlite3.Connection) -> None:
    """Make what is missing."""
    for statement in _CREATE:
        connection.execute(statement)


def used_since(connection: sqlite3.Connection, first_day: int) -> dict[int, dict[str, int]]:
    """Return bytes by day and use, from a day on; empty where nothing was ever written."""
    days: dict[int, dict[str, int]] = {}
    if _exists(connection, "budget_days"):
        query = "SELECT day, use, bytes FROM budget_days WHERE day >= ?"
        for day, use, used in connection.execute(query, (first_day,)):
            days.setdefault(day, {})[use] = used
    return days


def newest_day(connection: sqlite3.Connection) -> int | None:
    """Return the newest billing day with bytes on it, or None."""
    if not _exists(connection, "budget_days"):
        return None
    (day,) = connection.execute("SELECT max(day) FROM budget_days").fetchone()
    return int(day) if day is not None else None


def reserve(connection: sqlite3.Connection) -> int:
    """Return what may have been used since the last writing, 0 after a clean stop."""
    if not _exists(connection, "budget_reserve"):
        return 0
    found = connection.execute("SELECT bytes FROM budget_reserve").fetchone()
    return int(found[0]) if found else 0


def write_days(
    connection: sqlite3.Connection, rows: Iterable[tuple[int, str, int]], *, reserve_bytes: int
) -> None:
    """Write what was used as whole figures, so that doing it twice changes nothing."""
    create(connection)
    connection.executemany("INSERT OR REPLACE INTO budget_days VALUES (?, ?, ?)", rows)
    connection.execute("INSERT OR REPLACE INTO budget_reserve VALUES (1, ?)", (reserve_bytes,))
    # By number and not by date: a clock that jumps ahead a year must not cost the year before.
    # Asked first: as a subquery of the DELETE, SQLite 3.40 removes all rows when it finds none.
    query = "SELECT DISTINCT day FROM budget_days ORDER BY day DESC LIMIT 1 OFFSET ?"
    expired = connection.execute(query, (KEPT_DAYS,)).fetchone()
    if expired is not None:
        connection.execute("DELETE FROM budget_days WHERE day <= ?", expired)


def insert_test(connection: sqlite3.Connection, test: Mapping[str, Any]) -> int:
    """Write a test that begins, or one that was skipped; return its number."""
    create(connection)
    names = ("ts", "day", "why", "engine", "server", "state", "reason", "reserved_bytes", "bytes")
    cursor = connection.execute(
        f"INSERT INTO throughput_tests ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})",  # noqa: S608
        [test[name] for name in names],
    )
    number = cursor.lastrowid or 0
    connection.execute("DELETE FROM throughput_tests WHERE number <= ?", (number - KEPT_TESTS,))
    return number


def running_test(
    connection: sqlite3.Connection, number: int | None = None
) -> tuple[int, int, int, int] | None:
    """Return (number, ts, day, reserved bytes) of the newest running test, or of that number, or None."""
    if not _exists(connection, "throughput_tests"):
        return None
    query = (
        "SELECT number, ts, day, reserved_bytes FROM throughput_tests WHERE state = 'running'"
        " AND (? IS NULL OR number = ?) ORDER BY number DESC LIMIT 1"
    )
    found = connection.execute(query, (number, number)).fetchone()
    return found if found is None else (found[0], found[1], found[2], found[3])


def finish_test(connection: sqlite3.Connection, number: int, result: Mapping[str, Any]) -> None:
    """Write what a test found; result holds state, reason, server, bytes, seconds, rtt and the two rates."""
    names = ("state", "reason", "server", "bytes", "seconds", "rtt_ms", "down_kbit_s", "up_kbit_s")
    connection.execute(
        f"UPDATE throughput_tests SET {', '.join(f'{name} = ?' for name in names)}"  # noqa: S608
        " WHERE number = ? AND state = 'running'",
        [*(result[name] for name in names), number],
    )


def newest_tests(connection: sqlite3.Connection, limit: int) -> list[dict[str, Any]]:
    """Return the newest tests, the newest first."""
    if not _exists(connection, "throughput_tests"):
        return []
    columns = ", ".join(TEST_COLUMNS)
    query = f"SELECT {columns} FROM throughput_tests ORDER BY number DESC LIMIT ?"  # noqa: S608
    return [dict(zip(TEST_COLUMNS, row, strict=True)) for row in connection.execute(query, (limit,))]


def last_rates_kbit_s(connection: sqlite3.Connection) -> tuple[float | None, float | None]:
    """Return the newest measured download and upload in kbit/s, None where there is none."""
    rates: list[float | None] = []
    for column in ("down_kbit_s", "up_kbit_s"):
        query = f"SELECT {column} FROM throughput_tests WHERE state = 'done' AND {column} > 0"  # noqa: S608 -- of two
        found = None
        if _exists(connection, "throughput_tests"):
            found = connection.execute(f"{query} ORDER BY number DESC LIMIT 1").fetchone()
        rates.append(float(found[0]) if found else None)
    return rates[0], rates[1]


def tested_windows(connection: sqlite3.Connection, first_day: int) -> set[tuple[int, str]]:
    """Return (day, window) of the planned tests since a day that were begun or given up."""
    if not _exists(connection, "throughput_tests"):
        return set()
    query = "SELECT day, why FROM throughput_tests WHERE day >= ? AND why IN ('evening', 'night')"
    return {(day, why) for day, why in connection.execute(query, (first_day,))}


def last_end(connection: sqlite3.Connection, engine: str) -> tuple[int, str | None] | None:
    """Return (ts, reason) of the newest test of an engine that was not skipped, or None."""
    if not _exists(connection, "throughput_tests"):
        return None
    query = (
        "SELECT ts, reason FROM throughput_tests WHERE engine = ? AND state IN ('done', 'failed')"
        " ORDER BY number DESC LIMIT 1"
    )
    found = connection.execute(query, (engine,)).fetchone()
    return None if found is None else (int(found[0]), found[1])


def keep_servers(connection: sqlite3.Connection, servers: Iterable[Mapping[str, Any]], ts: int) -> None:
    """Remember Ookla's servers near here, or forget them when there are none."""
    create(connection)
    known = list(servers)
    if known:
        query = "INSERT OR REPLACE INTO throughput_servers VALUES (1, ?, ?)"
        connection.execute(query, (ts, json.dumps(known)))
    else:
        connection.execute("DELETE FROM throughput_servers")


def known_servers(connection: sqlite3.Connection) -> tuple[int, list[dict[str, Any]]]:
    """Return since when (UTC seconds) which servers of Ookla's are known."""
    if not _exists(connection, "throughput_servers"):
        return 0, []
    found = connection.execute("SELECT ts, servers FROM throughput_servers").fetchone()
    return (0, []) if found is None else (int(found[0]), json.loads(found[1]))


def peak_rates_kbit_s(connection: sqlite3.Connection, last_rows: int) -> tuple[float, float] | None:
    """Return the highest 5-minute mean received and sent among the newest readings, or None.

    Only five minutes that readings cover for at least four count: a single short slot would lie.
    """
    if not _exists(connection, "readings"):
        return None
    query = (
        "SELECT max(8 * rx / covered_s / 1000.0), max(8 * tx / covered_s / 1000.0) FROM ("
        " SELECT sum(wan_rx_bytes) AS rx, sum(wan_tx_bytes) AS tx, sum(slot_s) AS covered_s FROM readings"
        " WHERE seq > (SELECT max(seq) FROM readings) - ? AND wan_rx_bytes NOT NULL AND slot_s > 0"
        " GROUP BY boot, CAST(uptime_s / 300 AS INTEGER)) WHERE covered_s >= 240"
    )
    received, sent = connection.execute(query, (last_rows,)).fetchone()
    return None if received is None else (round(received, 1), round(sent or 0.0, 1))


def _exists(connection: sqlite3.Connection, table: str) -> bool:
    query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
    return connection.execute(query, (table,)).fetchone() is not None
