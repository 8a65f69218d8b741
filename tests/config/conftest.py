import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from agent.language import current_language, use_language

NOBODY = 65534


@pytest.fixture(autouse=True)
def _english_and_no_variables(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for variable in [name for name in os.environ if name.startswith("SINYAL_")]:
        monkeypatch.delenv(variable)
    before = current_language()
    use_language("en")
    yield
    use_language(before)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "sinyal.toml"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter: pytest's own folders are closed to others."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@contextmanager
def as_ordinary_user() -> Iterator[None]:
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def ordinary_user() -> AbstractContextManager[None]:
    return as_ordinary_user()
