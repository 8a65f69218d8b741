"""The control socket: what it answers, and that nothing a stranger sends disturbs it."""

import contextlib
import json
import logging
import socket
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.errors import ModemUnavailable, SinyalError
from agent.language import use_language
from agent.modem.poll import ModemPoller
from agent.modem.simulator import SimulatedModem
from agent.modem.transcript import parse_transcript, read_transcript
from agent.pipeline import control
from agent.pipeline.control import MAX_QUESTION_BYTES, SOCKET_NAME, ControlServer
from agent.pipeline.control_client import DaemonSilent, ask_daemon
from agent.pipeline.modem_control import modem_answerers
from tests.pipeline.whole_gateway import DEMO_TRANSCRIPT, wait_until


def fail(_question: object) -> dict[str, Any]:
    raise ModemUnavailable("gone", "plug it in")


def crash(_question: object) -> dict[str, Any]:
    raise ZeroDivisionError


ANSWERERS = {
    "echo": lambda question: {"said": question.get("said")},
    "fail": fail,
    "crash": crash,
    "flood": lambda _question: {"text": "x" * 100_000},
}


@pytest.fixture(autouse=True)
def english() -> None:
    use_language("en")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ControlServer]:
    running = ControlServer(tmp_path, ANSWERERS)
    running.start()
    yield running
    running.stop(5)
    assert not running._thread.is_alive()
    assert not (tmp_path / SOCKET_NAME).exists()


def connect(folder: Path) -> socket.socket:
    peer = socket.socket(socket.AF_UNIX)
    with control.short_path(folder) as short:
        peer.connect(f"{short}/{SOCKET_NAME}")
    peer.settimeout(10)
    return peer


def say(folder: Path, sent: bytes) -> bytes:
    heard = b""
    with connect(folder) as peer:
        try:
            peer.sendall(sent)
            while chunk := peer.recv(65536):
                heard += chunk
        except (ConnectionResetError, BrokenPipeError):
            pass
    return heard


def test_a_question_is_answered_and_the_socket_is_for_the_group(
    server: ControlServer, tmp_path: Path
) -> None:
    assert ask_daemon(tmp_path, "echo", said="é") == {"v": 1, "ok": True, "said": "é"}
    mode = (tmp_path / SOCKET_NAME).stat().st_mode
    assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o660


def test_an_error_arrives_with_its_next_step_and_exit_code(server: ControlServer, tmp_path: Path) -> None:
    with pytest.raises(SinyalError) as fault:
        ask_daemon(tmp_path, "fail")
    assert (fault.value.what, fault.value.next_step, fault.value.exit_code) == ("gone", "plug it in", 4)


HOSTILE = {
    "nothing": b"",
    "empty line": b"\n",
    "binary": bytes(range(256)) + b"\n",
    "no object": b'["echo"]\n',
    "no version": b'{"ask":"echo"}\n',
    "true as version": b'{"v":true,"ask":"echo"}\n',
    "other version": b'{"v":2,"ask":"echo"}\n',
    "number as ask": b'{"v":1,"ask":1}\n',
    "unknown": b'{"v":1,"ask":"reboot"}\n',
    "twice": b'{"v":1,"ask":"fail","ask":"echo"}\n',
    "nan": b'{"v":1,"ask":"echo","said":NaN}\n',
    "infinite": b'{"v":1,"ask":"echo","said":1e999}\n',
    "deep": b"[" * 4000 + b"\n",
    "digits": b'{"v":' + b"1" * 4000 + b"}\n",
    "byte order mark": b'\xef\xbb\xbf{"v":1,"ask":"echo"}\n',
    "half a surrogate": b'{"v":1,"ask":"echo","said":"\\ud800"}\n',
    "too long": b'{"v":1,"ask":"echo","said":"' + b"x" * MAX_QUESTION_BYTES + b'"}\n',
    "huge line": b"x" * 3_000_000,
    "unfinished": b'{"v":1,"ask":"ec',
    "too long an answer": b'{"v":1,"ask":"flood"}\n',
}


@pytest.mark.parametrize("sent", HOSTILE.values(), ids=HOSTILE)
def test_hostile_questions_are_refused_and_the_next_one_is_answered(
    sent: bytes, server: ControlServer, tmp_path: Path
) -> None:
    control_answer = say(tmp_path, sent)
    if control_answer:
        assert json.loads(control_answer)["ok"] is False
    assert ask_daemon(tmp_path, "echo", said=1)["said"] == 1


def test_those_who_drip_or_stay_silent_are_dropped_and_others_served(
    server: ControlServer, tmp_path: Path
) -> None:
    with contextlib.ExitStack() as open_peers:
        peers = [open_peers.enter_context(connect(tmp_path)) for _ in range(12)]
        for peer in peers[:4]:
            peer.send(b"{")
        began = time.monotonic()
        assert ask_daemon(tmp_path, "echo", said=2)["said"] == 2
        assert time.monotonic() - began < 15


def test_an_asker_who_leaves_or_never_reads_does_no_harm(server: ControlServer, tmp_path: Path) -> None:
    for _ in range(50):
        connect(tmp_path).close()
    with connect(tmp_path) as peer:
        peer.sendall(b'{"v":1,"ask":"echo","said":3}\n' * 100)
        assert ask_daemon(tmp_path, "echo", said=4)["said"] == 4
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        say(tmp_path, b"x\n")
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


def test_a_fault_in_an_answerer_is_logged_and_the_next_question_answered(
    server: ControlServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        with pytest.raises(DaemonSilent):
            ask_daemon(tmp_path, "crash")
        wait_until("logged", lambda: "ZeroDivisionError" in caplog.text)
    assert ask_daemon(tmp_path, "echo", said=5)["said"] == 5


def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(tmp_path / SOCKET_NAME))
    running = ControlServer(tmp_path, ANSWERERS)
    running.start()
    assert ask_daemon(tmp_path, "echo", said=6)["said"] == 6
    running.stop(5)


def test_a_folder_with_a_long_name_works(tmp_path: Path) -> None:
    folder = tmp_path / ("a" * 120)
    folder.mkdir()
    running = ControlServer(folder, ANSWERERS)
    running.start()
    assert ask_daemon(folder, "echo", said=7)["said"] == 7
    running.stop(5)


def test_a_folder_without_room_for_a_socket_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    running = ControlServer(tmp_path / "missing", ANSWERERS)
    running.start()
    running.stop(1)
    assert "no control socket" in caplog.text


def test_without_a_daemon_the_client_says_so(tmp_path: Path) -> None:
    with pytest.raises(DaemonSilent, match=SOCKET_NAME):
        ask_daemon(tmp_path, "echo")


def test_a_reading_under_way_serves_both_and_a_restart_is_told_to_both() -> None:
    with SimulatedModem(read_transcript(DEMO_TRANSCRIPT)) as modem:
        poller = ModemPoller(str(modem.path), sim_pin="", memory_file=None)
        assert poller.collect()["modem_state"] == "ok"
        modem.notify("RDY")
        assert poller.look().fields["modem_state"] == "restarted"
        assert poller.collect()["modem_state"] == "restarted"
        assert poller.collect()["modem_state"] == "ok"

        asked_before = modem.heard.count("AT+COPS?")
        with poller._lock:
            threads = [threading.Thread(target=poller.look) for _ in range(3)]
            for thread in threads:
                thread.start()
            time.sleep(0.2)
        for thread in threads:
            thread.join()
        assert modem.heard.count("AT+COPS?") == asked_before + 1
        poller.close()


def test_the_daemon_itself_refuses_what_writes(tmp_path: Path) -> None:
    text = DEMO_TRANSCRIPT.read_text() + "\n> AT+CFUN=1\n< OK\n"
    with SimulatedModem(parse_transcript(text)) as modem:
        poller = ModemPoller(str(modem.path), sim_pin="", memory_file=None)
        running = ControlServer(tmp_path, modem_answerers(poller))
        running.start()
        try:
            for details in (
                {"command": "AT+CFUN=1"},
                {"command": "AT+CFUN=1", "may_write": "yes"},
                {"command": "AT\rATD1", "may_write": True},
                {"command": 1},
                {},
            ):
                with pytest.raises(SinyalError) as fault:
                    ask_daemon(tmp_path, "modem_at", **details)
                assert fault.value.exit_code == 2
            assert not modem.heard
            answer = ask_daemon(tmp_path, "modem_at", command="AT+CFUN=1", may_write=True)
            assert answer["final"]["word"] == "OK"
        finally:
            running.stop(5)
            poller.close()
