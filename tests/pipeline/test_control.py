"""The control socket: what it answers, and that nothing a stranger sends disturbs it."""

import contextlib
import grp
import json
import logging
import os
import random
import socket
import stat
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from agent import __version__
from agent.errors import ModemUnavailable, SinyalError
from agent.language import use_language
from agent.modem import poll
from agent.modem.conversation import SYNC_TRIES, ModemSilent
from agent.modem.poll import ModemPoller
from agent.modem.port import Holder, busy
from agent.modem.simulator import Behaviour, SimulatedModem
from agent.modem.transcript import parse_transcript, read_transcript
from agent.pipeline import control, control_client
from agent.pipeline.control import MAX_QUESTION_BYTES, SOCKET_NAME, ControlServer
from agent.pipeline.control_client import DaemonSilent, ask_daemon
from agent.pipeline.modem_control import modem_answerers
from agent.pipeline.snapshot import DaemonLock
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


def test_alive_tells_the_version_and_what_can_be_asked(server: ControlServer, tmp_path: Path) -> None:
    told = json.loads(say(tmp_path, b'{"v":1,"ask":"alive"}\n'))
    assert (told["ok"], told["version"]) == (True, __version__)
    assert told["asks"] == ["alive", *ANSWERERS]


def test_the_socket_is_given_to_the_group_where_it_exists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = os.getgroups()[0] if os.getgroups() else os.getgid()
    monkeypatch.setattr(control, "GROUP", grp.getgrgid(own).gr_name)
    running = ControlServer(tmp_path, ANSWERERS)
    running.start()
    found = (tmp_path / SOCKET_NAME).stat()
    running.stop(5)
    assert grp.getgrgid(found.st_gid).gr_name == control.GROUP and stat.S_IMODE(found.st_mode) == 0o660


def test_an_asker_that_closes_its_half_after_the_question_is_answered(
    server: ControlServer, tmp_path: Path
) -> None:
    with connect(tmp_path) as peer:
        peer.sendall(b'{"v":1,"ask":"echo","said":9}\n')
        peer.shutdown(socket.SHUT_WR)
        assert json.loads(peer.recv(1000))["said"] == 9


def attack(folder: Path, seed: int, times: int) -> None:
    """Come and go as no honest program does."""
    chance = random.Random(seed)
    for _turn in range(times):
        with contextlib.suppress(OSError), connect(folder) as peer:
            peer.settimeout(0.02)
            deed = chance.randrange(6)
            if deed == 0:
                peer.sendall(chance.randbytes(chance.randrange(1, 6000)))
            elif deed == 1:
                peer.sendall(b'{"v":1,"ask":"echo","said":1}\n' * chance.randrange(1, 50))
                peer.shutdown(socket.SHUT_WR)
            elif deed == 2:
                peer.sendall(b'{"v":1,"ask":"flood"}\n')
            elif deed == 3:
                peer.shutdown(socket.SHUT_RDWR)
            elif deed == 4:
                for sign in b'{"v":1':
                    peer.send(bytes((sign,)))
            else:
                peer.sendall(b'{"v":1,"ask":"echo","said":1}\n')
                peer.recv(10)


def test_thousands_of_wild_connections_leave_nothing_behind(server: ControlServer, tmp_path: Path) -> None:
    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = open_files()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda seed: attack(tmp_path, seed, 300), range(8)))

    assert ask_daemon(tmp_path, "echo", said=1)["said"] == 1
    wait_until("all answers given", lambda: not server._answering and not server._connections)
    assert open_files() <= before


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
    "no language": b'{"v":1,"ask":"fail","lang":["en"]}\n',
    "unknown language": b'{"v":1,"ask":"fail","lang":"../../id"}\n',
    "half a surrogate as language": b'{"v":1,"ask":"fail","lang":"\\ud800"}\n',
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
    if control_answer and b'"echo"' not in sent:
        assert json.loads(control_answer)["ok"] is False
    assert ask_daemon(tmp_path, "echo", said=1)["said"] == 1


def fail_in_words(_question: object) -> dict[str, Any]:
    raise busy("/dev/{ttyUSB2}", (Holder(7, "pppd {0}"),))


def test_a_failure_is_told_in_the_language_of_the_asker(tmp_path: Path) -> None:
    running = ControlServer(tmp_path, {"fail": fail_in_words})
    running.start()
    told = {}
    try:
        for asker in ("id", "en"):
            # The client and the daemon are one process here: the question says what the asker reads.
            answer = say(tmp_path, json.dumps({"v": 1, "ask": "fail", "lang": asker}).encode() + b"\n")
            told[asker] = json.loads(answer)["problem"]["what"]
    finally:
        running.stop(5)
    assert told == {
        "en": "/dev/{ttyUSB2} is held by pppd {0} (process 7)",
        "id": "/dev/{ttyUSB2} sedang dipakai pppd {0} (proses 7)",
    }


def test_a_long_answer_keeps_nobody_waiting_and_too_many_are_refused(tmp_path: Path) -> None:
    goes_on = threading.Event()
    running = ControlServer(tmp_path, {**ANSWERERS, "wait": lambda _question: {"done": goes_on.wait(60)}})
    running.start()
    with ThreadPoolExecutor(control.MAX_ANSWERS) as pool:
        try:
            waiting = [pool.submit(ask_daemon, tmp_path, "wait") for _ in range(control.MAX_ANSWERS - 1)]
            wait_until("under way", lambda: len(running._answering) == control.MAX_ANSWERS - 1)
            assert ask_daemon(tmp_path, "echo", said=8)["said"] == 8
            wait_until("the echo gone", lambda: len(running._answering) == control.MAX_ANSWERS - 1)
            waiting.append(pool.submit(ask_daemon, tmp_path, "wait"))
            wait_until("full", lambda: len(running._answering) == control.MAX_ANSWERS)
            with pytest.raises(SinyalError, match="too many"):
                ask_daemon(tmp_path, "echo")
        finally:
            goes_on.set()
        assert all(one.result()["done"] for one in waiting)
    running.stop(5)


def test_a_daemon_that_does_not_hear_is_told_soon(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(tmp_path / SOCKET_NAME))
        deaf.listen(1)
        for _ in range(4):  # the last of them find no place to wait, either
            with pytest.raises(DaemonSilent, match=f"{SOCKET_NAME}; it is stopped or stuck") as fault:
                ask_daemon(tmp_path, "echo")
            assert "restart" in fault.value.next_step


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\n",
        b"{}\n",
        b"[" * 5000 + b"\n",
        b'{"v":1,"ok":false,"problem":[1]}\n',
        b"x" * 70_000,
        b"\xff\n",
    ],
)
def test_a_daemon_that_speaks_nonsense_is_an_error_in_words(tmp_path: Path, answer: bytes) -> None:
    def serve() -> None:
        with listener.accept()[0] as peer, contextlib.suppress(OSError):
            peer.sendall(answer)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / SOCKET_NAME))
        listener.listen(1)
        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(SinyalError):
            ask_daemon(tmp_path, "echo")
        thread.join()


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


def test_cells_asked_for_after_a_reading_do_not_read_it_again_nor_hide_a_restart() -> None:
    with SimulatedModem(read_transcript(DEMO_TRANSCRIPT)) as modem:
        poller = ModemPoller(str(modem.path), sim_pin="", memory_file=None)
        assert poller.look().fields["modem_state"] == "ok"
        asked = modem.heard.count("AT+COPS?")
        assert poller.read_cells()[0].role == "serving"
        assert modem.heard.count("AT+COPS?") == asked
        assert poller._open_modem is not None
        poller._open_modem[1]._last_read_at -= 60
        modem.notify("RDY")
        assert poller.read_cells()[0].role == "serving"
        assert modem.heard.count("AT+COPS?") > asked
        assert [poller.collect()["modem_state"] for _ in range(2)] == ["restarted", "ok"]
        poller.close()


def test_a_question_that_fails_meanwhile_answers_those_who_wait() -> None:
    with SimulatedModem(read_transcript(DEMO_TRANSCRIPT), Behaviour(hang_after=0)) as modem:
        poller = ModemPoller(str(modem.path), sim_pin="", memory_file=None)
        with ThreadPoolExecutor(3) as pool:
            with poller._lock:
                faults = [pool.submit(poller.ask, "AT+CSQ", 5.0).exception for _ in range(2)]
                look = pool.submit(poller.look)
                time.sleep(0.2)
            assert all(isinstance(fault(), ModemSilent) for fault in faults)
            assert (look.result().fields, type(look.result().fault)) == ({"modem_state": "hung"}, ModemSilent)
        assert modem.heard.count("AT") == SYNC_TRIES
        poller.close()


def test_a_question_does_not_wait_for_ever_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poll, "TURN_LIMIT_S", 0.1)
    poller = ModemPoller("/dev/no-such-port", sim_pin="", memory_file=None)
    with poller._lock:
        with pytest.raises(ModemUnavailable, match="earlier questions"):
            poller.ask("AT", 1.0)
        look = poller.look()
    assert look.fields == {"modem_state": "busy"}
    assert look.fault is not None and "earlier questions" in look.fault.what


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


@pytest.mark.parametrize("was_killed", [False, True])
def test_a_daemon_that_has_just_begun_is_waited_for(tmp_path: Path, was_killed: bool) -> None:
    if was_killed:
        with socket.socket(socket.AF_UNIX) as left_behind:
            left_behind.bind(str(tmp_path / SOCKET_NAME))
    lock, running = DaemonLock(tmp_path), ControlServer(tmp_path, ANSWERERS)
    lock.take()
    beginning = threading.Timer(0.5, running.start)
    beginning.start()
    try:
        assert ask_daemon(tmp_path, "alive")["ok"]
    finally:
        beginning.join()
        running.stop(1)
        lock.release()


def test_a_daemon_that_lets_go_of_its_lock_is_waited_for_no_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_client, "BEGINNING_S", 3600.0)
    monkeypatch.setattr(control_client, "HEARD_LIMIT_S", 3600.0)
    lock = DaemonLock(tmp_path)
    lock.take()
    ending = threading.Timer(0.5, lock.release)
    ending.start()
    with pytest.raises(DaemonSilent):
        ask_daemon(tmp_path, "alive")
    ending.join()
