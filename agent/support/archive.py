"""Packs the files of a bundle, and writes it to the first place that takes it."""

import io
import os
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from agent.errors import SinyalError, UsageMistake
from agent.language import _, system_reason


class Written(NamedTuple):
    """Where a bundle lies, and why it is not where it was wanted ("" when it is)."""

    path: Path
    why_elsewhere: str


def packed(folder: str, files: Mapping[str, str], written_ts: float) -> bytes:
    """Return a tar.gz with these texts as files in one folder; nothing of this machine's users is in it."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz", compresslevel=9) as archive:
        for name, text in files.items():
            data = text.encode("utf-8", "replace")
            entry = tarfile.TarInfo(f"{folder}/{name}")
            entry.size, entry.mode, entry.mtime = len(data), 0o600, int(max(0, written_ts))
            archive.addfile(entry, io.BytesIO(data))
    return content.getvalue()


def require_free_name(wanted: Path | None) -> None:
    """Raise UsageMistake when `wanted` is a file that exists: before a minute is spent on gathering."""
    if wanted is not None and os.path.lexists(wanted) and not wanted.is_dir():
        raise _exists(wanted)


def _exists(file: Path) -> UsageMistake:
    return UsageMistake(_("{file} exists already").format(file=file), _("choose another name"))


def write(content: bytes, wanted: Path | None, name: str, elsewhere: Sequence[Path]) -> Written:
    """Write a bundle to `wanted` (a file, or a folder for `name`), else into the first folder that takes it.

    A file that exists is never overwritten: UsageMistake. Raises SinyalError when no place takes it.
    """
    why = ""
    for target in _targets(wanted, name, elsewhere):
        try:
            _write_new(target, content)
        except FileExistsError:
            if wanted is not None and not why:
                raise _exists(target) from None
        except OSError as error:
            why = why or f"{target}: {system_reason(os.strerror(error.errno or 0))}"
        else:
            return Written(target, why)
    raise SinyalError(
        _("the bundle cannot be written anywhere ({why})").format(why=why or "?"),
        _("plug a USB stick in and name a file on it: sinyal support-bundle /media/…"),
    )


def _targets(wanted: Path | None, name: str, elsewhere: Sequence[Path]) -> Iterator[Path]:
    first = Path.cwd() if wanted is None else wanted
    is_folder = wanted is None or first.is_dir()
    yield first / name if is_folder else first
    for folder in elsewhere:
        yield folder / name


def _write_new(target: Path, content: bytes) -> None:
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        target.unlink(missing_ok=True)
        raise
