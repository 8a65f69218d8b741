"""`sinyal modem find|read|at` as typed: with and without a daemon, on healthy, sick and busy ports."""

import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
import tty
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from agent.cli import modem_find
from agent.cli.main import main
from agent.contract.catalogue import catalogue
from agent.language import use_language
from agent.modem.find import FoundPort
from agent.modem.simulator import Behaviour, SimulatedModem
from agent.modem.transcript import Transcript, parse_transcript, read_transcript
from agent.pipeline.control import SOCKET_NAME
from tests.cli.test_main import sinyal
from tests.pipeline.whole_gateway import Gateway, wait_until

FOLDER = Path(__file__).parents[1] / "transcripts"
EC25 = "quectel_ec2x/weak_cell"
NSA = "quectel_rm5xx/nsa"

LIMIT_S = 20.0


def transcript(situation: str, more: str = "") -> Transcript:
    return parse_transcript((FOLDER / situation / "conversation.txt").read_text() + "\n" + more)


@pytest.fixture
def modem() -> Iterator[SimulatedModem]:
    more = "> AT+CSQ\n< +CSQ: 20,99\n< OK\n> AT+CPBS?\n< +CME ERROR: 10\n> AT+CFUN=1\n< OK\n"
    with SimulatedModem(transcript(NSA, more)) as simulated:
        yield simulated


def read_json(*arguments: str) -> tuple[int, dict[str, Any], str]:
    done = sinyal("modem", "read", "--json", *arguments)
    return done.returncode, json.loads(done.stdout), done.stderr


def test_a_reading_needs_no_configuration_and_is_one_flat_object(modem: SimulatedModem) -> None:
    code, document, notes = read_json("--port", str(modem.path))

    assert (code, notes) == (0, "")
    assert document.keys() == {"port", "sources", "incomplete", "problem"} | {
        metric.name for metric in catalogue().metrics if metric.group in ("modem", "radio", "inventory")
    }
    assert (document["modem_state"], document["rsrp_dbm"], document["lac"]) == ("ok", -89, None)
    assert document["port"] == str(modem.path)
    assert document["sources"]["rsrp_dbm"] == 'AT+QENG="servingcell"'
    assert document["sources"].keys() <= document.keys()
    assert (document["sources"]["imei"], document["sources"]["model"]) == ("AT+CGSN", "AT+CGMM")
    assert (document["incomplete"], document["problem"]) == (None, None)


def test_subscriber_identifiers_are_masked_unless_revealed(modem: SimulatedModem) -> None:
    port = str(modem.path)
    _code, hidden, _notes = read_json("--port", port)
    _code, shown, _notes = read_json("--port", port, "--reveal")
    screen = sinyal("modem", "read", "--port", port).stdout

    for name, kept in (("imei", 6), ("iccid", 6), ("imsi", 3)):
        whole = shown[name]
        assert whole.isdigit()
        assert hidden[name] == whole[:kept] + "*" * (len(whole) - kept - 2) + whole[-2:]
        assert whole not in screen
        assert hidden[name] in screen


@pytest.mark.parametrize("language", ["id", "en"])
@pytest.mark.parametrize("situation", [NSA, EC25, "generic/no_sim", "huawei/lte_home", "quectel_m/gsm"])
def test_the_screen_is_no_wider_than_80_columns(situation: str, language: str) -> None:
    if not (FOLDER / situation).exists():
        situation = "generic/lte_home"
    with SimulatedModem(transcript(situation)) as simulated:
        shown = sinyal("modem", "read", "--cells", "-v", "--port", str(simulated.path), "--lang", language)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert max(map(len, shown.stdout.splitlines())) <= 80


def test_each_value_has_its_word_and_source(modem: SimulatedModem) -> None:
    shown = sinyal("modem", "read", "--cells", "--port", str(modem.path), "--lang", "en").stdout

    rows = {line.split()[0]: line for line in shown.splitlines() if line.strip()}
    assert rows["RSRP"].split() == ["RSRP", "-89", "dBm", "good", 'AT+QENG="servingcell"']
    assert "excellent" in rows["SINR"] and "16.0 dB" in rows["SINR"]
    assert rows["serving"].split()[:3] == ["serving", "4G", "LTE"]
    assert rows["secondary"].split()[1:3] == ["5G", "n41"]
    assert rows["Model"].split()[-1] == "AT+CGMM" and rows["IMEI"].split()[-1] == "AT+CGSN"


def test_each_measure_of_a_cell_has_its_own_column() -> None:
    text = (FOLDER / NSA / "conversation.txt").read_text()
    with SimulatedModem(parse_transcript(text)) as simulated:
        port = ["--cells", "--port", str(simulated.path)]
        shown = sinyal("modem", "read", *port, "--lang", "en").stdout.splitlines()
        cells = read_json(*port)[1]["cells"]
    at = next(number for number, line in enumerate(shown) if line.startswith("Cells"))
    head, rows = shown[at + 1], shown[at + 2 :]
    assert head.split()[-4:] == ["dBm", "RSRQ", "SINR", "Ec/Io"]
    assert len(rows) == len(cells) > 1
    for row, cell in zip(rows, cells, strict=True):
        for name, field in (
            ("dBm", "rsrp_dbm"),
            ("RSRQ", "rsrq_db"),
            ("SINR", "sinr_db"),
            ("Ec/Io", "ecio_db"),
        ):
            end = head.index(name) + len(name)
            written = row[:end].split()[-1]
            assert written == "-" if cell.get(field) is None else float(written) == cell[field]


def test_no_technology_is_said_in_words() -> None:
    with SimulatedModem(transcript("generic/searching")) as simulated:
        port = ["--port", str(simulated.path)]
        assert (
            "Technology          none, not on any network"
            in sinyal("modem", "read", *port, "--lang", "en").stdout
        )
        assert "tidak di jaringan mana pun" in sinyal("modem", "read", *port, "--lang", "id").stdout


OK_ONLY = "".join(
    f"> AT+{command}\n< OK\n"
    for command in (
        *(
            "CMEE=1",
            "CREG=2",
            "CGREG=2",
            "CEREG=2",
            "C5GREG=2",
            "CREG?",
            "CGREG?",
            "CEREG?",
            "C5GREG?",
            "CPIN?",
        ),
        *("CSQ", "CESQ", "COPS?", "CGMI", "CGMM", "CGMR", "CGSN", "CCID", "ICCID", "QCCID", "CIMI"),
    )
)


@pytest.mark.parametrize(
    ("text", "behaviour", "gap", "why"),
    [
        ("> AT\n< ERROR\n", Behaviour(), "refused", "answers every question with an error"),
        (OK_ONLY, Behaviour(), "empty", "says OK and tells neither"),
        (None, Behaviour(line_delay_s=0.8), "slow", "so slow that not every question"),
    ],
)
def test_a_reading_that_is_not_whole_says_so(
    text: str | None, behaviour: Behaviour, gap: str, why: str
) -> None:
    content = transcript(EC25) if text is None else parse_transcript(text)
    with SimulatedModem(content, behaviour) as simulated:
        port = ["--port", str(simulated.path), "--lang", "en"]
        code, document, notes = read_json(*port)
        screen = sinyal("modem", "read", *port)
    assert (code, document["modem_state"], document["incomplete"]) == (0, "ok", gap)
    assert why in notes and "Next step:" in notes and len(notes.splitlines()) == 1
    assert (screen.returncode, screen.stderr) == (0, notes)
    assert "answers, reading incomplete" in screen.stdout


@contextmanager
def talking_port(say: bytes | None) -> Iterator[str]:
    """Serve a port that says the same again and again, None: whatever it is sent."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    path = os.ttyname(slave)
    os.close(slave)
    ended = threading.Event()

    def talk() -> None:
        while not ended.wait(0.05):
            with suppress(OSError):
                os.write(master, os.read(master, 100) if say is None else say)

    os.set_blocking(master, False)
    thread = threading.Thread(target=talk)
    thread.start()
    try:
        yield path
    finally:
        ended.set()
        thread.join()
        os.close(master)


@pytest.mark.parametrize(
    ("say", "what", "next_step"),
    [
        (b"$GPGGA,,,,,,0,,,,,,,,*66\r\n", "GPS, NMEA", "AT port"),
        (b"\x7e\xa5\x00\xfe\xff" * 8, "noise without an end", "power"),
        (None, "only sends back", "cable"),
    ],
)
def test_what_is_heard_instead_of_an_answer_is_said(say: bytes | None, what: str, next_step: str) -> None:
    with talking_port(say) as port:
        code, document, notes = read_json("--port", port, "--lang", "en")
    assert (code, document["modem_state"]) == (4, "hung")
    assert port in notes and what in notes and next_step in notes.partition("Next step:")[2]
    assert what in document["problem"]["what"]


def test_a_modem_cannot_steer_the_terminal() -> None:
    text = (FOLDER / NSA / "conversation.txt").read_text().replace("RM520N-GL", "RM5\u202e\u009b31mGL")
    with SimulatedModem(parse_transcript(text)) as simulated:
        shown = sinyal("modem", "read", "--port", str(simulated.path)).stdout
    assert all(sign.isprintable() or sign == "\n" for sign in shown)


@pytest.mark.parametrize("as_json", [True, False])
def test_a_silent_or_babbling_modem_is_hung_within_twenty_seconds(as_json: bool) -> None:
    def run(behaviour: Behaviour) -> tuple[subprocess.CompletedProcess[str], float, str]:
        with SimulatedModem(transcript(EC25), behaviour) as simulated:
            began = time.monotonic()
            port = str(simulated.path)
            done = sinyal("modem", "read", "--port", port, "--lang", "en", *["--json"] * as_json)
            return done, time.monotonic() - began, port

    sick = [Behaviour(hang_after=0), Behaviour(flood_after=0), Behaviour(hang_after=6)]
    with ThreadPoolExecutor(len(sick)) as pool:
        for done, took_s, port in pool.map(run, sick):
            assert done.returncode == 4
            assert took_s < LIMIT_S
            assert len(done.stderr.splitlines()) == 1
            assert port in done.stderr and "Next step" in done.stderr
            if as_json:
                document = json.loads(done.stdout)
                assert (document["modem_state"], document["rsrp_dbm"]) == ("hung", None)
                assert document["problem"]["exit_code"] == 4 and document["problem"]["next_step"]
            else:
                assert done.stdout == ""


@pytest.mark.parametrize("port", ["/dev/no-such-port", "/dev/null", "/etc/passwd", "/"])
def test_a_port_that_is_none_is_missing(port: str) -> None:
    code, document, notes = read_json("--port", port, "--lang", "en")
    assert (code, document["modem_state"], document["port"]) == (4, "missing", port)
    assert port in notes and "sinyal modem find" in notes
    assert len(notes.splitlines()) == 1


def test_a_port_that_another_program_holds_is_busy_and_names_it(modem: SimulatedModem) -> None:
    code = f"import time; f = open({str(modem.path)!r}, 'rb+', 0); print('open', flush=True); time.sleep(60)"
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    try:
        holder.stdout.readline()
        exit_code, document, notes = read_json("--port", str(modem.path))
        asked = sinyal("modem", "at", "AT+CSQ", "--port", str(modem.path))
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    assert (exit_code, document["modem_state"], asked.returncode) == (4, "busy", 4)
    for line in (notes, asked.stderr):
        assert str(holder.pid) in line and "python" in line and str(modem.path) in line
        assert len(line.splitlines()) == 1
    assert not modem.heard


@pytest.mark.parametrize(
    ("command", "code", "printed"),
    [
        ("AT+CSQ", 0, "+CSQ: 20,99\nOK\n"),
        ("at+csq", 0, "+CSQ: 20,99\nOK\n"),
        ("AT", 0, "OK\n"),
        ("AT+FOO?", 1, "ERROR\n"),
        ("AT+CPBS?", 1, "+CME ERROR: 10\n"),
    ],
)
def test_an_at_command_prints_its_answer(
    command: str, code: int, printed: str, modem: SimulatedModem
) -> None:
    done = sinyal("modem", "at", command, "--port", str(modem.path), "--lang", "en")
    assert (done.returncode, done.stdout) == (code, printed)
    assert done.stderr == ("+CME ERROR: 10 = no SIM card inserted\n" if "10" in printed else "")


def test_an_at_command_as_json(modem: SimulatedModem) -> None:
    done = sinyal("modem", "at", "AT+CPBS?", "--json", "--port", str(modem.path), "--lang", "en")
    assert done.returncode == 1
    assert json.loads(done.stdout) == {
        "command": "AT+CPBS?", "port": str(modem.path), "ok": False, "lines": [],
        "final": "+CME ERROR", "error_code": 10, "error_text": "no SIM card inserted",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("command", "port", "code"),
    [
        ("AT+CSQ", "/dev/no-such-port", 4),
        ("AT+CFUN=0", "/dev/no-such-port", 2),
        ("AT+" + "C" * 300, "/dev/no-such-port", 2),
        ("CSQ", "/dev/no-such-port", 2),
    ],
)
def test_an_at_command_that_fails_is_json_too(command: str, port: str, code: int) -> None:
    done = sinyal("modem", "at", command, "--json", "--port", port, "--lang", "en")
    assert done.returncode == code
    document = json.loads(done.stdout)
    assert (document["command"], document["ok"], document["final"]) == (command, False, None)
    assert document["error_text"] and f"sinyal: {document['error_text']}. Next step: " in done.stderr


SEARCH = (
    '> AT+COPS=?\n< \\r\\n+COPS: (2,"TELKOMSEL","TSEL","51010",7)\\r\\n\n< OK\n> AT+CMGS="1"\n< \\r\\n> \n'
)


@pytest.mark.parametrize("with_daemon", [False, True])
def test_a_search_of_all_networks_may_take_longer_than_any_other_answer(
    with_daemon: bool, tmp_path: Path
) -> None:
    with SimulatedModem(transcript(EC25, SEARCH)) as simulated:
        real_answer = simulated._answer

        def slowly(command: str) -> None:
            if command == "AT+COPS=?":
                time.sleep(14)
            real_answer(command)

        simulated._answer = slowly  # type: ignore[method-assign]
        where = ["--port", str(simulated.path)]
        running = Gateway(tmp_path / "gw", modem=str(simulated.path), interval_s=60)
        try:
            if with_daemon:
                running.start()
                wait_until("socket", (running.folder / "run" / SOCKET_NAME).exists)
                where = ["--config", str(running.config)]
            done = sinyal("modem", "at", "AT+COPS=?", "--yes", *where)
        finally:
            running.stop_anyhow()
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "OK"), done.stderr
    assert "TELKOMSEL" in done.stdout


def test_a_command_that_waits_for_a_text_is_refused_and_the_modem_goes_on() -> None:
    with SimulatedModem(transcript(EC25, SEARCH)) as simulated:
        port = ["--port", str(simulated.path), "--lang", "en"]
        done = sinyal("modem", "at", 'AT+CMGS="1"', "--yes", *port)
        assert done.returncode == 2 and "waits for a text" in done.stderr
        assert sinyal("modem", "at", "AT+CGMM", *port).returncode == 0


def test_what_changes_something_is_sent_with_yes_only(modem: SimulatedModem) -> None:
    refused = sinyal("modem", "at", "AT+CFUN=1", "--port", str(modem.path), "--lang", "en")
    assert refused.returncode == 2
    assert "it changes a setting" in refused.stderr and "--yes" in refused.stderr
    assert not modem.heard

    assert sinyal("modem", "at", "AT+CFUN=1", "--yes", "--port", str(modem.path)).returncode == 0
    assert "AT+CFUN=1" in modem.heard


def test_a_modem_that_never_ends_its_answer_is_unreachable() -> None:
    with SimulatedModem(transcript(EC25), Behaviour(hang_after=1)) as simulated:
        began = time.monotonic()
        done = sinyal("modem", "at", "AT+CSQ", "--port", str(simulated.path))
        assert str(simulated.path) in done.stderr
    assert done.returncode == 4
    assert time.monotonic() - began < LIMIT_S
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("arguments", [["read"], ["read", "--json"], ["at", "AT+CSQ"]])
def test_an_output_that_takes_nothing_is_not_our_fault(arguments: list[str], modem: SimulatedModem) -> None:
    command = [sys.executable, "-m", "agent", "modem", *arguments, "--port", str(modem.path), "--lang", "en"]
    for environment in ({}, {"PYTHONUNBUFFERED": "1"}):
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(
                command,
                env={**os.environ, **environment},
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
            )
        assert done.returncode == 1
        assert "the output cannot be written" in done.stderr and "Next step: make room" in done.stderr
        assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("action", [[], ["read", "x"], ["at"], ["eat"], ["read", "--port", ""]])
def test_wrong_arguments_are_one_line_and_exit_2(action: list[str]) -> None:
    done = sinyal("modem", *action)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)


@pytest.mark.parametrize("action", ["find", "read", "at"])
@pytest.mark.parametrize("language", ["id", "en"])
def test_the_help_of_each_action_has_an_example(action: str, language: str) -> None:
    done = sinyal("modem", action, "--help", "--lang", language)
    assert done.returncode == 0
    assert f"sinyal modem {action}" in done.stdout.splitlines()[-1]
    assert max(map(len, done.stdout.splitlines())) <= 80


@pytest.fixture
def gateway(tmp_path: Path, modem: SimulatedModem) -> Iterator[Gateway]:
    running = Gateway(tmp_path / "gw", modem=str(modem.path), interval_s=1)
    running.start()
    try:
        wait_until("socket", (running.folder / "run" / SOCKET_NAME).exists)
        yield running
    finally:
        running.stop_anyhow()


def test_the_daemon_is_asked_when_it_owns_the_port(gateway: Gateway, modem: SimulatedModem) -> None:
    config = ["--config", str(gateway.config)]
    port = str(modem.path)
    for arguments in ([], ["--port", port]):
        code, document, notes = read_json(*config, *arguments, "--cells")
        assert (code, notes, document["rsrp_dbm"], document["port"]) == (0, "", -89, port)
        assert document["sources"]["rsrp_dbm"] == 'AT+QENG="servingcell"'
        assert document["cells"][0]["role"] == "serving"
        assert "*" in document["imsi"]

    assert sinyal("modem", "at", "AT+CSQ", *config).stdout == "+CSQ: 20,99\nOK\n"
    assert sinyal("modem", "at", "AT+CFUN=1", *config).returncode == 2
    assert "AT+CFUN=1" not in modem.heard
    assert sinyal("modem", "at", "AT+CFUN=1", "--yes", *config).returncode == 0

    found = json.loads(sinyal("modem", "find", "--json", *config).stdout)["ports"]
    assert found[-1]["in_use_by"]["program"] == "sinyal"
    assert gateway.terminate()[0] == 0
    assert not (gateway.folder / "run" / SOCKET_NAME).exists()
    assert "WARNING" not in gateway.log_text()

    assert read_json(*config)[1]["rsrp_dbm"] == -89


@pytest.mark.parametrize("behaviour", [Behaviour(hang_after=0), Behaviour(flood_after=30)])
def test_a_sick_modem_is_hung_through_the_daemon_too(behaviour: Behaviour, tmp_path: Path) -> None:
    with SimulatedModem(transcript(NSA), behaviour) as simulated:
        running = Gateway(tmp_path / "gw", modem=str(simulated.path), interval_s=1)
        running.start()
        try:
            wait_until("hung", lambda: "modem hung" in running.log_text())
            began = time.monotonic()
            code, document, notes = read_json("--config", str(running.config))
            took_s = time.monotonic() - began
            stopped = running.terminate()
        finally:
            running.stop_anyhow()
    assert (code, document["modem_state"]) == (4, "hung")
    assert str(simulated.path) in notes
    assert took_s < LIMIT_S
    assert stopped[0] == 0 and stopped[1] < 5


def test_find_tells_the_agent_and_a_thief_apart(gateway: Gateway, modem: SimulatedModem) -> None:
    config = ["--config", str(gateway.config), "--lang", "en"]
    wait_until("read", lambda: "modem answers" in gateway.log_text())
    refused = sinyal("modem", "read", "--port", str(modem.path), "--lang", "en")
    assert (
        refused.returncode == 4 and "held by sinyal itself" in refused.stderr and "--config" in refused.stderr
    )
    code = f"f = open({str(modem.path)!r}, 'rb+', 0); print('open', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as thief:
        assert thief.stdout is not None
        thief.stdout.readline()
        found = json.loads(sinyal("modem", "find", "--json", *config).stdout)["ports"][-1]
        screen = sinyal("modem", "find", *config)
        thief.kill()
    agent = found["in_use_by"]
    assert agent["program"] == "sinyal" and agent["pid"] != thief.pid
    assert found["also_used_by"]["pid"] == thief.pid
    assert f"(process {thief.pid}). Next step: stop that program" in screen.stderr


def test_find_does_not_call_a_vanished_port_of_the_agent_working(tmp_path: Path) -> None:
    with SimulatedModem(transcript(NSA)) as simulated:
        running = Gateway(tmp_path / "gw", modem=str(simulated.path), interval_s=60)
        running.start()
        wait_until("read", lambda: "modem answers" in running.log_text())
    try:
        done = sinyal("modem", "find", "--json", "--config", str(running.config), "--lang", "en")
    finally:
        running.stop_anyhow()
    port = json.loads(done.stdout)["ports"][-1]
    assert done.returncode == 4
    assert (port["in_use_by"], port["answers"]) == (None, False) and "there is no port" in port["problem"]


def test_the_environment_names_the_port_without_a_configuration_file(modem: SimulatedModem) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "agent", "modem", "read", "--json"],
        env={**os.environ, "SINYAL_MODEM_PORT": str(modem.path)},
        stdout=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, json.loads(done.stdout)["port"]) == (0, str(modem.path))


@pytest.mark.parametrize("arguments", [["read", "--nope"], ["at", "AT", "+CSQ"]])
def test_a_wrong_argument_leads_to_the_help_of_its_action(arguments: list[str]) -> None:
    done = sinyal("modem", *arguments, "--lang", "en")
    assert done.returncode == 2 and f"sinyal modem {arguments[0]} --help" in done.stderr


def test_another_port_than_the_daemons_is_read_directly(gateway: Gateway) -> None:
    with SimulatedModem(transcript("generic/lte_home")) as other:
        code, document, _notes = read_json("--config", str(gateway.config), "--port", str(other.path))
    assert (code, document["port"], document["modem_state"]) == (0, str(other.path), "ok")


def test_a_daemon_without_its_socket_is_named(gateway: Gateway) -> None:
    (gateway.folder / "run" / SOCKET_NAME).unlink()
    done = sinyal("modem", "read", "--config", str(gateway.config), "--lang", "en")
    assert done.returncode == 4
    assert SOCKET_NAME in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("arguments", [["read"], ["read", "--port"], ["at", "AT+CSQ"], ["find"]])
def test_a_stopped_daemon_is_named_well_before_twenty_seconds(
    arguments: list[str], gateway: Gateway, modem: SimulatedModem
) -> None:
    port = [str(modem.path)] if arguments[-1] == "--port" else []
    gateway.signal(signal.SIGSTOP)
    began = time.monotonic()
    done = sinyal("modem", *arguments, *port, "--config", str(gateway.config), "--lang", "en")
    assert time.monotonic() - began < LIMIT_S
    if arguments != ["find"]:
        assert done.returncode == 4
        assert SOCKET_NAME in done.stderr and "stopped or stuck" in done.stderr
        assert "Next step: restart" in done.stderr and len(done.stderr.splitlines()) == 1
        document = json.loads(
            sinyal("modem", *arguments, *port, "--json", "--config", str(gateway.config)).stdout
        )
        assert document.get("modem_state") is None and document.get("ok") in (None, False)
    gateway.signal(signal.SIGCONT)
    assert sinyal("modem", "at", "AT+CSQ", "--config", str(gateway.config)).returncode == 0


def test_what_the_daemon_tells_is_in_the_askers_language(tmp_path: Path) -> None:
    running = Gateway(tmp_path / "gw", modem="/dev/no-such-port")
    running.start()
    try:
        wait_until("socket", (running.folder / "run" / SOCKET_NAME).exists)
        for action in (["read"], ["read", "--cells"], ["at", "AT"]):
            config = ["--config", str(running.config)]
            told = {lang: sinyal("modem", *action, *config, "--lang", lang).stderr for lang in ("id", "en")}
            assert "there is no port /dev/no-such-port. Next step: plug" in told["en"]
            assert "port /dev/no-such-port tidak ada. Langkah berikut: pasang" in told["id"]
    finally:
        running.stop_anyhow()


def find(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *ports: FoundPort
) -> tuple[int, dict[str, Any], str]:
    monkeypatch.setattr(modem_find, "find_ports", lambda: ports)
    monkeypatch.setenv("SINYAL_MODEM_PORT", "auto")
    try:
        code = main(["modem", "find", "--lang", "en"])
        screen = capsys.readouterr().out
        main(["modem", "find", "--json", "--lang", "en"])
        return code, json.loads(capsys.readouterr().out), screen
    finally:
        use_language("en")


def test_find_lists_what_each_port_is(
    modem: SimulatedModem, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, document, screen = find(
        monkeypatch,
        capsys,
        FoundPort(str(modem.path), "2c7c:0125", 2, "1-1.2:1.2", "at", "EC25 LTE modem"),
        FoundPort("/dev/ttyUSB0", "2c7c:0125", 0, "1-1.2:1.0", "other", "EC25 LTE modem"),
        FoundPort("/dev/ttyUSB1", "2c7c:0125", 1, "1-1.2:1.1", "other", "EC25 LTE modem"),
    )
    assert code == 0
    assert [(one["role"], one["answers"], one["auto"]) for one in document["ports"]] == [
        ("at", True, True), ("diag", None, False), ("nmea", None, False),
    ]  # fmt: skip
    assert document["ports"][0]["path"] == "1-1.2:1.2"
    assert document["auto"] == str(modem.path)
    assert "EC25 LTE modem · 2c7c:0125 · interface 2 · 1-1.2:1.2" in screen
    assert max(map(len, screen.splitlines())) <= 80


def test_find_without_any_port_tells_where_it_looked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, document, _screen = find(monkeypatch, capsys)
    assert (code, document["ports"], document["auto"]) == (4, [], None)
    assert "/dev/ttyUSB*" in document["looked_at"]


def test_find_never_writes_to_a_gps(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gps = Behaviour(garbage_at_open=b"$GPGGA,1,2,3*00\r\n")
    with SimulatedModem(read_transcript(FOLDER / EC25 / "conversation.txt"), gps) as simulated:
        port = FoundPort(str(simulated.path), "1546:01a7", 0, "1-1.3:1.0", "unknown")
        code, document, _screen = find(monkeypatch, capsys, port)
        assert not simulated.heard
    assert (code, document["ports"][0]["answers"], document["auto"]) == (4, False, None)
    assert document["ports"][0]["role"] == "nmea"


def test_find_says_who_holds_a_port_and_what_to_do(
    modem: SimulatedModem, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = f"f = open({str(modem.path)!r}, 'rb+', 0); print('open', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        monkeypatch.setattr(
            modem_find, "find_ports", lambda: (FoundPort(str(modem.path), "2c7c:0125", 2, "1-1.2:1.2", "at"),)
        )
        monkeypatch.setenv("SINYAL_MODEM_PORT", "auto")
        assert main(["modem", "find", "--lang", "en"]) == 0
        shown = capsys.readouterr()
        holder.kill()
    assert (
        f"in use by {Path(sys.executable).resolve().name}"[:14] in shown.out and str(holder.pid) in shown.out
    )
    assert f"(process {holder.pid}). Next step: stop that program" in shown.err
    use_language("en")
