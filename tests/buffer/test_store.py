import logging
import sqlite3
from pathlib import Path
from types import SimpleNamespace

import pytest

from agent.buffer import schema
from agent.contract.catalogue import Row, Value, catalogue
from agent.errors import StoreUnusable
from tests.buffer.conftest import OpenStore
from tests.buffer.files import START_TS, query, reading, seq_of_number


def seqs(rows: list[Row]) -> list[Value]:
    return [row["seq"] for row in rows]


def set_clock(monkeypatch: pytest.MonkeyPatch, ts: int) -> None:
    monkeypatch.setattr("agent.buffer.retention.certain_now_ts", lambda _times: ts)


def test_a_row_comes_back_as_it_was_given(open_store: OpenStore) -> None:
    store = open_store()
    seq = store.append(reading(5))
    assert store.unsent_rows(newest=True, limit=9, leased=[]) == [
        {**reading(5), "seq": seq, "boot": store.boot}
    ]


def test_every_metric_fits_its_column(open_store: OpenStore) -> None:
    row: Row = {}
    for metric in catalogue().reading_metrics:
        extreme = metric.values[0] if metric.values else "x" if metric.type == "text" else metric.maximum
        row[metric.name] = metric.clean(extreme)
    row |= {"seq_first": 1, "folded_rows": 1}
    store = open_store()
    store.append(row)
    (stored,) = store.unsent_rows(newest=True, limit=1, leased=[])
    assert {name: stored[name] for name in row} == {**row, "seq": 1, "boot": 1}
    assert all(type(stored[name]) is type(row[name]) for name in row)


def test_settings_of_the_file(open_store: OpenStore, path: Path) -> None:
    open_store().close()
    assert query(path, "PRAGMA page_size") == [(1024,)]
    assert query(path, "PRAGMA auto_vacuum") == [(2,)]
    assert query(path, "PRAGMA journal_mode") == [("wal",)]


def test_no_shared_memory_file_and_after_closing_no_log(open_store: OpenStore, path: Path) -> None:
    store = open_store()
    store.append(reading(1))
    assert {file.name for file in path.parent.iterdir()} == {"sinyal.db", "sinyal.db-wal"}
    store.close()
    assert {file.name for file in path.parent.iterdir()} == {"sinyal.db"}


def test_reopening_an_unchanged_file_writes_nothing(open_store: OpenStore, path: Path) -> None:
    open_store().close()
    before = path.read_bytes()
    store = open_store()
    assert (path.parent / "sinyal.db-wal").stat().st_size == 0
    store.close()
    assert path.read_bytes() == before


def test_the_epoch_stays_with_the_file_and_the_boot_counts_boots(
    open_store: OpenStore, tmp_path: Path
) -> None:
    boot_id_file = tmp_path / "boot_id"
    seen = []
    for boot_id in ("aaa", "aaa", "bbb", "aaa"):
        boot_id_file.write_text(boot_id + "\n")
        store = open_store(boot_id_file=boot_id_file)
        seen.append((store.epoch, store.boot))
        store.close()
    assert len({epoch for epoch, _ in seen}) == 1
    assert [boot for _, boot in seen] == [1, 1, 2, 1]
    assert len(seen[0][0]) == 8
    assert int(seen[0][0], 16) >= 0


def test_a_hidden_boot_id_counts_every_start_as_a_boot(open_store: OpenStore, tmp_path: Path) -> None:
    for boot in (1, 2):
        store = open_store(boot_id_file=tmp_path / "none")
        assert store.boot == boot
        store.close()


def test_rows_are_offered_only_when_committed(open_store: OpenStore) -> None:
    store = open_store(commit_interval_s=3600.0, commit_readings=3)
    assert [store.append(reading(number)) for number in range(3)] == [1, 2, 3]  # the first commits at once
    assert seqs(store.unsent_rows(newest=True, limit=9, leased=[])) == [1]
    assert store.counts().stored == 1
    store.append(reading(3))  # the third held row
    assert seqs(store.unsent_rows(newest=True, limit=9, leased=[])) == [1, 2, 3, 4]
    store.append(reading(4))
    store.commit()
    assert store.counts().last_seq == 5


def test_a_row_waits_no_longer_than_the_commit_interval(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    for module in ("store", "store_file"):
        monkeypatch.setattr(f"agent.buffer.{module}.time", SimpleNamespace(monotonic=lambda: now))
    store = open_store(commit_interval_s=60.0, commit_readings=100)
    assert store.seconds_to_commit() is None
    store.append(reading(1))
    assert store.seconds_to_commit() is None
    now += 10
    store.append(reading(2))
    assert store.seconds_to_commit() == 50.0
    now += 48  # a reading a little early does not wait for the rest of the minute
    store.append(reading(3))
    assert store.seconds_to_commit() is None
    assert store.counts().stored == 3


def test_closing_commits(open_store: OpenStore) -> None:
    store = open_store(commit_interval_s=3600.0, commit_readings=100)
    for number in range(5):
        store.append(reading(number))
    store.mark_sent(1, 1)
    store.close()
    counts = open_store().counts()
    assert (counts.stored, counts.unsent) == (5, 4)


def test_runs_stop_at_sent_and_leased_rows(open_store: OpenStore) -> None:
    store = open_store()
    for number in range(1, 21):
        store.append(reading(number))
    store.mark_sent(8, 10)
    assert seqs(store.unsent_rows(newest=True, limit=4, leased=[])) == [17, 18, 19, 20]
    assert seqs(store.unsent_rows(newest=True, limit=99, leased=[])) == list(range(11, 21))
    assert seqs(store.unsent_rows(newest=True, limit=99, leased=[(15, 20)])) == [11, 12, 13, 14]
    assert seqs(store.unsent_rows(newest=True, limit=99, leased=[(11, 20)])) == list(range(1, 8))
    assert seqs(store.unsent_rows(newest=False, limit=99, leased=[])) == list(range(1, 8))
    assert seqs(store.unsent_rows(newest=False, limit=3, leased=[(1, 2)])) == [3, 4, 5]
    assert store.unsent_rows(newest=False, limit=9, leased=[(1, 20)]) == []
    assert store.unsent_rows(newest=False, limit=0, leased=[]) == []


def test_marks_in_any_order_end_as_one_range(open_store: OpenStore, path: Path) -> None:
    store = open_store()
    for number in range(1, 10):
        store.append(reading(number))
    for first, last in ((7, 9), (1, 2), (5, 5), (3, 6), (3, 4)):
        store.mark_sent(first, last)
    counts = store.counts()
    assert (counts.unsent, counts.oldest_unsent_ts, counts.last_sent_ts) == (0, None, START_TS + 60 * 9)
    store.close()
    assert query(path, "SELECT * FROM sent") == [(1, 9)]


@pytest.mark.parametrize("marked", [(0, 1), (2, 1), (1, 4), (9, 9)])
def test_rows_that_were_never_offered_cannot_be_marked(
    open_store: OpenStore, marked: tuple[int, int]
) -> None:
    store = open_store()
    for number in range(3):
        store.append(reading(number))
    with pytest.raises(ValueError, match="3"):
        store.mark_sent(*marked)
    assert store.counts().unsent == 3


def test_a_few_marks_wait_for_the_next_row_and_many_do_not(open_store: OpenStore, path: Path) -> None:
    store = open_store(commit_readings=10)
    for number in range(40):
        store.append(reading(number))
    log = path.parent / "sinyal.db-wal"
    before = log.read_bytes()
    store.mark_sent(1, 9)
    assert log.read_bytes() == before
    store.mark_sent(10, 10)
    assert log.read_bytes() != before


def test_a_value_that_cannot_be_stored_costs_itself_and_not_the_reading(
    open_store: OpenStore, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_store()
    bad: Row = {
        "operator_name": "\udc80",
        "rsrp_dbm": 99,
        "pci": "5",
        "nonsense": 1,
        "earfcn": 2**80,
        "band": None,
    }
    for _time in range(2):
        store.append({**reading(1), **bad})
    assert [message.count(",") for message in caplog.messages] == [4]
    stored = store.unsent_rows(newest=True, limit=1, leased=[])[0]
    assert stored["uptime_s"] == 1
    assert not bad.keys() & stored.keys()


def test_a_seq_is_never_given_twice_also_after_everything_was_pruned(
    open_store: OpenStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(keep_days=0)
    for number in range(6):
        store.append(reading(number))
    store.mark_sent(1, 6)
    set_clock(monkeypatch, START_TS + 60 * 6 + 91 * 86400)
    assert store.prune() == 6
    assert store.counts().stored == 0
    store.close()
    store = open_store()
    assert store.unsent_rows(newest=False, limit=9, leased=[]) == []
    assert store.append(reading(7)) == 7
    assert store.counts().unsent == 1


def test_pruning_removes_old_sent_rows_only(open_store: OpenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(keep_days=1)
    for number in range(1, 11):
        store.append(reading(number))
    store.mark_sent(2, 4)
    store.mark_sent(6, 9)
    set_clock(monkeypatch, START_TS + 60 * 8 + 86400)
    assert store.prune() == 3 + 2
    counts = store.counts()
    assert (counts.stored, counts.unsent) == (5, 3)
    assert seqs(store.unsent_rows(newest=False, limit=9, leased=[])) == [1]
    assert seqs(store.unsent_rows(newest=True, limit=9, leased=[])) == [10]


def test_a_row_from_a_clock_at_1970_waits_until_its_neighbours_are_old(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_clock(monkeypatch, START_TS)
    store = open_store(keep_days=1)
    for age_s in (90_000, 80_000, 70_000, START_TS, 60_000):
        store.append({**reading(1), "ts": START_TS - age_s})
    for sent in ((1, 2), (4, 5)):
        store.mark_sent(*sent)
    assert store.prune() == 1
    set_clock(monkeypatch, START_TS + 7_000)
    assert store.prune() == 2
    assert store.counts().stored == 2


def test_it_prunes_by_itself_once_an_hour(open_store: OpenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    for module in ("store", "store_file"):
        monkeypatch.setattr(f"agent.buffer.{module}.time", SimpleNamespace(monotonic=lambda: now))
    set_clock(monkeypatch, START_TS + 60 * 0 + 365 * 86400)
    store = open_store(keep_days=0)
    stored = []
    for number in range(1, 6):
        seq = store.append(reading(number))
        store.mark_sent(seq, seq)
        stored.append(store.counts().stored)
        now += 1200
    assert stored == [1, 2, 3, 1, 2]  # rows 1 to 3 were sent and old when the hour was over


def test_above_four_fifths_the_oldest_sent_rows_make_room(
    open_store: OpenStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_clock(monkeypatch, START_TS + 60 * 0)
    monkeypatch.setattr("agent.buffer.store.PRUNE_EVERY_S", 0.0)
    store = open_store(max_bytes=1 << 20, commit_readings=50)
    for number in range(1, 8_001):
        seq = store.append(reading(number))
        if seq % 50 == 1 and seq > 1:
            store.mark_sent(seq - 50, seq - 1)
    counts = store.counts()
    assert 2000 < counts.stored < 6000
    assert counts.bytes_used <= 1 << 20
    store.close()
    assert [number for _, number in seq_of_number(path)][-1] == 8_000


def test_a_lowered_limit_gives_pages_back(
    open_store: OpenStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_clock(monkeypatch, START_TS + 60 * 0)
    store = open_store(max_bytes=4 << 20, commit_readings=500)
    for number in range(1, 12_001):
        store.append(reading(number))
    store.commit()
    store.mark_sent(1, 11_000)
    store.close()
    assert path.stat().st_size > 1 << 20
    store = open_store(max_bytes=1 << 20)
    for _slice in range(40):
        store.prune()
    store.close()
    assert path.stat().st_size <= 1 << 20


def test_a_sick_disk_is_not_asked_at_every_call(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch, path: Path
) -> None:
    now = 1000.0
    for module in ("store", "store_file"):
        monkeypatch.setattr(f"agent.buffer.{module}.time", SimpleNamespace(monotonic=lambda: now))
    store = open_store()
    asked: list[float] = []

    def full(*_arguments: object, **_settings: object) -> None:
        asked.append(now)
        failure = sqlite3.OperationalError("database or disk is full")
        failure.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise failure

    with monkeypatch.context() as sick:
        sick.setattr("agent.buffer.store._insert", full)
        for _each in range(3):
            with pytest.raises(StoreUnusable):
                store.append(reading(1))
    first_asked = len(asked)
    with pytest.raises(StoreUnusable):  # the disk is well again, but it does not look yet
        store.append(reading(1))
    assert len(asked) == first_asked <= 2
    now += 5
    assert store.append(reading(1)) == 1


def test_a_file_of_a_newer_agent_works(open_store: OpenStore, path: Path) -> None:
    open_store().close()
    query(path, "ALTER TABLE readings ADD COLUMN o3_ppb REAL")
    query(path, "CREATE TABLE anchors (boot INTEGER PRIMARY KEY, step_s REAL)")
    store = open_store()
    store.append(reading(1))
    assert store.unsent_rows(newest=True, limit=1, leased=[])[0]["uptime_s"] == 1
    store.close()
    assert query(path, "SELECT o3_ppb FROM readings") == [(None,)]


def test_a_column_of_another_type_is_left_out_and_said_once(
    open_store: OpenStore, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    open_store().close()
    query(path, "ALTER TABLE readings DROP COLUMN pci")
    query(path, "ALTER TABLE readings ADD COLUMN pci TEXT")
    store = open_store()
    store.append({**reading(1), "pci": 130})
    store.append({**reading(2), "pci": 131})
    assert [message for message in caplog.messages if "pci" in message] == [
        "The reading database has no column for: pci; these values are not kept"
    ]
    assert store.counts().stored == 2


def test_column_types_follow_the_catalogue(open_store: OpenStore, path: Path) -> None:
    open_store().close()
    types = {name: declared for _, name, declared, *_ in query(path, "PRAGMA table_info(readings)")}
    assert types == schema.wanted_columns()
    assert types["seq"] == types["rsrp_dbm"] == types["mains_present"] == "INTEGER"
    assert types["rsrq_db"] == "REAL"
    assert types["band"] == "TEXT"


def test_it_logs_the_making_of_a_new_file_only(
    open_store: OpenStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    open_store().close()
    open_store().close()
    assert [message.split(" ")[:3] for message in caplog.messages] == [["New", "reading", "database"]]


def test_sqlite_is_new_enough_for_strict_tables() -> None:
    assert sqlite3.sqlite_version_info >= (3, 37)


def test_other_tables_change_wholly_or_not_at_all(open_store: OpenStore, path: Path) -> None:
    store = open_store()
    store.write(lambda connection: connection.execute("CREATE TABLE extra (number INTEGER)"))
    store.write(lambda connection: connection.execute("INSERT INTO extra VALUES (1)"))

    def fail(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO extra VALUES (2)")
        connection.execute("INSERT INTO nowhere VALUES (2)")

    with pytest.raises(StoreUnusable):
        store.write(fail)
    assert store.read(lambda connection: connection.execute("SELECT number FROM extra").fetchall()) == [(1,)]
    store.close()
    assert query(path, "SELECT number FROM extra") == [(1,)]
