"""What the centre says of stored readings: read strictly, believed carefully, followed within bounds."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.publish import stored
from agent.publish.stored import NoticeUnreadable, StoredNotice, StoredWatch, read_notice
from tests.contract.schema_files import faults

EPOCH = "9f2c01ab"
MINUTE = 60.0


def _payload(**changes: object) -> bytes:
    return json.dumps({"v": 1, "epoch": EPOCH, "seq": 100} | changes).encode()


def test_a_notice_is_read() -> None:
    assert read_notice(_payload()) == StoredNotice(EPOCH, 100)
    read = read_notice(_payload(missing=[[50, 60], [7, 7]], ts=1, note="new"))
    assert read == StoredNotice(EPOCH, 100, ((7, 7), (50, 60)), 1)
    assert faults("stored.json", _payload(missing=[[50, 60], [7, 7]], ts=1)) == []


@pytest.mark.parametrize(
    "payload",
    [
        b"x",
        b"null",
        b"[]",
        b"[" * 4000,
        b'{"v":1,"epoch":' + b'{"a":' * 600,
        b"\xff\xfe",
        b'{"v":1,"v":1,"epoch":"9f2c01ab","seq":1}',
        _payload(v=2),
        _payload(v=True),
        _payload(v=1.0),
        _payload(epoch="9F2C01AB"),
        _payload(epoch="9f2c01ab\n"),
        _payload(epoch=None),
        _payload(seq=-1),
        _payload(ts=-1),
        _payload(ts=1.5),
        _payload(ts=2**60),
        _payload(seq=2**53),
        _payload(seq=1.5),
        _payload(seq="100"),
        _payload(seq=True),
        _payload(seq=None),
        b'{"v":1,"epoch":"9f2c01ab","seq":1e999}',
        b'{"v":1,"epoch":"9f2c01ab","seq":' + b"9" * 4000 + b"}",
        _payload(missing=None),
        _payload(missing={}),
        _payload(missing="all"),
        _payload(missing=[7]),
        _payload(missing=[[7]]),
        _payload(missing=[[7, 8, 9]]),
        _payload(missing=[[8, 7]]),
        _payload(missing=[[0, 7]]),
        _payload(missing=[[1, 2**53]]),
        _payload(missing=[[True, 7]]),
        _payload(missing=[["1", "7"]]),
        _payload(padding="x" * 5000),
    ],
)
def test_what_is_no_notice_is_refused_whole(payload: bytes) -> None:
    with pytest.raises(NoticeUnreadable):
        read_notice(payload)


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode()))
def test_no_payload_gives_anything_but_a_notice_or_a_refusal(payload: bytes) -> None:
    with contextlib.suppress(NoticeUnreadable):
        read_notice(payload)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(json_values, json_values, json_values)
def test_no_value_in_its_place_gives_anything_else(epoch: object, seq: object, missing: object) -> None:
    payload = json.dumps({"v": 1, "epoch": epoch, "seq": seq, "missing": missing}).encode()
    with contextlib.suppress(NoticeUnreadable):
        read_notice(payload)


def _watch(seq: int = 0, last_seq: int = 0, now: float = 0.0) -> StoredWatch:
    watch = StoredWatch()
    assert watch.note_notice(StoredNotice(EPOCH, seq), epoch=EPOCH, last_seq=last_seq, now=now)
    return watch


def test_nothing_is_sent_again_while_the_centre_says_nothing() -> None:
    watch = StoredWatch()
    watch.note_acknowledged(EPOCH, (1, 500), 0)
    assert watch.due_at() is None
    assert watch.take_due(1e9) == []
    assert watch.seq is None


def test_a_notice_of_another_epoch_is_not_ours() -> None:
    watch = StoredWatch()
    assert not watch.note_notice(StoredNotice("00c0ffee", 7), epoch=EPOCH, last_seq=9, now=0)
    assert watch.seq is None


def test_what_is_claimed_beyond_the_newest_row_is_believed_as_far_as_rows_exist() -> None:
    assert _watch(10**9, 70).seq == 70


def test_the_highest_seq_never_goes_back() -> None:
    watch = _watch(50, 70)
    watch.note_notice(StoredNotice(EPOCH, 20), epoch=EPOCH, last_seq=70, now=1)
    assert watch.seq == 50


def test_rows_the_centre_lacks_are_due_a_quarter_of_an_hour_after_their_acknowledgement() -> None:
    watch = _watch()
    watch.note_acknowledged(EPOCH, (1, 60), 0)
    watch.note_acknowledged(EPOCH, (61, 120), 10 * MINUTE)
    assert watch.due_at() == 15 * MINUTE
    assert watch.take_due(15 * MINUTE - 1) == []
    assert watch.take_due(15 * MINUTE) == [(1, 60)]
    assert watch.take_due(15 * MINUTE) == []


def test_rows_that_were_stored_meanwhile_are_not_due() -> None:
    watch = _watch()
    watch.note_acknowledged(EPOCH, (1, 60), 0)
    watch.note_notice(StoredNotice(EPOCH, 40), epoch=EPOCH, last_seq=60, now=MINUTE)
    assert watch.take_due(20 * MINUTE) == [(41, 60)]


def test_rows_of_an_earlier_process_count_from_the_first_notice() -> None:
    watch = _watch(40, 100, now=5 * MINUTE)
    assert watch.take_due(19 * MINUTE) == []
    assert watch.take_due(20 * MINUTE) == [(41, 100)]


def test_patience_doubles_while_it_does_not_help_and_is_short_again_when_it_did() -> None:
    watch = _watch()
    now, waits = 0.0, []
    for _time in range(4):
        watch.note_acknowledged(EPOCH, (1, 60), now)
        due_at = watch.due_at()
        assert due_at is not None
        waits.append((due_at - now) / MINUTE)
        assert watch.take_due(due_at - 1) == []
        assert watch.take_due(due_at) == [(1, 60)]
        now = due_at
    assert waits == [15, 30, 60, 120]
    watch.note_acknowledged(EPOCH, (1, 60), now)
    watch.note_notice(StoredNotice(EPOCH, 60), epoch=EPOCH, last_seq=60, now=now)
    watch.note_acknowledged(EPOCH, (61, 70), now + 300 * MINUTE)
    assert watch.due_at() == now + 315 * MINUTE


def test_missing_ranges_are_sent_again_at_once_but_not_twice_in_an_hour() -> None:
    watch = _watch(100, 100)
    notice = StoredNotice(EPOCH, 100, ((7, 7), (50, 60), (90, 400)))
    watch.note_notice(notice, epoch=EPOCH, last_seq=100, now=0)
    assert watch.take_due(0) == [(7, 7), (50, 60), (90, 100)]
    for now, expected in ((1.0, []), (59 * MINUTE, []), (61 * MINUTE, [(7, 7), (50, 60), (90, 100)])):
        watch.note_notice(notice, epoch=EPOCH, last_seq=100, now=now)
        assert watch.take_due(now) == expected


def test_a_centre_that_asks_for_everything_again_and_again_gets_it_once_an_hour() -> None:
    watch = _watch(10**6, 10**6)
    asked = 0
    for number in range(600):
        notice = StoredNotice(EPOCH, 10**6, tuple((1 + number + 50 * k, 10**6) for k in range(30)))
        watch.note_notice(notice, epoch=EPOCH, last_seq=10**6, now=float(number))
        asked += sum(last - first + 1 for first, last in watch.take_due(float(number)))
    assert asked == stored.MOST_RESENT_ROWS


def test_a_flood_of_small_ranges_is_bounded_too() -> None:
    watch = _watch(10**6, 10**6)
    ranges = 0
    for number in range(1000):
        notice = StoredNotice(
            EPOCH, 10**6, tuple((2 * k, 2 * k) for k in range(1 + 20 * number, 21 + 20 * number))
        )
        watch.note_notice(notice, epoch=EPOCH, last_seq=10**6, now=1.0)
        ranges += len(watch.take_due(1.0))
    assert ranges <= stored.MOST_RANGES_WATCHED


def test_what_is_watched_stays_small_in_a_long_silence_of_the_centre() -> None:
    watch = _watch()
    for number in range(20_000):
        # Every second row, so that nothing can be joined in time.
        watch.note_acknowledged(EPOCH, (2 * number + 1, 2 * number + 1), 61.0 * number)
    assert len(watch._acknowledged) <= stored.MOST_RANGES_WATCHED
    due = watch.take_due(61.0 * 20_000 + 3600)
    assert sum(last - first + 1 for first, last in due) <= stored.MOST_RESENT_ROWS


def test_a_new_epoch_begins_anew() -> None:
    watch = _watch(100, 100)
    watch.note_acknowledged(EPOCH, (1, 200), 0)
    watch.note_notice(StoredNotice("00c0ffee", 3), epoch="00c0ffee", last_seq=5, now=MINUTE)
    assert watch.seq == 3
    watch.note_acknowledged(EPOCH, (1, 200), 2 * MINUTE)
    assert watch.take_due(16 * MINUTE) == [(4, 5)]
