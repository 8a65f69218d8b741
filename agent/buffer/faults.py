"""What SQLite and the file system say when the database fails, in the words of a technician."""

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
    N_("Nothing to do: the agent moves it aside and begins a new one"),
)
_CAP_REACHED = (
    N_("The reading database {path} has reached buffer.max_bytes with unsent readings"),
    N_("Restore the uplink, or raise buffer.max_bytes if the disk has room"),
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


class Damaged(sqlite3.DatabaseError):
    """The file was no readable database; moved_to is its name now."""

    sqlite_errorcode = sqlite3.SQLITE_CORRUPT

    def __init__(self, reason: str, moved_to: Path) -> None:
        super().__init__(reason)
        self.moved_to = moved_to


def primary_code(error: Exception) -> int:
    """Return SQLite's primary result code of `error`, 0 for an error that is not SQLite's."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def is_damage(error: Exception) -> bool:
    """Return whether `error` means that the file itself is bad, not the disk or the moment."""
    # SQLite quotes what it found in the file; when that is no text, Python cannot even make the error of it.
    if isinstance(error, UnicodeDecodeError):
        return True
    return primary_code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def is_damage_at_opening(error: Exception) -> bool:
    """Return whether `error`, met while opening, means that the file is bad.

    There SQLite has nothing but a plain "error" for some damages: a schema format that it does not know, a
    table of another shape. Trying again would meet the same for ever.
    """
    return is_damage(error) or primary_code(error) == sqlite3.SQLITE_ERROR


def explain(error: Exception, path: Path) -> StoreUnusable:
    """Return `error`, met at the database `path`, as a sentence and a next step."""
    what, next_step = _words(primary_code(error), path)
    return StoreUnusable(_(what).format(path=path, reason=error), _(next_step))


def _words(code: int, path: Path) -> tuple[str, str]:
    # SQLite names what it could not do, not always why.
    if code == sqlite3.SQLITE_FULL and _free_bytes(path) > LOG_BYTES:
        return _CAP_REACHED
    if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN) and _is_read_only(path):
        return _READ_ONLY
    return _WORDS.get(code, _OTHER)


def _is_read_only(path: Path) -> bool:
    return os.access(path, os.F_OK) and not os.access(path, os.W_OK, effective_ids=True)


def _free_bytes(path: Path) -> int:
    try:
        disk = os.statvfs(path)
    except OSError:
        return 0
    return disk.f_bavail * disk.f_frsize
