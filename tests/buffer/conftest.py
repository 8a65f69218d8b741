"""Databases for tests: real files in the test's own folder, closed when the test ends."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from agent.buffer.store import Store
from agent.errors import StoreUnusable
from agent.language import use_language

OpenStore = Callable[..., Store]


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    use_language("en")
    yield
    use_language("id")


@pytest.fixture
def no_retry_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.buffer.store_file.RETRY_S", 0.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sinyal.db"


@pytest.fixture
def open_store(path: Path) -> Iterator[OpenStore]:
    """Make stores that commit every row at once, unless told otherwise."""
    made: list[Store] = []

    def make(at: Path = path, **settings: Any) -> Store:
        defaults = {"max_bytes": 4 << 20, "commit_interval_s": 0.0, "commit_readings": 1, "keep_days": 90}
        store = Store(at, **{**defaults, **settings})
        made.append(store)
        store.open()
        return store

    yield make
    for store in made:
        with suppress(StoreUnusable):
            store.close()
