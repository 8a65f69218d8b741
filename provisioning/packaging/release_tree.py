"""A release as it stands in /opt/sinyal/releases/VERSION, and the archive that carries it there.

RELEASE       version, and the oldest Python it runs on
SHA256SUMS    every file; `sinyal-release` takes no other
bin/sinyal    the command
site/         agent, firmware_hooks, provisioning and the libraries, pure Python
venv/         made on the gateway, of its own Python
"""

import shutil
from pathlib import Path

from provisioning.packaging.gateway_libraries import copy_libraries
from provisioning.packaging.reproducible import write_hash_list, write_tar_gz

PROJECT = Path(__file__).parents[2]

OUR_PACKAGES = ("agent", "firmware_hooks", "provisioning")

ONLY_AT_THE_OPERATORS = ("provisioning/packaging",)
"""Ours, but never wanted on a gateway: what makes the packages."""

LAUNCHER = """#!/bin/sh
# The command of this release; works from any place that points here.
self=$(readlink -f "$0")
release=${self%/bin/sinyal}
python=$release/venv/bin/python
[ -x "$python" ] || python=python3
# Named once more, for the day on which the system's Python is a newer one than the environment was made for.
PYTHONPATH=$release/site${PYTHONPATH:+:$PYTHONPATH}
export PYTHONPATH
exec "$python" -P -m agent "$@"
"""


def make_release_tree(folder: Path, version: str) -> None:
    """Write a release into an empty folder."""
    site = folder / "site"
    for package in OUR_PACKAGES:
        shutil.copytree(
            PROJECT / package, site / package, ignore=shutil.ignore_patterns("__pycache__", "*.pyc", "*.po")
        )
    for unwanted in ONLY_AT_THE_OPERATORS:
        shutil.rmtree(site / unwanted)
    copy_libraries(site)
    _name_ourselves(site, version)
    for name in ("README.md", "LICENSE"):
        shutil.copyfile(PROJECT / name, folder / name)
    launcher = folder / "bin" / "sinyal"
    launcher.parent.mkdir()
    launcher.write_text(LAUNCHER, encoding="utf-8")
    launcher.chmod(0o755)
    seal(folder, version)


def seal(folder: Path, version: str) -> None:
    """Write what a release says of itself, last the list of its files."""
    (folder / "RELEASE").write_text(f"version={version}\npython=3.11\n", encoding="utf-8")
    write_hash_list(folder, prefix="./")


def pack_release(folder: Path, target: Path, version: str, date: int) -> Path:
    """Pack a release; return the archive `sinyal-VERSION.tar.gz` in `target`."""
    archive = target / f"sinyal-{version}.tar.gz"
    write_tar_gz(folder, archive, date, below=".")
    return archive


def _name_ourselves(site: Path, version: str) -> None:
    about = site / f"sinyal_desa-{version}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: sinyal-desa\nVersion: {version}\nLicense: Apache-2.0\n",
        encoding="utf-8",
    )
    shutil.copyfile(PROJECT / "LICENSE", about / "LICENSE")
