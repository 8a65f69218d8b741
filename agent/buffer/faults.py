"""What SQLite and the file system say when the database fails, in the words of a technician."""

import errno
import os
import sqlite3
from pathlib import Path

from agent.buffer.schema import LOG_BYTES
from agent.errors import StoreUnusable
from agent.language import N_, _

_FULL = (
    N_("The disk is full, the reading database {path} cannot grow"),
    N_("Free some space on this disk (`df -h` shows it); the agent goes on by itself"),
)
_READ_ONLY = (
    N_("The reading database {path} is read-only"),
    N_("Look who owns the file (`ls -l`) and whether its disk became read-only (`dmesg`)"),
)
_DISK_ERROR = (
    N_("The disk gives errors at the reading database {path}"),
    N_("Look at `dmesg`; a worn out SD card has to be replaced"),
)
_IN_USE = (
    N_("The reading database {path} is in use by another program"),
    N_("Stop the other program; while the agent runs, `sinyal status` tells what it knows"),
)
_NO_ACCESS = (
    N_("The reading database {path} cannot be opened: its folder is missing, or no permission"),
    N_("Make the folder, owned by the user that runs the agent (`ls -ld` shows the owner)"),
)
_DAMAGED = (
    N_("The reading database {path} is damaged"),
    N_("sudo service sinyal restart: the agent moves it aside and begins a new one"),
)
_CAP_REACHED = (
    N_("The reading database {path} has reached buffer.max_bytes with unsent readings"),
    N_("Restore the uplink, or raise buffer.max_bytes if the disk has room"),
)
_NO_FILE = (
    N_("The reading database {path} is no file but a folder, a pipe or a device"),
    N_("Move it away (`ls -l` shows what it is); the agent then makes a new database by itself"),
)
_LOG_CLOSED = (
    N_("The log of the reading database, {path}-wal, belongs to another user"),
    N_("Give it to the user that runs the agent: sudo chown --reference={path} {path}-wal"),
)
_OTHER = (
    N_("The reading database {path} cannot be used: {reason}"),
    N_("Look at the disk with `df -h` and `dmesg`"),
)
_WORDS = {
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_READONLY: _READ_ONLY,
    sqlite3.SQLITE_IOERR: _DISK_ERROR,
    sqlite3.SQLITE_BUSY: _IN_USE,
    sqlite3.SQLITE_LOCKED: _IN_USE,
    sqlite3.SQLITE_CANTOPEN: _NO_ACCESS,
    sqlite3.SQLITE_PERM: _NO_ACCESS,
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
}
_CODES = {
    errno.ENOSPC: sqlite3.SQLITE_FULL,
    errno.EDQUOT: sqlite3.SQLITE_FULL,
    errno.EROFS: sqlite3.SQLITE_READONLY,
    errno.EIO: sqlite3.SQLITE_IOERR,
    errno.ENOENT: sqlite3.SQLITE_CANTOPEN,
    errno.ENOTDIR: sqlite3.SQLITE_CANTOPEN,
    errno.EACCES: sqlite3.SQLITE_CANTOPEN,
    errno.EPERM: sqlite3.SQLITE_CANTOPEN,
}

FILE_ERRORS = (sqlite3.Error, UnicodeDecodeError, MemoryError)
"""What a database file can raise; the second comes from a damaged schema, whose names are no text."""


class Damaged(sqlite3.DatabaseError):
    """The file was no readable database; moved_to is its name now."""

    sqlite_errorcode = sqlite3.SQLITE_CORRUPT

    def __init__(self, reason: str, moved_to: Path) -> None:
        super().__init__(reason)
        self.moved_to = moved_to


def primary_code(error: Exception) -> int:
    """Return SQLite's primary result code of `error`, that of its kind for the file system's, else 0."""
    if isinstance(error, UnicodeDecodeError):
        return sqlite3.SQLITE_CORRUPT
    if isinstance(error, OSError):
        return _CODES.get(error.errno or 0, 0)
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def is_damage(error: Exception) -> bool:
    """Return whether `error` means that the file itself is bad, not the disk or the moment."""
    # SQLite quotes what it found in the file; when that is no text, Python cannot even make the error of it.
    if isinstance(error, UnicodeDecodeError):
        return True
    return primary_code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def damaged(path: Path) -> StoreUnusable:
    """Return the sentence for a database at `path` that is bad in a way SQLite itself does not notice."""
    what, next_step = _DAMAGED
    return StoreUnusable(_(what).format(path=path), _(next_step))


def explain(error: Exception, path: Path) -> StoreUnusable:
    """Return `error`, met at the database `path`, as a sentence and a next step."""
    if isinstance(error, IsADirectoryError):
        what, next_step = _NO_FILE
    else:
        what, next_step = _words(primary_code(error), path)
    return StoreUnusable(_(what).format(path=path, reason=error), _(next_step).format(path=path))


def _words(code: int, path: Path) -> tuple[str, str]:
    # SQLite names what it could not do, not always why.
    if code == sqlite3.SQLITE_FULL and not is_disk_full(path):
        return _CAP_REACHED
    if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN) and _is_read_only(path):
        return _READ_ONLY
    if code == sqlite3.SQLITE_CANTOPEN and _is_read_only(Path(f"{path}-wal")):
        return _LOG_CLOSED
    return _WORDS.get(code, _OTHER)


def _is_read_only(path: Path) -> bool:
    return os.access(path, os.F_OK) and not os.access(path, os.W_OK, effective_ids=True)


def is_disk_full(path: Path) -> bool:
    """Return whether the disk, not buffer.max_bytes, leaves the file at `path` no room."""
    try:
        disk = os.statvfs(path)
    except OSError:
        return True
    return disk.f_bavail * disk.f_frsize <= LOG_BYTES
