"""The forwarder against a real mosquitto that is well."""

import json
import time

import pytest

from agent.config.model import BrokerConfig
from agent.publish.reading_queue import BACKLOG_ROWS
from tests.support.batches import assert_delivered, batches, seqs
from tests.support.forwarding import GATEWAY_ID, forwarding, plain_broker, wait_until
from tests.support.forwarding import tls_broker as tls_broker_config
from tests.support.listener import Heard, Listener
from tests.support.mosquitto import Mosquitto
from tests.support.rows import RecordingRows

PREFIX = f"desa/v1/{GATEWAY_ID}"


def _has_all(rows: RecordingRows) -> bool:
    return not rows.unsent_seqs()


def _readings(heard: list[Heard]) -> list[Heard]:
    return [message for message in heard if "/readings" in message.topic]


def test_every_row_arrives_once_and_as_it_was_stored(broker: Mosquitto) -> None:
    rows = RecordingRows(500)
    with Listener(broker.port) as listener, forwarding(rows, plain_broker(broker.port)):
        wait_until("all rows marked sent", lambda: _has_all(rows))
        found = batches(listener.wait_for("all rows", lambda heard: len(seqs(batches(heard))) >= 500))
    assert_delivered(found, 500)
    assert len(seqs(found)) == 500
    assert rows.mistakes == []


def test_the_freshest_batch_goes_first_then_the_backlog_oldest_first(broker: Mosquitto) -> None:
    rows = RecordingRows(700)
    with Listener(broker.port) as listener, forwarding(rows, plain_broker(broker.port)):
        found = batches(listener.wait_for("all rows", lambda heard: len(seqs(batches(heard))) >= 700))
    assert [(batch.late, batch.rows[0]["seq"], batch.rows[-1]["seq"]) for batch in found] == [
        (False, 641, 700),
        *((True, first, first + BACKLOG_ROWS - 1) for first in range(1, 600, BACKLOG_ROWS)),
        (True, 601, 640),
    ]


def test_the_budget_is_asked_once_for_each_batch_however_long_the_line_is_quiet(broker: Mosquitto) -> None:
    rows = RecordingRows(5)
    asked: list[int] = []
    turns: list[int] = []

    def ask(bytes_: int) -> bool:
        asked.append(bytes_)
        return True

    def is_paused() -> bool:
        turns.append(1)
        return False

    with forwarding(rows, plain_broker(broker.port), may_send_readings=ask, is_paused=is_paused) as forwarder:
        wait_until("all rows marked sent", lambda: _has_all(rows))
        before = len(turns)

        def has_turned() -> bool:
            forwarder.wake()
            return len(turns) > before + 20

        wait_until("many quiet turns", has_turned)
    assert len(asked) <= 2  # for the batch that went, and for the next one


def test_fresh_readings_overtake_a_backlog_that_is_paced(broker: Mosquitto) -> None:
    rows = RecordingRows(2000)
    with (
        Listener(broker.port) as listener,
        forwarding(rows, plain_broker(broker.port), backlog_bytes_per_s=3000) as forwarder,
    ):
        listener.wait_for("some backlog", lambda heard: any(batch.late for batch in batches(heard)))
        rows.add()
        forwarder.wake()
        heard = listener.wait_for("the fresh row", lambda heard: 2001 in seqs(batches(heard)))
    last = batches(heard)[-1]
    assert not last.late and seqs([last]) == [2001]
    assert len(seqs(batches(heard))) < 1500
    assert rows.mistakes == []


def test_over_tls_with_a_client_certificate(tls_broker: Mosquitto) -> None:
    rows = RecordingRows(100)
    assert tls_broker.tls is not None
    configured = tls_broker_config(tls_broker.port, tls_broker.tls)
    with Listener(tls_broker.listen_port) as listener, forwarding(rows, configured) as forwarder:
        wait_until("all rows marked sent", lambda: _has_all(rows))
        found = batches(listener.wait_for("all rows", lambda heard: len(seqs(batches(heard))) >= 100))
        assert forwarder.health().state == "connected"
    assert_delivered(found, 100)


def test_status_says_online_and_then_offline_and_both_are_retained(broker: Mosquitto) -> None:
    rows = RecordingRows(3)
    before = int(time.time())
    with forwarding(rows, plain_broker(broker.port)):
        wait_until("all rows marked sent", lambda: _has_all(rows))
        with Listener(broker.port, f"{PREFIX}/status") as listener:
            (online,) = listener.wait_for("status", lambda heard: bool(heard))
    with Listener(broker.port, f"{PREFIX}/status", "later") as listener:
        (offline,) = listener.wait_for("status", lambda heard: bool(heard))
    assert online.retained and offline.retained
    said = json.loads(online.payload)
    assert before <= said.pop("ts") <= time.time() and before <= said.pop("since") <= time.time()
    assert said == {
        "v": 1,
        "state": "online",
        "epoch": rows.epoch,
        "last_seq": 3,
        "version": "0.1.0",
        "interval_s": 60,
    }
    assert json.loads(offline.payload)["state"] == "offline"


def test_inventory_is_sent_again_only_when_it_changed(broker: Mosquitto) -> None:
    rows = RecordingRows(1)
    known: dict[str, object] = {"site_name": "Balai Desa", "modem_model": None}
    with (
        Listener(broker.port) as listener,
        forwarding(rows, plain_broker(broker.port), inventory=lambda: known) as forwarder,
    ):
        for count in range(2, 5):
            if count == 4:
                known["modem_model"] = "EC25"
            rows.add()
            forwarder.wake()
            wait_until(f"row {count}", lambda: _has_all(rows))
        wait_until("the second inventory", lambda: len(listener.heard("/inventory")) == 2)
    first, second = (json.loads(message.payload) for message in listener.heard("/inventory"))
    assert "modem_model" not in first
    assert second["modem_model"] == "EC25"


def test_a_batch_closes_when_enough_readings_have_gathered(broker: Mosquitto) -> None:
    rows = RecordingRows(1)
    with (
        Listener(broker.port) as listener,
        forwarding(rows, plain_broker(broker.port), interval_s=3600, batch_readings=5) as forwarder,
    ):
        wait_until("the first row", lambda: _has_all(rows))
        for _reading in range(12):
            rows.add()
            forwarder.wake()
            time.sleep(0.02)
        wait_until("two batches more", lambda: len(rows.sent) == 11)
        time.sleep(0.2)
        assert rows.unsent_seqs() == [12, 13]
    found = batches(listener.heard())
    assert [(batch.late, len(batch.rows)) for batch in found] == [
        (False, 1),
        (False, 5),
        (False, 5),
        (False, 2),
    ]
    assert rows.unsent_seqs() == [], "what is left goes out with the goodbye"


def test_a_batch_closes_when_the_interval_has_passed(broker: Mosquitto) -> None:
    rows = RecordingRows(1)
    with (
        Listener(broker.port) as listener,
        forwarding(rows, plain_broker(broker.port), interval_s=0.5, batch_readings=1000) as forwarder,
    ):
        wait_until("the first row", lambda: _has_all(rows))
        rows.add(3)
        forwarder.wake()
        wait_until("the next rows", lambda: _has_all(rows))
        found = batches(listener.wait_for("both batches", lambda heard: len(batches(heard)) == 2))
    assert [len(batch.rows) for batch in found] == [1, 3]
    assert not any(batch.late for batch in found)


def test_readings_that_came_together_go_on_until_none_is_left(broker: Mosquitto) -> None:
    rows = RecordingRows(1)
    with forwarding(rows, plain_broker(broker.port), batch_readings=5) as forwarder:
        wait_until("the first row", lambda: _has_all(rows))
        rows.add(23)
        forwarder.wake()
        wait_until("the others, without another word", lambda: _has_all(rows))
    assert rows.mistakes == []


def test_json_goes_to_its_own_topic(broker: Mosquitto) -> None:
    rows = RecordingRows(30)
    with (
        Listener(broker.port) as listener,
        forwarding(rows, plain_broker(broker.port), encoding="json", max_payload_bytes=2048),
    ):
        heard = listener.wait_for("all rows", lambda heard: len(seqs(batches(heard))) >= 30)
    assert {message.topic for message in _readings(heard)} == {f"{PREFIX}/readings/json"}
    assert max(len(message.payload) for message in _readings(heard)) <= 2048
    assert_delivered(batches(heard), 30)


def test_fourteen_days_offline_drain_within_ten_seconds(broker: Mosquitto) -> None:
    rows = RecordingRows(20_160)
    with Listener(broker.port) as listener:
        began = time.monotonic()
        with forwarding(rows, plain_broker(broker.port)):
            wait_until("all rows marked sent", lambda: _has_all(rows), 30)
        took_s = time.monotonic() - began
        heard = listener.wait_for("all rows", lambda heard: len(seqs(batches(heard))) >= 20_160)
    print(f"20,160 rows in {took_s:.2f} s, {len(_readings(heard))} messages")
    assert_delivered(batches(heard), 20_160)
    assert took_s < 10
    assert rows.mistakes == []


def test_without_a_broker_the_thread_idles_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "sinyal.publish")
    rows = RecordingRows(5)
    with forwarding(rows, BrokerConfig()) as forwarder:
        for _reading in range(3):
            forwarder.wake()
        assert forwarder.is_alive()
        assert forwarder.health().state == "no broker configured"
    assert [record.message for record in caplog.records] == [
        "no broker is configured (broker.host); readings stay on this gateway"
    ]
    assert rows.touched == 0
