"""The simulated modem: strict, recording, and gone without a trace."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from agent.errors import UsageMistake
from agent.modem.port import PortMissing, SerialPort
from agent.modem.simulator import Behaviour, SimulatedModem, serve
from agent.modem.transcript import parse_transcript

TALK = parse_transcript(
    "> AT+CSQ\n< +CSQ: 9,99\n< OK\n> AT+CSQ\n< +CSQ: 10,99\n< OK\n! +CREG: 2\n> AT+CGMM\n< EC25\n< OK\n"
)
PROJECT = Path(__file__).parents[2]


def exchange(port: SerialPort, sent: bytes, ends_with: bytes) -> bytes:
    port.write(sent)
    heard = b""
    gives_up_at = time.monotonic() + 5
    while not heard.endswith(ends_with) and time.monotonic() < gives_up_at:
        heard += port.read(0.2)
    return heard


def test_it_is_strict_and_records_what_it_heard() -> None:
    with SimulatedModem(TALK) as modem:
        port = SerialPort(str(modem.path))
        assert exchange(port, b"AT\r", b"OK\r\n") == b"\r\nOK\r\n"
        assert exchange(port, b"AT+CSK\r", b"ERROR\r\n") == b"\r\nERROR\r\n"
        assert exchange(port, b"at + cgmm\r\n", b"OK\r\n") == b"\r\nEC25\r\n\r\nOK\r\n"
        port.close()
    assert list(modem.heard) == ["AT", "AT+CSK", "at + cgmm"]


def test_a_repeated_command_gives_its_answers_in_turn() -> None:
    with SimulatedModem(TALK) as modem:
        port = SerialPort(str(modem.path))
        answers = [exchange(port, b"AT+CSQ\r", end) for end in (b"OK\r\n", b"+CREG: 2\r\n", b"OK\r\n")]
        port.close()
    assert [b"9,99" in answers[0], b"10,99" in answers[1], b"9,99" in answers[2]] == [True, True, True]


def test_echo_comes_back_as_typed() -> None:
    with SimulatedModem(TALK, Behaviour(echo=True)) as modem:
        port = SerialPort(str(modem.path))
        assert exchange(port, b"at+cgmm\r", b"OK\r\n") == b"at+cgmm\r\r\nEC25\r\n\r\nOK\r\n"
        port.close()


def test_notices_come_at_the_same_places_with_the_same_seed() -> None:
    def run() -> bytes:
        with SimulatedModem(TALK, Behaviour(notices=("RING",), notice_chance=0.5, seed=3)) as modem:
            port = SerialPort(str(modem.path))
            heard = b"".join(exchange(port, b"AT+CGMM\r", b"OK\r\n") for _ in range(6))
            port.close()
        return heard

    first = run()
    assert b"RING" in first
    assert run() == first


def test_the_link_follows_the_modem_and_goes_with_it(tmp_path: Path) -> None:
    link = tmp_path / "modem"
    modem = SimulatedModem(TALK, link=link)
    with modem:
        before = link.readlink()
        port = SerialPort(str(link))
        modem.unplug()
        assert not link.is_symlink()
        other = tmp_path / "other"
        modem.plug_in(other)
        assert other.readlink() != before  # the old one is still held open
        port.close()
        SerialPort(str(other)).close()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(PortMissing):
        SerialPort(str(other))


def test_a_file_that_is_no_link_is_never_replaced(tmp_path: Path) -> None:
    precious = tmp_path / "modem"
    precious.write_text("precious")
    with pytest.raises(UsageMistake, match="modem"), SimulatedModem(TALK, link=precious):
        pass
    assert precious.read_text() == "precious"


def test_serving_ends_when_told_and_leaves_nothing(tmp_path: Path) -> None:
    stop = threading.Event()
    link = tmp_path / "modem"
    serving = threading.Thread(target=serve, args=(TALK, Behaviour(), link, stop))
    serving.start()
    gives_up_at = time.monotonic() + 5
    while not link.exists() and time.monotonic() < gives_up_at:
        time.sleep(0.01)
    port = SerialPort(str(link))
    assert b"EC25" in exchange(port, b"AT+CGMM\r", b"OK\r\n")
    port.close()
    stop.set()
    serving.join(5)
    assert not serving.is_alive()
    assert list(tmp_path.iterdir()) == []


def test_another_process_may_serve_and_be_interrupted(tmp_path: Path) -> None:
    link = tmp_path / "modem"
    code = (
        "import sys; from pathlib import Path\n"
        "from agent.modem.simulator import Behaviour, serve\n"
        "from agent.modem.transcript import read_transcript\n"
        "try: serve(read_transcript(Path('agent/demo/modem.txt')), Behaviour(), Path(sys.argv[1]))\n"
        "except KeyboardInterrupt: pass\n"
    )
    server = subprocess.Popen([sys.executable, "-c", code, str(link)], cwd=PROJECT, start_new_session=True)
    gives_up_at = time.monotonic() + 10
    while not link.exists() and time.monotonic() < gives_up_at:
        time.sleep(0.02)
    port = SerialPort(str(link))
    assert b"EC25" in exchange(port, b"AT+CGMM\r", b"OK\r\n")
    port.close()
    os.kill(server.pid, signal.SIGINT)
    assert server.wait(5) == 0
    assert not link.is_symlink()
