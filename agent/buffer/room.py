"""What the database takes of its disk, and which damaged predecessors lie beside it."""

import os
from pathlib import Path
from typing import Any

from agent.buffer.opening import SIDE_FILES, file_bytes, log_file


def room_of(path: Path) -> dict[str, Any]:
    """Return {"bytes_used", "disk_free_bytes", "damaged_files": [{"file", "bytes"}]} for the database `path`.

    bytes_used is the file with its log; disk_free_bytes is None where the file system does not tell.
    """
    return {
        "bytes_used": file_bytes(path) + file_bytes(log_file(path)),
        "disk_free_bytes": _free_bytes(path.parent),
        "damaged_files": _damaged_files(path),
    }


def _free_bytes(folder: Path) -> int | None:
    try:
        disk = os.statvfs(folder)
    except OSError:
        return None
    return disk.f_bavail * disk.f_frsize


def _damaged_files(path: Path) -> list[dict[str, Any]]:
    try:
        names = {file.name for file in path.parent.iterdir()}
    except OSError:
        return []
    numbers = {
        _number(name.removeprefix(f"{path.name}.damaged-")) for name in names if name.startswith(path.name)
    }
    return [
        {"file": f"{path.name}.damaged-{number}", "bytes": _bytes_with_sides(f"{path}.damaged-{number}")}
        for number in sorted(numbers - {0})
    ]


def _number(rest: str) -> int:
    digits = rest.partition("-")[0]
    return int(digits) if digits.isascii() and digits.isdecimal() else 0


def _bytes_with_sides(name: str) -> int:
    return sum(file_bytes(Path(name + suffix)) for suffix in SIDE_FILES)
