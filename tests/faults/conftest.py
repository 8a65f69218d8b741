"""The campaigns tell their counts at the end of the run, passed or not."""

import pytest

from tests.faults.campaigns import COUNTED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if COUNTED:
        terminalreporter.section("fault campaigns")
        for line in COUNTED:
            terminalreporter.line(line)
