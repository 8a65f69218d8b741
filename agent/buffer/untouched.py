"""Opens a database that no agent holds for reading, and leaves no trace: no byte changes, no file appears.

SQLite's own read-only mode would make a -shm file and could leave a -wal behind, as another user perhaps, and
the agent could then not open its database.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.buffer.faults import damaged, explain
from agent.buffer.history import UNREADABLE
from agent.buffer.opening import file_bytes, log_file
from agent.errors import NoPermission, StoreUnusable
from agent.language import _

_SHARED_FIRST = 0x40000000 + 2
_SHARED_SIZE = 510
"""The bytes of a database file that every SQLite locks before it writes (SQLite, os.h)."""


@contextmanager
def opened_untouched(path: Path) -> Iterator[sqlite3.Connection]:
    """Give a connection that only reads; what a killed agent left in the log is read too.

    An agent that starts meanwhile waits a moment, then tries again: hold it for no longer than a slice takes.
    Raises NoPermission, and StoreUnusable for a file that is missing, in use, damaged or no database of
    ours; so it does for what fails while the connection is used.
    """
    descriptor = _open_file(path)
    try:
        _lock(descriptor, path)
        with _explained(path):
            connection = _connect(path)
            try:
                yield connection
            finally:
                connection.close()
    finally:
        os.close(descriptor)


def check(connection: sqlite3.Connection, path: Path) -> None:
    """Read the whole file; raises StoreUnusable when it is damaged."""
    if connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
        raise damaged(path)


def _connect(path: Path) -> sqlite3.Connection:
    uri = path.absolute().as_uri()
    if not file_bytes(log_file(path)):
        # Even a read-only connection would make the missing log.
        return sqlite3.connect(f"{uri}?immutable=1", uri=True, isolation_level=None)
    connection = sqlite3.connect(f"{uri}?mode=ro&vfs=unix-none", uri=True, isolation_level=None)
    # The index of the log is then in memory. The lock above stands for those that unix-none does not take.
    connection.execute("PRAGMA locking_mode=EXCLUSIVE")
    return connection


def _open_file(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except PermissionError:
        raise NoPermission(
            _("no permission to read {file}").format(file=path), _("run as the user sinyal or with sudo")
        ) from None
    except FileNotFoundError:
        raise StoreUnusable(
            _("there is no reading database at {path}").format(path=path),
            _("the agent makes it at its first start: sudo service sinyal start"),
        ) from None
    except OSError as error:
        raise explain(error, path) from None


def _lock(descriptor: int, path: Path) -> None:
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB, _SHARED_SIZE, _SHARED_FIRST)
    except (BlockingIOError, PermissionError):
        in_use = sqlite3.OperationalError("locked")
        in_use.sqlite_errorcode = sqlite3.SQLITE_BUSY
        raise explain(in_use, path) from None
    except OSError as error:
        raise explain(error, path) from None


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_ERROR:
            raise StoreUnusable(
                _("{path} is no reading database of Sinyal ({reason})").format(path=path, reason=error),
                _("check paths.state with: sinyal config show"),
            ) from None
        raise explain(error, path) from None
    except UNREADABLE:
        raise damaged(path) from None
