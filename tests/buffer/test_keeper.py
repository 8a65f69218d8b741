import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.buffer.keeper import Keeper
from agent.buffer.store import Store
from agent.contract.catalogue import Row
from agent.errors import StoreUnusable
from tests.buffer.files import reading, seq_of_number

MakeKeeper = Callable[..., Keeper]


@pytest.fixture
def make_keeper(path: Path) -> Iterator[MakeKeeper]:
    made: list[Keeper] = []

    def make(at: Path = path, **settings: Any) -> Keeper:
        defaults = {"max_bytes": 4 << 20, "commit_interval_s": 60.0, "commit_readings": 1, "keep_days": 90}
        keeper = Keeper(at, **{**defaults, **settings})
        made.append(keeper)
        return keeper

    yield make
    for keeper in made:
        keeper.close()


def wait_until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_threads_share_one_database(make_keeper: MakeKeeper, path: Path) -> None:
    keeper = make_keeper()
    keeper.start()
    seqs: list[int] = []

    def work(thread: int) -> None:
        for number in range(50):
            seqs.append(keeper.append(reading(1000 * thread + number)))
            keeper.unsent_rows(newest=True, limit=2, leased=[])
            keeper.counts()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seqs) == list(range(1, 201))
    keeper.mark_sent(1, 150)
    assert keeper.counts().unsent == 50
    keeper.close()
    assert len(seq_of_number(path)) == 200


def test_held_rows_are_committed_in_time_whether_or_not_it_is_asked(make_keeper: MakeKeeper) -> None:
    keeper = make_keeper(commit_interval_s=0.3, commit_readings=100)
    keeper.start()
    for number in (1, 2, 3):
        keeper.append(reading(number))
    wait_until(lambda: keeper._store.seconds_to_commit() is None)
    assert keeper.counts().stored == 3
    keeper.append(reading(4))
    wait_until(lambda: keeper.counts().stored == 4)
    keeper.append(reading(5))
    keeper.commit()
    assert keeper.counts().stored == 5


def test_closing_commits_and_ends_the_thread(make_keeper: MakeKeeper, path: Path) -> None:
    keeper = make_keeper(commit_readings=100)
    keeper.start()
    for number in (1, 2, 3):
        keeper.append(reading(number))
    keeper.close()
    assert seq_of_number(path) == [(1, 1), (2, 2), (3, 3)]
    assert not Path(f"{path}-wal").exists()
    assert "buffer" not in {thread.name for thread in threading.enumerate()}
    with pytest.raises(StoreUnusable, match="closed"):
        keeper.append(reading(4))
    keeper.close()


def test_a_keeper_that_was_never_started_closes(make_keeper: MakeKeeper) -> None:
    make_keeper().close()


@pytest.mark.usefixtures("no_retry_pause")
def test_it_starts_without_a_usable_database_and_recovers_by_itself(
    make_keeper: MakeKeeper, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    keeper = make_keeper(tmp_path / "state" / "sinyal.db")
    for _time in range(2):
        with pytest.raises(StoreUnusable, match="folder"):
            keeper.start()
    assert (keeper.epoch, keeper.boot) == ("", 0)
    for _time in range(3):
        with pytest.raises(StoreUnusable, match="folder"):
            keeper.append(reading(1))
    with pytest.raises(StoreUnusable):
        keeper.counts()
    (tmp_path / "state").mkdir()
    assert keeper.append(reading(1)) == 1
    assert len(keeper.epoch) == 8
    assert keeper.boot == 1
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO", "INFO"]
    assert "can be written again" in caplog.messages[-1]


def test_a_mistake_of_one_caller_is_his_alone(make_keeper: MakeKeeper) -> None:
    keeper = make_keeper()
    keeper.start()
    with pytest.raises(ValueError, match="5"):
        keeper.mark_sent(5, 5)
    assert keeper.append(reading(1)) == 1


class HangingDisk:
    """Makes the first append wait until `let_go` is set, as a flash that sorts itself out."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.let_go = threading.Event()
        append = Store.append

        def hang(store: Store, row: Row) -> int:
            self.let_go.wait()
            return append(store, row)

        monkeypatch.setattr(Store, "append", hang)
        monkeypatch.setattr("agent.buffer.keeper.CALL_S", 0.3)
        monkeypatch.setattr("agent.buffer.keeper.CLOSE_S", 0.3)


@pytest.fixture
def hanging_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[HangingDisk]:
    disk = HangingDisk(monkeypatch)
    yield disk
    disk.let_go.set()


def test_a_hanging_disk_costs_no_caller_more_than_the_limit_and_doubles_no_row(
    make_keeper: MakeKeeper, path: Path, hanging_disk: HangingDisk
) -> None:
    keeper = make_keeper()
    keeper.start()
    began = time.monotonic()
    for _time in range(3):
        with pytest.raises(StoreUnusable, match="does not answer"):
            keeper.append(reading(1))
    with pytest.raises(StoreUnusable, match="does not answer"):
        keeper.counts()
    assert time.monotonic() - began < 5
    hanging_disk.let_go.set()
    wait_until(lambda: not keeper._hung)
    assert keeper.append(reading(1)) == 1
    assert keeper.append(reading(2)) == 2
    keeper.close()
    assert seq_of_number(path) == [(1, 1), (2, 2)]


def test_closing_does_not_wait_for_a_hanging_disk(
    make_keeper: MakeKeeper, hanging_disk: HangingDisk, caplog: pytest.LogCaptureFixture
) -> None:
    keeper = make_keeper()
    keeper.start()
    with pytest.raises(StoreUnusable):
        keeper.append(reading(1))
    began = time.monotonic()
    keeper.close()
    assert time.monotonic() - began < 5
    assert "hangs" in caplog.text


def test_callers_do_not_pile_up_before_a_hanging_disk(
    make_keeper: MakeKeeper, hanging_disk: HangingDisk
) -> None:
    keeper = make_keeper()
    keeper.start()
    with pytest.raises(StoreUnusable):
        keeper.append(reading(1))

    def ask() -> None:
        with pytest.raises(StoreUnusable):
            keeper.counts()

    threads = [threading.Thread(target=ask) for _number in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert keeper._calls.qsize() <= 64
