"""How large a campaign is, what it needs, and where it says what it counted."""

import os
import shutil

import pytest

COUNTED: list[str] = []
"""What the campaigns of this run counted, printed at its end."""


def quick_and_soak(name: str, quick: int, soak: int) -> pytest.MarkDecorator:
    """Run a campaign of `quick` faults in `make test` and one of `soak` faults in `make soak`."""
    return pytest.mark.parametrize(name, [quick, pytest.param(soak, marks=pytest.mark.soak)])


def say(text: object) -> None:
    """Tell what a campaign counted; shown also when it passes."""
    COUNTED.append(str(text))


def require(*programs: str, root: bool = False) -> None:
    """Skip with the reason when this machine lacks something; in CI that is a failure."""
    search = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    missing = [program for program in programs if shutil.which(program, path=search) is None]
    if root and os.geteuid() != 0:
        give_up("needs root")
    if missing:
        give_up(f"not installed: {', '.join(missing)}")


def give_up(reason: str) -> None:
    """Skip, or fail in CI."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
