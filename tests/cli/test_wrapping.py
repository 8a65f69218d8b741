"""Screens on a phone: 40 columns, no word broken by the terminal, nothing cut."""

from pathlib import Path

import pytest

from agent.cli.wrapping import beside, wrapped
from tests.doctor.box import Box
from tests.support.terminal import OpenTerminal, sinyal_at

NOW_TS = 1_796_000_000


@pytest.mark.parametrize("command", ["identity", "budget", "buffer stats", "availability", "outages"])
def test_a_screen_fits_a_phone(tmp_path: Path, open_terminal: OpenTerminal, command: str) -> None:
    box = Box(tmp_path / "box", modem="/dev/no-modem")
    box.store_readings()
    typed = sinyal_at(NOW_TS, *command.split(), "--lang", "id", "--config", str(box.config))
    shown = open_terminal(typed, columns=40, rows=60)
    assert shown.wait_for_end() == 0
    shown.expect_no_wraps()
    assert "…" not in shown.text()


def test_a_command_is_never_broken_at_its_hyphens() -> None:
    assert wrapped("set it: date -s 'YYYY-MM-DD'", 20) == ["set it: date -s", "'YYYY-MM-DD'"]


def test_a_long_text_goes_on_below_its_beginning() -> None:
    assert beside("Site", 6, "Renah Kemumu", 13) == ["Site  Renah", "      Kemumu"]
    assert beside("Site", 6, "", 13) == ["Site"]


def test_questions_before_a_wipe_fit_a_phone(tmp_path: Path, open_terminal: OpenTerminal) -> None:
    box = Box(tmp_path / "box", modem="/dev/no-modem")
    box.store_readings()
    typed = sinyal_at(NOW_TS, "wipe", "--lang", "id", "--config", str(box.config))
    shown = open_terminal(typed, columns=40, rows=60)
    shown.wait_for("[y/T]")
    lines = shown.text().split("\n")
    assert "dulu: sinyal buffer export" in shown.text(), lines
    shown.keys("n", "Enter")
    assert shown.wait_for_end() == 1
