"""The collector as a whole: states, restarts, refusals, PIN, politeness, time limits."""

import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from agent.contract.catalogue import catalogue
from agent.errors import ModemUnavailable, UsageMistake
from agent.language import use_language
from agent.modem import poll as poll_module
from agent.modem import session as session_module
from agent.modem.poll import ModemPoller
from agent.modem.simulator import Behaviour, SimulatedModem
from agent.modem.transcript import Transcript, parse_transcript, read_transcript

FOLDER = Path(__file__).parents[1] / "transcripts"
DEMO = Path(__file__).parents[2] / "agent" / "demo" / "modem.txt"

HEALTHY_POLL_S = 5.0
SICK_POLL_S = 20.0


@pytest.fixture(autouse=True)
def english() -> None:
    use_language("en")


def transcript(situation: str) -> Transcript:
    return read_transcript(FOLDER / situation / "conversation.txt")


EC25 = "quectel_ec2x/weak_cell"


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    return tmp_path / "modem.json"


@pytest.fixture
def poll(memory: Path) -> Iterator[Callable[..., ModemPoller]]:
    made: list[ModemPoller] = []

    def make(port: Path | str, sim_pin: str = "", memory_file: Path | None = memory) -> ModemPoller:
        made.append(ModemPoller(str(port), sim_pin=sim_pin, memory_file=memory_file))
        return made[-1]

    yield make
    for poller in made:
        poller.close()


Poll = Callable[..., ModemPoller]


def test_a_healthy_poll_is_quick_and_holds_only_fields_of_a_reading(poll: Poll) -> None:
    with SimulatedModem(transcript(EC25)) as modem:
        poller = poll(modem.path)
        began = time.monotonic()
        values = poller.collect()
        assert time.monotonic() - began < HEALTHY_POLL_S
    assert all(catalogue()[name].kept == "reading" for name in values)
    assert {catalogue()[name].kept for name in poller.inventory()} == {"inventory", "local"}


@pytest.mark.parametrize(
    "situation", ["generic/lte_home", EC25, "quectel_rm5xx/nsa", "generic/no_sim", "huawei/lte_home"]
)
def test_nothing_but_questions_and_the_two_settings_are_sent(situation: str, poll: Poll) -> None:
    settings = {"AT+CMEE=1", "AT+CREG=2", "AT+CGREG=2", "AT+CEREG=2", "AT+C5GREG=2"}
    with SimulatedModem(transcript(situation)) as modem:
        poller = poll(modem.path)
        for _ in range(3):
            poller.collect()
    sent = set(modem.heard) - settings - {'AT+QENG="servingcell"'}
    assert not any("=" in command for command in sent), sent
    assert not any("CFUN" in command or "CSCS" in command for command in sent)


def test_identity_is_asked_once_and_known_answers_are_not_asked_again(poll: Poll) -> None:
    with SimulatedModem(transcript(EC25)) as modem:
        poller = poll(modem.path)
        for _ in range(4):
            poller.collect()
        for command in ("AT+CGMI", "AT+CGMM", "AT+CGMR", "AT+CGSN", "AT+CIMI", "AT+CMEE=1", "AT+C5GREG?"):
            assert modem.heard.count(command) == 1, command
        assert modem.heard.count('AT+QENG="servingcell"') == 4
        assert "AT+CSQ" not in modem.heard and "AT+QCSQ" not in modem.heard


def test_refusals_are_remembered_over_a_restart_of_the_agent_and_written_once(
    poll: Poll, memory: Path
) -> None:
    with SimulatedModem(transcript(EC25)) as modem:
        poll(modem.path).collect()
    written = memory.stat()
    assert "AT+C5GREG?" in json.loads(memory.read_text())["refused"]["Quectel EC25 EC25EFAR06A03M4G"]
    assert written.st_mode & 0o777 == 0o600
    with SimulatedModem(transcript(EC25)) as modem:
        poller = poll(modem.path)
        poller.collect()
        poller.collect()
        assert not {"AT+C5GREG?", "AT+C5GREG=2", "AT+CCID"} & set(modem.heard)
    assert memory.stat().st_ino == written.st_ino
    other_firmware = (
        (FOLDER / EC25 / "conversation.txt").read_text().replace("EC25EFAR06A03M4G", "EC25EFAR99")
    )
    with SimulatedModem(parse_transcript(other_firmware)) as modem:
        poll(modem.path).collect()
        assert "AT+C5GREG?" in modem.heard


@pytest.mark.parametrize("situation", ["generic/no_sim", "generic/searching", "generic/sim_pin"])
def test_what_a_modem_without_service_refuses_is_asked_again_later(
    situation: str, poll: Poll, memory: Path
) -> None:
    with SimulatedModem(transcript(situation)) as modem:
        poller = poll(modem.path)
        poller.collect()
        poller.collect()
        assert modem.heard.count("AT+C5GREG?") == 2
    assert not memory.exists()


def test_a_restart_is_reported_once_and_everything_is_set_up_again(poll: Poll) -> None:
    with SimulatedModem(transcript(EC25)) as modem:
        poller = poll(modem.path)
        assert poller.collect()["modem_state"] == "ok"
        modem.notify("RDY")
        modem.notify("+CPIN: READY")
        restarted = poller.collect()
        assert (restarted["modem_state"], restarted["rsrp_dbm"]) == ("restarted", -113)
        modem.notify("SMS DONE")
        assert poller.collect()["modem_state"] == "ok"
        for command in ("AT+CMEE=1", "AT+CEREG=2", "AT+CGMM", "AT+CIMI"):
            assert modem.heard.count(command) == 2, command


def test_a_restart_in_the_middle_of_a_poll_makes_it_ask_anew(poll: Poll) -> None:
    text = (FOLDER / EC25 / "conversation.txt").read_text()
    cops = '> AT+COPS?\n< +COPS: 0,0,"TELKOMSEL",7\n< OK\n'
    assert cops in text
    booting = text.replace(cops, "> AT+COPS?\n< ^BOOT:22179532,0,0,0,75\n< ERROR\n" + cops)
    with SimulatedModem(parse_transcript(booting)) as modem:
        values = poll(modem.path).collect()
        assert (values["modem_state"], values["operator_name"]) == ("restarted", "TELKOMSEL")
        assert modem.heard.count("AT+CMEE=1") == 2


def test_start_notices_before_the_first_answer_are_no_restart(poll: Poll) -> None:
    with SimulatedModem(
        transcript(EC25), Behaviour(garbage_at_open=b"\xff\x00RDY\r\n\r\nSMS DONE\r\n")
    ) as modem:
        assert poll(modem.path).collect()["modem_state"] == "ok"


def test_garbage_at_open_does_not_cost_the_reading(poll: Poll) -> None:
    behaviour = Behaviour(garbage_at_open=bytes(range(256)) * 8 + b"+CSQ: 1,2\r\nERROR\r\nOK\r\n")
    with SimulatedModem(transcript(EC25), behaviour) as modem:
        values = poll(modem.path).collect()
        assert (values["modem_state"], values["rsrp_dbm"]) == ("ok", -113)


SICK = {
    "silent": (Behaviour(hang_after=0), "hung"),
    "hangs at the SIM card": (Behaviour(hang_after=6), "hung"),
    "hangs in the middle": (Behaviour(hang_after=9), "hung"),
    "babbles": (Behaviour(flood_after=0), "hung"),
    "babbles in the middle": (Behaviour(flood_after=9), "hung"),
    "drips": (Behaviour(bytewise=True, byte_delay_s=1.0), "hung"),
    "vanishes": (Behaviour(unplug_after=9), "missing"),
}


def test_a_sick_modem_gives_its_state_within_twenty_seconds() -> None:
    def run(case: tuple[Behaviour, str]) -> tuple[dict[str, Any], float]:
        with SimulatedModem(transcript(EC25), case[0]) as modem:
            poller = ModemPoller(str(modem.path), sim_pin="", memory_file=None)
            began = time.monotonic()
            values = dict(poller.collect())
            took_s = time.monotonic() - began
            poller.close()
        return values, took_s

    with ThreadPoolExecutor(len(SICK)) as pool:
        results = dict(zip(SICK, pool.map(run, SICK.values()), strict=True))
    assert {name: values for name, (values, _) in results.items()} == {
        name: {"modem_state": state} for name, (_, state) in SICK.items()
    }
    assert max(took_s for _, took_s in results.values()) < SICK_POLL_S


def test_a_modem_that_answers_nothing_but_at_is_hung(poll: Poll, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "SOFT_LIMIT_S", 1.0)
    monkeypatch.setattr(session_module, "SIM_DEADLINE_S", 1.0)
    commands = ("AT+CGMI", "AT+CGMM", "AT+CPIN?")
    with SimulatedModem(parse_transcript("".join(f"> {command}\n" for command in commands))) as modem:
        assert poll(modem.path).collect() == {"modem_state": "hung"}


def test_a_modem_that_refuses_everything_is_not_hung_and_the_log_says_so_once(
    poll: Poll, caplog: pytest.LogCaptureFixture
) -> None:
    with SimulatedModem(parse_transcript("> AT\n< ERROR\n")) as modem:
        poller = poll(modem.path)
        with caplog.at_level("INFO"):
            for _ in range(3):
                assert poller.collect() == {"modem_state": "ok"}
    assert [record.getMessage() for record in caplog.records] == [
        f"modem at {modem.path} answers, but tells nothing. Next step: sinyal modem read"
    ]
    assert poller.look().gap is None  # gone with the port


def test_a_slow_modem_that_was_long_waited_for_is_read_in_part_and_not_called_hung(
    poll: Poll, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poll_module, "POLL_LIMIT_S", 0.0)
    with SimulatedModem(transcript(EC25), Behaviour(line_delay_s=0.4)) as modem:
        look = poll(modem.path).look()
    assert (look.fields["modem_state"], look.gap, look.fault) == ("ok", "slow", None)


def test_a_hung_modem_that_comes_back_is_read_again(poll: Poll, tmp_path: Path) -> None:
    link = tmp_path / "modem"
    with SimulatedModem(transcript(EC25), Behaviour(hang_after=0), link):
        poller = poll(link)
        assert poller.collect() == {"modem_state": "hung"}
    with SimulatedModem(transcript(EC25), Behaviour(), link):
        assert poller.collect()["rsrp_dbm"] == -113


def test_a_missing_port_is_waited_for_and_said_once(
    poll: Poll, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "sinyal.modem")
    link = tmp_path / "modem"
    poller = poll(link)
    for _ in range(3):
        assert poller.collect() == {"modem_state": "missing"}
    modem = SimulatedModem(transcript(EC25))
    modem.plug_in(link)
    assert poller.collect()["modem_state"] == "ok"
    assert poller.collect()["modem_state"] == "ok"
    modem.unplug()
    assert poller.collect() == {"modem_state": "missing"}
    assert poller.sources() == {}
    assert poller.inventory()["model"] == "EC25"
    modem.plug_in(link)
    assert poller.collect()["modem_state"] == "ok"
    modem.unplug()
    levels = [record.levelname for record in caplog.records]
    assert levels == ["WARNING", "INFO", "WARNING", "INFO"], caplog.text
    assert str(link) in caplog.records[0].message


def test_a_modem_that_was_away_between_two_polls_has_restarted(poll: Poll, tmp_path: Path) -> None:
    link = tmp_path / "modem"
    modem = SimulatedModem(transcript(EC25))
    modem.plug_in(link)
    poller = poll(link)
    assert poller.collect()["modem_state"] == "ok"
    modem.unplug()
    modem.plug_in(link)
    values = poller.collect()
    assert (values["modem_state"], values["rsrp_dbm"]) == ("restarted", -113)
    assert poller.collect()["modem_state"] == "ok"
    modem.unplug()


THIEF = """
import os, select, sys
fd = os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY)
print("ready", flush=True)
while True:
    select.select([fd], [], [])
    os.read(fd, 4096)
"""


def test_when_another_program_reads_the_port_too_it_is_busy_and_the_log_names_it(
    poll: Poll, caplog: pytest.LogCaptureFixture
) -> None:
    with SimulatedModem(transcript(EC25), Behaviour()) as modem:
        poller = poll(modem.path)
        assert poller.collect()["modem_state"] == "ok"
        thief = subprocess.Popen(
            [sys.executable, "-c", THIEF, str(modem.path)], stdout=subprocess.PIPE, text=True
        )
        assert thief.stdout is not None and thief.stdout.readline() == "ready\n"
        # Who gets a byte is chance; that all answers go to the other one is made sure here.
        modem._behaviour = Behaviour(hang_after=0)
        try:
            assert poller.collect() == {"modem_state": "busy"}
            assert poller.collect() == {"modem_state": "busy"}
        finally:
            thief.kill()
            thief.communicate()
        assert caplog.text.count(f"process {thief.pid}") == 1
        modem._behaviour = Behaviour()
        assert poller.collect()["modem_state"] == "ok"


HUNGRY_THIEF = THIEF.replace("select.select([fd], [], [])\n", "pass\n")


def test_a_thief_is_named_at_the_first_answer_that_is_missing(poll: Poll) -> None:
    with SimulatedModem(transcript(EC25), Behaviour(line_delay_s=0.05)) as modem:
        poller = poll(modem.path)
        assert poller.look().fields["modem_state"] == "ok"
        thief = subprocess.Popen(
            [sys.executable, "-c", HUNGRY_THIEF, str(modem.path)], stdout=subprocess.PIPE, text=True
        )
        assert thief.stdout is not None and thief.stdout.readline() == "ready\n"
        try:
            looks = [poller.look() for _ in range(2)]
        finally:
            thief.kill()
            thief.communicate()
    for look in looks:
        assert look.fields == {"modem_state": "busy"} and look.gap is None
        assert look.fault is not None and f"process {thief.pid}" in look.fault.what


def test_a_modem_that_falls_silent_in_the_middle_gives_what_it_told(poll: Poll) -> None:
    with SimulatedModem(transcript(EC25), Behaviour(hang_after=14)) as modem:
        poller = poll(modem.path)
        look = poller.look()
        assert (look.fields["modem_state"], look.fields["sim_state"], look.gap) == (
            "ok", "ready", "unanswered",
        )  # fmt: skip
        assert look.fault is None
        assert poller.collect() == {"modem_state": "hung"}


@pytest.mark.parametrize("delay_s", [0.8, 1.4])
def test_a_slow_modem_tells_its_signal_before_its_name(delay_s: float, poll: Poll) -> None:
    with SimulatedModem(transcript("generic/lte_home"), Behaviour(line_delay_s=delay_s)) as modem:
        began = time.monotonic()
        look = poll(modem.path).look()
        assert time.monotonic() - began < SICK_POLL_S
    assert look.fields["modem_state"] == "ok" and look.gap == "slow"
    assert {"sim_state", "operator_name", "signal_class"} <= look.fields.keys()


def test_closing_ends_a_poll_under_way() -> None:
    with SimulatedModem(transcript(EC25), Behaviour(hang_after=0)) as modem:
        poller = ModemPoller(str(modem.path), sim_pin="", memory_file=None)
        polling = threading.Thread(target=poller.collect)
        polling.start()
        time.sleep(0.3)
        began = time.monotonic()
        poller.close()
        polling.join()
        assert time.monotonic() - began < 3
        assert poller.collect() == {"modem_state": "missing"}


PIN_TALK = """
> AT+CPIN?
< +CPIN: SIM PIN
< OK
> AT+CPIN?
< +CPIN: {after}
< OK
> AT+CPIN="1234"
< {result}
> AT+CCID
< +CCID: 89621000000000000012
< OK
> AT+CSQ
< +CSQ: 20,99
< OK
> AT+CREG?
< +CREG: 0,1
< OK
"""


def pin_modem(result: str, after: str) -> SimulatedModem:
    return SimulatedModem(parse_transcript(PIN_TALK.format(result=result, after=after)))


def pin_tries(modem: SimulatedModem) -> int:
    return sum(command.startswith("AT+CPIN=") for command in modem.heard)


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "SIM_PAUSE_S", 0.01)


@pytest.mark.usefixtures("no_pauses")
def test_the_right_pin_is_entered_and_again_after_the_next_power_cut(poll: Poll, memory: Path) -> None:
    for _boot in range(2):
        with pin_modem("OK", "READY") as modem:
            poller = poll(modem.path, "1234")
            assert poller.collect()["sim_state"] == "ready"
            assert pin_tries(modem) == 1
    assert "1234" not in memory.read_text()


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize("result", ["+CME ERROR: 16", "ERROR"])
def test_a_wrong_pin_is_tried_once_in_its_life(
    result: str, poll: Poll, caplog: pytest.LogCaptureFixture
) -> None:
    tries = 0
    for _boot in range(3):
        with pin_modem(result, "SIM PIN") as modem:
            poller = poll(modem.path, "1234")
            for _poll in range(2):
                assert poller.collect()["sim_state"] == "pin_required"
            tries += pin_tries(modem)
    assert tries == 1
    assert "1234" not in caplog.text
    assert "modem.sim_pin" in caplog.text


@pytest.mark.usefixtures("no_pauses")
def test_a_pin_whose_outcome_is_not_known_is_not_tried_again(poll: Poll) -> None:
    text = PIN_TALK.format(result="OK", after="SIM PIN")
    # CPIN?, CCID and so on are answered; the modem dies when the PIN comes.
    with SimulatedModem(parse_transcript(text)) as healthy:
        poll(healthy.path, "", None).collect()
    with SimulatedModem(parse_transcript(text), Behaviour(hang_after=0)) as modem:
        modem._behaviour = Behaviour(unplug_after=10_000)
        poller = poll(modem.path, "1234")
        real_answer = modem._answer

        def die_at_the_pin(command: str) -> None:
            if command.startswith("AT+CPIN="):
                modem.heard.append(command)
                modem._stop.set()
                return
            real_answer(command)

        modem._answer = die_at_the_pin  # type: ignore[method-assign]
        assert poller.collect() == {"modem_state": "missing"}
        assert pin_tries(modem) == 1
    with SimulatedModem(parse_transcript(text)) as again:
        assert poll(again.path, "1234").collect()["sim_state"] == "pin_required"
        assert pin_tries(again) == 0


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize(
    ("pin", "with_memory"),
    [("", True), ("123", True), ("12a4", True), ("1234\r", True), ("123456789", True), ("1234", False)],
)
def test_no_pin_no_memory_no_try(pin: str, with_memory: bool, poll: Poll, memory: Path) -> None:
    with pin_modem("OK", "READY") as modem:
        poll(modem.path, pin, memory if with_memory else None).collect()
        assert pin_tries(modem) == 0


@pytest.mark.usefixtures("no_pauses")
def test_a_pin_that_cannot_be_noted_is_not_tried(poll: Poll, tmp_path: Path) -> None:
    with pin_modem("OK", "READY") as modem:
        poll(modem.path, "1234", tmp_path / "no such folder" / "modem.json").collect()
        assert pin_tries(modem) == 0


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize("state", ["SIM PUK", "PH-NET PIN", "SIM PIN2"])
def test_no_other_code_is_ever_answered(state: str, poll: Poll) -> None:
    with SimulatedModem(parse_transcript(f"> AT+CPIN?\n< +CPIN: {state}\n< OK\n")) as modem:
        poll(modem.path, "1234").collect()
        assert pin_tries(modem) == 0


@pytest.mark.usefixtures("no_pauses")
def test_a_busy_card_is_asked_again_before_it_is_called_faulty(poll: Poll) -> None:
    busy = "> AT+CPIN?\n< +CME ERROR: 14\n"
    with SimulatedModem(parse_transcript(busy + "> AT+CPIN?\n< +CPIN: READY\n< OK\n")) as modem:
        assert poll(modem.path).collect()["sim_state"] == "ready"
    with SimulatedModem(parse_transcript(busy)) as modem:
        assert poll(modem.path).collect()["sim_state"] == "error"


def test_a_command_that_gets_no_answer_is_left_out_for_a_while(poll: Poll) -> None:
    text = (FOLDER / EC25 / "conversation.txt").read_text()
    temperature = "> AT+QTEMP\n< +QTEMP: 41,38,36\n< OK\n"
    assert temperature in text
    with SimulatedModem(parse_transcript(text.replace(temperature, "> AT+QTEMP\n! +QIND: 1\n"))) as modem:
        poller = poll(modem.path)
        for _ in range(3):
            values = poller.collect()
            assert (values["modem_state"], values["rsrp_dbm"]) == ("ok", -113)
        assert modem.heard.count("AT+QTEMP") == 2
        assert poller._open_modem is not None
        poller._open_modem[1]._left_out_until["AT+QTEMP"] = 0.0
        poller.collect()
        assert modem.heard.count("AT+QTEMP") == 3


def test_another_card_is_asked_for_its_numbers(poll: Poll) -> None:
    card = "> AT+CPIN?\n< +CPIN: READY\n< OK\n> AT+CIMI\n< {imsi}\n< OK\n"
    text = (
        card.format(imsi="510100000000001")
        + "> AT+CPIN?\n< +CME ERROR: 10\n"
        + card.format(imsi="510110000000002")
    )
    with SimulatedModem(parse_transcript(text)) as modem:
        poller = poll(modem.path)
        seen = []
        for _ in range(3):
            poller.collect()
            seen.append(poller.inventory().get("imsi"))
    assert seen == ["510100000000001", None, "510110000000002"]


def test_the_demo_modem_moves_and_falls_back_to_2g_for_a_while(poll: Poll) -> None:
    assert DEMO.stat().st_size < 40_000
    with SimulatedModem(read_transcript(DEMO)) as modem:
        poller = poll(modem.path)
        readings = [poller.collect() for _ in range(64)]
    assert {reading["modem_state"] for reading in readings} == {"ok"}
    technologies = [reading["access_technology"] for reading in readings]
    assert set(technologies) == {"lte", "edge"} and 2 <= technologies.count("edge") <= 6
    levels = [reading["rsrp_dbm"] for reading in readings if "rsrp_dbm" in reading]
    assert len(set(levels)) > 10
    assert all(isinstance(level, int) and -114 < level < -90 for level in levels)
    assert {reading["operator_mccmnc"] for reading in readings} == {"51010"}


def test_a_command_of_a_person_is_answered_between_two_readings(poll: Poll) -> None:
    with SimulatedModem(transcript(EC25)) as modem:
        poller = poll(modem.path)
        assert poller.ask("AT+CIMI", 3.0).lines
        assert poller.collect()["modem_state"] == "ok"
        refused = poller.ask("AT+NONSENSE", 3.0)
        assert (refused.lines, refused.final and refused.final.word) == ((), "ERROR")
        with pytest.raises(UsageMistake):
            poller.ask("AT\rATD1", 3.0)
        assert poller.collect()["modem_state"] == "ok"
        assert modem.heard.count("AT+CGMM") == 1


def test_a_command_to_a_modem_that_is_gone_raises_and_the_next_reading_starts_anew(
    poll: Poll, tmp_path: Path
) -> None:
    modem = SimulatedModem(transcript(EC25))
    link = tmp_path / "modem"
    modem.plug_in(link)
    try:
        poller = poll(link)
        poller.ask("AT", 3.0)
        modem.unplug()
        with pytest.raises(ModemUnavailable):
            poller.ask("AT", 3.0)
        modem.plug_in(link)
        assert poller.collect()["modem_state"] == "ok"
    finally:
        modem.unplug()


def test_a_look_tells_why_there_is_no_reading(poll: Poll) -> None:
    look = poll("/dev/no-such-port").look()
    assert look.fields == {"modem_state": "missing"}
    assert look.fault is not None and "/dev/no-such-port" in look.fault.what
