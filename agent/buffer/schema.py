"""The tables of the reading database, made from the catalogue, and the settings it is opened with."""

import sqlite3

from agent.contract.catalogue import Metric, Row, Value, catalogue

PAGE_BYTES = 1024
WAL_PAGES = 256
LOG_BYTES = 2 * WAL_PAGES * PAGE_BYTES
# How long another program's lock is waited for.
LOCK_WAIT_S = 1.0

NEW_FILE_PRAGMAS = (
    # Small pages: a reading is some 200 B, and flash pays for every page a commit touches.
    f"page_size={PAGE_BYTES}",
    # Lets the file shrink when max_bytes is lowered; only possible before the first table exists.
    "auto_vacuum=INCREMENTAL",
)
PRAGMAS = (
    # No shared-memory file, hence fewer writes; other programs get "locked" and ask the agent instead.
    "locking_mode=EXCLUSIVE",
    # With FULL, the one pair of settings that lost nothing in power cuts.
    "journal_mode=WAL",
    "synchronous=FULL",
    # A short log that is written over and over in place needs no new blocks and no file system journal.
    f"wal_autocheckpoint={WAL_PAGES}",
    # Only a log grown by an unusually large commit is cut back.
    f"journal_size_limit={LOG_BYTES}",
    "cache_size=-128",
    # Sorting never touches the flash.
    "temp_store=MEMORY",
)


def column_type(metric: Metric) -> str:
    """Return the SQLite type of a metric's column: INTEGER when its kept values are whole."""
    if metric.type == "text":
        return "TEXT"
    return "REAL" if metric.decimals else "INTEGER"


def wanted_columns() -> dict[str, str]:
    """Return name and type of every column this version's catalogue asks for, `seq` first."""
    return {metric.name: column_type(metric) for metric in catalogue().reading_metrics}


def create_statements() -> tuple[str, ...]:
    """Return the statements that make the tables a file lacks."""
    columns = [f'"{name}" {declared}' for name, declared in wanted_columns().items()]
    # A seq is never given twice, also after the newest rows were pruned.
    columns[0] += " PRIMARY KEY AUTOINCREMENT"
    return (
        f"CREATE TABLE IF NOT EXISTS readings ({', '.join(columns)}) STRICT",
        # Acknowledged seqs as merged ranges: marking a batch of 60 changes one row, not 60.
        "CREATE TABLE IF NOT EXISTS sent (first INTEGER PRIMARY KEY, last INTEGER NOT NULL) STRICT",
        # Where each boot's rows begin, and the UTC second at which it began as soon as that is known.
        "CREATE TABLE IF NOT EXISTS clocks (boot INTEGER PRIMARY KEY, first_seq INTEGER NOT NULL,"
        " true_s REAL, quality TEXT NOT NULL) STRICT",
        # Rows that no broker takes; they stay, and are not offered until somebody asks for them again.
        "CREATE TABLE IF NOT EXISTS quarantined (first INTEGER PRIMARY KEY, last INTEGER NOT NULL) STRICT",
        # Of rollups: minima, maxima and counts, which have no columns; see rollup.py.
        "CREATE TABLE IF NOT EXISTS extremes (seq INTEGER PRIMARY KEY, folded TEXT NOT NULL) STRICT",
        "CREATE TABLE IF NOT EXISTS events (number INTEGER PRIMARY KEY AUTOINCREMENT, type TEXT NOT NULL,"
        " boot INTEGER NOT NULL, uptime_s REAL NOT NULL, ts INTEGER NOT NULL, ts_quality TEXT NOT NULL,"
        " seq INTEGER NOT NULL, what TEXT NOT NULL, evidence TEXT NOT NULL, sent INTEGER NOT NULL) STRICT",
        # Unsent rows that could be read from a damaged predecessor; they keep their identity.
        "CREATE TABLE IF NOT EXISTS salvaged (epoch TEXT NOT NULL, seq INTEGER NOT NULL,"
        " reading TEXT NOT NULL, PRIMARY KEY (epoch, seq)) STRICT, WITHOUT ROWID",
        # What happened to rows since the file was made: folded, dropped …
        "CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT",
        "CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT",
        "CREATE TABLE IF NOT EXISTS boots (boot INTEGER PRIMARY KEY, boot_id TEXT NOT NULL UNIQUE) STRICT",
    )


USED_COLUMNS = {
    "readings": "seq, boot, ts",
    "sent": "first, last",
    "quarantined": "first, last",
    "events": "number, type, boot, uptime_s, ts, ts_quality, seq, what, evidence, sent",
    "salvaged": "epoch, seq, reading",
    "counters": "name, value",
}
"""What every file has: a damaged schema can say something else and still be one."""


def file_columns(connection: sqlite3.Connection) -> dict[str, str]:
    """Return name and declared type of the columns that the file's table of readings has."""
    return {row[1]: row[2] for row in connection.execute("PRAGMA table_info(readings)")}


def storable(row: Row) -> Row:
    """Return what of `row` its columns can take: all of it, if it came from Catalogue.clean.

    Asked before a row is accepted, because one value that SQLite refuses would hold back every row behind.
    """
    return {name: value for name, value in row.items() if _fits(name, value)}


def _fits(name: str, value: Value) -> bool:
    metric = catalogue().get(name)
    if metric is None or metric.clean(value) != value:
        return False
    # Half a surrogate pair is a str in Python but no text that could be stored.
    return not isinstance(value, str) or value.encode(errors="ignore").decode() == value


def last_given_seq(connection: sqlite3.Connection) -> int:
    """Return the highest seq the file has given: as it says itself, or as its rows say if that is damaged.

    A row given too low a seq would meet an older row, and be taken for one that is stored already.
    """
    query = (
        "SELECT max(seq) FROM (SELECT seq FROM sqlite_sequence WHERE name = 'readings'"
        " UNION ALL SELECT max(seq) FROM readings)"
    )
    return int(connection.execute(query).fetchone()[0] or 0)
