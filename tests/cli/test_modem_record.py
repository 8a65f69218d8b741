"""`sinyal modem record`: what is recorded is read alike, and names nobody."""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from agent.cli import modem_record
from agent.cli.configuration import Configuration
from agent.errors import ModemUnavailable, NoPermission, SinyalError, UsageMistake
from agent.language import use_language
from agent.modem.masking import MIN_FRAGMENT_DIGITS, CellMask, IdentifierMask, without_private_notices
from agent.modem.poll import ModemPoller
from agent.modem.port import PortBusy, SerialPort
from agent.modem.recording import record, record_modem
from agent.modem.simulator import Behaviour, SimulatedModem
from agent.modem.transcript import Transcript, parse_transcript, read_transcript
from agent.pipeline.snapshot import DaemonLock
from tests.pipeline.whole_gateway import Gateway, wait_until

FOLDER = Path(__file__).parents[1] / "transcripts"
SITUATIONS = sorted(str(file.parent.relative_to(FOLDER)) for file in FOLDER.glob("*/*/conversation.txt"))
ONE = "quectel_ec2x/weak_cell"

IMEI, IMSI, ICCID = "356938035643809", "510109876543219", "89621098765432101234"
CANARIES = {rb"\b35\d{13}\b": IMEI, rb"\b510\d{12}\b": IMSI, rb"\b8962\d{16}\b": ICCID}


@pytest.fixture(autouse=True)
def english() -> None:
    use_language("en")


def with_canaries(transcript: Transcript) -> Transcript:
    """Put real-looking numbers where the transcripts have made-up ones."""

    def real(piece: bytes) -> bytes:
        for pattern, canary in CANARIES.items():
            piece = re.sub(pattern, canary.encode(), piece)
        return piece

    answers = {
        command: tuple(replace(turn, pieces=tuple(map(real, turn.pieces))) for turn in turns)
        for command, turns in transcript.answers.items()
    }
    return replace(transcript, answers=answers)


def record_situation(situation: str, *, hide_cells: bool = False) -> str:
    transcript = with_canaries(read_transcript(FOLDER / situation / "conversation.txt"))
    with SimulatedModem(transcript) as modem:
        return record_modem(str(modem.path), hide_cells=hide_cells).text


def read_fields(text: str) -> dict[str, Any]:
    with SimulatedModem(parse_transcript(text)) as modem:
        poller = ModemPoller(str(modem.path), sim_pin="", memory_file=None)
        fields = dict(poller.collect())
        poller.close()
    return fields


@cache
def recorded() -> Mapping[str, tuple[str, str, dict[str, Any], dict[str, Any]]]:
    """Record and replay all modems side by side, as they are and with hidden cells: they mostly wait."""

    def one(situation: str) -> tuple[str, str, dict[str, Any], dict[str, Any]]:
        plain, hidden = record_situation(situation), record_situation(situation, hide_cells=True)
        return plain, hidden, read_fields(plain), read_fields(hidden)

    # Not all at the same moment: a modem kept waiting by the others would seem slow.
    with ThreadPoolExecutor(24) as pool:
        return dict(zip(SITUATIONS, pool.map(one, SITUATIONS), strict=True))


def expected_fields(situation: str) -> dict[str, Any]:
    wanted: dict[str, Any] = json.loads((FOLDER / situation / "expected.json").read_text(encoding="utf-8"))
    fields: dict[str, Any] = wanted["fields"]
    return fields


def fragments(number: str) -> Iterator[str]:
    swapped = "".join(number[place : place + 2][::-1] for place in range(0, len(number), 2))
    for digits in (number, swapped):
        for start in range(len(digits) - MIN_FRAGMENT_DIGITS + 1):
            yield digits[start : start + MIN_FRAGMENT_DIGITS]


@pytest.mark.parametrize("situation", SITUATIONS)
def test_no_identifier_survives(situation: str) -> None:
    plain, hidden, *_fields = recorded()[situation]
    for text in (plain, hidden):
        digits = re.sub(r"[ .\-]", "", text)
        for canary in (IMEI, IMSI, ICCID):
            survivors = [one for one in fragments(canary) if one in text or one in digits]
            assert survivors == []


@pytest.mark.parametrize("situation", SITUATIONS)
def test_a_recording_is_read_like_the_modem(situation: str) -> None:
    assert recorded()[situation][2] == expected_fields(situation)


@pytest.mark.parametrize("situation", SITUATIONS)
def test_hidden_cells_change_nothing_but_where_it_is(situation: str) -> None:
    _plain, hidden, _fields, fields = recorded()[situation]
    wanted = expected_fields(situation)
    places = {"cell_id", "tac", "lac"}
    assert fields.keys() == wanted.keys()
    assert {name: fields[name] for name in fields.keys() - places} == {
        name: wanted[name] for name in wanted.keys() - places
    }
    for name in places & wanted.keys():
        number = wanted[name]
        if number <= 0xFF:
            continue  # as likely a level or a band
        assert fields[name] != number
        token = rf"(?<![0-9A-Za-z.-])0*(?:{number:X}|{number:d})(?![0-9A-Za-z.])"
        assert not re.search(token, hidden, re.IGNORECASE)


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("356938035643809", "000000000000000"),
        ("IMEI: 35-693803-564380-9", "IMEI: 00-000000-000000-0"),
        ("+CCID: 98260189674523101243", "+CCID: 98000000000000000000"),
        ('^ICCID: "8962109876543210123F"', '^ICCID: "89000000000000000000"'),
        ("IMEISV: 3569380356438001", "IMEISV: 0000000000000000"),
        ("SV 35693803564380", "SV 00000000000000"),
        ("#RFSTS: 510109876543219,1", "#RFSTS: 000000000000000,1"),
        ("MSIN 09876543219", "MSIN 00000000000"),
        ("003300350036003900330038003000330035", "003000300030003000300030003000300030"),
        ("+628123456789", "+000000000000"),
        ("08123456789", "00000000000"),
        ("telp +62(813)9998877", "telp +00(000)0000000"),
        ("0813.9998.877", "0000.0000.000"),
        ("0813-9998-877 / (0813) 999 8877", "0000-0000-000 / (0000) 000 0000"),
        ("-97 -10 12 081", "-97 -10 12 081"),
        ('+CEREG: 2,1,"1A2B","01A2B3C4",7', '+CEREG: 2,1,"1A2B","01A2B3C4",7'),
        ("^HCSQ: 68719476735", "^HCSQ: 68719476735"),
    ],
)
def test_identifiers_are_masked_in_every_form(line: str, wanted: str) -> None:
    mask = IdentifierMask([IMEI, IMSI, ICCID], ["35-693803-564380-9"])
    assert mask.line(line) == wanted


def test_an_answer_to_an_identity_question_keeps_nothing_long() -> None:
    assert IdentifierMask((), ()).identity_line("+CGSN: 80A1B2C3") == "+CGSN: 00000000"


def test_callers_and_messages_are_left_out() -> None:
    heard = ['+CLIP: "+628123456789",145', "+CMT: ,24", "07912658", "+CSQ: 9,99", "OK"]
    assert without_private_notices(heard, "AT+CSQ") == ["+CLIP:", "+CMT:", "+CSQ: 9,99", "OK"]


@pytest.mark.parametrize(
    ("command", "heard", "kept"),
    [
        (
            "AT+CGMI",
            ['+CMT: "+62812",,"x"', "rahasia satu", "rahasia dua", "OK", "Quectel", "OK"],
            ["+CMT:", "OK", "OK"],
        ),
        (
            "AT+CSQ",
            ['+CUSD: 0,"satu', "dua 5000", '",15', "+CSQ: 9,99", "OK"],
            ["+CUSD:", "+CSQ: 9,99", "OK"],
        ),
        ("AT+CSQ", ['+CUSD: 0,"satu",15', "^RSSI: 9", "OK"], ["+CUSD:", "^RSSI: 9", "OK"]),
        ("AT+CSQ", ['x+CNAP: "BUDI",0', '+CPBR: 1,"0812",129,"BUDI"', "OK"], ["+CNAP:", "+CPBR:", "OK"]),
        ("AT+CSQ", ['+CMGL: 1,"REC READ","0812"', "rahasia", "lagi", "OK"], ["+CMGL:", "OK"]),
    ],
)
def test_no_line_of_a_text_is_kept(command: str, heard: list[str], kept: list[str]) -> None:
    assert without_private_notices(heard, command) == kept


def test_messages_that_come_during_a_recording_are_not_in_it(tmp_path: Path) -> None:
    notices = (
        '\\r\\n+CMT: "+6281234567890",,"x"\\r\\nrahasia satu\\r\\nrahasia dua\\r\\n',
        '\\r\\n+CUSD: 0,"rahasia\\r\\nrahasia 5000\\r\\n",15\\r\\n',
    )
    behaviour = Behaviour(notices=notices, notice_chance=0.15, seed=3)
    with SimulatedModem(read_transcript(FOLDER / ONE / "conversation.txt"), behaviour) as modem:
        text = record_modem(str(modem.path), hide_cells=False).text
    assert "+CMT:" in text and "+CUSD:" in text and "EC25" in text
    assert "rahasia" not in text and "5000" not in text and "6281" not in text


def test_a_hidden_cell_has_the_same_number_everywhere() -> None:
    mask = CellMask(cells=[0x01A2B3C4], areas=[0x1A2B])
    assert mask.line('"1A2B","01A2B3C4",27440068,6699') == '"0001","000002C4",00000708,0001'
    assert mask.line("1A2B") == "0001"


def options(
    file: str, port: Path | str | None, config: Path | None = None, **more: bool
) -> argparse.Namespace:
    values: dict[str, Any] = {"hide_cells": False, "yes": False, **more}
    configuration = Configuration(str(config) if config else None)
    return argparse.Namespace(file=file, port=port and str(port), configuration=configuration, **values)


@pytest.fixture
def modem() -> Iterator[SimulatedModem]:
    with SimulatedModem(read_transcript(FOLDER / ONE / "conversation.txt")) as modem:
        yield modem


def test_the_file_is_written_and_the_way_on_is_told(
    modem: SimulatedModem, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.txt"
    assert modem_record.run(options(str(file), modem.path)) == 0
    assert file.read_text(encoding="utf-8").startswith("# modem: Quectel EC25")
    assert f"sinyal modem simulate {file}" in capsys.readouterr().out
    assert [one.name for one in tmp_path.iterdir()] == ["mine.txt"]


def test_a_dash_is_stdout_and_nothing_else_goes_there(
    modem: SimulatedModem, capsys: pytest.CaptureFixture[str]
) -> None:
    assert modem_record.run(options("-", modem.path)) == 0
    assert "AT+QENG" in " ".join(parse_transcript(capsys.readouterr().out).answers)


def test_nothing_is_written_over_without_yes(modem: SimulatedModem, tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    file.write_text("old")
    with pytest.raises(UsageMistake, match="exists already"):
        modem_record.run(options(str(file), modem.path))
    assert list(modem.heard) == []
    assert modem_record.run(options(str(file), modem.path, yes=True)) == 0
    assert file.read_text(encoding="utf-8") != "old"


@pytest.mark.parametrize("name", ["/dev/null", "/dev", ""])
def test_devices_and_folders_are_never_replaced(modem: SimulatedModem, name: str) -> None:
    with pytest.raises(UsageMistake, match="no file"):
        modem_record.run(options(name, modem.path, yes=True))


def test_a_folder_that_is_not_there_is_told_before_the_modem_is_asked(
    modem: SimulatedModem, tmp_path: Path
) -> None:
    with pytest.raises(UsageMistake, match="cannot be written"):
        modem_record.run(options(str(tmp_path / "no" / "mine.txt"), modem.path))
    assert list(modem.heard) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_of_others_is_a_matter_of_permission(modem: SimulatedModem, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(NoPermission):
        modem_record.run(options(str(tmp_path / "mine.txt"), modem.path))


def test_a_port_in_use_leaves_no_file(modem: SimulatedModem, tmp_path: Path) -> None:
    other = SerialPort(str(modem.path))
    try:
        with pytest.raises(PortBusy) as busy:
            modem_record.run(options(str(tmp_path / "mine.txt"), modem.path))
    finally:
        other.close()
    assert busy.value.exit_code == 4
    assert not list(tmp_path.iterdir())


def test_the_running_agent_records_its_modem(modem: SimulatedModem, tmp_path: Path) -> None:
    running = Gateway(tmp_path / "gw", modem=str(modem.path), interval_s=1)
    running.start()
    try:
        wait_until("read", lambda: "modem answers" in running.log_text())
        for port in (None, modem.path):
            file = tmp_path / f"{port is None}.txt"
            assert modem_record.run(options(str(file), port, running.config)) == 0
            assert "AT+CESQ" in read_transcript(file).answers
        assert running.terminate()[0] == 0
    finally:
        running.stop_anyhow()
    assert "WARNING" not in running.log_text()


def test_an_agent_that_does_not_answer_is_told(tmp_path: Path) -> None:
    config = tmp_path / "sinyal.toml"
    config.write_text(f'[paths]\nruntime = "{tmp_path}"\nstate = "{tmp_path}"\n')
    lock = DaemonLock(tmp_path)
    lock.take()
    try:
        with pytest.raises(SinyalError) as silent:
            modem_record.run(options("-", None, config))
    finally:
        lock.release()
    assert silent.value.exit_code == 4


def test_a_silent_modem_leaves_no_file(tmp_path: Path) -> None:
    transcript = read_transcript(FOLDER / ONE / "conversation.txt")
    with (
        SimulatedModem(transcript, Behaviour(hang_after=0)) as modem,
        pytest.raises(SinyalError) as silent,
    ):
        modem_record.run(options(str(tmp_path / "mine.txt"), modem.path))
    assert silent.value.exit_code == 4
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("end", [Behaviour(hang_after=9), Behaviour(unplug_after=9)])
def test_what_was_recorded_until_the_modem_failed_is_kept(end: Behaviour, tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    with (
        SimulatedModem(read_transcript(FOLDER / ONE / "conversation.txt"), end) as modem,
        pytest.raises(ModemUnavailable, match="kept") as early,
    ):
        modem_record.run(options(str(file), modem.path))
    assert early.value.exit_code == 4 and str(modem.path) in early.value.what
    assert "AT+CGMM" in read_transcript(file).answers


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGHUP])
def test_a_recording_that_is_ended_leaves_nothing_behind(end: signal.Signals, tmp_path: Path) -> None:
    with SimulatedModem(
        read_transcript(FOLDER / ONE / "conversation.txt"), Behaviour(line_delay_s=0.3)
    ) as modem:
        command = ["modem", "record", str(tmp_path / "mine.txt"), "--port", str(modem.path)]
        with subprocess.Popen([sys.executable, "-m", "agent", *command], stderr=subprocess.PIPE) as process:
            wait_until("asked", lambda: len(modem.heard) > 1)
            process.send_signal(end)
            process.wait(10)
    assert not list(tmp_path.iterdir())


def test_a_closed_output_is_told_before_the_modem_is_asked(
    modem: SimulatedModem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(UsageMistake, match="closed"):
        modem_record.run(options("-", modem.path))
    assert not modem.heard


def test_everything_the_dialect_asks_is_in_the_recording() -> None:
    asked = parse_transcript(recorded()[ONE][0]).answers
    for command in (
        'AT+QENG="SERVINGCELL"',
        "AT+CESQ",
        "AT+CSQ",
        "AT+COPS?",
        "AT+CREG?",
        "AT+CIMI",
        "AT+CGSN",
    ):
        assert command in asked


def test_a_modem_that_dies_of_one_question_is_recorded_up_to_there(tmp_path: Path) -> None:
    transcript = read_transcript(FOLDER / ONE / "conversation.txt")
    with SimulatedModem(transcript) as modem:
        whole = len(parse_transcript(record_modem(str(modem.path), hide_cells=False).text).answers)
        asked = len([command for command in modem.heard if command != "AT"])
    with SimulatedModem(transcript, Behaviour(hang_after=asked - 1)) as modem:
        port = SerialPort(str(modem.path))
        recording = record(port, hide_cells=False)
        port.close()
    assert recording.left_out < whole
    assert parse_transcript(recording.text)
