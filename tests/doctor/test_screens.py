"""The screens of doctor and identity in a terminal of 80 x 24, in both languages, kept as golden files."""

import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.modem.simulator import Behaviour, SimulatedModem
from tests.doctor.box import LINK, Box, conversation
from tests.support.terminal import OpenTerminal, sinyal_at

NOW_TS = 1_796_000_000

CHANGES = (
    (re.compile(r"/tmp/gw\w{8}"), "/tmp/gwFOLDER00"),
    (re.compile(r"/dev/pts/\d+"), "/dev/pts/1"),
    (re.compile(r"\d+ ms"), "0 ms"),
    (re.compile(r"(device-tree|mac|dmi):\S+"), "mac:00"),
)
"""What differs from machine to machine, and what stands for it."""

OF_THE_BOARD = re.compile(r"^[A-Z ]{3,11}(Listrik|Power|Jam|Clock)( |$)")
"""Layers that judge the machine on which the tests run."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short name of a known length."""
    made = Path(tempfile.mkdtemp(prefix="gw", dir="/tmp"))
    yield made
    shutil.rmtree(made)


def steady(lines: list[str]) -> list[str]:
    """Return lines without what differs from machine to machine."""
    found = []
    is_left_out = False
    for line in lines:
        is_left_out = bool(OF_THE_BOARD.match(line)) or (is_left_out and line.startswith(" "))
        if not is_left_out:
            for pattern, instead in CHANGES:
                line = pattern.sub(instead, line)
            found.append(line)
    return found


@pytest.mark.parametrize("language", ["id", "en"])
@pytest.mark.parametrize("more", ["", "-v"])
def test_golden_doctor_of_a_dead_card(
    folder: Path, open_terminal: OpenTerminal, language: str, more: str
) -> None:
    with SimulatedModem(conversation("generic/no_sim", ""), Behaviour()) as modem:
        box = Box(folder, modem=modem.path, link=LINK)
        command = ["doctor", *more.split(), "--lang", language, "--config", str(box.config)]
        shown = open_terminal(sinyal_at(NOW_TS, *command), rows=24 if not more else 60)
        assert shown.wait_for_end() == 1
    shown.expect_no_wraps()
    lines = steady(shown.lines())
    assert any(re.search(r"(GAGAL|FAIL) +(Kartu SIM|SIM card)", line) for line in lines)
    shown.expect_golden(f"doctor_dead_card{more.replace('-', '_')}_{language}", lines=lines)


def test_golden_doctor_on_a_phone(folder: Path, open_terminal: OpenTerminal) -> None:
    with SimulatedModem(conversation("generic/no_sim", ""), Behaviour()) as modem:
        box = Box(folder, modem=modem.path, link=LINK)
        shown = open_terminal(
            sinyal_at(NOW_TS, "doctor", "-v", "--config", str(box.config)), columns=40, rows=90
        )
        assert shown.wait_for_end() == 1
    shown.expect_no_wraps()
    shown.expect_golden("doctor_phone_id", lines=steady(shown.lines()))


@pytest.mark.parametrize("language", ["id", "en"])
def test_golden_identity(folder: Path, open_terminal: OpenTerminal, language: str) -> None:
    with SimulatedModem(conversation("generic/lte_home", ""), Behaviour()) as modem:
        box = Box(folder, modem=modem.path)
        shown = open_terminal(sinyal_at(NOW_TS, "identity", "--lang", language, "--config", str(box.config)))
        assert shown.wait_for_end() == 0
    shown.expect_no_wraps()
    shown.expect_golden(f"identity_{language}", lines=steady(shown.lines()))
