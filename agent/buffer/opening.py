"""Opens the reading database: makes what is missing, adds new columns, moves a damaged file aside."""

import logging
import os
import sqlite3
from dataclasses import dataclass, replace
from pathlib import Path

from agent.buffer import schema
from agent.buffer.faults import Damaged, is_damage_at_opening, primary_code
from agent.buffer.upgrade import upgrade_in_child
from agent.language import _

log = logging.getLogger("sinyal.buffer")

REASON_CHARACTERS = 120
SIDE_FILES = ("", "-wal", "-journal", "-shm")


@dataclass(frozen=True, slots=True)
class Database:
    """An open database.

    epoch: eight hexadecimal digits made with the file. boot: how many boots this file has seen.
    columns: the catalogue's columns that the file has. max_pages: what max_bytes leaves for the file
    without its log. damaged_file: where this opening moved an unreadable predecessor, or None.
    """

    connection: sqlite3.Connection
    epoch: str
    boot: int
    columns: tuple[str, ...]
    max_pages: int
    damaged_file: Path | None = None


def file_bytes(path: Path) -> int:
    """Return the size of the file at `path`, 0 when there is none to be seen."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def log_file(path: Path) -> Path:
    """Return the name of the write-ahead log of the database at `path`."""
    return Path(f"{path}-wal")


def open_database(path: Path, *, max_bytes: int, boot_id_file: Path, check: bool, upgrade: bool) -> Database:
    """Open the database at `path`, or make a new one; a damaged file is first moved aside.

    check: read the whole file for damage, wanted after an unclean stop. upgrade: add the columns that
    only the catalogue has. Raises sqlite3.Error or OSError, and leaves nothing open then.
    """
    boot_id = _read_boot_id(boot_id_file)
    try:
        return _open(path, max_bytes, boot_id, check=check, upgrade=upgrade)
    except Damaged as damage:
        text = _("The reading database was damaged ({reason}); it is kept as {file}, a new one begins")
        # SQLite quotes what it found, which can be a whole page of garbage.
        reason = " ".join(str(damage).split())[:REASON_CHARACTERS]
        log.error("%s", text.format(reason=reason, file=damage.moved_to))  # noqa: TRY400 -- a sentence
        fresh = _open(path, max_bytes, boot_id, check=False, upgrade=False)
        return replace(fresh, damaged_file=damage.moved_to)


def _open(path: Path, max_bytes: int, boot_id: str, *, check: bool, upgrade: bool) -> Database:
    if file_bytes(log_file(path)) and not file_bytes(path):
        # SQLite would take this for a new database and delete the log, which may hold readings.
        raise Damaged(_("only its log is left"), _move_aside(path))
    new = not file_bytes(path)
    connection = sqlite3.connect(path, timeout=schema.LOCK_WAIT_S, isolation_level=None)
    # One flipped bit in one text must not make a whole file unreadable.
    connection.text_factory = _text
    try:
        for pragma in (*schema.NEW_FILE_PRAGMAS, *schema.PRAGMAS) if new else schema.PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
        if check:
            _check(connection)
        epoch, boot = _create_missing(connection, path, boot_id)
        present = schema.file_columns(connection)
        wanted = schema.wanted_columns()
        if not (upgrade and wanted.keys() - present.keys()):
            _settle_log(connection)
            columns = tuple(name for name, declared in wanted.items() if present.get(name) == declared)
            return Database(connection, epoch, boot, columns, _limit_pages(connection, max_bytes))
    except (sqlite3.Error, UnicodeDecodeError, MemoryError) as error:
        try:
            # Moved while still open: closing first would let SQLite remove the log.
            moved_to = _move_aside(path) if is_damage_at_opening(error) else None
        finally:
            connection.close()
        if moved_to is None:
            raise
        raise Damaged(str(error), moved_to) from error
    connection.close()
    upgrade_in_child(path)
    return _open(path, max_bytes, boot_id, check=False, upgrade=False)


def _text(stored: bytes) -> str:
    return stored.decode(errors="replace")


def _check(connection: sqlite3.Connection) -> None:
    verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        damage = sqlite3.DatabaseError(verdict.replace("\n", " "))
        damage.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise damage


def _create_missing(connection: sqlite3.Connection, path: Path, boot_id: str) -> tuple[str, int]:
    """Make the tables, the epoch and this boot's number where the file lacks them; return the last two."""
    connection.execute("BEGIN IMMEDIATE")
    for statement in schema.create_statements():
        connection.execute(statement)
    made = connection.execute("INSERT OR IGNORE INTO meta VALUES ('epoch', ?)", (os.urandom(4).hex(),))
    connection.execute("INSERT OR IGNORE INTO boots (boot_id) VALUES (?)", (boot_id,))
    connection.execute("COMMIT")
    epoch: str = connection.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()[0]
    boot: int = connection.execute("SELECT boot FROM boots WHERE boot_id = ?", (boot_id,)).fetchone()[0]
    if made.rowcount:
        log.info(_("New reading database {path}, epoch {epoch}").format(path=path, epoch=epoch))
    return epoch, boot


def _settle_log(connection: sqlite3.Connection) -> None:
    """Make durable what a killed predecessor wrote to the log and perhaps never synced.

    Its rows are readable now and about to be offered for sending; were they lost in a power cut after
    that, their seqs would be given to other rows.
    """
    try:
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    except sqlite3.OperationalError as error:
        # A full disk cannot take the pages, but the log itself was synced before they were copied.
        if primary_code(error) != sqlite3.SQLITE_FULL:
            raise


def _limit_pages(connection: sqlite3.Connection, max_bytes: int) -> int:
    """Cap the file so that it stays with its log within max_bytes; return the cap in pages."""
    page_bytes: int = connection.execute("PRAGMA page_size").fetchone()[0]
    pages = max(max_bytes - schema.LOG_BYTES, max_bytes // 2) // page_bytes
    connection.execute(f"PRAGMA max_page_count={pages}")
    return pages


def _read_boot_id(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return os.urandom(16).hex()  # hidden from a sandboxed service: every start counts as a boot


def _move_aside(path: Path) -> Path:
    """Rename the database and its log to the first free `<name>.damaged-<n>`; nothing is deleted."""
    number = 1
    while any(Path(f"{path}.damaged-{number}{suffix}").exists() for suffix in SIDE_FILES):
        number += 1
    aside = Path(f"{path}.damaged-{number}")
    for suffix in SIDE_FILES:
        side_file = Path(f"{path}{suffix}")
        if side_file.exists():
            side_file.rename(f"{aside}{suffix}")
    return aside
