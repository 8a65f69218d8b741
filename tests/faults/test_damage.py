"""Damaged database files at the start: the store opens, says what happened, and loses no row it can read."""

import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest

from agent import language
from agent.buffer.store import Store
from agent.errors import StoreUnusable
from tests.buffer.files import reading
from tests.faults.campaigns import quick_and_soak, say

Answer = TypeVar("Answer")

ROWS = 700
SENT = (1, 200)


@dataclass(frozen=True)
class Case:
    """A database that was in use when the power failed: file and log, which holds its newest rows."""

    path: Path

    @property
    def log(self) -> Path:
        return Path(f"{self.path}-wal")


def copy_files(source: Case, target: Case) -> None:
    """Copy the file and the log of a database, as far as they exist, over whatever lies there."""
    for of, to in ((source.path, target.path), (source.log, target.log)):
        to.unlink(missing_ok=True)
        if of.exists():
            shutil.copyfile(of, to)


# ---- what can happen to files ----


def flip(file: Path, chance: random.Random, bytes_: int) -> None:
    content = bytearray(file.read_bytes())
    for _byte in range(bytes_ if content else 0):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    file.write_bytes(content)


def overwrite(file: Path, chance: random.Random, filler: bytes) -> None:
    content = bytearray(file.read_bytes())
    size = chance.choice([512, 1024, 4096, 16384])
    begin = chance.randrange(max(len(content) // 512, 1)) * 512
    content[begin : begin + size] = (filler * size)[: len(content[begin : begin + size])]
    file.write_bytes(content)


def cut(file: Path, chance: random.Random) -> None:
    with file.open("r+b") as opened:
        opened.truncate(chance.randrange(file.stat().st_size))


def swap_pages(case: Case, chance: random.Random) -> None:
    content = bytearray(case.path.read_bytes())
    one, other = (1024 * chance.randrange(1, len(content) // 1024) for _page in "ab")
    content[one : one + 1024], content[other : other + 1024] = (
        content[other : other + 1024],
        content[one : one + 1024],
    )
    case.path.write_bytes(content)


def spoil_the_head(case: Case, chance: random.Random) -> None:
    with case.path.open("r+b") as file:
        file.seek(chance.randrange(100))
        file.write(chance.randbytes(chance.randrange(1, 16)))


def flip_both(case: Case, chance: random.Random) -> None:
    flip(case.path, chance, 9)
    flip(case.log, chance, 9)


DAMAGES: dict[str, Callable[[Case, random.Random], object]] = {
    "a flipped bit": lambda case, chance: flip(case.path, chance, 1),
    "flipped bits": lambda case, chance: flip(case.path, chance, 30),
    "a block of zeros": lambda case, chance: overwrite(case.path, chance, b"\0"),
    "a block of ones": lambda case, chance: overwrite(case.path, chance, b"\xff"),
    "a block of garbage": lambda case, chance: overwrite(case.path, chance, chance.randbytes(999)),
    "cut short": lambda case, chance: cut(case.path, chance),
    "zero length": lambda case, chance: case.path.write_bytes(b""),
    "only garbage": lambda case, chance: case.path.write_bytes(chance.randbytes(60_000)),
    "another program's text": lambda case, chance: case.path.write_text("tidak ada\n" * 5000),
    "two pages swapped": swap_pages,
    "head spoilt": spoil_the_head,
    "log missing": lambda case, chance: case.log.unlink(),
    "log cut short": lambda case, chance: cut(case.log, chance),
    "flipped bits in the log": lambda case, chance: flip(case.log, chance, 5),
    "a block of garbage in the log": lambda case, chance: overwrite(case.log, chance, chance.randbytes(999)),
    "log of zero length": lambda case, chance: case.log.write_bytes(b""),
    "file missing": lambda case, chance: case.path.unlink(),
    "file and log damaged": flip_both,
}


# ---- what SQLite can still read ----


def readable(path: Path, work: Path) -> dict[int, int]:
    """Return number by seq of the unsent rows that SQLite can read, row by row, in a copy of the files."""
    copy = Case(work / "copy.db")
    copy_files(Case(path), copy)
    found: dict[int, int] = {}
    with closing(sqlite3.connect(copy.path)) as connection:
        for seq in range(SENT[1] + 1, ROWS + 1):
            try:
                row = connection.execute("SELECT uptime_s FROM readings WHERE seq = ?", (seq,)).fetchone()
            except (sqlite3.Error, UnicodeDecodeError):  # the error's own text can be garbage
                continue
            # A flipped bit may make another row of it: nothing that SQLite could know.
            if row and row[0] == seq:
                found[seq] = seq
    return found


def patiently(ask: Callable[[], Answer]) -> Answer:
    """Ask again a few times, as sampler and forwarder do when the store could not be used."""
    for _attempt in range(4):
        with suppress(StoreUnusable):
            return ask()
    return ask()


def offered(store: Store) -> dict[int, int]:
    """Return uptime by seq of all unsent rows, as the forwarder asks for them."""
    leased: list[tuple[int, int]] = []
    found: dict[int, int] = {}
    while rows := store.unsent_rows(newest=False, limit=500, leased=leased):
        found |= {int(str(row["seq"])): int(row.get("uptime_s") or 0) for row in rows}
        leased.append((int(str(rows[0]["seq"])), int(str(rows[-1]["seq"]))))
    return found


@pytest.fixture(scope="module")
def wholes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Case, Case]:
    """Make files as a power cut leaves them (the newest rows in the log), and as a clean stop does (no log).

    They hold 700 readings, the oldest 200 of them sent.
    """
    folder = tmp_path_factory.mktemp("whole")
    store = Store(
        folder / "running.db", max_bytes=8 << 20, commit_interval_s=3600, commit_readings=20, keep_days=36_500
    )
    for number in range(1, ROWS + 1):
        store.append(reading(number))
        if number == 300:
            store.mark_sent(*SENT)
    cut, stopped = Case(folder / "cut.db"), Case(folder / "stopped.db")
    copy_files(Case(store.path), cut)
    store.close()
    copy_files(Case(store.path), stopped)
    return cut, stopped


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    before = language.current_language()
    language.use_language("en")
    yield
    language.use_language(before)


@dataclass(frozen=True)
class Outcome:
    """What became of one damaged database."""

    moved_aside: bool
    readable: int
    offered_of_readable: int
    seqs_given_again: int


def start_after(damaged: Case, epoch: str, work: Path) -> Outcome:
    """Start on a damaged database, take a reading, and look at what is left.

    After a clean stop nobody looks for damage, and it may hide rows without an error. The power that fails
    next, as it does each day, makes the agent look.
    """
    must = readable(damaged.path, work)
    was_stopped = not damaged.log.exists()
    with store_at(damaged) as store:
        outcome = take_a_reading(store, must, epoch)
        if not was_stopped or outcome.moved_aside:
            assert_not_lost(outcome, store, must, work)
            return outcome
        later = Case(damaged.path.with_name("later.db"))
        patiently(lambda: store.append(reading(999_999)))
        copy_files(damaged, later)
    with store_at(later) as store:
        outcome = take_a_reading(store, must, epoch)
        assert_not_lost(outcome, store, must, work)
        return outcome


def store_at(case: Case) -> AbstractContextManager[Store]:
    return closing(
        Store(case.path, max_bytes=8 << 20, commit_interval_s=0, commit_readings=1, keep_days=36_500)
    )


def take_a_reading(store: Store, must: dict[int, int], epoch: str) -> Outcome:
    seq = patiently(lambda: store.append(reading(999_999)))
    rows = patiently(lambda: offered(store))
    if seq not in rows:  # the damage was met only by reading; the sampler goes on
        seq = patiently(lambda: store.append(reading(999_999)))
        rows = patiently(lambda: offered(store))
    (newest,) = patiently(lambda: store.unsent_rows(newest=True, limit=1, leased=[]))
    assert (newest["seq"], newest["uptime_s"]) == (seq, 999_999), "a fresh reading must flow"
    return Outcome(
        moved_aside=store.file.damaged_file is not None,
        readable=len(must),
        offered_of_readable=len(set(must.values()) & set(rows.values())),
        # The whole file had given ROWS seqs: a new row of the same epoch must not get one of them.
        seqs_given_again=int(store.epoch == epoch and seq <= ROWS),
    )


def assert_not_lost(outcome: Outcome, store: Store, must: dict[int, int], work: Path) -> None:
    missing = outcome.readable - outcome.offered_of_readable
    if missing:
        assert store.file.damaged_file is not None, f"{missing} readable rows are gone, and no file was kept"
        assert readable(store.file.damaged_file, work) == must, "the moved-aside file holds less than before"
    copy = Case(work / "checked.db")
    copy_files(Case(store.path), copy)
    with closing(sqlite3.connect(copy.path)) as connection:
        assert connection.execute("PRAGMA quick_check").fetchall() == [("ok",)]


@quick_and_soak("count", 200, 2000)
def test_damaged_databases_are_survived(
    count: int,
    wholes: tuple[Case, Case],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agent.buffer.store_file.RETRY_S", 0.0)
    with closing(sqlite3.connect(wholes[1].path)) as connection:
        (epoch,) = connection.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()
    outcomes: list[tuple[str, Outcome]] = []
    for number in range(count):
        damage = list(DAMAGES)[number % len(DAMAGES)]
        case = Case(tmp_path / f"{number}" / "sinyal.db")
        case.path.parent.mkdir()
        # The log can only be damaged where there is one; everything else happens after a clean stop, too.
        stopped = "log" not in damage and number // len(DAMAGES) % 2
        copy_files(wholes[bool(stopped)], case)
        DAMAGES[damage](case, random.Random(number))
        caplog.clear()
        outcome = start_after(case, epoch, tmp_path)
        if outcome.moved_aside:
            assert "db.damaged-1, a new one begins" in caplog.text, "what happened must be said"
        outcomes.append((damage, outcome))
        shutil.rmtree(case.path.parent)

    moved = sum(outcome.moved_aside for _damage, outcome in outcomes)
    rows = sum(outcome.readable for _damage, outcome in outcomes)
    found = sum(outcome.offered_of_readable for _damage, outcome in outcomes)
    again = Counter(damage for damage, outcome in outcomes if outcome.seqs_given_again)
    say(f"damaged databases: {count} files, {moved} moved aside; {rows} unsent rows readable, 0 lost:")
    say(f"  {found} of them offered, {rows - found} kept in the moved-aside file")
    say(f"  seqs given again under the old epoch: {again.total()} {dict(again)}")
    assert not again, "a seq of a row that may have been sent was given to another row"
