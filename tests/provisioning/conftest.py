"""A province in a folder: an authority, a list of sites, and the command as its user types it."""

import io
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

import pytest

from agent import language
from agent.language import current_language, use_language
from provisioning.authority.folder import Authority, create
from provisioning.cli.main import main
from provisioning.inventory.sites import COLUMNS

HERE = Path(__file__).parents[2]
PASSPHRASE = "canary-passphrase-9f3b"
EDITION = "300.2.2-2430/2025"
SITES = (
    ("gw-a", "15.02.23.2008", EDITION, "Air Liki", "link", "2026", "planned", "+62 812 0000 111"),
    ("gw-b", "15.03.01.2021", EDITION, "Kantor desa Bukit Berantai", "link", "2026", "planned", ""),
    ("gw-old", "15.04.08.1008", EDITION, "Terusan", "link", "2024", "retired", ""),
)

Run = Callable[..., "Shown"]


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    before, catalogues = current_language(), list(language._more_catalogues)
    use_language("en")
    yield
    language._more_catalogues[:] = catalogues
    language._catalogue = None
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


class Shown(NamedTuple):
    """What a command printed, and its exit code."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def provision(province: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return what runs sinyal-provision in the province's folder, in this process: it is quicker."""
    for name in [name for name in os.environ if name.startswith("SINYAL_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(province)

    def run(*arguments: str, lang: str = "en") -> Shown:
        said, noted = io.StringIO(), io.StringIO()
        with redirect_stdout(said), redirect_stderr(noted):
            code = main([*arguments, "--lang", lang])
        use_language("en")
        return Shown(code, said.getvalue(), noted.getvalue())

    return run


@pytest.fixture
def authority(province: Path) -> Authority:
    """Return the authority of the province, its key open."""
    from provisioning.authority.folder import open_authority

    return open_authority(province / "ca", PASSPHRASE.encode())
