"""A disk whose power can be cut: an ext4 image on a file system that copies a file in one instant.

The image lies on XFS and is attached with direct I/O, so that its file holds exactly what the block layer
has been given, and nothing of what still waits in the kernel's memory. A reflink copy of it is atomic: it
is what the flash would hold if the power failed in that moment. Not modelled: a flash that reorders or lies.
"""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.support.programs import give_up, require

IMAGE_BYTES = 24 << 20
HOST_BYTES = 320 << 20  # the smallest XFS; only what is written takes room


def _run(*command: str | Path) -> str:
    path = "/usr/sbin:/sbin:/usr/bin:/bin"
    found = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False, env={"PATH": path}
    )
    if found.returncode:
        raise OSError(f"{' '.join(map(str, command))}: {found.stderr.strip()}")
    return found.stdout.strip()


class CutDisk:
    """One small ext4 disk, mounted at `folder`."""

    def __init__(self, work: Path) -> None:
        self._host = work / "host"
        self._image = self._host / "disk.img"
        self._device = ""
        self.folder = work / "disk"
        self._copy_folder = work / "copy"
        for folder in (self._host, self.folder, self._copy_folder):
            folder.mkdir(parents=True)

    def make(self) -> None:
        """Make file system and image, and mount it."""
        whole = self._host.parent / "host.img"
        with whole.open("wb") as file:
            file.truncate(HOST_BYTES)
        _run("mkfs.xfs", "-q", "-m", "reflink=1", whole)
        _run("mount", "-o", "loop", whole, self._host)
        with self._image.open("wb") as file:
            file.truncate(IMAGE_BYTES)
        _run("mkfs.ext4", "-q", "-b", "4096", self._image)
        self.mount()

    def mount(self) -> None:
        """Mount what the image holds: the file system replays its journal, as after a power cut."""
        self._device = _run("losetup", "--direct-io=on", "--sector-size=4096", "--show", "-f", self._image)
        # Nothing reaches the disk by itself within a campaign; only a sync does.
        _run("mount", "-o", "commit=300", self._device, self.folder)

    def cut(self, number: int = 0) -> Path:
        """Return a copy of what the disk holds in this instant; the disk goes on."""
        copy = self._host / f"cut-{number}.img"
        _run("cp", "--reflink=always", self._image, copy)
        return copy

    def go_back_to(self, copy: Path) -> None:
        """Let the power come back: the disk holds what it held at that cut. Nobody may use it now."""
        self.unmount()
        copy.replace(self._image)
        self.mount()

    @contextmanager
    def mounted(self, copy: Path) -> Iterator[Path]:
        """Mount a copy elsewhere, and remove it afterwards."""
        _run("mount", "-o", "loop", copy, self._copy_folder)
        try:
            yield self._copy_folder
        finally:
            _run("umount", self._copy_folder)
            copy.unlink()

    def unmount(self) -> None:
        """Take the disk away."""
        _run("umount", self.folder)
        _run("losetup", "-d", self._device)
        self._device = ""

    def remove(self) -> None:
        """Take everything away, whatever state it is in."""
        for folder in (self._copy_folder, self.folder, self._host):
            subprocess.run(["umount", "-l", str(folder)], capture_output=True, check=False)
            if folder == self.folder and self._device:
                subprocess.run(["losetup", "-d", self._device], capture_output=True, check=False)
        (self._host.parent / "host.img").unlink(missing_ok=True)


@contextmanager
def cut_disk(work: Path) -> Iterator[CutDisk]:
    """Make such a disk; skip with the reason where that is not possible."""
    require("losetup", "mkfs.xfs", "mkfs.ext4", root=True)
    disk = CutDisk(work)
    with ExitStack() as stack:
        stack.callback(disk.remove)
        try:
            disk.make()
        except OSError as reason:
            give_up(f"no power can be cut here: {reason}")
        yield disk
