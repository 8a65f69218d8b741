"""Archives that are the same bytes whenever their contents are: sorted names, one time, one owner."""

import gzip
import hashlib
import io
import os
import subprocess
import tarfile
from pathlib import Path

HASH_LIST = "SHA256SUMS"


def source_date() -> int:
    """Return the UTC seconds that every file in an archive gets.

    SOURCE_DATE_EPOCH, else the last commit's time, else 1 January 2026 for sources without a history.
    Source: reproducible-builds.org, "SOURCE_DATE_EPOCH specification".
    """
    given = os.environ.get("SOURCE_DATE_EPOCH", "")
    if given.isdigit():
        return int(given)
    asked = subprocess.run(
        ["git", "log", "-1", "--format=%ct"],  # noqa: S607 -- the developer's own git
        capture_output=True,
        text=True,
        check=False,
    )
    return int(asked.stdout) if asked.stdout.strip().isdigit() else 1767225600


def is_program(file: Path) -> bool:
    """Return whether a file is started by its name: it is for everybody, and nothing else is."""
    return file.parent.name in ("bin", "sbin", "init.d") or file.suffix == ".sh"


def write_tar_gz(folder: Path, archive: Path, date: int, *, below: str = "") -> None:
    """Pack all files of a folder, under a folder name of their own when `below` is given."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for path in sorted(folder.rglob("*")):
            entry = tarfile.TarInfo(str(Path(below) / path.relative_to(folder)))
            entry.mtime = date
            entry.uname = entry.gname = "root"
            if path.is_dir():
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(entry)
            else:
                entry.size, entry.mode = path.stat().st_size, 0o755 if is_program(path) else 0o644
                with path.open("rb") as opened:
                    tar.addfile(entry, opened)
    archive.write_bytes(gzip.compress(packed.getvalue(), compresslevel=9, mtime=date))


def sha256_of(file: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def write_hash_list(folder: Path, *, prefix: str = "") -> Path:
    """Write SHA256SUMS over all files below a folder, as `sha256sum -c` reads it; return its path."""
    target = folder / HASH_LIST
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path != target)
    lines = [f"{sha256_of(file)}  {prefix}{file.relative_to(folder)}\n" for file in files]
    target.write_text("".join(lines), encoding="utf-8")
    return target
