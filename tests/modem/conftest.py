"""The tests of the modem speak English; a gateway starts in Indonesian."""

from collections.abc import Iterator

import pytest

from agent.language import use_language


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    use_language("en")
    yield
    use_language("id")
