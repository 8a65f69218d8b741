"""Screens as a person sees them: a command in a real terminal of 80 x 24 (tmux), and golden files of it.

    def test_status_in_a_terminal(open_terminal: OpenTerminal) -> None:
        shown = open_terminal(sinyal_at(NOW_TS, "status", "--lang", "id"))
        assert shown.wait_for_end() == 0
        shown.expect_no_wraps()
        shown.expect_golden("status_id")

`open_terminal` is a fixture of tests/conftest.py. Golden files are tests/golden/<name>.txt;
SINYAL_WRITE_GOLDEN=1 writes them anew (look at the difference before it is committed).
"""

import difflib
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

HERE = Path(__file__).parents[2]
GOLDEN = HERE / "tests" / "golden"

COLUMNS, ROWS = 80, 24
DEADLINE_S = 60.0

_AT = """
import sys, time
began, shown_ts = time.time(), float(sys.argv.pop(1))
real = time.time
time.time = (lambda: shown_ts + real() - began) if sys.argv.pop(1) == "goes" else (lambda: shown_ts)
import agent
agent.__version__ = "1.2.3"
from agent.__main__ import main
sys.exit(main())
"""

_CONFIG = """
set -g status off
set -g remain-on-exit on
set -g default-terminal tmux-256color
set -g history-limit 1000
"""


def sinyal_at(ts: float, *arguments: str, clock: str = "stands") -> list[str]:
    """Return the command line of `sinyal` with its clock at a UTC second and the version 1.2.3.

    clock: "stands" or "goes".
    """
    return [sys.executable, "-c", _AT, str(ts), clock, *arguments]


class Terminal:
    """A command in a tmux of its own; `folder` takes its socket and must have a short path."""

    def __init__(
        self, command: Sequence[str], folder: Path, environment: Mapping[str, str], columns: int, rows: int
    ) -> None:
        self._socket = folder / "tmux"
        self._code = folder / "exit_code"
        (folder / "tmux.conf").write_text(_CONFIG)
        clean = {
            name: value for name, value in os.environ.items() if not name.startswith(("SINYAL_", "TMUX"))
        }
        # tmux's own server takes this environment along; PYTHONPATH finds the agent from any folder.
        self._environment = {**clean, "LC_ALL": "C.UTF-8", "PYTHONPATH": str(HERE), **environment}
        # A prompt stands below what a command printed, as it would on a technician's screen.
        script = f"{shlex.join(command)}; echo $? >{self._code}.new; mv {self._code}.new {self._code}"
        script += "; printf '$ '; exec sleep 600"
        self._tmux(
            "-f", str(folder / "tmux.conf"),
            "new-session", "-d", "-x", str(columns), "-y", str(rows), f"trap : INT; {script}",
        )  # fmt: skip

    def close(self) -> None:
        """Close the terminal, as a dropped SSH line would: what runs in it gets SIGHUP."""
        self._tmux("kill-server", may_fail=True)

    def keys(self, *names: str) -> None:
        """Type keys by the names of tmux, such as "C-c", "Down" or "m"."""
        self._tmux("send-keys", *names)

    def resize(self, columns: int, rows: int) -> None:
        """Give the window another size."""
        self._tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def lines(self) -> list[str]:
        """Return what the screen shows, without blanks at the ends and empty lines below."""
        return self._captured()

    def text(self) -> str:
        """Return what the screen shows with each run of blanks and line ends as one blank."""
        return " ".join(" ".join(self.lines()).split())

    def wait_for(self, condition: str | Callable[[list[str]], bool]) -> list[str]:
        """Wait until a text stands on one line of the screen, or until its lines fulfil a condition."""
        ends_at = time.monotonic() + DEADLINE_S
        while True:
            lines = self.lines()
            if any(condition in line for line in lines) if isinstance(condition, str) else condition(lines):
                return lines
            assert time.monotonic() < ends_at, f"not on the screen: {condition}\n" + "\n".join(lines)
            time.sleep(0.05)

    def wait_for_end(self) -> int:
        """Wait until the command has ended; return its exit code."""
        ends_at = time.monotonic() + DEADLINE_S
        while not self._code.exists():
            assert time.monotonic() < ends_at, "the command goes on\n" + "\n".join(self.lines())
            time.sleep(0.02)
        self.wait_for(lambda lines: bool(lines) and lines[-1].endswith("$"))
        return int(self._code.read_text())

    def expect_no_wraps(self) -> None:
        """Fail when a line was longer than the screen is wide, or when the top has scrolled out."""
        kept = self._captured("-S", "-")
        whole = self._captured("-S", "-", "-J")
        broken = [line for line in whole if line not in kept]
        assert len(kept) == len(whole), "wrapped: " + "\n".join(broken)
        scrolled = int(self._tmux("display-message", "-p", "#{history_size}"))
        assert not scrolled, f"{scrolled} lines have left the screen at its top"

    def expect_golden(self, name: str, *, lines: list[str] | None = None) -> None:
        """Fail when the screen (or these lines of it) is not that of tests/golden/<name>.txt.

        The prompt below what the command printed is left out.
        """
        shown = self.lines() if lines is None else lines
        text = "\n".join(shown[:-1] if shown[-1:] == ["$"] else shown) + "\n"
        file = GOLDEN / f"{name}.txt"
        if os.environ.get("SINYAL_WRITE_GOLDEN"):
            GOLDEN.mkdir(exist_ok=True)
            file.write_text(text, encoding="utf-8")
        golden = file.read_text(encoding="utf-8") if file.exists() else ""
        difference = difflib.unified_diff(
            golden.splitlines(), text.splitlines(), file.name, "the screen", lineterm=""
        )
        assert golden == text, "\n".join(difference)

    def _captured(self, *more: str) -> list[str]:
        shown = self._tmux("capture-pane", "-p", *more)
        return [line.rstrip() for line in shown.rstrip().splitlines()]

    def _tmux(self, *arguments: str, may_fail: bool = False) -> str:
        done = subprocess.run(
            ["tmux", "-u", "-S", str(self._socket), *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=DEADLINE_S,
            check=False,
        )
        assert may_fail or done.returncode == 0, done.stderr
        return done.stdout


OpenTerminal = Callable[..., Terminal]
"""open_terminal(command, environment={}, columns=80, rows=24); closed at the end of the test."""
