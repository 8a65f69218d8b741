"""Programs of the machine that tests work with: skipped loudly where one is missing, a failure in CI."""

import os
import shutil
from typing import NoReturn

import pytest


def program(name: str, package: str = "") -> str:
    """Return where a program is; package: Debian's, where it has another name."""
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/local/sbin")
    return found or give_up(f"{name} is not installed (apt-get install {package or name})")


def require(*programs: str, root: bool = False) -> None:
    """Skip with the reason when this machine lacks any of these programs, or root."""
    if root and os.geteuid() != 0:
        give_up("needs root")
    for name in programs:
        program(name)


def give_up(reason: str) -> NoReturn:
    """Skip a test, or fail it in CI, where nothing may be missing."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
