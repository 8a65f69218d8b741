"""Reading stored rows in slices, and opening a file without leaving a trace."""

import fcntl
import json
import os
import random
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from agent.buffer.history import (
    START,
    Cursor,
    Selection,
    columns_of,
    count_all,
    count_slice,
    overview,
    read_page,
)
from agent.buffer.peek import peek
from agent.buffer.room import room_of
from agent.buffer.store import Store
from agent.buffer.untouched import opened_untouched
from agent.contract.catalogue import Row
from agent.errors import NoPermission, StoreUnusable
from tests.buffer.conftest import OpenStore
from tests.buffer.files import START_TS, query, reading

KILLED = """
import os, signal, sys
from pathlib import Path
from agent.buffer.store import Store
from tests.buffer.files import reading
store = Store(Path(sys.argv[1]), max_bytes=4 << 20, commit_interval_s=0, commit_readings=1, keep_days=90)
for number in range(1, 41):
    store.append(reading(number))
os.kill(os.getpid(), signal.SIGKILL)
"""


def all_rows(store: Store, selection: Selection, limit: int = 7) -> list[Row]:
    after: Cursor | None = START
    rows: list[Row] = []
    while after is not None:
        at = after
        page = store.read(lambda connection: read_page(connection, selection, at, limit=limit))  # noqa: B023
        rows += page.rows
        after = page.after
    return rows


def fill(store: Store, numbers: range) -> None:
    for number in numbers:
        store.append(reading(number))


@pytest.mark.parametrize("limit", [1, 3, 20, 100])
def test_pages_of_any_size_give_every_row_once_and_in_order(open_store: OpenStore, limit: int) -> None:
    store = open_store()
    fill(store, range(1, 21))

    rows = all_rows(store, Selection(), limit)

    assert [row["seq"] for row in rows] == list(range(1, 21))
    assert rows[4] == {"epoch": store.epoch, "seq": 5, "boot": 1, **reading(5)}
    assert None not in rows[4].values()


@pytest.mark.parametrize(
    ("selection", "wanted"),
    [
        (Selection(first_seq=8), range(8, 21)),
        (Selection(last_seq=3), range(1, 4)),
        (Selection(first_seq=5, last_seq=5), range(5, 6)),
        (Selection(first_seq=21), range(0)),
        (Selection(since_ts=START_TS + 60 * 18), range(18, 21)),
        (Selection(until_ts=START_TS + 60 * 2), range(1, 3)),
        (Selection(since_ts=START_TS + 181, until_ts=START_TS + 300), range(4, 6)),
        (Selection(unsent_only=True), [1, 2, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20]),
        (Selection(unsent_only=True, first_seq=2, last_seq=12), [2, 11, 12]),
    ],
)
def test_only_the_wanted_rows_come(open_store: OpenStore, selection: Selection, wanted: range) -> None:
    store = open_store()
    fill(store, range(1, 21))
    store.mark_sent(3, 10)
    store.commit()
    store.quarantine(13, 14, "too large")

    assert [row["seq"] for row in all_rows(store, selection, 3)] == list(wanted)


def test_the_best_known_time_is_told_and_asked_for(open_store: OpenStore) -> None:
    store = open_store()
    for uptime_s in range(1, 6):
        store.append({"ts": 60, "ts_quality": "unset", "uptime_s": uptime_s})
    store.note_true_time(START_TS, "ntp")

    rows = all_rows(store, Selection(since_ts=START_TS + 4))

    assert [row["ts"] for row in rows] == [START_TS + 4, START_TS + 5]
    assert store.read(overview)["last_ts"] == START_TS + 5


def test_salvaged_rows_come_first_under_their_own_epoch(open_store: OpenStore, path: Path) -> None:
    store = open_store()
    fill(store, range(1, 4))
    store.close()
    with closing(sqlite3.connect(path)) as connection:
        for epoch, seq in (("00000001", 7), ("00000001", 8), ("ffffffff", 2)):
            salvaged = json.dumps({"seq": seq, "ts": 5, "imsi": "510101234567890"})
            connection.execute("INSERT INTO salvaged VALUES (?, ?, ?)", (epoch, seq, salvaged))
        connection.commit()

    for limit in (1, 2, 3, 50):
        rows = all_rows(store, Selection(), limit)
        assert [(row["epoch"], row["seq"]) for row in rows] == [
            ("00000001", 7), ("00000001", 8), ("ffffffff", 2),
            (store.epoch, 1), (store.epoch, 2), (store.epoch, 3),
        ]  # fmt: skip
        assert "imsi" not in rows[0]
    assert store.read(overview)["salvaged_unsent"] == 3


def test_subscriber_identifiers_are_no_columns_and_rollups_come_last(
    open_store: OpenStore, path: Path
) -> None:
    store = open_store()
    fill(store, range(1, 3))
    store.close()
    query(path, "ALTER TABLE readings ADD COLUMN imsi TEXT")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("ALTER TABLE readings ADD COLUMN rsrp_dbm_min INTEGER")
        connection.execute("UPDATE readings SET imsi = '510101234567890', rsrp_dbm_min = -120 WHERE seq = 2")
        connection.commit()

    columns = store.read(columns_of)
    rows = all_rows(store, Selection())

    assert columns[0] == "seq" and columns[-1] == "rsrp_dbm_min" and "imsi" not in columns
    assert rows[1]["rsrp_dbm_min"] == -120 and "imsi" not in rows[1]


def test_the_overview_tells_ends_counters_and_reasons(open_store: OpenStore, path: Path) -> None:
    store = open_store()
    assert store.read(overview)["first_seq"] is None
    fill(store, range(1, 31))
    store.mark_sent(1, 9)
    store.commit()
    store.quarantine(20, 21, "too large")
    store.quarantine(22, 24, "refused")
    store.commit()
    store.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO counters VALUES ('folded', 60), ('dropped', 5)")
        connection.commit()

    seen = store.read(overview)

    assert (seen["first_seq"], seen["last_seq"], seen["oldest_unsent_seq"]) == (1, 30, 10)
    assert seen["oldest_unsent_ts"] == reading(10)["ts"]
    assert (seen["folded"], seen["dropped"], seen["events_unsent"]) == (60, 5, 2)
    assert seen["quarantined_ranges"] == [
        {"first_seq": 20, "last_seq": 24, "reasons": ["refused", "too large"]}
    ]
    counted = store.read(lambda connection: count_all(connection, 1, 30))
    assert counted == {"stored": 30, "unsent": 16, "quarantined": 5}
    counts = store.counts()
    assert (counts.stored, counts.unsent, counts.quarantined) == (30, 16, 5)


def test_a_slice_of_a_count_says_how_far_it_came(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.buffer.history.COUNTED_AT_ONCE", 8)
    store = open_store()
    fill(store, range(1, 21))

    assert store.read(lambda connection: count_slice(connection, 5, 20)) == {
        "last_seq": 12, "stored": 8, "unsent": 8, "quarantined": 0,
    }  # fmt: skip
    assert store.read(lambda connection: count_all(connection, 1, 20))["stored"] == 20


# --- a file that no agent holds ---


def state_of(folder: Path) -> dict[str, tuple[bytes, int, int]]:
    return {
        each.name: (each.read_bytes(), each.stat().st_mtime_ns, each.stat().st_mode)
        for each in folder.iterdir()
    }


def kill_a_writer(path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False, cwd=Path(__file__).parents[2])
    assert path.with_name(path.name + "-wal").stat().st_size


@pytest.mark.parametrize("killed", [False, True], ids=["clean stop", "killed with its log"])
def test_looking_into_a_file_changes_nothing_and_sees_all(
    open_store: OpenStore, path: Path, killed: bool
) -> None:
    if killed:
        kill_a_writer(path)
    else:
        store = open_store()
        fill(store, range(1, 41))
        store.close()
    before = state_of(path.parent)

    with opened_untouched(path) as connection:
        assert overview(connection)["last_seq"] == 40
        assert len(read_page(connection, Selection(), START, limit=100).rows) == 40
    seen = peek(path)

    assert seen is not None and seen["buffer"]["stored"] == 40 and seen["reading"]["seq"] == 40
    assert state_of(path.parent) == before
    with pytest.raises(StoreUnusable), opened_untouched(path) as connection:
        connection.execute("DELETE FROM readings")
    assert state_of(path.parent) == before


def test_the_agent_can_open_the_file_after_somebody_looked(open_store: OpenStore, path: Path) -> None:
    kill_a_writer(path)
    with opened_untouched(path) as connection:
        count_all(connection, 1, 40)

    store = open_store()

    assert store.append(reading(41)) == 41


def test_a_file_that_an_agent_holds_is_in_use(open_store: OpenStore, path: Path) -> None:
    open_store().append(reading(1))
    child = "import sys; from pathlib import Path; from agent.buffer.peek import peek\n"
    child += "print(peek(Path(sys.argv[1])))"
    seen = subprocess.run(
        [sys.executable, "-c", child, str(path)],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert seen.stdout == "None\n"


def make_garbage(path: Path) -> None:
    path.write_bytes(b"no database at all" * 1000)


def make_other(path: Path) -> None:
    query(path, "CREATE TABLE tree (leaf)")


def make_folder(path: Path) -> None:
    path.mkdir()


def make_cut(path: Path) -> None:
    kill_a_writer(path)
    path.with_name(path.name + "-wal").unlink()
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2 // 1024 * 1024])


@pytest.mark.parametrize("make", [make_garbage, make_other, make_folder, Path.touch, make_cut])
def test_a_file_that_is_no_reading_database_is_a_sentence(path: Path, make: Callable[[Path], None]) -> None:
    make(path)
    with pytest.raises(StoreUnusable) as fault, opened_untouched(path) as connection:
        assert overview(connection) and count_all(connection, 1, 40)
    assert str(path) in fault.value.what and fault.value.next_step
    assert peek(path) is None


def test_whatever_is_damaged_ends_in_a_sentence(open_store: OpenStore, path: Path) -> None:
    store = open_store()
    fill(store, range(1, 200))
    store.mark_sent(1, 50)
    store.quarantine(60, 70, "too large")
    store.close()
    whole = path.read_bytes()
    chance = random.Random(20261128)
    read, refused = 0, 0
    for _file in range(150):
        bad = bytearray(whole)
        for _place in range(chance.choice((1, 5, 50))):
            at = chance.randrange(len(bad) if chance.random() < 0.5 else 12_000)
            bad[at : at + 16] = chance.randbytes(chance.choice((1, 16)))
        path.write_bytes(bad[: len(whole)])
        try:
            with opened_untouched(path) as connection:
                last = overview(connection)["last_seq"] or 0
                after: Cursor | None = START
                for _page in range(100):
                    after = read_page(connection, Selection(), after, limit=60).after if after else None
                count_all(connection, 1, min(last, 100_000))
            read += 1
        except StoreUnusable:
            refused += 1
    assert read > 5 and refused > 50


def test_a_missing_file_is_a_sentence_and_none_is_made(path: Path) -> None:
    with pytest.raises(StoreUnusable, match="there is no reading database"), opened_untouched(path):
        pass
    assert not list(path.parent.iterdir())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_closed_file_is_a_matter_of_permission(path: Path) -> None:
    path.touch(0o000)
    with pytest.raises(NoPermission), opened_untouched(path):
        pass


def test_a_file_of_an_earlier_version_without_the_newer_tables_is_read(
    open_store: OpenStore, path: Path
) -> None:
    store = open_store()
    fill(store, range(1, 4))
    store.close()
    for table in ("quarantined", "events", "salvaged", "counters"):
        query(path, f"DROP TABLE {table}")

    with opened_untouched(path) as connection:
        seen = overview(connection)
        rows = read_page(connection, Selection(unsent_only=True), START, limit=9).rows

    assert (seen["folded"], seen["events_unsent"], seen["quarantined_ranges"]) == (0, 0, [])
    assert len(rows) == 3


def test_the_lock_is_given_back(open_store: OpenStore, path: Path) -> None:
    store = open_store()
    store.close()
    with opened_untouched(path):
        pass
    with path.open("r+b") as file:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_damaged_files_beside_it_are_named_with_their_size(path: Path) -> None:
    path.write_bytes(b"x" * 10)
    path.with_name("sinyal.db.damaged-2").write_bytes(b"x" * 20)
    path.with_name("sinyal.db.damaged-2-wal").write_bytes(b"x" * 5)
    path.with_name("sinyal.db.damaged-10").write_bytes(b"x")
    path.with_name("sinyal.db.damaged-x").write_bytes(b"x")
    path.with_name("other.damaged-1").write_bytes(b"x")

    room = room_of(path)

    assert room["bytes_used"] == 10
    assert room["disk_free_bytes"] > 0
    assert room["damaged_files"] == [
        {"file": "sinyal.db.damaged-2", "bytes": 25},
        {"file": "sinyal.db.damaged-10", "bytes": 1},
    ]
