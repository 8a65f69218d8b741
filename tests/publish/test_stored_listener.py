"""The topic `stored` at a real broker: lost rows come back, and a broker that denies it harms nothing."""

import json
from pathlib import Path

import pytest

from agent.buffer.keeper import Keeper
from agent.contract.catalogue import Row
from agent.publish import mqtt, stored
from agent.publish.mqtt import Connection
from tests.support.batches import assert_delivered, batches, seqs
from tests.support.fake_broker import Behaviour, FakeBroker, publish_packet
from tests.support.forwarding import GATEWAY_ID, forwarding, plain_broker, wait_until
from tests.support.listener import Listener
from tests.support.mosquitto import GATEWAY_ACL, Mosquitto, mosquitto
from tests.support.rows import EPOCH, RecordingRows, sample_row

TOPIC = f"desa/v1/{GATEWAY_ID}/stored"


def _say(broker: Mosquitto, **notice: object) -> None:
    centre = Connection(("127.0.0.1", broker.port), client_id="centre", keepalive_s=60)
    centre.open()
    centre.publish(TOPIC, json.dumps({"v": 1, "epoch": EPOCH} | notice).encode(), retain=True)
    while not centre.exchange(5):
        pass
    centre.close(goodbye=True)


def test_the_store_learns_what_the_centre_has(broker: Mosquitto) -> None:
    rows = RecordingRows(100)
    _say(broker, seq=70)
    with forwarding(rows, plain_broker(broker.port)) as sending:
        wait_until("the retained notice", lambda: rows.stored_seq == 70)
        _say(broker, seq=10**9)
        wait_until("the next notice", lambda: rows.stored_seq == 100)
        wait_until("the health", lambda: sending.health().stored_seq == 100, 15)
        wait_until("all rows marked sent", lambda: not rows.unsent_seqs())
    assert rows.mistakes == []


def test_ranges_the_centre_lacks_are_sent_again(broker: Mosquitto) -> None:
    rows = RecordingRows(300)
    with Listener(broker.port) as listener, forwarding(rows, plain_broker(broker.port)):
        wait_until("all rows marked sent", lambda: not rows.unsent_seqs())
        _say(broker, seq=300, missing=[[20, 29], [150, 150], [295, 300]])
        heard = listener.wait_for("the rows", lambda heard: len(seqs(batches(heard))) == 317)
        wait_until("all rows marked sent", lambda: not rows.unsent_seqs())
    assert sorted(seqs(batches(heard)[-3:])) == [*range(20, 30), 150, *range(295, 301)]
    assert all(batch.late for batch in batches(heard)[-3:])


def test_with_a_centre_that_tells_no_row_is_lost_by_a_broker_that_forgets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "PATIENCE_S", 1.0)
    rows = RecordingRows(0)
    with mosquitto(tmp_path / "broker") as broker, forwarding(rows, plain_broker(broker.port)) as sending:
        _say(broker, seq=0)
        # Nobody listens: what is acknowledged now is gone, as with a broker killed without persistence.
        for _time in range(200):
            rows.add()
            sending.wake()
        # Not "nothing unsent": rows that the centre does not name become unsent again each second.
        wait_until("each acknowledged", lambda: len(rows.ever_sent) == 200)
        with Listener(broker.port) as listener:
            heard = listener.wait_for("every row", lambda heard: len(set(seqs(batches(heard)))) == 200)
            _say(broker, seq=200)
        wait_until("the notice", lambda: rows.stored_seq == 200)
    assert_delivered(batches(heard), 200)
    assert rows.mistakes == []


@pytest.mark.parametrize(
    "payload",
    [b"", b"{}", b"\x00\xff", b"[" * 3000, b'{"v":1,"epoch":"9f2c01ab","seq":-5}', b"x" * 100_000],
    ids=["cleared", "empty", "garbage", "deep", "negative", "huge"],
)
def test_hostile_words_of_a_centre_change_nothing(payload: bytes) -> None:
    rows = RecordingRows(100)
    said = tuple(publish_packet(TOPIC.encode(), payload) for _time in range(50))
    others = (publish_packet(b"desa/v1/other/stored", b'{"v":1,"epoch":"9f2c01ab","seq":5}'),)
    with (
        FakeBroker(Behaviour(said=said + others)) as broker,
        forwarding(rows, plain_broker(broker.port)) as sending,
    ):
        broker.wait_for("the subscription", lambda record: record.filters == [TOPIC])
        wait_until("all rows marked sent", lambda: not rows.unsent_seqs())
        rows.add()
        sending.wake()
        wait_until("the next row", lambda: not rows.unsent_seqs())
        assert broker.record.connects == 1
        assert sending.health().last_problem is None
    assert rows.stored_seq is None and rows.resent == [] and rows.mistakes == []


@pytest.mark.parametrize("suback", [128, 135, 143])
def test_a_refused_subscription_harms_nothing_and_is_said_once(
    suback: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "sinyal.publish")
    rows = RecordingRows(300)
    with (
        FakeBroker(Behaviour(suback=suback)) as broker,
        forwarding(rows, plain_broker(broker.port)) as sending,
    ):
        wait_until("all rows marked sent", lambda: not rows.unsent_seqs())
        broker.wait_for("the subscription", lambda record: record.filters == [TOPIC])
        rows.add()
        sending.wake()
        wait_until("the next row", lambda: not rows.unsent_seqs())
        assert broker.record.connects == 1
    assert sum("does not let this gateway hear" in message for message in caplog.messages) == 1
    assert not any(record.levelname == "WARNING" for record in caplog.records)


def test_a_broker_that_hangs_up_on_the_subscription_is_asked_twice_and_then_left_alone() -> None:
    rows = RecordingRows(1000)
    with FakeBroker(Behaviour(suback="close")) as broker, forwarding(rows, plain_broker(broker.port)):
        wait_until("all rows marked sent", lambda: not rows.unsent_seqs())
        broker.wait_for("the last connection", lambda record: record.connects == 3)
        assert broker.record.filters == [TOPIC, TOPIC]
    assert rows.quarantined == [] and rows.mistakes == []


def test_without_the_right_to_read_it_a_real_broker_takes_everything(tmp_path: Path) -> None:
    acl = "\n".join(line for line in GATEWAY_ACL.splitlines() if not line.endswith("stored"))
    rows = RecordingRows(300)
    with (
        mosquitto(tmp_path / "broker", acl=acl.replace("%u", "%c")) as broker,
        forwarding(rows, plain_broker(broker.port)) as sending,
    ):
        wait_until("all rows marked sent", lambda: not rows.unsent_seqs())
        assert sending.health().connects == 1


def test_a_broker_that_never_answers_the_subscription_still_gets_the_backlog(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agent.publish.stored_listener.ANSWER_S", 0.3)
    monkeypatch.setattr(mqtt.Connection, "listening", lambda _self: None)
    rows = RecordingRows(1000)
    with FakeBroker() as broker, forwarding(rows, plain_broker(broker.port)):
        wait_until("all rows marked sent", lambda: not rows.unsent_seqs())
        assert broker.record.connects == 1


def test_the_database_keeps_the_highest_seq_over_a_restart_and_only_of_its_epoch(tmp_path: Path) -> None:
    def keeper() -> Keeper:
        made = Keeper(
            tmp_path / "s.db", max_bytes=8 << 20, commit_interval_s=0, commit_readings=1, keep_days=9
        )
        made.start()
        return made

    reading: Row = {name: value for name, value in sample_row(1).items() if name != "seq"}
    first = keeper()
    for _time in range(5):
        first.append(reading)
    assert first.counts().stored_seq is None
    first.note_stored("00c0ffee", 4)
    assert first.counts().stored_seq is None
    first.note_stored(first.epoch, 3)
    first.note_stored(first.epoch, 2)
    assert first.counts().stored_seq == 3
    first.note_stored(first.epoch, 999)
    assert first.counts().stored_seq == 5
    first.append(reading)
    first.close()
    again = keeper()
    try:
        assert again.counts().stored_seq == 5
    finally:
        again.close()


def test_what_is_sent_again_for_the_centre_leaves_set_aside_rows_where_they_are(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path / "s.db", max_bytes=8 << 20, commit_interval_s=0, commit_readings=1, keep_days=9)
    keeper.start()
    try:
        reading: Row = {name: value for name, value in sample_row(1).items() if name != "seq"}
        for _time in range(10):
            keeper.append(reading)
        keeper.quarantine(4, 4, "too_large")
        keeper.mark_sent(1, 3)
        keeper.mark_sent(5, 8)
        assert keeper.resend(1, 6, quarantined=False) == 5
        assert (keeper.counts().unsent, keeper.counts().quarantined) == (7, 1)
        assert keeper.resend(1, 6) == 1
        assert (keeper.counts().unsent, keeper.counts().quarantined) == (8, 0)
    finally:
        keeper.close()
