"""Which libraries travel to a gateway, out of those that `provisioning/locks/gateway.txt` pins with hashes.

They are taken from this environment, where pip has checked each against its hash. All are pure Python, so
that one package serves every board: 32-bit ARM, 64-bit ARM and x86-64.
"""

import re
import shutil
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

LOCK = Path(__file__).parents[1] / "locks" / "gateway.txt"

LEFT_OUT = {
    "pip": "only for `sqlite-utils install`",
    "psutil": "only the demo uses it, and it would make the package one per processor",
    "setuptools": "named by colorzero, not imported by it",
    "tzdata": "named by python-dateutil for time zones that nothing here uses; boards have their own",
}
"""Pinned, yet not on a gateway, and why."""

NOT_TAKEN = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")
"""What pip notes beside a library about this very environment."""


class Pinned(NamedTuple):
    """A library as the lock has it."""

    name: str
    version: str
    sha256: tuple[str, ...]
    """Of each file of that version which may be installed."""


def pinned(lock: Path = LOCK) -> list[Pinned]:
    """Return the libraries of a lock file in its order."""
    found = []
    for block in re.split(r"\n(?=\S)", lock.read_text(encoding="utf-8")):
        head = re.match(r"([A-Za-z0-9._-]+)==(\S+)", block)
        if head:
            found.append(Pinned(head[1], head[2], tuple(re.findall(r"sha256:([0-9a-f]{64})", block))))
    return found


def on_a_gateway() -> list[Pinned]:
    """Return the libraries that travel."""
    return [library for library in pinned() if library.name not in LEFT_OUT]


def copy_libraries(site: Path) -> None:
    """Copy them into a folder.

    Raises RuntimeError for one that is not installed here as pinned, or has parts for one processor only.
    """
    for library in on_a_gateway():
        for source, inside in _files(library):
            target = site / inside
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)


def drop_libraries(site: Path, names: Iterable[str]) -> None:
    """Take libraries out of a folder that `copy_libraries` has filled."""
    for library in on_a_gateway():
        if library.name not in names:
            continue
        for _source, inside in _files(library):
            (site / inside).unlink(missing_ok=True)
            for folder in (site / inside).parents:
                if folder == site or any(folder.iterdir()):
                    break
                folder.rmdir()


def _files(library: Pinned) -> Iterator[tuple[Path, Path]]:
    try:
        distribution = metadata.distribution(library.name)
    except metadata.PackageNotFoundError:
        raise RuntimeError(f"{library.name} is not installed. Next step: make .venv/.dev") from None
    if distribution.version != library.version:
        raise RuntimeError(
            f"{library.name} {distribution.version} is installed, {library.version} is pinned."
            " Next step: make clean, then make dist"
        )
    for file in distribution.files or ():
        if file.parts[0] == ".." or "__pycache__" in file.parts or file.name in NOT_TAKEN:
            continue
        if file.suffix in (".so", ".pyd"):
            raise RuntimeError(f"{library.name} is made for one processor: {file}")
        yield Path(str(file.locate())), Path(file)
