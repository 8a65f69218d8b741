"""The damaged databases beside the current one: their names, and how many of them are kept.

    sinyal.db.damaged-3              moved aside; unsent readings may still be in it
    sinyal.db.damaged-2.searched     `salvage` has taken out of it what can be read

Each has its log beside it under the same name with `-wal`.
"""

import os
import re
from contextlib import suppress
from pathlib import Path

SIDE_FILES = ("", "-wal", "-journal", "-shm")
SEARCHED = ".searched"
KEPT_FILES = 2


def move_aside(path: Path) -> Path:
    """Rename the database and its log to `<name>.damaged-<n>`, n one above all others; delete nothing."""
    number = 1 + max((number for number, _file in _numbered(path)), default=0)
    aside = path.with_name(f"{path.name}.damaged-{number}")
    _rename(path, aside)
    return aside


def files_to_search(path: Path) -> list[Path]:
    """Return the damaged files of the database `path` that were not searched yet, oldest first."""
    return [file for _number, file in _numbered(path) if file.suffix != SEARCHED]


def mark_searched(file: Path) -> None:
    """Give a damaged file the name that says: nothing more is to be found in it. Raises OSError."""
    _rename(file, file.with_name(file.name + SEARCHED))


def sizes(path: Path) -> list[tuple[str, int]]:
    """Return name and bytes, with its log, of each damaged file of the database `path`, oldest first."""
    return [(file.name, _bytes_with_sides(file)) for _number, file in _numbered(path)]


def remove_searched(path: Path, *, keep_files: int, keep_bytes: int) -> list[str]:
    """Delete searched files, oldest first, until keep_files with keep_bytes are left; return their names.

    Damaged files that are still to be searched count, and are not deleted.
    """
    removed = []
    kept_files, kept_bytes = 0, 0
    for _number, file in reversed(_numbered(path)):
        size = _bytes_with_sides(file)
        fits = kept_files < keep_files and kept_bytes + size <= keep_bytes
        if not fits and file.suffix == SEARCHED:
            removed.append(file.name)
            for suffix in SIDE_FILES:
                with suppress(OSError):
                    Path(f"{file}{suffix}").unlink()
        else:
            kept_files, kept_bytes = kept_files + 1, kept_bytes + size
    return removed


def _bytes_with_sides(file: Path) -> int:
    return sum(_bytes(Path(f"{file}{suffix}")) for suffix in SIDE_FILES)


def _numbered(path: Path) -> list[tuple[int, Path]]:
    """Return number and name of every damaged file of `path`, ascending, also where only its log is left."""
    pattern = re.compile(re.escape(path.name) + r"\.damaged-(\d+)(?:\.searched)?(?=$|-wal$|-journal$|-shm$)")
    found = set()
    with suppress(OSError):
        for name in os.listdir(path.parent):  # noqa: PTH208 -- names only, no stat of each
            if match := pattern.match(name):
                found.add((int(match[1]), path.with_name(match[0])))
    return sorted(found)


def _rename(file: Path, new: Path) -> None:
    for suffix in SIDE_FILES:
        side_file = Path(f"{file}{suffix}")
        if side_file.exists():
            side_file.rename(f"{new}{suffix}")
    folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _bytes(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0
