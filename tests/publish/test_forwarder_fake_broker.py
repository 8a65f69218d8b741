"""The forwarder against brokers that break the rules: rows stay, and flow when the broker is well again."""

import math
import random
import threading
import time

import pytest

from agent.contract.catalogue import Row
from agent.publish import backoff, mqtt
from agent.publish.broker_socket import BrokerSocket
from agent.wire.columns import decode_batch
from tests.support.fake_broker import NO_ANSWER, Behaviour, FakeBroker, publish_packet
from tests.support.forwarding import forwarding, plain_broker, wait_until
from tests.support.rows import RecordingRows

WELL = Behaviour()


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt, "CONNECT_TIMEOUT_S", 0.5)
    monkeypatch.setattr(backoff, "REFUSAL_PAUSE_S", 0.2)


def _acknowledged_seqs(broker: FakeBroker) -> set[int]:
    """Return the rows of the messages that got a good PUBACK on the connection that carried them."""
    good = set(broker.record.acknowledged)
    return {
        seq
        for message in broker.record.published
        if (message.connection, message.mid) in good and "/readings" in message.topic
        for row in decode_batch(message.payload).rows
        if isinstance(seq := row["seq"], int)
    }


def _sick_then_well(behaviour: Behaviour, *codes: str, rows_move: bool = False) -> FakeBroker:
    """Forward 150 rows to a sick broker until one of `codes` shows, then to the same when it is well."""
    rows = RecordingRows(150)
    with FakeBroker(behaviour) as broker:
        with forwarding(rows, plain_broker(broker.port), ack_timeout_s=0.6) as sending:
            if codes:
                wait_until(f"the problem {codes}", lambda: sending.health().last_problem_code in codes, 5)
            if not rows_move:
                assert rows.sent == set()
            broker.behaviour = WELL
            wait_until("all rows marked sent", lambda: not rows.unsent_seqs())
            wait_until("all is well", lambda: sending.health().last_problem is None)
        assert rows.sent <= _acknowledged_seqs(broker)
        assert rows.mistakes == []
    return broker


@pytest.mark.parametrize(
    ("connack", "code"),
    [
        (NO_ANSWER, "no_answer"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "closed_without_answer"),
        (b"\x20\x02\x00\x01", "not_mqtt5"),
        (b"\x20\x02\x00\x05", "not_mqtt5"),
        (b"\x20\x03\x00\x00\x05", "not_mqtt5"),
        (1, "not_mqtt5"),
        (132, "not_mqtt5"),
        (133, "client_id_refused"),
        (134, "bad_credentials"),
        (135, "not_authorised"),
        (136, "server_unavailable"),
        (137, "server_busy"),
        (138, "banned"),
        (149, "connack_149"),
        (151, "quota_exceeded"),
        (159, "rate_exceeded"),
    ],
)
def test_a_connection_that_is_not_accepted(connack: int | bytes | None, code: str) -> None:
    broker = _sick_then_well(Behaviour(connack=connack), code)
    assert broker.record.published[0].connection > 1, "nothing is published before a good CONNACK"


@pytest.mark.parametrize("connack", [b"\x20\x02\x00\x01", 132])
def test_a_broker_without_mqtt_5_is_told_so_in_log_and_health(
    connack: int | bytes, caplog: pytest.LogCaptureFixture
) -> None:
    rows = RecordingRows(3)
    with (
        FakeBroker(Behaviour(connack=connack)) as broker,
        forwarding(rows, plain_broker(broker.port)) as sending,
    ):
        wait_until("the problem", lambda: sending.health().last_problem_code == "not_mqtt5")
        assert "does not speak MQTT 5" in str(sending.health().last_problem)
        wait_until("more attempts", lambda: sending.health().attempts >= 3)
        assert sending.health().connects == 0
        broker.behaviour = WELL
        wait_until("all rows marked sent", lambda: not rows.unsent_seqs())
        wait_until("the counters", lambda: sending.health().rows_sent == 3, 15)
        assert sending.health().attempts == 0 and sending.health().batches_refused == 0
    assert "use a broker with MQTT 5, for example mosquitto" in caplog.messages[0]
    assert sum("does not speak MQTT 5" in message for message in caplog.messages) == 1


def test_refused_batches_are_counted() -> None:
    rows = RecordingRows(150)
    behaviour = Behaviour(puback=135, only_topic="/readings")
    with FakeBroker(behaviour) as broker, forwarding(rows, plain_broker(broker.port)) as sending:
        wait_until("the count", lambda: sending.health().batches_refused >= 2, 15)
        assert sending.health().rows_sent == 0


def test_the_thread_shows_that_it_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt, "_LONGEST_TURN_S", 0.1)
    monkeypatch.setattr("agent.publish.forwarder.LONGEST_TURN_S", 0.1)
    for behaviour in (WELL, Behaviour(connack=136)):
        with (
            FakeBroker(behaviour) as broker,
            forwarding(RecordingRows(1), plain_broker(broker.port)) as sending,
        ):
            seen = sending.last_turn_monotonic
            for _time in range(3):
                deadline = time.monotonic() + 5
                while sending.last_turn_monotonic <= seen:
                    assert time.monotonic() < deadline
                    time.sleep(0.01)
                seen = sending.last_turn_monotonic


def test_a_thread_that_hangs_shows_no_turn() -> None:
    hung = threading.Event()

    class Hanging(RecordingRows):
        def unsent_rows(self, **_: object) -> list[Row]:
            hung.wait(20)
            return []

    with FakeBroker() as broker, forwarding(Hanging(1), plain_broker(broker.port)) as sending:
        wait_until("connected", lambda: sending.health().connects == 1)
        time.sleep(0.3)
        seen = sending.last_turn_monotonic
        time.sleep(0.5)
        assert sending.last_turn_monotonic == seen
        hung.set()


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [
        (Behaviour(after_connack="close"), "closed"),
        (Behaviour(after_connack=b"\x30\xff\xff\xff\x7f"), "packet_too_large"),
        (Behaviour(after_connack=b"\x00\x00"), "not_mqtt5"),
        (Behaviour(puback="close"), "closed lost"),
        (Behaviour(puback="reset"), "lost"),
        (Behaviour(puback="disconnect"), "quota_exceeded"),
        (Behaviour(puback="disconnect", disconnect_code=142), "taken_over"),
        (Behaviour(puback="disconnect", disconnect_code=139), "shutting_down"),
        (Behaviour(puback="disconnect", disconnect_code=149), "disconnect_149"),
        (Behaviour(puback="missing"), "ack_timeout"),
        (Behaviour(puback="wrong_mid"), "ack_timeout"),
        (Behaviour(puback="half"), "ack_timeout"),
        (Behaviour(puback="late", late_s=1.0), "ack_timeout"),
        (Behaviour(puback=0xF0), "not_mqtt5"),
    ],
)
def test_a_connection_that_does_not_live(behaviour: Behaviour, code: str) -> None:
    _sick_then_well(behaviour, *code.split())


@pytest.mark.parametrize("code", [128, 131, 135, 144, 149, 151, 153])
def test_a_negative_puback_keeps_the_rows_and_the_connection(code: int) -> None:
    broker = _sick_then_well(Behaviour(puback=code, only_topic="/readings"), "refused_by_broker")
    assert broker.record.connects == 1


@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour(puback="doubled"),
        Behaviour(puback=16),
        Behaviour(after_connack=publish_packet(b"desa/\xff\xfe")),
        Behaviour(after_connack=publish_packet(b"")),
        Behaviour(after_connack=publish_packet(b"desa/+/#")),
        Behaviour(after_connack=b"\x40\x02\x00\x07"),
        Behaviour(server_keepalive_s=30),
    ],
    ids=["doubled", "nobody listens", "bad utf-8", "empty", "wildcard", "unasked puback", "keepalive"],
)
def test_what_is_odd_but_harmless(behaviour: Behaviour) -> None:
    broker = _sick_then_well(behaviour, rows_move=True)
    assert broker.record.connects == 1


@pytest.mark.parametrize(("receive_maximum", "most"), [(1, 1), (3, 3), (None, 4)])
def test_no_more_messages_are_under_way_than_allowed(receive_maximum: int | None, most: int) -> None:
    rows = RecordingRows(2000)
    behaviour = Behaviour(receive_maximum=receive_maximum, hold_s=0.05)
    with FakeBroker(behaviour) as broker, forwarding(rows, plain_broker(broker.port)):
        wait_until("all rows marked sent", lambda: not rows.unsent_seqs())
        assert broker.record.most_under_way == most


def test_no_packet_is_larger_than_allowed() -> None:
    rows = RecordingRows(200)
    with FakeBroker(Behaviour(max_packet_bytes=700)) as broker, forwarding(rows, plain_broker(broker.port)):
        wait_until("all rows marked sent", lambda: not rows.unsent_seqs())
        assert broker.record.connects == 1


def test_a_broker_that_takes_next_to_nothing_is_told_so() -> None:
    _sick_then_well(Behaviour(max_packet_bytes=480), "packets_too_small")


@pytest.mark.parametrize(
    "unsendable",
    [{"rsrp_dbm": math.nan}, {"operator_name": random.Random(7).randbytes(2000).hex()}],
    ids=["no number", "too large"],
)
def test_a_reading_that_cannot_be_sent_does_not_hold_up_the_others(
    unsendable: Row, caplog: pytest.LogCaptureFixture
) -> None:
    rows = RecordingRows(150)
    rows.spoil(33, unsendable)
    with FakeBroker() as broker:
        with forwarding(rows, plain_broker(broker.port), max_payload_bytes=1500) as sending:
            wait_until("all other rows marked sent", lambda: rows.unsent_seqs() == [33])
            rows.add()
            sending.wake()
            wait_until("the next row", lambda: rows.unsent_seqs() == [33])
        assert broker.record.connects == 1
    assert [record.message.split(":")[0] for record in caplog.records] == [
        "reading 33 cannot be sent and stays here"
    ]
    reason = "not_encodable" if "rsrp_dbm" in unsendable else "too_large"
    assert rows.quarantined == [(33, 33, reason)]


def test_bytes_are_counted_without_the_help_of_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.publish.broker_socket.counted", lambda _sock: None)
    rows = RecordingRows(150)
    with FakeBroker() as broker:
        with forwarding(rows, plain_broker(broker.port)) as sending:
            wait_until("all rows marked sent", lambda: not rows.unsent_seqs())
        payload_bytes = sum(len(message.payload) for message in broker.record.published)
    assert payload_bytes < sending.health().wire_bytes < payload_bytes + 1000


def test_the_connection_says_who_it_is_and_leaves_its_last_words() -> None:
    rows = RecordingRows(1)
    with FakeBroker() as broker:
        with forwarding(rows, plain_broker(broker.port), keepalive_s=77):
            wait_until("all rows marked sent", lambda: not rows.unsent_seqs())
        record = broker.record
        assert record.client_ids == ["gw-test"]
        assert record.keepalives_s == [77]
        ((topic, payload),) = record.wills
        assert topic == "desa/v1/gw-test/status" and b'"state":"lost"' in payload
        assert [message.topic.rsplit("/", 1)[1] for message in record.published] == [
            "status",
            "inventory",
            "readings",
            "status",
        ]
        broker.wait_for("the goodbye", lambda record: record.disconnects == [0])
        assert not any(message.dup for message in record.published)


def test_a_ping_keeps_an_idle_connection_alive() -> None:
    rows = RecordingRows(1)
    with FakeBroker(Behaviour(server_keepalive_s=1)) as broker, forwarding(rows, plain_broker(broker.port)):
        broker.wait_for("two pings", lambda record: record.pings >= 2, 10)
        assert broker.record.connects == 1


class _Explosive:
    """Stands for a callback with a bug: it raises when paho calls it."""

    def __init__(self, times: int) -> None:
        self.times = times

    def append(self, *_: object) -> None:
        self.times -= 1
        raise RuntimeError("a bug in a callback")


def test_an_exception_in_a_callback_costs_one_connection_and_no_row(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bug = _Explosive(2)
    prepared = mqtt.Connection._prepared_client

    def with_bug(self: mqtt.Connection, broker_socket: BrokerSocket) -> mqtt._Client:
        client = prepared(self, broker_socket)
        if bug.times > 0:
            client.on_publish = lambda *arguments: bug.append(arguments)
        return client

    monkeypatch.setattr(mqtt.Connection, "_prepared_client", with_bug)
    rows = RecordingRows(150)
    with FakeBroker() as broker, forwarding(rows, plain_broker(broker.port)):
        wait_until("all rows marked sent", lambda: not rows.unsent_seqs())
        assert broker.record.connects == 3
    assert rows.sent <= _acknowledged_seqs(broker)
    assert sum("unexpected fault" in record.message for record in caplog.records) == 1


def test_a_store_that_fails_for_a_while_loses_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("agent.publish.patient_store.STORE_RETRY_S", 0.2)
    rows = RecordingRows(150)
    rows.failing = True
    with FakeBroker() as broker, forwarding(rows, plain_broker(broker.port)) as sending:
        wait_until("connected", lambda: sending.health().state == "connected")
        time.sleep(0.7)
        rows.failing = False
        wait_until("all rows marked sent", lambda: not rows.unsent_seqs())
        assert broker.record.connects == 1
    assert rows.mistakes == []
    assert [record.message.split(",")[0] for record in caplog.records if "store" in record.message] == [
        "stored readings cannot be reached"
    ]


def test_a_store_that_begins_anew_is_followed() -> None:
    rows = RecordingRows(150)
    with FakeBroker() as broker, forwarding(rows, plain_broker(broker.port)) as sending:
        wait_until("all rows marked sent", lambda: not rows.unsent_seqs())
        rows.begin_anew("00c0ffee")
        rows.add(70)
        sending.wake()
        wait_until("all rows marked sent", lambda: not rows.unsent_seqs() and len(rows.sent) == 70)
        found = [decode_batch(m.payload) for m in broker.record.published if "/readings" in m.topic]
        inventories = [m.payload for m in broker.record.published if m.topic.endswith("/inventory")]
    assert [
        (batch.late, batch.rows[0]["seq"], len(batch.rows)) for batch in found if batch.epoch == "00c0ffee"
    ] == [
        (False, 11, 60),
        (True, 1, 10),
    ]
    assert b"00c0ffee" in inventories[-1]
    assert rows.mistakes == []


def test_rows_acknowledged_while_the_store_fails_are_marked_later_and_not_sent_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agent.publish.patient_store.STORE_RETRY_S", 0.2)
    rows = RecordingRows(5)
    with FakeBroker(Behaviour(hold_s=0.3)) as broker, forwarding(rows, plain_broker(broker.port)):
        broker.wait_for("the rows", lambda record: len(record.published) == 3)
        rows.failing = True
        broker.wait_for("the acknowledgement", lambda record: len(record.acknowledged) == 3)
        time.sleep(0.5)
        rows.failing = False
        wait_until("all rows marked sent", lambda: not rows.unsent_seqs())
        assert sum("/readings" in message.topic for message in broker.record.published) == 1
    assert rows.mistakes == []
