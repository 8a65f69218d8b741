"""Brokers that send what no broker may send: rows stay, and flow when the broker is well again.

The packets of tests/publish/test_forwarder_fake_broker.py are not repeated here; these are the rest of the
list, and bytes at random.
"""

import random
import time

import pytest

from agent.publish import backoff, forwarder, mqtt
from agent.publish.backoff import Backoff
from agent.wire.columns import decode_batch
from tests.faults.campaigns import quick_and_soak, say
from tests.support.fake_broker import Behaviour, FakeBroker, publish_packet
from tests.support.forwarding import forwarding, plain_broker, wait_until
from tests.support.rows import RecordingRows

WELL = Behaviour()
ROWS = 150


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt, "CONNECT_TIMEOUT_S", 0.3)
    monkeypatch.setattr(backoff, "REFUSAL_PAUSE_S", 0.1)
    # Configuration does not allow less than a second.
    monkeypatch.setattr(forwarder, "Backoff", lambda _longest_s: Backoff(0.05))


def sick_for(behaviour: Behaviour, sick_s: float) -> FakeBroker:
    """Forward to a sick broker for a while and then to the same when it is well; all must arrive."""
    rows = RecordingRows(ROWS)
    with FakeBroker(behaviour) as broker:
        with forwarding(rows, plain_broker(broker.port), ack_timeout_s=0.5) as sending:
            time.sleep(sick_s)
            assert sending.is_alive()
            rows.add()
            sending.wake()
            broker.behaviour = WELL
            wait_until("all rows marked sent", lambda: not rows.unsent_seqs(), 15)
            rows.add()
            sending.wake()
            wait_until("a fresh row", lambda: not rows.unsent_seqs(), 15)
        assert rows.sent <= acknowledged(broker)
        assert rows.mistakes == []
    return broker


def acknowledged(broker: FakeBroker) -> set[int]:
    """Return the rows whose message got a good PUBACK on its own connection."""
    good = set(broker.record.acknowledged)
    batches = [
        decode_batch(message.payload)
        for message in broker.record.published
        if (message.connection, message.mid) in good and "/readings" in message.topic
    ]
    return {seq for batch in batches for row in batch.rows if isinstance(seq := row["seq"], int)}


CONNACKS = {
    "unknown property": b"\x20\x06\x00\x00\x03\x7e\x00\x01",
    "property twice": b"\x20\x09\x00\x00\x06\x21\x00\x05\x21\x00\x05",
    "property of another packet": b"\x20\x06\x00\x00\x03\x23\x00\x01",
    "properties longer than the packet": b"\x20\x05\x00\x00\x7f\x21\x00",
    "receive maximum 0": b"\x20\x06\x00\x00\x03\x21\x00\x00",
    "packet size 0": b"\x20\x08\x00\x00\x05\x27\x00\x00\x00\x00",
    "empty": b"\x20\x00",
    "code nobody knows": b"\x20\x03\x00\xfe\x00",
    "half": b"\x20\x03\x00",
    "length that never ends": b"\x20\xff\xff\xff\xff\xff\xff",
}


@pytest.mark.parametrize("connack", CONNACKS.values(), ids=CONNACKS.keys())
def test_a_connack_against_the_rules(connack: bytes) -> None:
    sick_for(Behaviour(connack=connack), 0.1)


QOS_3 = b"\x36\x08\x00\x01a\x00\x07\x00{}"
AFTER = {
    "QoS 3": QOS_3,
    "QoS 2 that is never released": b"\x34\x08\x00\x01a\x00\x07\x00{}",
    "publish with properties too long": b"\x30\x06\x00\x01a\x7f\x00x",
    "topic alias nobody set": b"\x30\x06\x00\x00\x03\x23\x00\x09",
    "topic longer than the packet": b"\x30\x04\xff\xffab",
    "suback nobody asked for": b"\x90\x04\x00\x09\x00\x80",
    "second connack": b"\x20\x03\x00\x00\x00",
    "connect from a broker": b"\x10\x0d\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x00",
    "auth": b"\xf0\x02\x18\x00",
    "puback of one byte": b"\x40\x01\x00",
    "puback with bad properties": b"\x40\x06\x00\x01\x00\x05\x26\x00",
    "disconnect with a server reference": b"\xe0\x07\x9d\x05\x1c\x00\x02xx",
    "flood": publish_packet(b"flood", b"x" * 90) * 20_000,
}


@pytest.mark.parametrize("sent", AFTER.values(), ids=AFTER.keys())
def test_packets_against_the_rules_after_a_good_connack(sent: bytes) -> None:
    sick_for(Behaviour(after_connack=sent, puback="missing"), 0.1)


def test_a_broker_that_answers_no_ping_is_left() -> None:
    broker = sick_for(Behaviour(server_keepalive_s=1, pingresp=False), 3.5)
    assert broker.record.pings >= 1
    assert broker.record.connects >= 2


@quick_and_soak("count", 12, 300)
def test_random_bytes_after_a_good_connack(count: int) -> None:
    chance = random.Random(55)
    connects = 0
    whole = [QOS_3, publish_packet(b"desa/x"), b"\x40\x02\x00\x01", b"\xd0\x00", b"\x90\x04\x00\x09\x00\x80"]
    for _time in range(count):
        pieces = [
            chance.choice([chance.randbytes(chance.randrange(1, 40)), chance.choice(whole)]) for _ in "1234"
        ]
        broker = sick_for(Behaviour(after_connack=b"".join(pieces), puback="missing"), 0.1)
        connects += broker.record.connects
    say(f"hostile broker: {count} random answers, {connects} connections, {count * ROWS} rows, 0 lost")
