from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.buffer.store import Store
from agent.language import current_language, use_language


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    before = current_language()
    use_language("en")
    yield
    use_language(before)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path)
    yield opened
    opened.close()


def open_store(folder: Path) -> Store:
    return Store(
        folder / "sinyal.db", max_bytes=8 << 20, commit_interval_s=60, commit_readings=10, keep_days=90
    )
