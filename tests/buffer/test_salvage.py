"""Damaged databases: the agent starts, says so, and what SQLite can still read of the unsent rows is kept."""

import json
import logging
import os
import shutil
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from agent.buffer import salvage as salvage_module
from agent.buffer.keeper import Keeper
from agent.buffer.store import Store
from agent.errors import StoreUnusable
from tests.buffer.conftest import OpenStore
from tests.buffer.damage import PAGE_BYTES, UNSENT, Sample, damaged_copy, make_samples, what_sqlite_reads
from tests.buffer.files import query, reading

pytestmark = pytest.mark.usefixtures("no_retry_pause")


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    return make_samples(tmp_path_factory.mktemp("samples"))


def store_at(path: Path) -> Store:
    return Store(path, max_bytes=4 << 20, commit_interval_s=0, commit_readings=1, keep_days=36_500)


def live(store: Store) -> set[int]:
    """Do what the agent does all day, until nothing is left to be salvaged; return the seqs it would send."""
    offered: set[int] = set()
    for _attempt in range(4):
        try:
            store.open()
            store.append(reading(9000))
            offered = all_unsent(store)
            store.salvaged_rows(9)
            store.unsent_events(9)
            store.counts()
            store.prune()
            break
        except StoreUnusable:
            continue
    else:
        raise AssertionError(store.file.failure)
    finish_salvage(store)
    return offered


def all_unsent(store: Store) -> set[int]:
    """Return the seqs that a publisher is offered run by run."""
    runs: list[tuple[int, int]] = []
    seqs: set[int] = set()
    while rows := store.unsent_rows(newest=False, limit=500, leased=runs):
        found = [int(str(row["seq"])) for row in rows]
        seqs.update(found)
        runs.append((found[0], found[-1]))
    return seqs


def finish_salvage(store: Store) -> None:
    for _slice in range(1000):
        if store.file.seconds_to_salvage() is None:
            break
        store.file.salvage()
        store.commit()
    store.commit()
    assert store.file.seconds_to_salvage() is None


# ---- the campaign ----


def run_case(
    number: int, samples: list[Sample], folder: Path, caplog: pytest.LogCaptureFixture
) -> Counter[str]:
    """Damage a file, start, and compare with what plain SQLite reads of it; return what was counted."""
    folder.mkdir()
    damage, sample = damaged_copy(number, samples, folder)
    readable = what_sqlite_reads(sample.path, folder)
    had_identity = sample.epoch in {*(marks_of(folder / "copy.db"))}
    caplog.clear()
    counts: Counter[str] = Counter()
    store = store_at(sample.path)
    offered = live(store)
    store.close()
    if store.epoch == sample.epoch and readable.keys() - offered:
        # Damage that leads past rows without a word is found by the check after the next power cut.
        counts["found by the check only"] += 1
        store = store_at(sample.path)
        store.file._check_wanted = True
        offered = live(store)
        store.close()
    is_new = store.epoch != sample.epoch

    salvaged = {
        seq: json.loads(row)
        for seq, row in query(sample.path, "SELECT seq, reading FROM salvaged WHERE epoch = ?", sample.epoch)
    }
    kept = set() if is_new else offered
    missing = readable.keys() - salvaged.keys() - kept
    counts.update(cases=1, moved_aside=int(is_new), readable=len(readable), unsent=len(UNSENT))
    counts["salvaged"] = len(salvaged)
    counts["in use"] = len(readable) - len(readable.keys() - kept)
    if readable and is_new and not had_identity:
        counts["readable rows without identity"] = len(missing)
    else:
        assert not missing, (number, damage, sorted(missing))
    counts[damage] += 1
    if is_new and list(folder.glob("sinyal.db.damaged-*")):
        assert any(record.levelno == logging.ERROR for record in caplog.records), (number, damage)
        whats = [what for (what,) in query(sample.path, "SELECT what FROM events ORDER BY number")]
        assert whats[:2] == ["damaged", "recovered"], (number, damage, whats)
    if is_new:
        assert query(sample.path, "PRAGMA integrity_check") == [("ok",)]
    for seq, row in salvaged.items():
        assert row["seq"] == seq
        assert set(row) <= set(reading(seq)) | {"seq", "boot"} or damage != "cut_short"
    return counts


def marks_of(copy: Path) -> Iterator[str]:
    with suppress(sqlite3.Error, UnicodeDecodeError):
        for (mark,) in query(copy, "PRAGMA application_id"):
            yield f"{mark & 0xFFFFFFFF:08x}"
    with suppress(sqlite3.Error, UnicodeDecodeError):
        yield from (value for (value,) in query(copy, "SELECT value FROM meta WHERE key = 'epoch'"))


def run_campaign(
    numbers: range, samples: list[Sample], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    total: Counter[str] = Counter()
    for number in numbers:
        folder = tmp_path / str(number)
        total += run_case(number, samples, folder, caplog)
        shutil.rmtree(folder)
    print(f"\ndamaged files: {dict(total)}")


def test_what_sqlite_reads_of_a_damaged_file_is_kept(
    samples: list[Sample], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run_campaign(range(200), samples, tmp_path, caplog)


@pytest.mark.soak
def test_what_sqlite_reads_of_a_thousand_more_is_kept(
    samples: list[Sample], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run_campaign(range(200, 1200), samples, tmp_path, caplog)


# ---- single cases ----


def damaged_sample(samples: list[Sample], tmp_path: Path, *, killed: bool) -> Sample:
    """Copy a sample; without a magic word it is moved aside unless its log is there to hold page 1."""
    sample = samples[0 if killed else 1]
    for suffix in ("", "-wal"):
        with suppress(FileNotFoundError):
            shutil.copy(f"{sample.path}{suffix}", tmp_path / f"sinyal.db{suffix}")
    return Sample(tmp_path / "sinyal.db", sample.epoch)


def spoil_a_page(path: Path) -> None:
    """Spoil the page that holds rows in the middle, so that the next look at them fails."""
    content = path.read_bytes()
    place = content.rindex(b"TELKOMSEL") // PAGE_BYTES * PAGE_BYTES
    path.write_bytes(content[:place] + bytes([99]) * 16 + content[place + 16 :])


def salvaged_seqs(path: Path) -> list[int]:
    return [seq for (seq,) in query(path, "SELECT seq FROM salvaged ORDER BY seq")]


def test_the_log_of_a_lost_file_is_kept(samples: list[Sample], tmp_path: Path) -> None:
    sample = damaged_sample(samples, tmp_path, killed=True)
    log = Path(f"{sample.path}-wal").read_bytes()
    os.truncate(sample.path, 0)
    store = store_at(sample.path)
    live(store)
    store.close()
    assert Path(f"{sample.path}.damaged-1.searched-wal").read_bytes() == log


def test_a_search_goes_on_after_a_kill_and_doubles_nothing(
    samples: list[Sample], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sample = damaged_sample(samples, tmp_path, killed=False)
    spoil_a_page(sample.path)
    told = []
    for _start in range(40):
        store = store_at(sample.path)
        for _attempt in range(3):
            with suppress(StoreUnusable):
                store.append(reading(1))
                store.unsent_rows(newest=True, limit=500, leased=[])
                break
        assert store.epoch != sample.epoch
        store.file.salvage()  # opens the file
        store.file.salvage()  # one slice
        store.file.salvage()  # another, or the end
        epoch, rows = store.salvaged_rows(7)
        if rows:
            assert epoch == sample.epoch
            told += [int(str(row["seq"])) for row in rows]
            store.mark_salvaged_sent(epoch, told[-len(rows)], told[-1])
        if store.file.seconds_to_salvage() is None and not rows:
            break
        store.commit()
        store.file.disconnect()  # as a kill leaves it: what is committed is there
    assert told == sorted(set(told))
    assert 100 < len(told) < len(UNSENT)
    assert set(told) <= UNSENT
    store.close()
    whats = [
        json.loads(row)
        for (row,) in query(sample.path, "SELECT evidence FROM events WHERE what = 'recovered'")
    ]
    # Killed between the word and its being noted, it is said again.
    assert {(what["rows"], what["rows_lost"]) for what in whats} == {(len(told), len(UNSENT) - len(told))}
    assert Path(f"{sample.path}.damaged-1.searched").exists()


def test_what_the_agent_knew_tells_how_much_is_lost_with_everything(path: Path) -> None:
    store = store_at(path)
    for number in range(1, 400):
        store.append(reading(number))
    store.mark_sent(1, 100)
    store.commit()
    epoch = store.epoch
    store.file.disconnect()
    path.write_bytes(b"x" * path.stat().st_size)
    live(store)
    assert store.epoch != epoch
    store.close()
    (evidence,) = query(path, "SELECT evidence FROM events WHERE what = 'recovered'")[0]
    assert json.loads(evidence) == {
        "after": "damaged", "file": "sinyal.db.damaged-1", "rows": 0, "rows_lost": 299}  # fmt: skip


def test_a_database_damaged_again_gives_on_what_it_had_salvaged(
    samples: list[Sample], tmp_path: Path
) -> None:
    sample = damaged_sample(samples, tmp_path, killed=False)
    spoil_a_page(sample.path)
    store = store_at(sample.path)
    live(store)
    second_epoch = store.epoch
    store.close()
    first = salvaged_seqs(sample.path)
    assert len(first) > 100
    with sample.path.open("r+b") as file:  # its counter of seqs and the like: any page that opening needs
        content = file.read()
        place = content.index(second_epoch.encode()) // PAGE_BYTES * PAGE_BYTES
        file.seek(place)
        file.write(bytes(PAGE_BYTES))
    store = store_at(sample.path)
    live(store)
    store.close()
    rows = query(sample.path, "SELECT epoch, seq FROM salvaged ORDER BY epoch, seq")
    assert [seq for epoch, seq in rows if epoch == sample.epoch] == first
    assert len([seq for epoch, seq in rows if epoch == second_epoch]) == 1


def test_salvage_leaves_half_of_the_new_database_to_new_readings(
    samples: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = damaged_sample(samples, tmp_path, killed=False)
    spoil_a_page(sample.path)
    monkeypatch.setattr(salvage_module, "ROOM", 0.01)
    store = store_at(sample.path)
    for _attempt in range(3):
        with suppress(StoreUnusable):
            store.append(reading(1))
            store.unsent_rows(newest=True, limit=500, leased=[])
            break
    for _slice in range(10):
        store.file.salvage()
    kept = len(store.salvaged_rows(1000)[1])
    assert 0 < kept < 117
    seconds = store.file.seconds_to_salvage()
    assert seconds is not None and seconds > 1
    store.mark_salvaged_sent(sample.epoch, 1, 1000)
    store.file.salvage()
    assert store.salvaged_rows(1000)[1]
    store.close()


def test_few_damaged_files_are_kept(path: Path) -> None:
    for _time in range(5):
        path.write_bytes(b"x" * 5000)
        store = store_at(path)
        live(store)
        store.close()
    names = sorted(file.name for file in path.parent.glob("*.damaged-*"))
    assert names == ["sinyal.db.damaged-4.searched", "sinyal.db.damaged-5.searched"]


def test_the_keeper_salvages_while_it_is_idle_and_while_it_is_not(
    samples: list[Sample], tmp_path: Path
) -> None:
    sample = damaged_sample(samples, tmp_path, killed=False)
    spoil_a_page(sample.path)
    keeper = Keeper(sample.path, max_bytes=4 << 20, commit_interval_s=60, commit_readings=1, keep_days=36_500)
    longest_s = 0.0
    for _attempt in range(3):
        with suppress(StoreUnusable):
            keeper.start()
            keeper.unsent_rows(newest=True, limit=500, leased=[])
            break
    deadline = time.monotonic() + 30
    try:
        while not Path(f"{sample.path}.damaged-1.searched").exists():
            assert time.monotonic() < deadline
            began = time.monotonic()
            keeper.append(reading(1))
            longest_s = max(longest_s, time.monotonic() - began)
        assert len(keeper.salvaged_rows(1000)[1]) > 100
    finally:
        keeper.close()
    print(f"longest append meanwhile: {1000 * longest_s:.0f} ms")


def test_a_schema_that_is_not_ours_is_damage(path: Path) -> None:
    store = store_at(path)
    store.append(reading(1))
    store.close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute(
            "UPDATE sqlite_master SET sql = 'CREATE TABLE sent (first INTEGER)' WHERE name = 'sent'"
        )
    connection.close()
    store = store_at(path)
    live(store)
    store.close()
    assert salvaged_seqs(path) == [1]


def test_damage_that_no_check_finds_is_believed_the_second_time(path: Path) -> None:
    store = store_at(path)
    store.append(reading(1))
    epoch = store.epoch
    for _time in range(2):
        assert store.epoch == epoch
        with pytest.raises(StoreUnusable, match="damaged"), store.file.using():
            raise malformed()
    store.open()
    assert store.epoch != epoch
    finish_salvage(store)
    store.close()
    assert salvaged_seqs(path) == [1]


def malformed() -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError("database disk image is malformed")
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def test_a_log_whose_end_may_be_lost_is_told_with_the_numbers_left_out(
    path: Path, open_store: OpenStore
) -> None:
    store = open_store()
    for number in range(5):
        store.append(reading(number))
    copy = path.with_name("without_its_log.db")
    shutil.copy(path, copy)
    store.close()
    later = Store(copy, max_bytes=1 << 26, commit_interval_s=0, commit_readings=1, keep_days=90)
    first = later.append(reading(9))
    assert [(event.what, event.evidence) for event in later.unsent_events(9)] == [
        ("damaged", {"file": "without_its_log.db-wal", "seq_first": first - 1000, "seq_last": first - 1})
    ]
    later.close()
