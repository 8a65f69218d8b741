"""The bound: near max_bytes old unsent readings become rollups, and a new reading is never refused."""

import random
import tempfile
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.buffer import retention
from agent.buffer.store import Store
from agent.contract.catalogue import Row
from agent.wire.columns import split_to_fit
from tests.bench.buffer import reading as full_reading
from tests.buffer.conftest import OpenStore
from tests.buffer.files import START_TS, query, reading

MIB = 1 << 20
EPOCH = "9f2c01ab"
ORDINARY = full_reading(1)


def minute(number: int) -> Row:
    """Return a reading with all that an LTE gateway knows, no two alike; one a minute, never rebooted."""
    chance = random.Random(number)
    return {
        **ORDINARY,
        "ts": START_TS + 60 * number,
        "uptime_s": 60 * number,
        "rsrp_dbm": -100 + chance.randint(-8, 8),
        "rsrq_db": chance.randint(-140, -60) / 10,
        "sinr_db": chance.randint(0, 140) / 10,
        "wan_rx_bytes": chance.randint(0, 10**6),
        "cpu_pct": chance.randint(1, 30),
        "link_up": int(chance.random() > 0.05),
        "rtt_ms": chance.randint(500, 1500) / 10,
        "rtt_p95_ms": chance.randint(1500, 2500) / 10,
        "loss_ratio": chance.randint(0, 99) / 1000,
    }


@pytest.fixture
def prune_always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.buffer.store.PRUNE_EVERY_S", 0.0)


def fold_everything(monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    """Let the store fold all it has, as if it were full of readings."""
    store.commit()
    with monkeypatch.context() as patch:
        patch.setattr(retention, "PRUNE_ABOVE", 0.0)
        patch.setattr(
            retention, "_fold_or_drop", lambda c, h, pages: retention._fold(c, h, h.last_seq, pages)
        )
        for _slice in range(20):
            store.prune()


def all_unsent(store: Store) -> list[Row]:
    """Return every unsent row, as one run after the other is offered."""
    rows: list[Row] = []
    leased: list[tuple[int, int]] = []
    while run := store.unsent_rows(newest=False, limit=240, leased=leased):
        rows += run
        leased.append((span(run[0])[0], span(run[-1])[1]))
    return sorted(rows, key=lambda row: span(row)[1])


def span(row: Row) -> tuple[int, int]:
    seq, first = row["seq"], row.get("seq_first", row["seq"])
    assert isinstance(seq, int) and isinstance(first, int)
    return first, seq


def check_a_long_time_offline(store: Store, count: int, max_bytes: int) -> None:
    largest = 0
    for number in range(1, count + 1):
        store.append(minute(number))
        if number % 1000 == 0:
            largest = max(largest, store.counts().bytes_used)
    store.commit()
    counts = store.counts()
    rows = all_unsent(store)
    slots = [row["slot_s"] for row in rows]
    full, fives, hours = (slots.count(slot_s) for slot_s in (60, 300, 3600))
    print(
        f"{count} readings in {max_bytes >> 20} MB: {full} rows of a minute, {fives} of five,"
        f" {hours} of an hour, {counts.dropped} dropped, at most {largest} bytes"
    )
    assert counts.dropped == 0
    assert largest <= max_bytes
    assert slots == [3600] * hours + [300] * fives + [60] * full  # the older, the coarser
    assert min(full, fives, hours) > 20
    assert full * 60 >= 86_400
    assert span(rows[0])[0] == 1
    assert all(span(one)[1] + 1 == span(other)[0] for one, other in pairwise(rows))
    assert span(rows[-1])[1] == count
    assert counts.folded == count - full
    assert counts.unsent == counts.stored == len(rows)


def test_two_weeks_offline_fit_into_2_mb(open_store: OpenStore, prune_always: None) -> None:
    store = open_store(max_bytes=2 * MIB, commit_interval_s=3600, commit_readings=60)
    check_a_long_time_offline(store, 20_160, 2 * MIB)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_year_offline_fits_into_64_mb(open_store: OpenStore, prune_always: None) -> None:
    store = open_store(max_bytes=64 * MIB, commit_interval_s=3600, commit_readings=60)
    check_a_long_time_offline(store, 525_600, 64 * MIB)


def test_a_full_file_folds_at_once_and_refuses_no_reading(open_store: OpenStore, path: Path) -> None:
    # It is not yet the hour to look for room.
    store = open_store(max_bytes=MIB, commit_interval_s=3600, commit_readings=40)
    for number in range(1, 6001):
        assert store.append(reading(number)) == number
    store.commit()
    counts = store.counts()
    assert counts.bytes_used <= MIB
    assert (counts.dropped, counts.last_seq) == (0, 6000)
    assert counts.folded > 1000
    assert counts.unsent == counts.stored == len(all_unsent(store))
    store.commit()
    assert {event.what for event in store.unsent_events(9)} == {"folded", "full"}
    store.close()
    assert path.stat().st_size <= MIB
    store = open_store(max_bytes=MIB)
    assert store.counts().unsent == counts.unsent


def test_when_nothing_is_left_to_fold_the_oldest_are_dropped_counted_and_told(
    open_store: OpenStore, prune_always: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.buffer.room_costs.TELL_EVERY_S", 0.0)
    store = open_store(max_bytes=MIB, commit_interval_s=3600, commit_readings=40)
    for number in range(1, 6001):  # one an hour: none has a neighbour in its slot
        store.append({**reading(number), "uptime_s": 3600 * number})
    store.commit()
    counts = store.counts()
    assert counts.bytes_used <= MIB
    assert (counts.folded, counts.last_seq) == (0, 6000)
    rows = all_unsent(store)
    assert [span(row)[1] for row in rows] == list(range(counts.dropped + 1, 6001))
    store.note_event("power", "lost", {}, quality="ntp")
    store.commit()
    told = [event.evidence for event in store.unsent_events(1000) if event.what == "dropped"]
    assert sum(int(evidence["rows"] or 0) for evidence in told) == counts.dropped > 0
    assert (told[0]["seq_first"], told[-1]["seq_last"]) == (1, counts.dropped)


def test_a_reading_folded_into_minutes_and_then_hours_is_told_once(
    open_store: OpenStore, prune_always: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.buffer.room_costs.TELL_EVERY_S", 0.0)
    store = open_store(max_bytes=MIB, commit_interval_s=3600, commit_readings=40)
    for number in range(1, 12_001):
        store.append({**reading(number), "uptime_s": 60 * number})
    store.commit()
    folded = store.counts().folded
    rows = all_unsent(store)
    assert any(row["slot_s"] == 3600 for row in rows)
    assert folded == sum(last - first + 1 for first, last in map(span, rows) if last > first)
    store.note_event("power", "lost", {}, quality="ntp")
    store.commit()
    told = [event.evidence for event in store.unsent_events(1000) if event.what == "folded"]
    assert sum(int(evidence["rows"] or 0) for evidence in told) == folded > 0


def test_readings_too_large_to_be_kept_whole_are_still_taken(
    open_store: OpenStore, prune_always: None
) -> None:
    store = open_store(max_bytes=MIB, commit_readings=10)
    for number in range(1, 1001):
        assert store.append({**reading(1), "uptime_s": 60 * number, "operator_name": "x" * 2000}) == number
    counts = store.counts()
    assert counts.bytes_used <= MIB
    assert counts.folded > 0


def test_a_file_full_of_something_else_still_takes_the_newest_readings(
    open_store: OpenStore, path: Path
) -> None:
    open_store(max_bytes=MIB).close()
    query(path, "INSERT INTO meta VALUES ('ballast', hex(zeroblob(400000)))")
    store = open_store(max_bytes=MIB, commit_readings=10)
    for number in range(1, 101):
        assert store.append({**reading(1), "uptime_s": 3600 * number}) == number
    counts = store.counts()
    assert counts.dropped == 100 - counts.stored


def test_what_was_sent_goes_before_anything_is_folded(open_store: OpenStore, prune_always: None) -> None:
    store = open_store(max_bytes=MIB, commit_readings=10)
    for number in range(1, 2401):
        store.append({**reading(number), "uptime_s": 60 * number})
    store.mark_sent(601, 2400)
    for number in range(2401, 3601):
        store.append({**reading(number), "uptime_s": 60 * number})
    counts = store.counts()
    assert counts.folded == 0
    assert counts.stored < 3600
    assert counts.unsent == 600 + 1200


def test_quarantined_rows_are_folded_first(
    open_store: OpenStore, prune_always: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(max_bytes=MIB, commit_readings=10)
    for number in range(1, 1001):
        store.append({**reading(number), "uptime_s": 60 * number})
    store.quarantine(301, 420, "too large")
    for number in range(1001, 6000):
        store.append({**reading(number), "uptime_s": 60 * number})
        if number % 10 == 0 and store.counts().folded:
            break
    assert store.counts().quarantined < 120
    assert store.resend(301, 420) > 0
    assert any(span(row) == (300, 300) for row in all_unsent(store))
    covered = [seq for row in all_unsent(store) for seq in range(span(row)[0], span(row)[1] + 1)]
    assert covered == sorted(set(covered))
    assert covered[:500] == list(range(1, 501))


def test_it_tells_at_most_once_an_hour_and_then_all_of_it(
    open_store: OpenStore, prune_always: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("agent.buffer.store.time.monotonic", lambda: now)
    store = open_store(max_bytes=MIB, commit_readings=10)
    for number in range(1, 5001):
        store.append({**reading(number), "uptime_s": 60 * number})
        store.commit()
    assert [event.what for event in store.unsent_events(9)] == ["folded"]
    store.close()
    store = open_store(max_bytes=MIB, commit_readings=10)  # a stop loses nothing of what is to be told
    now += 3600
    store.append(reading(1))
    store.commit()
    first, second = store.unsent_events(9)
    assert first.evidence["seq_first"] == 1
    assert int(second.evidence["rows"] or 0) > 1000
    assert store.counts().folded > int(first.evidence["rows"] or 0)


def store_of_minutes(open_store: OpenStore, count: int = 120) -> Store:
    store = open_store(commit_readings=60)
    for number in range(1, count + 1):
        store.append({**reading(number), "uptime_s": 60 * number})
    store.commit()
    return store


def test_a_row_under_way_that_was_folded_with_others_does_not_take_them_along(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_of_minutes(open_store)
    fold_everything(monkeypatch, store)
    spans = [span(row) for row in all_unsent(store)]
    assert spans == [(1, 59), (60, 119), (120, 120)]
    store.mark_sent(30, 59)  # acknowledged as minutes; the first 29 were not
    assert [span(row) for row in all_unsent(store)] == spans
    store.mark_sent(30, 100)
    assert [span(row) for row in all_unsent(store)] == spans
    store.mark_sent(30, 119)  # all 60 of the second, as minutes
    assert [span(row) for row in all_unsent(store)] == [(1, 59), (120, 120)]
    assert store.counts().unsent == 2
    store.mark_sent(1, 59)
    assert [span(row) for row in all_unsent(store)] == [(120, 120)]
    store.close()
    assert query(store.path, "SELECT first, last FROM sent") == [(1, 119)]


def test_a_rollup_that_was_sent_is_marked_with_what_it_covers(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_of_minutes(open_store)
    fold_everything(monkeypatch, store)
    offered = store.unsent_rows(newest=False, limit=9, leased=[])
    for _payload, first, last in split_to_fit(EPOCH, offered, late=True, max_bytes=8192, encoding="columns"):
        store.mark_sent(first, last)
    assert store.counts().unsent == 0
    store.close()
    assert query(store.path, "SELECT first, last FROM sent") == [(1, 120)]


def test_quarantine_spares_a_rollup_that_was_refused_only_in_part(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_of_minutes(open_store)
    fold_everything(monkeypatch, store)
    store.quarantine(30, 59, "refused")
    assert store.counts().quarantined == 0
    store.quarantine(30, 119, "refused")
    assert [span(row) for row in all_unsent(store)] == [(1, 59), (120, 120)]


def test_a_hole_at_the_centre_is_filled_by_the_rollup_over_it(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_of_minutes(open_store)
    fold_everything(monkeypatch, store)
    store.mark_sent(1, 120)
    assert store.resend(65, 70) == 1
    assert [span(row) for row in all_unsent(store)] == [(60, 119)]


acts = st.tuples(
    st.sampled_from(["append", "append", "fold", "acknowledge", "send", "quarantine", "resend", "reopen"]),
    st.integers(1, 60),
    st.integers(0, 30),
)


class Life:
    """A store and what its centre has acknowledged, seq by seq."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.path = folder / "sinyal.db"
        self.patch = patch
        self.acknowledged: set[int] = set()
        self.aside: set[int] = set()
        self.store = self.opened()

    def reopen(self, *_numbers: int) -> None:
        self.store.close()
        self.store = self.opened()

    def opened(self) -> Store:
        return Store(self.path, max_bytes=4 * MIB, commit_interval_s=3600, commit_readings=30, keep_days=9999)

    def append(self, count: int, _more: int) -> None:
        last_seq = self.store.counts().last_seq
        for number in range(last_seq + 1, last_seq + count + 1):
            self.store.append({**reading(number), "uptime_s": 60 * number})
        self.store.commit()

    def fold(self, *_numbers: int) -> None:
        fold_everything(self.patch, self.store)

    def send(self, limit: int, more: int) -> None:
        rows = self.store.unsent_rows(newest=more % 2 == 0, limit=limit, leased=[])
        if rows:
            first, last = span(rows[0])[0], span(rows[-1])[1]
            self.acknowledged |= set(range(first, last + 1))
            self.store.mark_sent(first, last)

    def acknowledge(self, first: int, last: int) -> None:  # of rows offered before they were folded
        self.acknowledged |= set(range(first, last + 1))
        self.store.mark_sent(first, last)

    def quarantine(self, first: int, last: int) -> None:
        self.aside |= set(range(first, last + 1))
        self.store.quarantine(first, last, "refused")

    def resend(self, first: int, last: int) -> None:
        self.aside -= set(range(first, last + 1))
        self.store.resend(first, last)

    def check(self) -> None:
        counts, rows = self.store.counts(), all_unsent(self.store)
        covered = [seq for row in rows for seq in range(span(row)[0], span(row)[1] + 1)]
        assert len(covered) == len(set(covered))
        assert set(range(1, counts.last_seq + 1)) - self.acknowledged - self.aside <= set(covered)
        assert counts.unsent == len(rows)


@settings(max_examples=60, deadline=None)
@given(st.lists(acts, min_size=5, max_size=25))
def test_whatever_happens_what_was_not_acknowledged_is_still_offered(
    acts: list[tuple[str, int, int]],
) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        life = Life(Path(folder), patch)
        for act, first, more in acts:
            last = min(first + more, life.store.counts().last_seq)
            if act not in ("acknowledge", "quarantine", "resend"):
                getattr(life, act)(first, more)
            elif first <= last:
                getattr(life, act)(first, last)
            life.check()
        stored = life.store.counts().stored
        life.store.close()
        assert query(life.path, "SELECT count(*) FROM readings") == [(stored,)]


def test_a_file_from_before_rollups_gets_them(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch, path: Path
) -> None:
    store = store_of_minutes(open_store)
    store.close()
    query(path, "ALTER TABLE readings DROP COLUMN folded_rows")
    query(path, "DROP TABLE extremes")
    # Without sqlite-utils the column is not added, and rollups work all the same.
    monkeypatch.setattr("agent.buffer.opening.upgrade_in_child", lambda _path: None)
    store = open_store()
    fold_everything(monkeypatch, store)
    first = all_unsent(store)[0]
    assert (span(first), first["folded_rows"], first["rsrp_dbm_min"]) == ((1, 59), 59, -139)
    store.close()
    # What an older release asks for is there as it was: columns of `readings`, and ranges.
    assert query(path, "SELECT seq, seq_first, slot_s FROM readings") == [
        (59, 1, 3600),
        (119, 60, 3600),
        (120, None, 60),
    ]
