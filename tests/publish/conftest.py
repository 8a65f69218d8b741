"""Every test of the forwarder reads its words in English and does not wait long between connections."""

from collections.abc import Iterator

import pytest

from agent import language
from agent.publish import forwarder
from agent.publish.backoff import Backoff


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    before = language.current_language()
    language.use_language("en")
    yield
    language.use_language(before)


@pytest.fixture(autouse=True)
def _quick_reconnects(monkeypatch: pytest.MonkeyPatch) -> None:
    # Configuration does not allow less than a second.
    monkeypatch.setattr(forwarder, "Backoff", lambda _longest_s: Backoff(0.1))
