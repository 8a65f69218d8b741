"""Files that are there whole or not at all, and records that only grow; both survive a power cut."""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from agent.errors import NoPermission, SinyalError
from agent.language import _

SECRET_MODE = 0o600
PUBLIC_MODE = 0o644


def write_whole(path: Path, content: bytes, mode: int = PUBLIC_MODE) -> None:
    """Put `content` in place of a file in one step; a file that holds it already is left untouched.

    The new file has `mode` before the first byte is in it. Raises OSError.
    """
    with contextlib.suppress(OSError):
        if path.read_bytes() == content and path.stat().st_mode & 0o777 == mode:
            return
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as opened:
            os.fchmod(descriptor, mode)
            opened.write(content)
            opened.flush()
            os.fsync(descriptor)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
    sync_folder(path.parent)


def append_line(path: Path, line: bytes, mode: int = SECRET_MODE) -> None:
    """Add one line to a record, on the disk before this returns; half a line of a power cut is cut off first.

    Raises OSError.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, mode)
    try:
        size = os.fstat(descriptor).st_size
        whole = _whole_lines_bytes(descriptor, size)
        if whole != size:
            os.ftruncate(descriptor, whole)
        content = line + b"\n"
        written = 0
        while written < len(content):
            written += os.pwrite(descriptor, content[written:], whole + written)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    sync_folder(path.parent)


def _whole_lines_bytes(descriptor: int, size: int) -> int:
    """Return how many bytes of a record are whole lines."""
    at = size
    while at > 0:
        start = max(0, at - 65536)
        found = os.pread(descriptor, at - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        at = start
    return 0


def whole_lines(path: Path) -> list[bytes]:
    """Return the lines of a record, without the half one of a power cut; [] without a file."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    return content[: content.rfind(b"\n") + 1].splitlines()


def sync_folder(folder: Path) -> None:
    """Let the names in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def only_user_of(folder: Path, *, wait_s: float = 0.0) -> Iterator[None]:
    """Keep every other command away from a folder; SinyalError when one is at it for longer than wait_s."""
    until = time.monotonic() + wait_s
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        while not _is_locked(descriptor):
            if time.monotonic() >= until:
                raise SinyalError(
                    _("another command is working in {folder}").format(folder=folder),
                    _("wait until it has ended, then repeat the command"),
                )
            time.sleep(0.05)
        yield
    finally:
        os.close(descriptor)


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def disk_faults_told(what: Path) -> Iterator[None]:
    """Turn what the disk refuses inside this block into a failure that a person can act on."""
    try:
        yield
    except PermissionError as error:
        raise NoPermission(
            _("no permission for {path}").format(path=error.filename or what),
            _("repeat the command as the user who owns it"),
        ) from None
    except OSError as error:
        raise SinyalError(
            _("{path}: {reason}").format(path=error.filename or what, reason=error.strerror or error),
            _("check the path and the room on the disk, then repeat the command"),
        ) from None
