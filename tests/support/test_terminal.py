import time
from pathlib import Path

import pytest

from tests.support.terminal import COLUMNS, ROWS, OpenTerminal


def test_a_screen_of_whole_lines_is_taken_as_it_is(open_terminal: OpenTerminal) -> None:
    shown = open_terminal(["printf", "%s\\n", "x" * COLUMNS, "─ à", "last"])

    assert shown.wait_for_end() == 0
    shown.expect_no_wraps()
    assert shown.lines() == ["x" * COLUMNS, "─ à", "last", "$"]


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        (["printf", "%s\\n", "x" * (COLUMNS + 1)], "wrapped"),
        (["seq", str(ROWS)], "left the screen"),
    ],
)
def test_what_does_not_fit_is_seen(command: list[str], complaint: str, open_terminal: OpenTerminal) -> None:
    shown = open_terminal(command)
    shown.wait_for_end()

    with pytest.raises(AssertionError, match=complaint):
        shown.expect_no_wraps()


def test_keys_reach_the_command_and_its_exit_code_comes_back(open_terminal: OpenTerminal) -> None:
    shown = open_terminal(["sh", "-c", "echo ready; read word; echo got $word; exit 3"])
    shown.wait_for("ready")

    shown.keys("abc", "Enter")

    assert shown.wait_for_end() == 3
    assert "got abc" in shown.lines()


def test_ctrl_c_ends_the_command_alone(open_terminal: OpenTerminal) -> None:
    shown = open_terminal(["sh", "-c", "echo ready; sleep 600"])
    shown.wait_for("ready")

    shown.keys("C-c")

    assert shown.wait_for_end() == 130


def test_a_closed_terminal_hangs_up(open_terminal: OpenTerminal) -> None:
    shown = open_terminal(["sh", "-c", "echo pid $$ ready; exec sleep 600"])
    pid = shown.wait_for("ready")[0].split()[1]

    shown.close()

    ends_at = time.monotonic() + 60
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < ends_at
        time.sleep(0.05)
