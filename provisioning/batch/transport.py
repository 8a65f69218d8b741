"""How a bundle comes to its box: left in the folder, copied to a stick, or over SSH."""

import io
import subprocess
import tarfile
from pathlib import Path
from typing import Protocol

from agent.errors import SinyalError, UsageMistake
from agent.language import _
from provisioning.whole_files import disk_faults_told, write_whole

SSH_TIMEOUT_S = 600.0


class DeliveryFailed(SinyalError):
    """A bundle did not come to its box; the next run tries again."""


class Transport(Protocol):
    """Brings bundles on their way; way says which way that is: a bundle that went another way goes again."""

    way: str

    def has(self, gateway_id: str, bundle: Path) -> bool:  # noqa: ARG002 -- not every way can look
        """Return whether a bundle that was delivered this way is still there, as far as can be seen."""
        return True

    def deliver(self, gateway_id: str, bundle: Path) -> None:
        """Bring one bundle to its box; doing it again changes nothing. Raises SinyalError."""


class LeftInFolder(Transport):
    """The bundles stay where they were made, to be carried."""

    way = "folder"

    def deliver(self, gateway_id: str, bundle: Path) -> None:
        """Do nothing."""


class Stick(Transport):
    """Copies each bundle into a folder of its own on a stick; files that are the same stay.

    Raises UsageMistake when the folder is not there: the stick is not mounted, and what is written then
    would stay at home.
    """

    way = "stick"

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise UsageMistake(
                _("--stick {folder}: there is no such folder").format(folder=folder),
                _("put the stick in, see where it is mounted (lsblk), then repeat the command"),
            )
        self._folder = folder

    def has(self, gateway_id: str, bundle: Path) -> bool:
        """Return whether every file of the bundle is on this stick; it may be another one than last time."""
        try:
            return all(
                (self._folder / gateway_id / file.name).read_bytes() == file.read_bytes()
                for file in bundle.iterdir()
            )
        except OSError:
            return False

    def deliver(self, gateway_id: str, bundle: Path) -> None:
        """Copy the bundle; raises NoPermission, SinyalError."""
        with disk_faults_told(self._folder):
            for file in sorted(bundle.iterdir()):
                write_whole(
                    self._folder / gateway_id / file.name, file.read_bytes(), file.stat().st_mode & 0o777
                )


_ON_THE_BOX = """\
set -e
umask 022
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
tar -xf - -C "$folder"
sh "$folder/install.sh" >&2
cat "$folder"/*.csr 2>/dev/null || true
"""
"""Run on the gateway: what it prints is its certificate request, if it has no certificate yet."""


class Ssh(Transport):
    """Copies the bundle over SSH and runs its install.sh; where is like "root@{gateway_id}.lan".

    Keys and known hosts are those of the provisioner's own ssh; a password is never asked. The request of
    the box comes back into the bundle's folder.
    """

    way = "ssh"

    def __init__(self, where: str) -> None:
        self._where = where

    def deliver(self, gateway_id: str, bundle: Path) -> None:
        """Copy and install; raises DeliveryFailed with the last line that came from the box."""
        where = self._where.replace("{gateway_id}", gateway_id)
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as packed:
            for file in sorted(bundle.iterdir()):
                if file.suffix != ".csr":
                    packed.add(file, file.name)
        try:
            done = subprocess.run(
                ["ssh", "-o", "BatchMode=yes", "--", where, _ON_THE_BOX],  # noqa: S607 -- the provisioner's own
                input=archive.getvalue(),
                capture_output=True,
                timeout=SSH_TIMEOUT_S,
                check=False,
            )
        except FileNotFoundError:
            raise DeliveryFailed(_("ssh is not installed"), "apt-get install openssh-client") from None
        except subprocess.TimeoutExpired:
            raise DeliveryFailed(_("{where} does not answer").format(where=where)) from None
        if done.returncode:
            told = [
                line.strip() for line in done.stderr.decode("utf-8", "replace").splitlines() if line.strip()
            ]
            raise DeliveryFailed(
                _("{where}: {reason}").format(
                    where=where, reason=told[-1][:200] if told else done.returncode
                ),
                _("log in there by hand first: ssh {where}").format(where=where),
            )
        if done.stdout.strip():
            with disk_faults_told(bundle):
                write_whole(bundle / f"{gateway_id}.csr", done.stdout)
