"""The forwarder against a real mosquitto while the network or the broker misbehaves."""

import json
import logging
import signal
import time
from pathlib import Path

import pytest

from agent.publish import backoff, forwarder
from tests.support.batches import assert_delivered, batches, seqs
from tests.support.forwarding import forwarding, plain_broker, wait_until
from tests.support.listener import Heard, Listener
from tests.support.mosquitto import Mosquitto, free_port, mosquitto
from tests.support.proxy import Mode, Proxy
from tests.support.rows import RecordingRows


def _arrived(count: int, heard: list[Heard]) -> bool:
    return len(set(seqs(batches(heard)))) >= count


def test_a_broker_that_comes_late_gets_everything(tmp_path: Path) -> None:
    late = Mosquitto(tmp_path / "broker")
    rows = RecordingRows(150)
    with forwarding(rows, plain_broker(late.port)) as sending:
        wait_until("the refusal", lambda: sending.health().last_problem_code == "refused")
        assert sending.health().state != "connected" and sending.health().connects == 0
        late.start()
        try:
            wait_until("all rows marked sent", lambda: not rows.unsent_seqs())
            assert sending.health().last_problem is None
        finally:
            late.kill()
    assert rows.mistakes == []


def test_a_broker_killed_on_the_way_gets_the_rest_when_it_is_back(tmp_path: Path) -> None:
    rows = RecordingRows(1500)
    with (
        mosquitto(tmp_path / "broker", persistence=True) as broker,
        Listener(broker.port) as listener,
        forwarding(rows, plain_broker(broker.port), backlog_bytes_per_s=6000) as sending,
    ):
        listener.wait_for("some backlog", lambda heard: any(batch.late for batch in batches(heard)))
        broker.kill()
        assert rows.unsent_seqs()
        wait_until("the loss", lambda: sending.health().last_problem_code is not None)
        broker.start()
        wait_until("all rows marked sent", lambda: not rows.unsent_seqs(), 30)
        heard = listener.wait_for("all rows", lambda heard: _arrived(1500, heard))
    assert_delivered(batches(heard), 1500)
    assert rows.mistakes == []


@pytest.mark.parametrize("mode", ["stall", "drop_answers"])
def test_a_half_open_link_is_noticed_and_loses_nothing(broker: Mosquitto, mode: Mode) -> None:
    rows = RecordingRows(10)
    with (
        Listener(broker.port) as listener,
        Proxy(broker.port) as proxy,
        forwarding(rows, plain_broker(proxy.port), ack_timeout_s=1.0) as sending,
    ):
        wait_until("the first rows", lambda: not rows.unsent_seqs())
        proxy.mode = mode
        rows.add(5)
        sending.wake()
        wait_until("the loss", lambda: sending.health().last_problem_code == "ack_timeout")
        assert rows.unsent_seqs() == [11, 12, 13, 14, 15]
        proxy.mode = "pass"
        wait_until("the rest", lambda: not rows.unsent_seqs(), 30)
        heard = listener.wait_for("all rows", lambda heard: _arrived(15, heard))
    assert_delivered(batches(heard), 15)
    assert rows.mistakes == []


@pytest.mark.parametrize("mode", ["refuse", "reset"])
def test_a_link_that_ends_loses_nothing(broker: Mosquitto, mode: Mode) -> None:
    rows = RecordingRows(10)
    with (
        Listener(broker.port) as listener,
        Proxy(broker.port) as proxy,
        forwarding(rows, plain_broker(proxy.port)) as sending,
    ):
        wait_until("the first rows", lambda: not rows.unsent_seqs())
        proxy.mode = mode
        rows.add(5)
        sending.wake()
        wait_until("the loss", lambda: sending.health().state != "connected")
        proxy.mode = "pass"
        wait_until("the rest", lambda: not rows.unsent_seqs(), 30)
        heard = listener.wait_for("all rows", lambda heard: _arrived(15, heard))
    assert_delivered(batches(heard), 15)
    assert rows.mistakes == []


def test_a_slow_link_is_used_without_giving_up(broker: Mosquitto) -> None:
    rows = RecordingRows(300)
    with (
        Proxy(broker.port, bytes_per_s=4000) as proxy,
        forwarding(rows, plain_broker(proxy.port), ack_timeout_s=5) as sending,
    ):
        proxy.mode = "slow"
        wait_until("all rows marked sent", lambda: not rows.unsent_seqs(), 30)
        assert sending.health().connects == 1
        assert sending.health().last_problem is None


def test_the_next_address_is_tried_in_turn(broker: Mosquitto) -> None:
    rows = RecordingRows(5)
    with forwarding(rows, plain_broker(free_port(), free_port(), broker.port)):
        wait_until("all rows marked sent", lambda: not rows.unsent_seqs())


def test_bytes_on_the_wire_are_counted_by_the_kernel(broker: Mosquitto) -> None:
    rows = RecordingRows(600)
    with (
        Proxy(broker.port) as proxy,
        forwarding(rows, plain_broker(proxy.port)) as sending,
    ):
        wait_until("all rows marked sent", lambda: not rows.unsent_seqs())
    carried = proxy.up_bytes + proxy.down_bytes
    assert carried < sending.health().wire_bytes < carried + 60 * 72


ACL = "topic read #\ntopic write desa/v1/gw-test/status\ntopic write desa/v1/gw-test/inventory\n"


def test_rows_the_broker_denies_stay_and_are_not_hammered(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backoff, "REFUSAL_PAUSE_S", 0.3)
    rows = RecordingRows(100)
    with mosquitto(tmp_path / "broker", acl=ACL) as broker, Listener(broker.port) as listener:
        with forwarding(rows, plain_broker(broker.port)) as sending:
            wait_until("the denial", lambda: sending.health().last_problem_code == "refused_by_broker")
            time.sleep(1.1)
            health = sending.health()
            assert (health.state, health.connects) == ("connected", 1)
            assert "desa/v1/gw-test/readings" in str(health.last_problem)
            # At once two (fresh and backlog were both under way), then after 0.3 s and 0.9 s one each.
            assert 2 <= broker.log_text().count("Denied PUBLISH") <= 4
            assert len(rows.unsent_seqs()) == 100
            warnings = [record.message for record in caplog.records if record.levelno == logging.WARNING]
            assert len(warnings) == 1
            assert "reason code 135" in warnings[0] and "ask the broker's operator for the ACL" in warnings[0]
            (broker.folder / "acl").write_text(ACL + "topic write desa/v1/gw-test/readings\n")
            assert broker._process is not None
            broker._process.send_signal(signal.SIGHUP)
            wait_until("all rows marked sent", lambda: not rows.unsent_seqs())
            assert sending.health().last_problem is None
        heard = listener.wait_for("all rows", lambda heard: _arrived(100, heard))
    assert_delivered(batches(heard), 100)
    assert rows.mistakes == []


def test_a_message_too_large_for_the_broker_is_halved_until_it_fits(tmp_path: Path) -> None:
    rows = RecordingRows(240)
    with (
        mosquitto(tmp_path / "broker", extra="message_size_limit 700") as broker,
        Listener(broker.port) as listener,
        forwarding(rows, plain_broker(broker.port)) as sending,
    ):
        wait_until("all rows marked sent", lambda: not rows.unsent_seqs())
        heard = listener.wait_for("all rows", lambda heard: _arrived(240, heard))
        assert sending.health().connects == 1
    assert_delivered(batches(heard), 240)
    assert rows.mistakes == []


def test_the_packet_limit_of_the_broker_is_kept_from_the_start(tmp_path: Path) -> None:
    rows = RecordingRows(240)
    with (
        mosquitto(tmp_path / "broker", extra="max_packet_size 900") as broker,
        forwarding(rows, plain_broker(broker.port)) as sending,
    ):
        wait_until("all rows marked sent", lambda: not rows.unsent_seqs())
        assert sending.health().connects == 1


def test_a_short_fade_does_not_show_as_lost_and_a_long_one_does(broker: Mosquitto) -> None:
    rows = RecordingRows(1)
    with (
        Listener(broker.port) as listener,
        Proxy(broker.port) as proxy,
        forwarding(rows, plain_broker(proxy.port), will_delay_s=1) as sending,
    ):
        wait_until("the first rows", lambda: not rows.unsent_seqs())
        proxy.mode = "reset"
        wait_until("the loss", lambda: sending.health().state != "connected")
        proxy.mode = "pass"
        wait_until("the second connection", lambda: sending.health().connects == 2)
        time.sleep(1.5)
        assert [_state(message) for message in listener.heard("/status")] == ["online", "online"]
        proxy.mode = "refuse"
        heard = listener.wait_for("the will", lambda heard: bool(heard) and _state(heard[-1]) == "lost")
    said = json.loads(heard[-1].payload)
    assert said["epoch"] == rows.epoch and said["interval_s"] == 60


def _state(message: Heard) -> str:
    return str(json.loads(message.payload).get("state")) if message.topic.endswith("/status") else ""


def test_an_outage_is_logged_once_and_so_is_its_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO", "sinyal.publish")
    monkeypatch.setattr(forwarder, "STABLE_S", 0.5)
    broker = Mosquitto(tmp_path / "broker")
    rows = RecordingRows(1)
    with forwarding(rows, plain_broker(broker.port)) as sending:
        time.sleep(0.6)
        broker.start()
        try:
            wait_until("the connection", lambda: sending.health().state == "connected")
            time.sleep(0.7)
            rows.add()
            sending.wake()
            wait_until("the row", lambda: not rows.unsent_seqs())
        finally:
            broker.kill()
        wait_until("the loss", lambda: sending.health().state != "connected")
        time.sleep(0.6)
    where = f"127.0.0.1:{broker.port}"
    assert [record.message.split(";")[0] for record in caplog.records] == [
        f"{where} refuses connections",
        f"connected to the broker {where}",
        f"{where} closed the connection",
        f"{where} refuses connections",
    ]


def test_a_budget_that_ends_parts_in_good_order_and_the_next_month_connects_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forwarder, "BUDGET_PAUSE_S", 0.05)
    allowed = [True]
    rows = RecordingRows(5)
    with (
        mosquitto(tmp_path / "broker") as broker,
        Listener(broker.port) as listener,
        forwarding(rows, plain_broker(broker.port), may_connect=lambda: allowed[0]) as sending,
    ):
        wait_until("all rows marked sent", lambda: not rows.unsent_seqs(), 60)
        allowed[0] = False
        sending.wake()
        listener.wait_for("the goodbye", lambda heard: any(b'"offline"' in each.payload for each in heard))
        wait_until("the end", lambda: sending.health().state == "offline", 60)
        spent = sending.health().wire_bytes
        rows.add(3)
        sending.wake()
        time.sleep(0.3)
        wait_until("the reason", lambda: sending.health().last_problem_code == "over_budget")
        assert sending.health().wire_bytes == spent and len(rows.unsent_seqs()) == 3
        allowed[0] = True
        wait_until("the rest", lambda: not rows.unsent_seqs(), 60)
    assert rows.mistakes == []
