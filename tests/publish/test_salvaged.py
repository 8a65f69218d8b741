"""Rows of an earlier, damaged database go out under their old identity, behind the ordinary backlog."""

import time

import pytest

from agent.wire.columns import decode_batch
from tests.support.batches import batches
from tests.support.fake_broker import Behaviour, FakeBroker
from tests.support.forwarding import forwarding, plain_broker, wait_until
from tests.support.listener import Listener
from tests.support.mosquitto import Mosquitto
from tests.support.rows import RecordingRows, sample_row

OLD = "00c0ffee"


def _rows() -> RecordingRows:
    rows = RecordingRows(150)
    rows.salvaged[OLD] = [sample_row(seq) for seq in range(1, 700) if seq % 5]
    rows.salvaged["ffc0ffee"] = [sample_row(9)]
    return rows


def test_they_follow_the_backlog_as_backlog_each_once(broker: Mosquitto) -> None:
    rows = _rows()
    with Listener(broker.port) as listener, forwarding(rows, plain_broker(broker.port)):
        wait_until("all rows marked sent", lambda: not rows.unsent_seqs() and not rows.salvaged)
        heard = listener.wait_for(
            "the last", lambda heard: any(batch.epoch == "ffc0ffee" for batch in batches(heard))
        )
    found = batches(heard)
    old = [row for batch in found if batch.epoch == OLD for row in batch.rows]
    assert old == [sample_row(seq) for seq in range(1, 700) if seq % 5]
    epochs = [batch.epoch for batch in found]
    assert epochs == sorted(epochs, key=[rows.epoch, OLD, "ffc0ffee"].index)
    assert all(batch.late for batch in found if batch.epoch != rows.epoch)
    assert rows.mistakes == []


def test_they_survive_a_broker_that_is_gone_for_a_while() -> None:
    rows = _rows()
    with (
        FakeBroker(
            Behaviour(puback="close", only_if=lambda payload: OLD.encode() in _plain(payload))
        ) as broker,
        forwarding(rows, plain_broker(broker.port)),
    ):
        wait_until("the own rows", lambda: not rows.unsent_seqs())
        broker.behaviour = Behaviour()
        wait_until("the salvaged rows", lambda: not rows.salvaged, 40)
    assert rows.mistakes == [] and rows.quarantined == []


def _plain(payload: bytes) -> bytes:
    return decode_batch(payload).epoch.encode() if payload[:1] == b"x" else b""


@pytest.mark.parametrize("poison", [7, 398])
def test_one_of_them_that_no_broker_takes_is_given_up_alone(poison: int) -> None:
    rows = _rows()

    def is_poison(payload: bytes) -> bool:
        if payload[:1] != b"x":
            return False
        batch = decode_batch(payload)
        return batch.epoch == OLD and any(row["seq"] == poison for row in batch.rows)

    with FakeBroker(Behaviour(puback="close", only_if=is_poison)) as broker:
        with forwarding(rows, plain_broker(broker.port)) as sending:

            def is_done() -> bool:
                # Slower than messages travel: fresh readings always go first.
                time.sleep(0.2)
                rows.add()
                sending.wake()
                return not rows.salvaged

            wait_until("the salvaged rows", is_done, 60)
        good = set(broker.record.acknowledged)
        arrived = {
            row["seq"]
            for message in broker.record.published
            if (message.connection, message.mid) in good and "/readings" in message.topic
            for batch in [decode_batch(message.payload)]
            if batch.epoch == OLD
            for row in batch.rows
        }
    assert arrived == {seq for seq in range(1, 700) if seq % 5} - {poison}
    assert rows.quarantined == [] and rows.mistakes == []
