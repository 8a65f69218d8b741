"""A database that is deleted, replaced or overwritten while the agent has it open: noticed, and mended."""

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from agent.buffer import file_watch
from agent.buffer.keeper import Keeper
from agent.buffer.store import Store
from agent.errors import StoreUnusable
from tests.buffer.conftest import OpenStore
from tests.buffer.files import query, reading, seq_of_number
from tests.buffer.test_keeper import wait_until

ROWS = 300


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir()
    return folder


@pytest.fixture
def path(folder: Path) -> Path:
    return folder / "sinyal.db"


def filled(open_store: OpenStore) -> Store:
    store = open_store()
    for number in range(1, ROWS + 1):
        assert store.append(reading(number)) == number
    store.mark_sent(1, 10)
    return store


def delete(path: Path) -> None:
    path.unlink()


def delete_with_log(path: Path) -> None:
    path.unlink()
    Path(f"{path}-wal").unlink()


def delete_log(path: Path) -> None:
    Path(f"{path}-wal").unlink()


def replace_log(path: Path) -> None:
    junk = path.with_name("junk")
    junk.write_bytes(os.urandom(5000))
    junk.rename(f"{path}-wal")


def delete_folder(path: Path) -> None:
    shutil.rmtree(path.parent)


def put_text_in_place(path: Path) -> None:
    junk = path.with_name("junk")
    junk.write_text("not a database\n" * 1000)
    junk.rename(path)


def put_database_in_place(path: Path) -> None:
    other = path.parent.parent / "other.db"
    with closing(sqlite3.connect(other)) as connection:
        connection.executescript("PRAGMA journal_mode=WAL; CREATE TABLE t (a); INSERT INTO t VALUES (1)")
        # While it is open its log is there as well.
        for suffix in ("", "-wal"):
            Path(f"{other}{suffix}").rename(f"{path}{suffix}")


def reasons(store: Store) -> list[tuple[str, object]]:
    return [(event.what, event.evidence.get("reason")) for event in store.unsent_events(20)]


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (delete, file_watch.MISSING),
        (delete_with_log, file_watch.MISSING),
        (delete_folder, file_watch.MISSING),
        (put_text_in_place, file_watch.REPLACED),
        (put_database_in_place, file_watch.REPLACED),
        (delete_log, file_watch.LOG_MISSING),
        (replace_log, file_watch.LOG_MISSING),
    ],
)
def test_a_file_that_lost_its_name_gets_it_back_with_every_row(
    open_store: OpenStore,
    path: Path,
    caplog: pytest.LogCaptureFixture,
    harm: Callable[[Path], None],
    reason: str,
) -> None:
    caplog.set_level("INFO")
    store = filled(open_store)
    epoch = store.epoch
    caplog.clear()
    harm(path)
    assert store.append(reading(ROWS + 1)) == ROWS + 1
    store.file.look()
    assert [record.levelname for record in caplog.records if record.levelname == "ERROR"] == ["ERROR"]
    assert "is whole again" in caplog.messages[-1]
    assert store.append(reading(ROWS + 2)) == ROWS + 2
    counts = store.counts()
    assert (store.epoch, counts.stored, counts.unsent) == (epoch, ROWS + 2, ROWS - 8)
    assert reasons(store) == [("damaged", reason), ("recovered", reason)]
    # As after kill -9: what stands on the disk now is all there is.
    dead = path.parent.parent / "dead.db"
    shutil.copy(path, dead)
    shutil.copy(f"{path}-wal", f"{dead}-wal")
    assert seq_of_number(dead) == [(seq, seq) for seq in range(1, ROWS + 3)]
    assert query(dead, "SELECT * FROM sent") == [(1, 10)]
    assert path.stat().st_mode & 0o777 == 0o640
    store.file.look()
    assert len(reasons(store)) == 2
    store.close()
    assert seq_of_number(path) == [(seq, seq) for seq in range(1, ROWS + 3)]
    kept = sorted(file.name for file in path.parent.iterdir())
    foreign = ["sinyal.db.damaged-1.searched"] if reason == file_watch.REPLACED else []
    assert [name for name in kept if not name.endswith("-wal")] == ["sinyal.db", *foreign]
    assert reopened_epoch(open_store) == epoch


def reopened_epoch(open_store: OpenStore) -> str:
    store = open_store()
    assert store.append(reading(ROWS + 3)) == ROWS + 3  # no seq was left out
    return store.epoch


def cut_short(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def overwrite_with_noise(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(os.urandom(3000))


def overwrite_with_another_database(path: Path) -> None:
    other = path.parent.parent / "other.db"
    with closing(sqlite3.connect(other)) as connection:
        connection.executescript("CREATE TABLE t (a); INSERT INTO t VALUES (1)")
    path.write_bytes(other.read_bytes())


IN_PLACE = [cut_short, empty, overwrite_with_noise, overwrite_with_another_database]


@pytest.mark.parametrize("harm", IN_PLACE)
def test_a_file_that_was_overwritten_is_moved_aside_at_once_and_searched(
    open_store: OpenStore, path: Path, caplog: pytest.LogCaptureFixture, harm: Callable[[Path], None]
) -> None:
    store = filled(open_store)
    epoch = store.epoch
    store.file.look()
    # Another process: closing a descriptor in this one would drop SQLite's locks.
    child = os.fork()
    if child == 0:
        harm(path)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    caplog.clear()
    store.file.look()
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "overwritten or cut short" in caplog.text
    assert store.epoch != epoch
    assert store.append(reading(1)) == ROWS + 1
    while store.file.seconds_to_salvage() is not None and not list(path.parent.glob("*.searched")):
        store.file.salvage()
    store.commit()
    events = store.unsent_events(9)
    assert reasons(store) == [("damaged", "overwritten"), ("recovered", None)]
    assert events[0].evidence["rows"] == ROWS - 10
    assert int(events[1].evidence["rows"] or 0) + int(events[1].evidence["rows_lost"] or 0) == ROWS - 10


def test_a_life_full_of_writes_is_never_taken_for_an_overwritten_file(open_store: OpenStore) -> None:
    store = open_store(max_bytes=1 << 20, commit_readings=20, keep_days=0)
    epoch = store.epoch
    for number in range(1, 3001):
        store.append({**reading(number), "uptime_s": 60 * number})
        if number % 700 == 0:
            store.mark_sent(1, store.counts().last_seq)
            store.prune()
        store.file.look()
    assert store.epoch == epoch
    assert not {what for what, _reason in reasons(store)} & {"damaged", "recovered"}


@pytest.mark.parametrize("harm", [delete_with_log, delete_folder, put_text_in_place, delete_log])
def test_a_stop_right_after_the_harm_loses_nothing(
    open_store: OpenStore, path: Path, harm: Callable[[Path], None]
) -> None:
    store = filled(open_store)
    harm(path)
    store.close()
    assert seq_of_number(path) == [(seq, seq) for seq in range(1, ROWS + 1)]
    assert query(path, "SELECT what FROM events") == [("damaged",), ("recovered",)]


def test_what_cannot_be_put_back_yet_stays_reachable_until_it_can(
    open_store: OpenStore, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = filled(open_store)
    delete_folder(path)
    path.parent.write_text("no folder")  # nothing can be made below it
    for _time in range(3):
        store.file.look()
    assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 2
    assert store.append(reading(ROWS + 1)) == ROWS + 1
    with pytest.raises(StoreUnusable):
        store.write(failing_work)
    path.parent.unlink()
    store.file.look()
    store.close()
    assert seq_of_number(path) == [(seq, seq) for seq in range(1, ROWS + 2)]


def failing_work(_connection: sqlite3.Connection) -> None:
    raise sqlite3.OperationalError("disk I/O error")


def test_the_keeper_looks_by_itself(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.buffer.store_file.LOOK_EVERY_S", 0.2)
    caplog.set_level("INFO")
    keeper = Keeper(path, max_bytes=4 << 20, commit_interval_s=60, commit_readings=1, keep_days=90)
    keeper.start()
    try:
        for number in range(1, 11):
            keeper.append(reading(number))
        delete_with_log(path)
        wait_until(lambda: "is whole again" in caplog.text)
    finally:
        keeper.close()
    assert seq_of_number(path) == [(seq, seq) for seq in range(1, 11)]
