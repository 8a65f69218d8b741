"""Whether the open database still stands under its name, and the ways to bring it back there.

An open file outlives its name: after `rm`, or with another file in its place, SQLite goes on writing to what
nobody will find again. Noticed in time, nothing is lost, because the open connection still reaches every row.

While the connection is open, no other descriptor on its file may be closed: that would drop SQLite's locks
(POSIX: all locks of a process on a file go with any of its descriptors). Hence one descriptor is kept.

Source of the header's places: "Database File Format", section 1.3.
"""

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path

from agent.buffer.damaged_files import SIDE_FILES, mark_searched, move_aside
from agent.buffer.log_check import mark_at_rest
from agent.buffer.opening import FILE_MODE, log_file

MISSING = "missing"
REPLACED = "replaced"
OVERWRITTEN = "overwritten"
LOG_MISSING = "log_missing"
"""As `reason` of event/buffer `damaged`."""

_MAGIC = b"SQLite format 3\x00"
_HEADER_BYTES = 100

_FileId = tuple[int, int]


class FileWatch:
    """Knows the file, and its log, that an open connection at `path` (no link) works on.

    To be made after the connection was opened and closed after it was closed. Raises OSError.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._file_id = _file_id(path)
        self._log_id = _file_id(log_file(path))
        self._lasting = b""
        self._bytes = 0
        self._is_overwritten()

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)

    def look(self) -> str | None:
        """Return what happened to the file, one of the words above; None: nothing, or it cannot be seen."""
        try:
            found = _file_id(self._path)
            if found != self._file_id:
                return REPLACED if found else MISSING
            if self._is_overwritten():
                return OVERWRITTEN
            found = _file_id(log_file(self._path))
        except OSError:
            return None  # what cannot even be looked at is met by the next commit, which says why
        self._log_id = self._log_id or found  # made with the first write
        return LOG_MISSING if found != self._log_id else None

    def has_own_log(self) -> bool:
        """Return whether the log that stands under its name is that of the connection; raises OSError."""
        return self._log_id is not None and _file_id(log_file(self._path)) == self._log_id

    def _is_overwritten(self) -> bool:
        header = os.pread(self._descriptor, _HEADER_BYTES, 0)
        file_bytes = os.fstat(self._descriptor).st_size
        lasting = header[:18] + header[68:72]  # what it is, the page size and the mark of the epoch
        if not self._lasting:
            # A file whose first pages are still in the log only has nothing to be compared yet.
            if header.startswith(_MAGIC) and any(header[68:72]):
                self._lasting, self._bytes = lasting, file_bytes
            return False
        page_bytes = int.from_bytes(header[16:18])
        needed = int.from_bytes(header[28:32]) * (65536 if page_bytes == 1 else page_bytes)
        # On a full disk the first page may get ahead of the size, but then the file has not shrunk.
        was_bytes, self._bytes = self._bytes, file_bytes
        return lasting != self._lasting or file_bytes < min(needed, was_bytes)


def copy_back(connection: sqlite3.Connection, watch: FileWatch, path: Path) -> Path | None:
    """Put a whole copy of the connection's database under the name `path`, safe on the disk.

    Return where another file was moved that stood there, or None. The connection is to be closed after that,
    then comes remove_own_log. Raises sqlite3.Error or OSError; the connection is still good then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    copy = path.with_name(f"{path.name}.copy")
    _remove(copy)
    try:
        _copy(connection, copy)
        foreign = _make_way(watch, path)
        copy.rename(path)
    except BaseException:
        with suppress(OSError):
            _remove(copy)
        raise
    _sync(path.parent)
    return foreign


def fold_log_in(connection: sqlite3.Connection) -> None:
    """Write what only the nameless log holds into the file itself; raises sqlite3.Error."""
    mark_at_rest(connection)
    busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    if busy:
        error = sqlite3.OperationalError("wal_checkpoint")
        error.sqlite_errorcode = sqlite3.SQLITE_BUSY
        raise error


def remove_own_log(watch: FileWatch, path: Path) -> None:
    """Remove the log of the closed connection from beside the copy, which has all of it; raises OSError."""
    if watch.has_own_log():
        log_file(path).unlink()
        _sync(path.parent)


def _copy(connection: sqlite3.Connection, copy: Path) -> None:
    descriptor = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    try:
        os.fchmod(descriptor, FILE_MODE)  # whatever the umask is
    finally:
        os.close(descriptor)
    with closing(sqlite3.connect(copy, isolation_level=None)) as target:
        for pragma in ("locking_mode=EXCLUSIVE", "synchronous=FULL", "cache_size=-128"):
            target.execute(f"PRAGMA {pragma}")
        connection.backup(target)
        mark_at_rest(target)
    _remove(copy, SIDE_FILES[1:])  # in this locking mode the journal stays, emptied
    _sync(copy)


def _make_way(watch: FileWatch, path: Path) -> Path | None:
    """Move aside what stands at `path` and is not the connection's, log included.

    It is not searched for readings: they are not this gateway's, or it has them already.
    """
    if _file_id(path) is None and (watch.has_own_log() or _file_id(log_file(path)) is None):
        return None
    remove_own_log(watch, path)
    aside = move_aside(path)
    with suppress(OSError):
        mark_searched(aside)
        aside = aside.with_name(f"{aside.name}.searched")
    return aside


def _remove(copy: Path, suffixes: Sequence[str] = SIDE_FILES) -> None:
    for suffix in suffixes:
        Path(f"{copy}{suffix}").unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _file_id(path: Path) -> _FileId | None:
    """Return device and inode of the file at `path`, None when there is none."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino
