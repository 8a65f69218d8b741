"""What is remembered of modems and cards."""

import json
import logging
from pathlib import Path

import pytest

from agent.modem.memory import MAX_MODEMS, ModemMemory

CARD, PIN = "89621000000000000012", "1234"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "modem.json"


def test_refusals_outlive_the_process(file: Path) -> None:
    memory = ModemMemory(file)
    memory.remember_refusal("Quectel EC25 A1", "AT+C5GREG?")
    assert memory.save()
    again = ModemMemory(file)
    assert again.is_refused("Quectel EC25 A1", "AT+C5GREG?")
    assert not again.is_refused("Quectel EC25 A2", "AT+C5GREG?")


def test_nothing_new_writes_nothing(file: Path) -> None:
    memory = ModemMemory(file)
    memory.save()
    assert not file.exists()
    memory.remember_refusal("A", "AT+X")
    memory.save()
    first = file.stat().st_ino
    memory.remember_refusal("A", "AT+X")
    memory.save()
    ModemMemory(file).save()
    assert file.stat().st_ino == first
    assert list(file.parent.iterdir()) == [file]


def test_the_oldest_model_is_forgotten_first(file: Path) -> None:
    memory = ModemMemory(file)
    for number in range(MAX_MODEMS + 3):
        memory.remember_refusal(f"model {number}", "AT+X")
    memory.save()
    assert next(iter(json.loads(file.read_text())["refused"])) == "model 3"


def test_a_pin_is_noted_before_it_is_tried_and_hidden(file: Path) -> None:
    memory = ModemMemory(file)
    assert memory.may_try_pin(CARD, PIN)
    assert memory.remember_pin(CARD, PIN)
    assert not ModemMemory(file).may_try_pin(CARD, PIN)
    assert ModemMemory(file).may_try_pin(CARD, "4321")
    assert ModemMemory(file).may_try_pin("89621000000000000099", PIN)
    assert PIN not in file.read_text() and CARD not in file.read_text()
    memory.forget_pin(CARD, PIN)
    assert ModemMemory(file).may_try_pin(CARD, PIN)


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"refused": {}}',
        b'{"refused": [], "tried_pins": []}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
def test_a_damaged_file_starts_anew_but_no_pin_is_tried(
    damage: bytes, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file.write_bytes(damage)
    memory = ModemMemory(file)
    assert not memory.may_try_pin(CARD, PIN)
    assert "damaged" in caplog.text or "rusak" in caplog.text
    memory.remember_refusal("A", "AT+X")
    assert memory.save()
    assert ModemMemory(file).is_refused("A", "AT+X")


def test_what_cannot_be_written_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    memory = ModemMemory(tmp_path / "no folder" / "modem.json")
    for number in range(3):
        memory.remember_refusal("A", f"AT+X{number}")
        assert not memory.save()
    assert not memory.remember_pin(CARD, PIN)
    assert len(caplog.records) == 1


def test_without_a_file_nothing_is_kept_and_no_pin_tried() -> None:
    memory = ModemMemory(None)
    memory.remember_refusal("A", "AT+X")
    assert memory.save()
    assert memory.is_refused("A", "AT+X")
    assert not memory.may_try_pin(CARD, PIN)
