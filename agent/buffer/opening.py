"""Opens the reading database: makes what is missing, adds new columns, moves a damaged file aside."""

import errno
import logging
import os
import re
import sqlite3
import stat
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from agent.buffer import schema
from agent.buffer.damaged_files import move_aside
from agent.buffer.faults import FILE_ERRORS, Damaged, is_damage, primary_code
from agent.buffer.log_check import SUSPECT_SEQS, may_lack_commits
from agent.buffer.true_time import note_boot
from agent.buffer.upgrade import upgrade_in_child
from agent.language import _

log = logging.getLogger("sinyal.buffer")

REASON_CHARACTERS = 120
FILE_MODE = 0o640
"""Readings are nobody's business but the agent's and its group's; SQLite gives the log the same mode."""

LOOKS = 3
"""So often damage must be found before a file is moved aside for it."""

SHOWN_EVERY_STEPS = 50_000
"""Steps of SQLite's machine from one sign of life to the next: some milliseconds."""

_NO_SUCH_DATABASE = (
    sqlite3.SQLITE_ERROR,
    sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_FORMAT,
    sqlite3.SQLITE_TOOBIG,
)
"""What an existing file answers at opening when its tables are not those that we made."""


@dataclass(frozen=True, slots=True)
class Database:
    """An open database.

    epoch: eight hexadecimal digits made with the file. boot: how many boots this file has seen.
    columns: the catalogue's columns that the file has. max_pages: what max_bytes leaves for the file
    without its log. damaged_file: where this opening moved an unreadable predecessor, or None. lacks_commits:
    the end of its log may be lost, and with it rows that nobody can name.
    """

    connection: sqlite3.Connection
    epoch: str
    boot: int
    columns: tuple[str, ...]
    max_pages: int
    damaged_file: Path | None = None
    lacks_commits: bool = False


def file_bytes(path: Path) -> int:
    """Return the size of the file at `path`, 0 when there is none to be seen."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def log_file(path: Path) -> Path:
    """Return the name of the write-ahead log of the database at `path`."""
    return Path(f"{os.path.realpath(path)}-wal")


def epoch_of_mark(mark: int) -> str:
    """Return the epoch that the database header's application_id stands for, "" for none.

    There it outlives damage to the pages of the tables.
    """
    return f"{mark & 0xFFFFFFFF:08x}" if mark else ""


def open_database(
    path: Path,
    *,
    max_bytes: int,
    boot_id_file: Path,
    check: bool,
    check_log: bool,
    upgrade: bool,
    condemned: str = "",
    at_work: Callable[[], None] | None = None,
) -> Database:
    """Open the database at `path`, or make a new one; a damaged file is first moved aside.

    check: read the whole file for damage, after an unclean stop. check_log: look whether the end of its log
    may be lost, wanted when nobody knows which seqs were given. upgrade: add the columns that only the
    catalogue has. condemned: why the file is to be moved aside unseen, "" if it is not. at_work: called
    again and again while the connection works; it must not raise.
    Raises sqlite3.Error or OSError, and leaves nothing open then.
    """
    boot_id = _read_boot_id(boot_id_file)
    path = Path(os.path.realpath(path))  # beside a link there is no log
    try:
        if condemned:
            raise Damaged(condemned, move_aside(path))  # noqa: TRY301 -- goes the way of all damage
        return _open(path, max_bytes, boot_id, at_work, check=check, check_log=check_log, upgrade=upgrade)
    except Damaged as damage:
        text = _("The reading database was damaged ({reason}); it is kept as {file}, a new one begins")
        # SQLite quotes what it found, which can be a whole page of garbage.
        reason = " ".join(str(damage).split())[:REASON_CHARACTERS]
        log.error("%s", text.format(reason=reason, file=damage.moved_to))  # noqa: TRY400 -- a sentence
        fresh = _open(path, max_bytes, boot_id, at_work, check=False, check_log=False, upgrade=False)
        return replace(fresh, damaged_file=damage.moved_to)


def _open(
    path: Path,
    max_bytes: int,
    boot_id: str,
    at_work: Callable[[], None] | None,
    *,
    check: bool,
    check_log: bool,
    upgrade: bool,
) -> Database:
    if file_bytes(log_file(path)) and not file_bytes(path):
        # SQLite would take this for a new database and delete the log, which may hold readings.
        raise Damaged(_("only its log is left"), move_aside(path))
    new = not file_bytes(path)
    _make_file(path)
    connection = sqlite3.connect(path, timeout=schema.LOCK_WAIT_S, isolation_level=None)
    connection.set_progress_handler(at_work, SHOWN_EVERY_STEPS)
    # A flipped bit in a text costs its character, not every row behind.
    connection.text_factory = _decode
    try:
        for pragma in (*schema.NEW_FILE_PRAGMAS, *schema.PRAGMAS) if new else schema.PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
        if check:
            _check(connection)
        lacks_commits = check_log and not new and may_lack_commits(connection, log_file(path))
        if lacks_commits:
            _leave_out_seqs(connection)
        epoch, boot = _create_missing(connection, path, boot_id)
        present = schema.file_columns(connection)
        wanted = schema.wanted_columns()
        if not (upgrade and wanted.keys() - present.keys()):
            _settle_log(connection)
            columns = tuple(name for name, declared in wanted.items() if present.get(name) == declared)
            return Database(
                connection,
                epoch,
                boot,
                columns,
                _limit_pages(connection, max_bytes),
                lacks_commits=lacks_commits,
            )
    except FILE_ERRORS as error:
        try:
            # Moved while still open: closing first would let SQLite remove the log.
            is_bad = _is_bad_file(error, path, new=new) and _is_confirmed(connection, error, path)
            moved_to = move_aside(path) if is_bad else None
        finally:
            connection.close()
        if moved_to is None:
            raise
        raise Damaged(str(error), moved_to) from error
    connection.close()
    upgrade_in_child(path)
    opened = _open(path, max_bytes, boot_id, at_work, check=False, check_log=False, upgrade=False)
    return replace(opened, lacks_commits=lacks_commits)


def _check(connection: sqlite3.Connection) -> None:
    verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict == "ok":
        return
    reported = re.search(r"error code[ =](\d+)", verdict)
    if reported and int(reported[1]) & 0xFF in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM):
        error = sqlite3.OperationalError(verdict.replace("\n", " "))
        error.sqlite_errorcode = int(reported[1])
        raise error
    raise _ProvenDamage(verdict.replace("\n", " "))


class _ProvenDamage(sqlite3.DatabaseError):
    """Found by looking for it."""

    sqlite_errorcode = sqlite3.SQLITE_CORRUPT


def _create_missing(connection: sqlite3.Connection, path: Path, boot_id: str) -> tuple[str, int]:
    """Make the tables, the epoch and this boot's number where the file lacks them; return the last two."""
    connection.execute("BEGIN IMMEDIATE")
    for statement in schema.create_statements():
        connection.execute(statement)
    for table, columns in schema.USED_COLUMNS.items():
        connection.execute(f"SELECT {columns} FROM {table} LIMIT 0")  # noqa: S608 -- names above
    epoch, made = _identify(connection)
    connection.execute("INSERT OR IGNORE INTO boots (boot_id) VALUES (?)", (boot_id,))
    found = connection.execute("SELECT boot FROM boots WHERE boot_id = ?", (boot_id,)).fetchone()
    if found is None:
        raise _ProvenDamage("boots")
    note_boot(connection, boot=found[0])
    connection.execute("COMMIT")
    if made:
        log.info(_("New reading database {path}, epoch {epoch}").format(path=path, epoch=epoch))
    return epoch, found[0]


def _leave_out_seqs(connection: sqlite3.Connection) -> None:
    """Leave out the seqs that lost rows may have had."""
    connection.execute("BEGIN IMMEDIATE")
    last_seq = schema.last_given_seq(connection)
    connection.execute("DELETE FROM sqlite_sequence WHERE name = 'readings'")
    connection.execute("INSERT INTO sqlite_sequence VALUES ('readings', ?)", (last_seq + SUSPECT_SEQS,))
    connection.execute("COMMIT")


def _identify(connection: sqlite3.Connection) -> tuple[str, bool]:
    """Return the epoch, and whether it was made now.

    It stands in `meta` and in the header; where they do not agree the file is damaged, and its rows would
    take the identity of others.
    """
    (mark,) = connection.execute("PRAGMA application_id").fetchone()
    found = connection.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()
    if found is None and not mark:
        epoch = os.urandom(4).hex()
        connection.execute("INSERT INTO meta VALUES ('epoch', ?)", (epoch,))
    else:
        epoch = str(found[0]) if found else ""
    if not re.fullmatch("[0-9a-f]{8}", epoch) or (mark and epoch != epoch_of_mark(mark)):
        raise _ProvenDamage("epoch")
    if not mark:
        signed = int.from_bytes(bytes.fromhex(epoch), signed=True)
        connection.execute(f"PRAGMA application_id={signed}")
    return epoch, found is None


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


def _make_file(path: Path) -> None:
    """Make an empty file of our mode, or see that what is there is one: a pipe would block."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
        try:
            os.fchmod(descriptor, FILE_MODE)  # whatever the umask is
        finally:
            os.close(descriptor)
    else:
        if not stat.S_ISREG(mode):
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))


def _is_bad_file(error: Exception, path: Path, *, new: bool) -> bool:
    """Return whether an error at opening means that the file is bad, not the disk or the moment."""
    code = primary_code(error)
    if new or is_damage(error):
        return is_damage(error)
    if code == sqlite3.SQLITE_READONLY:
        # SQLite writes no file whose header asks for a newer format than it knows.
        return os.access(path, os.W_OK, effective_ids=True) and max(_bytes_at(path, 18, 2), default=0) > 2
    return code in _NO_SUCH_DATABASE or (code == 0 and isinstance(error, sqlite3.Error))


def _is_confirmed(connection: sqlite3.Connection, error: Exception, path: Path) -> bool:
    """Return whether damage is found again and again, in a file that the disk can read from end to end.

    SQLite also says "malformed" when the disk fails while it reads the schema.
    """
    if isinstance(error, _ProvenDamage) or not is_damage(error):
        return True
    try:
        with path.open("rb", buffering=0) as file:
            while file.read(64 * 1024):
                pass
    except OSError:
        return False
    return all(_looks_damaged(connection) for _look in range(LOOKS))


def _looks_damaged(connection: sqlite3.Connection) -> bool:
    try:
        connection.rollback()
        _check(connection)
    except FILE_ERRORS as found:
        return is_damage(found)
    return False


def _bytes_at(path: Path, place: int, count: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(place)
            return file.read(count)
    except OSError:
        return b""


def _decode(raw: bytes) -> str:
    return raw.decode(errors="replace")
