"""A row that makes the broker hang up is set aside, and the rows behind it flow; a bad link costs no row."""

import time

import pytest

from agent.publish import backoff, mqtt
from agent.wire.columns import decode_batch
from tests.support.fake_broker import Behaviour, FakeBroker
from tests.support.forwarding import forwarding, plain_broker, wait_until
from tests.support.rows import RecordingRows


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt, "CONNECT_TIMEOUT_S", 0.5)
    monkeypatch.setattr(backoff, "REFUSAL_PAUSE_S", 0.3)


def _holds(*poison: int):  # type: ignore[no-untyped-def]
    def holds(payload: bytes) -> bool:
        return any(row["seq"] in poison for row in decode_batch(payload).rows)

    return holds


def _readings_bytes(broker: FakeBroker) -> int:
    return sum(len(each.payload) for each in broker.record.published if "/readings" in each.topic)


@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour(puback="close", only_topic="/readings"),
        Behaviour(puback="reset", only_topic="/readings"),
        Behaviour(puback="disconnect", disconnect_code=149, only_topic="/readings"),
        Behaviour(puback="disconnect", disconnect_code=130, only_topic="/readings"),
        Behaviour(puback=0xF0, only_topic="/readings"),
    ],
    ids=["close", "reset", "disconnect 149", "disconnect 130", "malformed PUBACK"],
)
@pytest.mark.parametrize("poison", [{600}, {33}, {100, 590}])
def test_the_row_is_set_aside_and_all_others_flow(
    behaviour: Behaviour, poison: set[int], caplog: pytest.LogCaptureFixture
) -> None:
    rows = RecordingRows(600)
    sick = Behaviour(**{**vars(behaviour), "only_if": _holds(*poison)})
    with FakeBroker(sick) as broker, forwarding(rows, plain_broker(broker.port)) as sending:
        until = time.monotonic() + 60
        while len(rows.quarantined) < len(poison) or len(rows.unsent_seqs()) > len(poison):
            assert time.monotonic() < until, (rows.quarantined, rows.unsent_seqs())
            # Readings go on coming; with none at all there would be nothing to compare the row with.
            rows.add()
            sending.wake()
            time.sleep(0.2)
        assert sorted(rows.quarantined) == [(seq, seq, "ends_connections") for seq in sorted(poison)]
        rows.add()
        sending.wake()
        wait_until("the next row", lambda: set(rows.unsent_seqs()) == poison)
        print(
            f"poison {sorted(poison)}: {broker.record.connects} connections,"
            f" {_readings_bytes(broker)} bytes of readings"
        )
        assert broker.record.connects <= 22 * len(poison)
    assert rows.mistakes == []
    said = [record.message for record in caplog.records if "ended" in record.message]
    assert len(said) == len(poison)


def test_a_broker_that_hangs_up_on_every_reading_is_left_alone_more_and_more(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rows = RecordingRows(600)
    denying = Behaviour(puback="close", only_topic="/readings")
    with FakeBroker(denying) as broker, forwarding(rows, plain_broker(broker.port)) as sending:
        wait_until("the words", lambda: sending.health().last_problem_code == "readings_end_connections")
        time.sleep(3)
        connects = broker.record.connects
        # A quarter of a minute's pauses stand for an hour's: 0.3 s, 0.6 s, 1.2 s …
        assert connects <= 12
        assert rows.quarantined == []
        assert len(rows.unsent_seqs()) == 600
        broker.behaviour = Behaviour()
        wait_until("all rows marked sent", lambda: not rows.unsent_seqs(), 30)
        wait_until("all is well", lambda: sending.health().last_problem is None)
    assert rows.quarantined == [] and rows.mistakes == []
    assert sum("whenever a reading is sent" in record.message for record in caplog.records) == 1


@pytest.mark.parametrize("cut", ["close", "reset"])
def test_connections_cut_while_anything_is_under_way_condemn_no_row(cut: str) -> None:
    rows = RecordingRows(2000)
    with FakeBroker() as broker, forwarding(rows, plain_broker(broker.port)) as sending:
        for number in range(60):
            if not rows.unsent_seqs():
                break
            broker.behaviour = Behaviour(puback=cut, only_topic="/readings" if number % 3 else "")
            time.sleep(0.03)
            broker.behaviour = Behaviour()
            time.sleep(0.12)
            rows.add()
            sending.wake()
        broker.behaviour = Behaviour()
        wait_until("all rows marked sent", lambda: not rows.unsent_seqs(), 60)
    assert rows.quarantined == []
    assert rows.mistakes == []
    print(f"{cut}: {broker.record.connects} connections, none condemned")
