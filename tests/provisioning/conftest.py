"""A province in a folder: an authority, a list of sites, and the command as its user types it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.language import current_language, use_language
from provisioning.authority.folder import Authority, create
from provisioning.inventory.sites import COLUMNS

HERE = Path(__file__).parents[2]
PASSPHRASE = "canary-passphrase-9f3b"
EDITION = "300.2.2-2430/2025"
SITES = (
    ("gw-a", "15.02.23.2008", EDITION, "Air Liki", "link", "2026", "planned", "+62 812 0000 111"),
    ("gw-b", "15.03.01.2021", EDITION, "Kantor desa Bukit Berantai", "link", "2026", "planned", ""),
    ("gw-old", "15.04.08.1008", EDITION, "Terusan", "link", "2024", "retired", ""),
)

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    before = current_language()
    use_language("en")
    yield
    use_language(before)


@pytest.fixture(scope="session")
def _made_authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("province") / "ca"
    create(folder, "Sinyal test CA", PASSPHRASE.encode())
    return folder


@pytest.fixture
def province(tmp_path: Path, _made_authority: Path) -> Path:
    """Return a folder with ca/, sites.csv and the passphrase in pw."""
    folder = tmp_path / "province"
    folder.mkdir()
    shutil.copytree(_made_authority, folder / "ca")
    (folder / "pw").write_text(PASSPHRASE + "\n")
    (folder / "pw").chmod(0o600)
    lines = [",".join(COLUMNS), *(",".join(site) for site in SITES)]
    (folder / "sites.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def provision(province: Path) -> Run:
    """Return what runs sinyal-provision in the province's folder."""

    def run(*arguments: str, language: str = "en", given: str = "") -> "subprocess.CompletedProcess[str]":
        clean = {name: value for name, value in os.environ.items() if not name.startswith("SINYAL_")}
        return subprocess.run(
            [sys.executable, "-m", "provisioning", *arguments],
            cwd=province,
            env={**clean, "PYTHONPATH": str(HERE), "SINYAL_LANG": language},
            input=given,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


@pytest.fixture
def authority(province: Path) -> Authority:
    """Return the authority of the province, its key open."""
    from provisioning.authority.folder import open_authority

    return open_authority(province / "ca", PASSPHRASE.encode())
