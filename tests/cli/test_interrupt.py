"""Ctrl-C at any moment of a command's life: no traceback of ours, and no work goes on."""

import signal
import subprocess
import sys
import time

import pytest

from tests.cli.test_main import HERE

SLOW = """
import signal, sys, threading, time
from agent.cli import main, version
print("loaded", signal.getsignal(signal.SIGINT) is signal.SIG_DFL, flush=True)
def run(args):
    print("working", signal.getsignal(signal.SIGINT) is signal.default_int_handler, flush=True)
    time.sleep(20)
version.run = run
code = main.main(["version"])
print("ended", signal.getsignal(signal.SIGINT) is signal.SIG_DFL, flush=True)
sys.exit(code)
"""


@pytest.mark.parametrize("arguments", [("status",), ("buffer", "stats"), ("config", "check"), ("version",)])
def test_at_many_moments_of_the_start(arguments: tuple[str, ...]) -> None:
    complaints = []
    for step in range(40):
        with subprocess.Popen(
            [sys.executable, "-m", "agent", *arguments, "--config", "/none.toml"],
            cwd=HERE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            time.sleep(step * 0.004)
            process.send_signal(signal.SIGINT)
            _out, complaint = process.communicate(timeout=20)
            complaints.append(complaint)
    # Python itself, before a line of ours has run, has a traceback that nobody can catch, or loses the key
    # while it looks for our first module.
    tracebacks = [text for text in complaints if "Traceback" in text]
    ours = [text for text in tracebacks if "/agent/cli/" in text or "Exception ignored" in text]
    assert [text for text in ours if "_get_module_lock" not in text] == []


def test_before_the_command_begins_it_ends_the_process_and_then_the_command() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", "import agent.__main__" + SLOW],
        cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "loaded True\n"
        assert process.stdout.readline() == "working True\n"
        process.send_signal(signal.SIGINT)
        shown, complaint = process.communicate(timeout=20)
    assert (process.returncode, shown, complaint) == (130, "ended True\n", "")


def test_a_ctrl_c_that_the_caller_ignores_stays_ignored() -> None:
    code = "import agent.__main__, signal; print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)"
    shown = subprocess.run(
        ["/bin/sh", "-c", f'trap "" INT; exec {sys.executable} -c "{code}"'],
        cwd=HERE, capture_output=True, text=True, timeout=20, check=True,
    )  # fmt: skip
    assert shown.stdout == "True\n"
