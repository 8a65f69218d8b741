"""`sinyal-event`: with an agent, without one, and with one that hangs."""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.firmware_hooks.shells import EVENT, run, shell
from tests.firmware_hooks.test_hooks import HOSTILE

GENEROUS_S = 20.0
"""The limit is two seconds; this is for a machine that is busy with other tests."""


@contextmanager
def listening(runtime: Path, *, backlog: int = 8) -> Iterator[socket.socket]:
    runtime.mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(runtime / "control.sock"))
        listener.listen(backlog)
        yield listener


def tell(runtime: Path, *words: str, name: str = "dash") -> float:
    """Run the program; return the seconds it took."""
    began = time.monotonic()
    ended = run([*shell(name), str(EVENT), *words], {"SINYAL_RUNTIME": str(runtime)}, cwd=runtime.parent)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")
    return time.monotonic() - began


@pytest.mark.parametrize("name", ["dash", "ash"])
def test_one_event_is_one_question_on_the_agents_socket(name: str, tmp_path: Path) -> None:
    with listening(tmp_path / "run") as listener:
        child = subprocess.Popen(
            [*shell(name), str(EVENT), "modem-added", "ttyUSB2"],
            env={"SINYAL_RUNTIME": str(tmp_path / "run")},
        )
        peer, _address = listener.accept()
        with peer:
            heard = peer.recv(4096)
            peer.sendall(b'{"v":1,"ok":true}\n')
        assert child.wait(GENEROUS_S) == 0
    assert json.loads(heard) == {"v": 1, "ask": "event", "name": "modem-added", "detail": "ttyUSB2"}
    assert heard.endswith(b"\n")


@pytest.mark.parametrize("name", ["dash", "ash"])
def test_without_an_agent_nothing_happens(name: str, tmp_path: Path) -> None:
    tell(tmp_path / "none", "uplink-up", name=name)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "control.sock").write_text("no socket")
    tell(tmp_path / "run", "uplink-up", name=name)
    with listening(tmp_path / "stale"):
        pass
    tell(tmp_path / "stale", "uplink-up", name=name)  # the socket of an agent that was killed
    tell(tmp_path / "none", name=name)


def test_an_agent_that_hangs_holds_nobody_up(tmp_path: Path) -> None:
    with listening(tmp_path / "run", backlog=0) as listener:
        assert tell(tmp_path / "run", "uplink-up") < GENEROUS_S  # heard by nobody
        with socket.socket(socket.AF_UNIX) as first, socket.socket(socket.AF_UNIX) as second:
            first.setblocking(False)
            second.setblocking(False)
            for waiting in (first, second):  # and now there is no place left to wait
                with suppress(BlockingIOError):
                    waiting.connect(str(tmp_path / "run" / "control.sock"))
            assert tell(tmp_path / "run", "uplink-up") < GENEROUS_S
        listener.setblocking(False)


def test_whatever_the_words_the_question_stays_one_line_of_json(tmp_path: Path) -> None:
    with listening(tmp_path / "run", backlog=64) as listener:
        for value in HOSTILE:
            child = subprocess.Popen(
                [*shell("dash"), str(EVENT), value, value],
                env={"SINYAL_RUNTIME": str(tmp_path / "run")},
                cwd=tmp_path,
            )
            peer, _address = listener.accept()
            with peer:
                heard = peer.recv(8192)
            assert child.wait(GENEROUS_S) == 0
            question = json.loads(heard)
            assert heard.count(b"\n") == 1
            assert question.keys() == {"v", "ask", "name", "detail"}
            assert len(question["name"]) <= 64
    assert not (tmp_path / "canary").exists()


def test_no_variable_of_the_caller_reaches_python(tmp_path: Path) -> None:
    (tmp_path / "_socket.py").write_text("open('canary', 'w')")
    with listening(tmp_path / "run"):
        child = subprocess.Popen(
            [*shell("dash"), str(EVENT), "uplink-up"],
            env={"SINYAL_RUNTIME": str(tmp_path / "run"), "PYTHONPATH": str(tmp_path), "PYTHONSTARTUP": "x"},
            cwd=tmp_path,
        )
        assert child.wait(GENEROUS_S) == 0
    assert not (tmp_path / "canary").exists()


def test_a_stop_of_the_caller_is_heard(tmp_path: Path) -> None:
    with listening(tmp_path / "run", backlog=0):
        child = subprocess.Popen(
            [*shell("dash"), str(EVENT), "uplink-up"],
            env={"SINYAL_RUNTIME": str(tmp_path / "run")},
            start_new_session=True,
        )
        os.killpg(child.pid, signal.SIGTERM)
        assert child.wait(GENEROUS_S) in (0, -signal.SIGTERM)
