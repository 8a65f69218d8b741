"""A whole gateway for tests: simulated modem on a pty, `sinyal run` as a child process, its database."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent.contract.catalogue import catalogue

DEMO_TRANSCRIPT = Path(__file__).parents[2] / "agent" / "demo" / "modem.txt"

Row = dict[str, Any]


class Gateway:
    """A gateway in one folder; start() and kill() it as power would."""

    def __init__(
        self, folder: Path, *, modem: str, broker: str = "", publish: str = "", interval_s: float = 0.1
    ):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.database = folder / "state" / "sinyal.db"
        self.log = folder / "agent.log"
        self.environment: dict[str, str] = {}
        """Variables the agent gets beside those of the test."""
        self.command_before: list[str] = []
        """What starts the agent in its own place, such as `nsenter` or `strace -D`."""
        self._process: subprocess.Popen[bytes] | None = None
        self.config = folder / "sinyal.toml"
        self.config.write_text(
            '[gateway]\nid = "gw-test"\nlanguage = "en"\n[paths]\nstate = "state"\nruntime = "run"\n'
            f'[readings]\ninterval_s = {interval_s}\n[modem]\nport = "{modem}"\n'
            f"[broker]\n{broker}\n[publish]\ninterval_s = 0\nreconnect_max_s = 1\n"
            f"startup_delay_max_s = 0\n{publish}\n"
        )

    def start(self) -> None:
        """Start `sinyal run`."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SINYAL_")}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self.command_before, sys.executable, "-m", "agent", "run", "--config", str(self.config)],
                stderr=log,
                env={**environment, **self.environment},
            )

    def kill(self) -> None:
        """End it with SIGKILL."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def terminate(self) -> tuple[int, float]:
        """End it with SIGTERM; return its exit code and the seconds it took."""
        assert self._process is not None
        began = time.monotonic()
        self._process.terminate()
        code = self._process.wait(15)
        return code, time.monotonic() - began

    def signal(self, number: int) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def freeze(self) -> None:
        """Stop all its threads where they are (SIGSTOP), and return when they stand still."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED)

    def stop_anyhow(self) -> None:
        """Make sure that nothing is left running."""
        if self._process is not None and self._process.poll() is None:
            self.kill()

    @property
    def pid(self) -> int:
        """The number of its process."""
        assert self._process is not None
        return self._process.pid

    def is_running(self) -> bool:
        """Return whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def log_text(self) -> str:
        """Return everything it has logged."""
        return self.log.read_text() if self.log.exists() else ""

    def shown(self) -> dict[str, Any]:
        """Return the snapshot that `sinyal status` reads, {} while there is none."""
        try:
            shown: dict[str, Any] = json.loads((self.folder / "run" / "status.json").read_text())
        except (OSError, ValueError):
            return {}
        return shown

    def stored_rows(self) -> list[Row]:
        """Return what the database holds, without NULLs; only while the agent does not run."""
        connection = sqlite3.connect(self.database)
        connection.row_factory = sqlite3.Row
        try:
            names = [metric.name for metric in catalogue().reading_metrics]
            rows = connection.execute(f"SELECT {', '.join(names)} FROM readings ORDER BY seq").fetchall()
            (epoch,) = connection.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()
        finally:
            connection.close()
        return [
            {"epoch": epoch, **{name: row[name] for name in names if row[name] is not None}} for row in rows
        ]

    def unsent_seqs(self) -> set[int]:
        """Return the seqs that the database does not count as sent; only while the agent does not run."""
        connection = sqlite3.connect(self.database)
        try:
            found = connection.execute(
                "SELECT seq FROM readings WHERE NOT EXISTS"
                " (SELECT 1 FROM sent WHERE seq BETWEEN sent.first AND sent.last)"
            ).fetchall()
        finally:
            connection.close()
        return {seq for (seq,) in found}


def wait_until(what: str, condition: Callable[[], bool], timeout_s: float = 60) -> None:
    """Wait for a condition; fail naming it."""
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError(f"not within {timeout_s} s: {what}")
