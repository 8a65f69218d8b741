"""stop() ends within its time in every state, and says goodbye where it can."""

import json
import threading
import time
from collections.abc import Sequence

import pytest

from agent.config.model import BrokerConfig
from agent.contract.catalogue import Row
from agent.publish import mqtt
from agent.publish.forwarder import Forwarder
from tests.support.fake_broker import NO_ANSWER, Behaviour, FakeBroker
from tests.support.forwarding import forwarding, plain_broker, wait_until
from tests.support.listener import Listener
from tests.support.mosquitto import Mosquitto, free_port
from tests.support.proxy import Proxy
from tests.support.rows import RecordingRows

GENEROUS_S = 0.8


def _stop(forwarder: Forwarder, timeout_s: float) -> float:
    began = time.monotonic()
    forwarder.stop(timeout_s)
    return time.monotonic() - began


def test_what_is_unsent_goes_out_with_the_goodbye(broker: Mosquitto) -> None:
    rows = RecordingRows(1)
    with (
        Listener(broker.port) as listener,
        forwarding(rows, plain_broker(broker.port), interval_s=3600) as forwarder,
    ):
        wait_until("the first row", lambda: not rows.unsent_seqs())
        rows.add(4)
        forwarder.wake()
        assert _stop(forwarder, 3) < 3
        assert not forwarder.is_alive()
        assert rows.unsent_seqs() == []
        assert forwarder.health().state == "offline"
        heard = listener.wait_for("offline", lambda heard: "offline" in str(heard[-1:]))
    assert json.loads(heard[-1].payload)["last_seq"] == 5
    assert "disconnected" in broker.log_text()
    assert "closed its connection" not in broker.log_text().split("gw-test")[1]


def test_in_the_middle_of_a_backlog(broker: Mosquitto) -> None:
    rows = RecordingRows(20_000)
    with (
        Listener(broker.port) as listener,
        forwarding(rows, plain_broker(broker.port), backlog_bytes_per_s=20_000) as forwarder,
    ):
        wait_until("some backlog", lambda: len(rows.sent) > 300)
        assert _stop(forwarder, 3) < 3
        assert len(rows.unsent_seqs()) > 10_000
        listener.wait_for("offline", lambda heard: "offline" in str(heard[-1:]))
    assert "Received DISCONNECT from gw-test" in broker.log_text()


def test_before_it_ever_connected() -> None:
    rows = RecordingRows(5)
    with forwarding(rows, plain_broker(free_port())) as forwarder:
        wait_until("a refusal", lambda: forwarder.health().last_problem is not None)
        assert _stop(forwarder, 2) < 1


def test_without_a_broker() -> None:
    with forwarding(RecordingRows(5), BrokerConfig()) as forwarder:
        assert _stop(forwarder, 2) < 1
        assert not forwarder.is_alive()


def test_while_the_broker_owes_its_connack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt, "CONNECT_TIMEOUT_S", 2.0)
    rows = RecordingRows(5)
    with (
        FakeBroker(Behaviour(connack=NO_ANSWER)) as broker,
        forwarding(rows, plain_broker(broker.port)) as forwarder,
    ):
        broker.wait_for("a client", lambda record: record.connects == 1)
        touched = rows.touched
        assert _stop(forwarder, 1) < 1 + GENEROUS_S
        wait_until("the thread ends", lambda: not forwarder.is_alive())
        assert rows.touched == touched, "rows are not touched after stop() gave up"


@pytest.mark.parametrize("puback", ["missing", "wrong_mid"])
def test_while_the_broker_owes_acknowledgements(puback: str) -> None:
    rows = RecordingRows(1000)
    with (
        FakeBroker(Behaviour(puback=puback)) as broker,
        forwarding(rows, plain_broker(broker.port)) as forwarder,
    ):
        broker.wait_for("a full window", lambda record: len(record.published) == 4)
        assert _stop(forwarder, 1) < 1 + GENEROUS_S
        assert not forwarder.is_alive()
        time.sleep(0.1)
        assert broker.record.disconnects == [], "without the goodbye told, the will must speak"


def test_while_the_link_is_a_black_hole(broker: Mosquitto) -> None:
    rows = RecordingRows(10)
    with Proxy(broker.port) as proxy, forwarding(rows, plain_broker(proxy.port)) as forwarder:
        wait_until("the rows", lambda: not rows.unsent_seqs())
        proxy.mode = "stall"
        rows.add(5)
        forwarder.wake()
        assert _stop(forwarder, 1) < 1 + GENEROUS_S
        assert not forwarder.is_alive()
    assert rows.unsent_seqs() == [11, 12, 13, 14, 15]


def test_while_readings_are_refused() -> None:
    rows = RecordingRows(10)
    behaviour = Behaviour(puback=135, only_topic="/readings")
    with FakeBroker(behaviour) as broker, forwarding(rows, plain_broker(broker.port)) as forwarder:
        wait_until("the refusal", lambda: forwarder.health().last_problem_code == "refused_by_broker")
        assert _stop(forwarder, 1) < 1 + GENEROUS_S
        broker.wait_for("the goodbye", lambda record: record.disconnects == [0])
        assert b'"offline"' in broker.record.published[-1].payload


class _HangingRows(RecordingRows):
    """A store whose disk has stopped answering."""

    def __init__(self) -> None:
        super().__init__(5)
        self.answers = threading.Event()

    def unsent_rows(self, *, newest: bool, limit: int, leased: Sequence[tuple[int, int]]) -> list[Row]:
        self.answers.wait()
        return super().unsent_rows(newest=newest, limit=limit, leased=leased)


def test_while_the_store_hangs() -> None:
    rows = _HangingRows()
    with FakeBroker() as broker, forwarding(rows, plain_broker(broker.port)) as forwarder:
        wait_until("connected", lambda: forwarder.health().connects == 1)
        assert _stop(forwarder, 0.5) < 0.5 + GENEROUS_S
        rows.answers.set()


def test_twice() -> None:
    with forwarding(RecordingRows(1), BrokerConfig()) as forwarder:
        forwarder.stop(1)
        forwarder.stop(1)
        forwarder.wake()
