"""The environment of an installed package: its bytecode exists, whatever this shell says."""

import os
from pathlib import Path


def with_bytecode(folder: Path) -> dict[str, str]:
    """Return this environment with bytecode kept under `folder`; the first run of a program fills it."""
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(folder / "bytecode")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return environment
