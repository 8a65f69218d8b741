"""A topic other than that of the readings is denied: it rests, is named, and the readings flow on."""

import logging
import signal
from pathlib import Path

import pytest

from agent.publish import event_outlet, refused_topics
from agent.publish.parcel import Parcel
from agent.publish.refused_topics import FIRST_PAUSE_S, LONGEST_PAUSE_S, RefusedTopics
from tests.support.batches import assert_delivered, batches
from tests.support.fake_broker import Behaviour, FakeBroker
from tests.support.forwarding import GATEWAY_ID, forwarding, plain_broker, wait_until
from tests.support.listener import Heard, Listener
from tests.support.mosquitto import GATEWAY_ACL, Mosquitto, mosquitto
from tests.support.rows import EPOCH, RecordingRows

PREFIX = f"desa/v1/{GATEWAY_ID}"

HANGS_UP = "max_queued_messages 0"
"""With this, which means "no bound", mosquitto 2.0.11 hangs up right after a negative PUBACK."""


def _acl(denied: str) -> str:
    """Return the ACL of gateways without TLS, less the lines of one topic."""
    lines = [line for line in GATEWAY_ACL.splitlines() if f"/{denied}" not in line]
    assert len(lines) < len(GATEWAY_ACL.splitlines())
    return "\n".join(lines).replace("%u", "%c")


def _warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("extra", ["", HANGS_UP], ids=["stays", "hangs up"])
@pytest.mark.parametrize("denied", ["inventory", "status", "event"])
def test_a_topic_that_a_real_broker_denies_stops_no_reading(
    tmp_path: Path, denied: str, extra: str, caplog: pytest.LogCaptureFixture
) -> None:
    topic = f"{PREFIX}/{denied}" + ("/power" if denied == "event" else "")
    rows = RecordingRows(198)
    rows.happen("power", "mains_lost", {})
    with (
        mosquitto(tmp_path / "broker", acl=_acl(denied), extra=extra) as broker,
        Listener(broker.listen_port) as listener,
        forwarding(rows, plain_broker(broker.port)) as sending,
    ):
        wait_until("all rows marked sent", lambda: not rows.unsent_seqs())
        wait_until("the refusal", lambda: sending.health().last_problem_code == "topic_refused")
        assert topic in str(sending.health().last_problem)
        if denied != "event":
            wait_until("the event", lambda: rows.sent_events == [1])
        for _time in range(3):
            rows.add()
            sending.wake()
            wait_until("the next row", lambda: not rows.unsent_seqs())
        heard = listener.wait_for("all rows", lambda heard: len(_rows(heard)) >= 201)
        wait_until("the connection", lambda: sending.health().state == "connected")
        assert sending.health().connects <= 4
        assert sending.health().last_problem_code == "topic_refused"
        assert len([text for text in _warnings(caplog) if topic in text]) == 1
        assert not any("whenever a reading" in text for text in caplog.messages)
    assert_delivered(batches(heard), 201)
    assert rows.quarantined == [] and rows.mistakes == []


def _rows(heard: list[Heard]) -> set[object]:
    return {row["seq"] for batch in batches(heard) for row in batch.rows}


def test_hearing_what_is_stored_may_be_denied_by_a_real_broker_that_hangs_up(tmp_path: Path) -> None:
    rows = RecordingRows(198)
    with (
        mosquitto(tmp_path / "broker", acl=_acl("stored"), extra=HANGS_UP) as broker,
        forwarding(rows, plain_broker(broker.port)) as sending,
    ):
        wait_until("all rows marked sent", lambda: not rows.unsent_seqs())
        assert sending.health().last_problem is None
    assert rows.quarantined == [] and rows.mistakes == []


def _allow_all(broker: Mosquitto) -> None:
    (broker.folder / "acl").write_text(GATEWAY_ACL.replace("%u", "%c"))
    broker.signal(signal.SIGHUP)


def test_a_topic_that_is_allowed_later_is_used_on_the_same_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refused_topics, "FIRST_PAUSE_S", 0.3)
    monkeypatch.setattr(refused_topics, "LONGEST_PAUSE_S", 0.3)
    rows = RecordingRows(10)
    with (
        mosquitto(tmp_path / "broker", acl=_acl("inventory")) as broker,
        Listener(broker.listen_port) as listener,
        forwarding(rows, plain_broker(broker.port)) as sending,
    ):
        wait_until("the refusal", lambda: sending.health().last_problem_code == "topic_refused")
        _allow_all(broker)
        listener.wait_for("the inventory", lambda heard: any(m.topic == f"{PREFIX}/inventory" for m in heard))
        wait_until("all is well", lambda: sending.health().last_problem is None)
        assert sending.health().connects == 1


@pytest.mark.parametrize("topic", ["/status", "/inventory", "/event/power"])
@pytest.mark.parametrize("how", [135, "refuse_and_close", "close", "reset"])
def test_whatever_a_broker_does_on_a_denied_topic_readings_flow_and_connects_are_few(
    topic: str, how: int | str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_outlet, "PAUSE_S", 5.0)
    rows = RecordingRows(198)
    rows.happen("power", "mains_lost", {})
    with (
        FakeBroker(Behaviour(puback=how, only_topic=topic)) as broker,
        forwarding(rows, plain_broker(broker.port)) as sending,
    ):
        wait_until("all rows marked sent", lambda: not rows.unsent_seqs())
        wait_until("the refusal", lambda: sending.health().last_problem_code == "topic_refused", 60)
        wait_until("the connection", lambda: sending.health().state == "connected")
        assert f"{PREFIX}{topic}" in str(sending.health().last_problem)
        rows.add()
        sending.wake()
        wait_until("the next row", lambda: not rows.unsent_seqs())
        assert sending.health().last_problem_code == "topic_refused"
        assert broker.record.connects == 1 if how == 135 else broker.record.connects <= 5
        tries = sum(message.topic.endswith(topic) for message in broker.record.published)
        assert tries <= 3
        assert not any("whenever a reading" in text for text in caplog.messages)
        assert len([text for text in _warnings(caplog) if f"{PREFIX}{topic}" in text]) == 1
    assert rows.quarantined == [] and rows.mistakes == []


def test_an_event_whose_topic_is_denied_is_not_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refused_topics, "FIRST_PAUSE_S", 0.2)
    monkeypatch.setattr(refused_topics, "LONGEST_PAUSE_S", 0.2)
    monkeypatch.setattr(event_outlet, "PAUSE_S", 0.1)
    monkeypatch.setattr(event_outlet, "PAUSE_MAX_S", 0.1)
    rows = RecordingRows(10)
    rows.happen("power", "mains_lost", {})
    with (
        FakeBroker(Behaviour(puback="close", only_topic="/event/power")) as broker,
        forwarding(rows, plain_broker(broker.port)),
    ):
        broker.wait_for(
            "six tries", lambda record: sum("/event/" in each.topic for each in record.published) >= 6, 60
        )
        assert rows.sent_events == []
        broker.behaviour = Behaviour()
        wait_until("the event after all", lambda: rows.sent_events == [1])
        wait_until("all rows marked sent", lambda: not rows.unsent_seqs())
    assert rows.quarantined == [] and rows.mistakes == []


def test_a_broker_that_denies_readings_and_hangs_up_is_not_stormed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = RecordingRows(198)
    with (
        FakeBroker(Behaviour(puback="refuse_and_close", only_topic="/readings")) as broker,
        forwarding(rows, plain_broker(broker.port)) as sending,
    ):
        wait_until("the refusal", lambda: sending.health().last_problem_code == "refused_by_broker")
        broker.wait_for("the next connection", lambda record: record.connects == 2)
        wait_until("the connection", lambda: sending.health().state == "connected")
        assert sending.health().last_problem_code == "refused_by_broker"
    assert len(rows.unsent_seqs()) == 198 and rows.quarantined == []
    assert sum("/readings" in text for text in _warnings(caplog)) == 1


STATUS = Parcel(f"{PREFIX}/status", b"{}", EPOCH)
EVENT = Parcel(f"{PREFIX}/event/power", b"{}", EPOCH, event=1)
READING = Parcel(f"{PREFIX}/readings", b"{}", EPOCH, (1, 9))


def _hang_up(topics: RefusedTopics, *under_way: Parcel, seconds: float = 0.1) -> str | None:
    return topics.note_ended(under_way, by_peer=True, seconds_since_sent=seconds)


def test_the_pause_of_a_refused_topic_doubles_to_a_day() -> None:
    topics, now, pauses = RefusedTopics(), 0.0, []
    for _time in range(12):
        assert topics.may_send(STATUS.topic, now)
        topics.note_refused(STATUS.topic, now)
        assert not topics.may_send(STATUS.topic, now)
        until = topics.next_at(now)
        assert until is not None
        pauses.append(until - now)
        now = until
    assert pauses[:3] == [FIRST_PAUSE_S, 2 * FIRST_PAUSE_S, 4 * FIRST_PAUSE_S]
    assert pauses[-1] == LONGEST_PAUSE_S
    assert topics.note_accepted(STATUS.topic)
    assert topics.refused() == [] and not topics.is_doubtful(STATUS.topic)


def test_two_ends_with_a_topic_alone_under_way_refuse_it_and_one_end_with_others_does_not() -> None:
    topics = RefusedTopics()
    assert _hang_up(topics, STATUS, READING) is None
    assert topics.is_doubtful(STATUS.topic) and not topics.is_doubtful(READING.topic)
    assert _hang_up(topics, STATUS) is None
    assert _hang_up(topics, STATUS) == STATUS.topic


def test_an_end_of_the_link_or_a_late_one_or_one_before_a_refused_connection_counts_nothing() -> None:
    topics = RefusedTopics()
    assert topics.note_ended([STATUS], by_peer=False, seconds_since_sent=0.1) is None
    assert _hang_up(topics, STATUS, seconds=100) is None
    assert not topics.is_doubtful(STATUS.topic)
    for _time in range(5):
        assert _hang_up(topics, STATUS) is None
        topics.note_not_connected()


def test_an_event_on_a_topic_the_broker_has_taken_is_itself_at_fault() -> None:
    topics = RefusedTopics()
    topics.note_accepted(EVENT.topic)
    for _time in range(3):
        assert _hang_up(topics, EVENT) is None
    assert not topics.is_doubtful(EVENT.topic)
