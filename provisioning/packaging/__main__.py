"""`make dist`: every artefact of a release, into dist/; the same sources give the same bytes.

wheel and sdist · sinyal-VERSION.tar.gz (the release) · .deb · .ipk · openwrt-feed/ · bill of materials ·
offline bundle · SHA256SUMS over all of them
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from agent import __version__
from provisioning.packaging.bill_of_materials import write_bill
from provisioning.packaging.offline_bundle import make_bundle, sign
from provisioning.packaging.openwrt_feed import write_feed
from provisioning.packaging.release_tree import PROJECT, make_release_tree, pack_release
from provisioning.packaging.reproducible import source_date, write_hash_list
from provisioning.packaging.system_packages import PackagingFailed, make_deb, make_ipk


def make_everything(target: Path, version: str = __version__) -> list[Path]:
    """Make all artefacts in an empty folder; return them. Raises PackagingFailed and RuntimeError."""
    date = source_date()
    with tempfile.TemporaryDirectory(prefix="sinyal-dist-") as folder:
        work = Path(folder)
        release = work / "release"
        make_release_tree(release, version)
        archive = pack_release(release, target, version, date)
        made = [archive, make_deb(archive, work, target, version, date)]
        ipk = make_ipk(release, work, target, version, date)
        made += [ipk] if ipk else []
        made.append(write_bill(target, version, date))
        made.append(make_bundle(made, work, target, version, date))
    made += _python_packages(target, date)
    made.append(write_feed(archive, target, version))
    sign(write_hash_list(target))
    return made


def _python_packages(target: Path, date: int) -> list[Path]:
    made = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", str(target)],
        cwd=PROJECT,
        env={**os.environ, "SOURCE_DATE_EPOCH": str(date)},
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise PackagingFailed(made.stderr.strip())
    return sorted(path for path in target.iterdir() if path.name.startswith("sinyal_desa-"))


def main(arguments: list[str]) -> int:
    """Make everything in the folder that the one argument names (default dist/); return the exit code."""
    target = Path(arguments[0]) if arguments else PROJECT / "dist"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    os.umask(0o022)
    try:
        made = make_everything(target)
    except (PackagingFailed, RuntimeError) as failure:
        print(f"make dist: {failure}", file=sys.stderr)
        return 1
    for artefact in made:
        size = artefact.stat().st_size if artefact.is_file() else 0
        print(f"{size / 1000:8.0f} kB  {artefact.name}" if size else f"{'folder':>11}  {artefact.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
