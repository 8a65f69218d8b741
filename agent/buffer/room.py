"""What the database takes of its disk, and which damaged predecessors lie beside it."""

import os
from pathlib import Path
from typing import Any

from agent.buffer.damaged_files import sizes
from agent.buffer.opening import file_bytes, log_file


def room_of(path: Path) -> dict[str, Any]:
    """Return {"bytes_used", "disk_free_bytes", "damaged_files": [{"file", "bytes"}]} for the database `path`.

    bytes_used is the file with its log; disk_free_bytes is None where the file system does not tell.
    """
    return {
        "bytes_used": file_bytes(path) + file_bytes(log_file(path)),
        "disk_free_bytes": _free_bytes(path.parent),
        "damaged_files": [{"file": name, "bytes": size} for name, size in sizes(path)],
    }


def _free_bytes(folder: Path) -> int | None:
    try:
        disk = os.statvfs(folder)
    except OSError:
        return None
    return disk.f_bavail * disk.f_frsize
