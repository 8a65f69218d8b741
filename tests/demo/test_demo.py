"""The demo as a visitor starts it: a child process with its own temporary folder."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.pipeline.whole_gateway import wait_until

HERE = Path(__file__).parents[2]


def start_demo(folder: Path, *options: str) -> "subprocess.Popen[str]":
    environment = {**os.environ, "TMPDIR": str(folder), "SINYAL_GATEWAY_ID": "not-for-the-demo"}
    return subprocess.Popen(
        [sys.executable, "-m", "agent", "demo", "--lang", "en", *options],
        env=environment,
        cwd=HERE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def processes_of(folder: Path) -> list[str]:
    """Return the command lines of processes that name the folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if str(folder) in command:
            found.append(command)
    return found


def test_readings_scroll_by_within_80_columns_and_nothing_is_left_behind(tmp_path: Path) -> None:
    with start_demo(tmp_path, "--for", "12") as demo:
        shown, _errors = demo.communicate(timeout=60)

    assert demo.returncode == 0, shown
    readings = re.findall(r"^\d\d:\d\d:\d\d +(\d+) +TELKOMSEL", shown, re.MULTILINE)
    assert len(readings) >= 3
    assert "Reading numbers without a gap: nothing was lost." in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert list(tmp_path.iterdir()) == []
    assert processes_of(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ctrl_c_ends_everything_in_order(number: signal.Signals, tmp_path: Path) -> None:
    with start_demo(tmp_path) as demo:
        wait_until("the agent", lambda: any(" run " in command for command in processes_of(tmp_path)))
        time.sleep(2)
        # Ctrl-C reaches the whole foreground group, the embedded broker included.
        os.killpg(demo.pid, number)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(demo.pid, number)
        shown, _errors = demo.communicate(timeout=30)

    assert demo.returncode == 0, shown
    assert "Traceback" not in shown
    assert list(tmp_path.iterdir()) == []
    assert processes_of(tmp_path) == []
