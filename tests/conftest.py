"""Fixtures for every test: real brokers in the test's own folder, and real terminals."""

import signal
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.support.mosquitto import Mosquitto, mosquitto
from tests.support.programs import program
from tests.support.terminal import COLUMNS, ROWS, OpenTerminal, Terminal

# Under nohup and in some CI SIGHUP is ignored, and the programs under test would inherit that.
signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """Run a plain mosquitto that everybody may use."""
    with mosquitto(tmp_path / "broker") as running:
        yield running


@pytest.fixture
def tls_broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """Run a mosquitto that demands the certificate of the gateway "gw-test"."""
    with mosquitto(tmp_path / "broker", tls=True, gateway_id="gw-test") as running:
        yield running


@pytest.fixture
def open_terminal() -> Iterator[OpenTerminal]:
    """Open commands in terminals of 80 x 24; see tests/support/terminal.py."""
    program("tmux")
    with ExitStack() as opened:

        def open_one(
            command: Sequence[str],
            environment: Mapping[str, str] | None = None,
            columns: int = COLUMNS,
            rows: int = ROWS,
        ) -> Terminal:
            # Not the test's own folder: the path of a socket holds 107 bytes.
            folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="sinyal-")))
            terminal = Terminal(command, folder, environment or {}, columns, rows)
            opened.enter_context(closing(terminal))
            return terminal

        yield open_one
