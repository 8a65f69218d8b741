import json
import sqlite3
from pathlib import Path

import pytest

from agent.buffer.event_log import HELD, KEPT
from tests.buffer.conftest import OpenStore
from tests.buffer.files import query, reading


def test_an_event_is_offered_until_it_is_acknowledged_and_survives_a_restart(open_store: OpenStore) -> None:
    store = open_store()
    store.append(reading(1))
    store.note_event("power", "lost", {"battery_v": 12.1}, quality="ntp")
    assert store.unsent_events(9) == []
    assert store.seconds_to_commit() == 0
    store.commit()
    (event,) = store.unsent_events(9)
    store.close()
    store = open_store()
    assert store.unsent_events(9) == [event]
    document = json.loads(event.payload())
    assert document["id"] == f"{store.epoch}-1"
    assert (document["v"], document["seq"], document["what"]) == (1, 1, "lost")
    assert document["battery_v"] == 12.1
    store.mark_event_sent(event.number)
    assert store.unsent_events(9) == []
    assert store.counts().events_unsent == 0
    store.close()
    assert open_store().unsent_events(9) == []


def test_events_are_bounded_in_memory_and_on_disk(open_store: OpenStore, path: Path) -> None:
    store = open_store()
    for number in range(KEPT // HELD + 2):
        for _each in range(HELD + 5):
            store.note_event("modem", "hung", {"number": number}, quality="unset")
        store.commit()
    assert len(store.unsent_events(KEPT * 2)) == KEPT
    store.close()
    assert query(path, "SELECT count(*) FROM events") == [(KEPT,)]


def test_evidence_cannot_change_the_frame_of_an_event(open_store: OpenStore) -> None:
    store = open_store()
    store.note_event("modem", "hung", {"id": "mine", "v": 7, "text": "\ud800"}, quality="unset")
    store.commit()
    document = json.loads(store.unsent_events(1)[0].payload())
    assert (document["id"], document["v"]) == (f"{store.epoch}-1", 1)


def test_quarantined_rows_are_offered_no_more_until_they_are_asked_for(open_store: OpenStore) -> None:
    store = open_store()
    for number in range(1, 6):
        store.append(reading(number))
    store.mark_sent(1, 1)
    store.quarantine(2, 3, "too large")
    store.commit()
    assert [row["seq"] for row in store.unsent_rows(newest=False, limit=9, leased=[])] == [4, 5]
    counts = store.counts()
    assert (counts.unsent, counts.quarantined) == (2, 2)
    (event,) = store.unsent_events(9)
    assert (event.type, event.what, event.evidence["rows"]) == ("buffer", "quarantined", 2)
    store.close()
    store = open_store()
    assert (store.counts().unsent, store.counts().quarantined) == (2, 2)
    assert store.resend(1, 3) == 3
    assert [row["seq"] for row in store.unsent_rows(newest=False, limit=9, leased=[])] == [1, 2, 3, 4, 5]
    store.close()
    assert open_store().counts().unsent == 5


@pytest.mark.parametrize(
    ("first", "last", "again"), [(1, 10, 10), (3, 5, 3), (9, 99, 2), (11, 99, 0), (5, 4, 0)]
)
def test_resend_takes_what_is_stored_of_a_range(
    open_store: OpenStore, first: int, last: int, again: int
) -> None:
    store = open_store()
    for number in range(1, 11):
        store.append(reading(number))
    store.mark_sent(1, 10)
    assert store.resend(first, last) == again
    assert store.counts().unsent == again


def test_salvaged_rows_leave_when_they_are_acknowledged(open_store: OpenStore, path: Path) -> None:
    store = open_store()
    assert store.salvaged_rows(9) == ("", [])
    store.close()
    for seq in (4, 5, 9):
        with sqlite3.connect(path) as connection:
            connection.execute("INSERT INTO salvaged VALUES ('00c0ffee', ?, ?)", (seq, f'{{"seq": {seq}}}'))
        connection.close()
    store = open_store()
    epoch, rows = store.salvaged_rows(2)
    assert (epoch, rows) == ("00c0ffee", [{"seq": 4}, {"seq": 5}])
    store.mark_salvaged_sent(epoch, 4, 5)
    assert store.salvaged_rows(9) == ("00c0ffee", [{"seq": 9}])


@pytest.mark.parametrize("spoilt", ["{", "[1]", "", '{"a":1'])
def test_an_event_whose_evidence_is_damaged_goes_out_without_it(
    open_store: OpenStore, path: Path, spoilt: str
) -> None:
    store = open_store()
    store.note_event("power", "lost", {"battery_v": 12.1}, quality="ntp")
    store.commit()
    store.close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE events SET evidence = ?", (spoilt,))
    connection.close()
    (event,) = open_store().unsent_events(9)
    assert (event.what, event.evidence) == ("lost", {"evidence_readable": False})
