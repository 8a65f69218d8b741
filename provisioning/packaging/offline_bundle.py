"""One file for a visit without Internet: the packages, the release, what installs them, and their hashes.

The hash list is signed where SINYAL_SIGNING_KEY names a private key (PEM). A gateway with the public key
as /etc/sinyal/release.pub takes nothing else.
"""

import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from provisioning.packaging.release_tree import PROJECT
from provisioning.packaging.reproducible import HASH_LIST, write_hash_list, write_tar_gz
from provisioning.packaging.system_packages import PackagingFailed

INSTALLERS = ("bootstrap.sh", "upgrade/sinyal-release.sh")


def make_bundle(files: Iterable[Path], work: Path, target: Path, version: str, date: int) -> Path:
    """Make `sinyal-VERSION-offline.tar.gz`; return its path."""
    folder = work / "bundle"
    folder.mkdir()
    for file in (*files, *(PROJECT / "provisioning" / name for name in INSTALLERS)):
        shutil.copyfile(file, folder / file.name)
    sign(write_hash_list(folder))
    bundle = target / f"sinyal-{version}-offline.tar.gz"
    write_tar_gz(folder, bundle, date, below=f"sinyal-{version}")
    return bundle


def sign(hash_list: Path) -> None:
    """Write SHA256SUMS.sig beside a hash list when there is a key to sign with; raises PackagingFailed."""
    key = os.environ.get("SINYAL_SIGNING_KEY", "")
    if not key:
        return
    signature = hash_list.with_name(f"{HASH_LIST}.sig")
    made = subprocess.run(
        ["openssl", "dgst", "-sha256", "-sign", key, "-out", str(signature), str(hash_list)],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise PackagingFailed(f"{hash_list} was not signed with {key}: {made.stderr.strip()}")
