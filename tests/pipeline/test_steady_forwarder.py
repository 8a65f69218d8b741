"""A forwarder that died or hangs is replaced, and readings flow on."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.config.model import PublishConfig
from agent.pipeline.steady_forwarder import SteadyForwarder
from agent.publish import broker_socket
from agent.publish.forwarder import Forwarder
from tests.support.forwarding import GATEWAY_ID, plain_broker, wait
from tests.support.mosquitto import mosquitto
from tests.support.rows import RecordingRows


@contextmanager
def steady(rows: RecordingRows, port: int, **settings: Any) -> Iterator[SteadyForwarder]:
    def make() -> Forwarder:
        return Forwarder(
            rows,
            plain_broker(port),
            PublishConfig(interval_s=0, reconnect_max_s=1),
            gateway_id=GATEWAY_ID,
            version="0",
            interval_s=60,
            inventory=dict,
        )

    forwarder = SteadyForwarder(make, **settings)
    forwarder.start()
    try:
        yield forwarder
    finally:
        forwarder.stop(3)


def look_after_until(forwarder: SteadyForwarder, rows: RecordingRows) -> bool:
    def sent() -> bool:
        forwarder.look_after()
        return rows.unsent_seqs() == []

    return wait(sent, 20)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_died_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = RecordingRows(5)

    def die(*_all: object) -> None:
        raise SystemExit  # what no edge of a thread catches

    with mosquitto(tmp_path) as broker, steady(rows, broker.port) as forwarder:
        assert look_after_until(forwarder, rows)
        before = forwarder.health()
        monkeypatch.setattr(Forwarder, "_connect_and_deliver", die)
        broker.kill()
        assert wait(lambda: not forwarder._forwarder.is_alive(), 20)
        monkeypatch.undo()
        broker.start()
        rows.add(3)
        assert look_after_until(forwarder, rows)
        assert forwarder.rebuilt >= 1
        assert forwarder.health().connects > before.connects
        assert wait(lambda: forwarder.health().rows_sent == 8, 20)
    assert rows.mistakes == []


def test_a_thread_that_hangs_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = RecordingRows(5)
    let_go = threading.Event()
    held: list[float] = []
    real = broker_socket.open_socket

    def hang(*arguments: Any, **settings: Any) -> Any:
        if not held:
            held.append(time.monotonic())
            let_go.wait(60)  # as a name server that never answers
        return real(*arguments, **settings)

    monkeypatch.setattr("agent.publish.mqtt.open_socket", hang)
    with mosquitto(tmp_path) as broker, steady(rows, broker.port, hangs_after_s=0.5) as forwarder:
        assert look_after_until(forwarder, rows)
        assert forwarder.rebuilt >= 1
        let_go.set()
        rows.add(2)
        forwarder.wake()
        assert look_after_until(forwarder, rows)
    assert rows.mistakes == []


def test_one_that_works_stays(tmp_path: Path) -> None:
    rows = RecordingRows(5)
    with mosquitto(tmp_path) as broker, steady(rows, broker.port) as forwarder:
        assert look_after_until(forwarder, rows)
        for _look in range(20):
            forwarder.look_after()
        assert forwarder.rebuilt == 0
        assert forwarder.health().rows_sent == 5
