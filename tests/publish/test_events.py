"""Events go out at once, each until a good PUBACK; one that cannot go holds up nothing."""

import json
import time

import pytest

from agent.publish import event_outlet, refused_topics
from agent.wire.columns import decode_batch
from tests.contract.schema_files import faults
from tests.support.fake_broker import Behaviour, FakeBroker
from tests.support.forwarding import GATEWAY_ID, forwarding, plain_broker, wait_until
from tests.support.listener import Listener
from tests.support.mosquitto import Mosquitto
from tests.support.rows import RecordingRows

PREFIX = f"desa/v1/{GATEWAY_ID}"


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_outlet, "PAUSE_S", 0.3)
    monkeypatch.setattr(event_outlet, "PAUSE_MAX_S", 0.6)
    monkeypatch.setattr(refused_topics, "FIRST_PAUSE_S", 0.3)
    monkeypatch.setattr(refused_topics, "LONGEST_PAUSE_S", 0.6)


def test_an_event_goes_at_once_and_takes_along_the_readings_gathered_so_far(broker: Mosquitto) -> None:
    rows = RecordingRows(3)
    with (
        Listener(broker.port) as listener,
        forwarding(rows, plain_broker(broker.port), interval_s=3600) as sending,
    ):
        wait_until("the first rows", lambda: not rows.unsent_seqs())
        rows.add(2)
        sending.wake()
        sending.wake()
        time.sleep(0.3)
        assert rows.unsent_seqs() == [4, 5]
        rows.happen("power", "mains_lost", {"battery_v": 12.1})
        sending.wake(urgent=True)
        wait_until("the event", lambda: rows.sent_events == [1])
        wait_until("the readings", lambda: not rows.unsent_seqs())
        heard = listener.wait_for("both", lambda heard: bool(heard) and heard[-1].topic.endswith("readings"))
    event, readings = heard[-2:]
    assert event.topic == f"{PREFIX}/event/power" and not event.retained
    assert json.loads(event.payload)["what"] == "mains_lost"
    assert faults("event.json", event.payload) == []
    assert [row["seq"] for row in decode_batch(readings.payload).rows] == [4, 5]
    assert rows.mistakes == []


def test_events_of_an_outage_go_before_the_readings_oldest_first(broker: Mosquitto) -> None:
    rows = RecordingRows(300)
    for number in range(5):
        rows.happen("outage", f"end_{number}", {"duration_s": number})
    with Listener(broker.port) as listener, forwarding(rows, plain_broker(broker.port)):
        wait_until("all events", lambda: len(rows.sent_events) == 5)
        heard = listener.wait_for("all", lambda heard: sum("/readings" in m.topic for m in heard) >= 2)
    topics = [message.topic.removeprefix(f"{PREFIX}/") for message in heard]
    assert topics[:7] == ["status", "inventory", *["event/outage"] * 5] or "event/outage" in topics[2:8]
    events = [json.loads(m.payload)["what"] for m in heard if "/event/" in m.topic]
    assert events == [f"end_{number}" for number in range(5)]
    assert rows.sent_events == [1, 2, 3, 4, 5]


def test_an_event_of_the_store_itself_is_found_with_the_next_reading(
    broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_outlet, "ASK_EVERY_S", 0.2)
    rows = RecordingRows(1)
    with forwarding(rows, plain_broker(broker.port), interval_s=3600):
        wait_until("the first row", lambda: not rows.unsent_seqs())
        rows.happen("buffer", "quarantined", {"rows": 1})
        wait_until("the event", lambda: rows.sent_events == [1])


@pytest.mark.parametrize("code", [131, 135, 151])
def test_a_refused_event_waits_and_holds_up_nothing(code: int) -> None:
    rows = RecordingRows(50)
    rows.happen("power", "mains_lost", {})
    behaviour = Behaviour(puback=code, only_topic="/event/power")
    with FakeBroker(behaviour) as broker, forwarding(rows, plain_broker(broker.port)) as sending:
        wait_until("all rows marked sent", lambda: not rows.unsent_seqs())
        rows.happen("modem", "hung", {})
        sending.wake(urgent=True)
        wait_until("the other event", lambda: rows.sent_events == [2])
        time.sleep(1)
        tries = sum(each.topic.endswith("/event/power") for each in broker.record.published)
        assert tries <= 6
        assert sending.health().last_problem_code == (None if code == 151 else "topic_refused")
        broker.behaviour = Behaviour()
        wait_until("the event after all", lambda: rows.sent_events == [2, 1])
        wait_until("all is well", lambda: sending.health().last_problem is None)
        assert broker.record.connects == 1
    assert rows.mistakes == []


def _big(payload: object) -> bool:
    return b"big" in bytes(payload) if isinstance(payload, bytes) else False


@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour(puback=149, only_if=_big),
        Behaviour(puback="close", only_if=_big),
        Behaviour(puback="disconnect", disconnect_code=149, only_if=_big),
    ],
    ids=["refused as too large", "hung up", "disconnected"],
)
def test_an_event_no_broker_takes_is_given_up_after_three_tries(
    behaviour: Behaviour, caplog: pytest.LogCaptureFixture
) -> None:
    rows = RecordingRows(50)
    rows.happen("modem", "big", {})
    rows.happen("modem", "small", {})
    with FakeBroker(behaviour) as broker, forwarding(rows, plain_broker(broker.port)):
        wait_until("all rows marked sent", lambda: not rows.unsent_seqs())
        wait_until("the small event", lambda: 2 in rows.sent_events)
        wait_until("the big event given up", lambda: 1 in rows.sent_events, 30)
        tries = sum(b"big" in each.payload for each in broker.record.published)
        assert 3 <= tries <= 5
    assert rows.quarantined == [] and rows.mistakes == []
    assert [m for m in caplog.messages if "given up" in m] == [
        f"event {rows.epoch}-1 (modem: big) cannot be sent and is given up: no broker took it"
    ]


@pytest.mark.parametrize(
    ("type_", "evidence"),
    [("nonsense/#", {}), ("modem", {"text": "x" * 9000}), ("modem", {"text": {1, 2}})],
    ids=["type", "size", "no JSON"],
)
def test_an_event_that_cannot_be_a_message_is_given_up(
    type_: str, evidence: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    rows = RecordingRows(5)
    rows.happen(type_, "odd", evidence)  # type: ignore[arg-type]
    with FakeBroker(Behaviour(max_packet_bytes=4000)) as broker, forwarding(rows, plain_broker(broker.port)):
        wait_until("it is given up", lambda: rows.sent_events == [1])
        wait_until("all rows marked sent", lambda: not rows.unsent_seqs())
        assert not any("/event/" in each.topic for each in broker.record.published)
    assert sum("given up" in message for message in caplog.messages) == 1


def test_an_event_whose_mark_fails_is_marked_later_and_not_sent_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agent.publish.patient_store.STORE_RETRY_S", 0.2)
    rows = RecordingRows(0)
    rows.happen("modem", "hung", {})
    with FakeBroker(Behaviour(hold_s=0.3)) as broker, forwarding(rows, plain_broker(broker.port)):
        broker.wait_for("the event", lambda record: any("/event/" in m.topic for m in record.published))
        rows.failing = True
        broker.wait_for("the acknowledgement", lambda record: len(record.acknowledged) >= 3)
        time.sleep(0.5)
        rows.failing = False
        wait_until("the mark", lambda: rows.sent_events == [1])
        assert sum("/event/" in each.topic for each in broker.record.published) == 1
    assert rows.mistakes == []
