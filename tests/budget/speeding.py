"""Runs the child of a speed test as the agent does."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from agent.budget.speed_size import SpeedSize


def run_child(
    engine: str,
    url: str,
    size: SpeedSize,
    *,
    ca_file: Path | None = None,
    language: str = "en",
    **more: Any,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the result of one test and what was told on the way."""
    request = {
        "engine": engine,
        "url": url,
        "ca_file": str(ca_file) if ca_file else None,
        "down_bytes": size.down_bytes,
        "up_bytes": size.up_bytes,
        "cost_bytes": size.cost_bytes,
        "language": language,
        **more,
    }
    shown = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "agent.budget.speed_child", json.dumps(request)],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert shown.stderr == ""
    told = [json.loads(line) for line in shown.stdout.splitlines()]
    assert (shown.returncode == 0) == (told[-1]["state"] == "done")
    return told[-1], told[:-1]
