"""How large a campaign is, and where it says what it counted."""

import pytest

COUNTED: list[str] = []
"""What the campaigns of this run counted, printed at its end."""


def quick_and_soak(name: str, quick: int, soak: int) -> pytest.MarkDecorator:
    """Run a campaign of `quick` faults in `make test` and one of `soak` faults in `make soak`."""
    return pytest.mark.parametrize(name, [quick, pytest.param(soak, marks=pytest.mark.soak)])


def say(text: object) -> None:
    """Tell what a campaign counted; shown also when it passes."""
    COUNTED.append(str(text))
