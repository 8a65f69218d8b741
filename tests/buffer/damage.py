"""Damages databases in the ways that flash, power cuts and people do; each case follows from its number."""

import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.buffer.store import Store
from tests.buffer.files import reading

PAGE_BYTES = 1024
ROWS = 260
SENT = ((1, 90), (120, 160))
QUARANTINED = (200, 203)
UNSENT = frozenset(range(1, ROWS + 1)) - {
    seq for first, last in (*SENT, QUARANTINED) for seq in range(first, last + 1)
}


@dataclass(frozen=True)
class Sample:
    """A database to be damaged, as a clean stop leaves it, or with its log as a power cut does."""

    path: Path
    epoch: str


def make_samples(folder: Path) -> list[Sample]:
    """Make one database that was stopped cleanly and one that was not, with ROWS readings each."""
    store = Store(
        folder / "origin.db", max_bytes=4 << 20, commit_interval_s=60, commit_readings=20, keep_days=36_500
    )
    for number in range(1, ROWS + 1):
        store.append(reading(number))
    store.commit()
    for first, last in SENT:
        store.mark_sent(first, last)
    store.quarantine(*QUARANTINED, "too long")
    store.commit()
    samples = []
    for name in ("killed.db", "stopped.db"):
        for suffix in ("", "-wal"):
            with suppress(FileNotFoundError):
                shutil.copy(f"{folder}/origin.db{suffix}", folder / f"{name}{suffix}")
        samples.append(Sample(folder / name, store.epoch))
        store.close()
    return samples


def flip_bytes(path: Path, chance: random.Random) -> None:
    content = bytearray(path.read_bytes())
    for _time in range(chance.choice((1, 1, 3, 10, 40))):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def cut_short(path: Path, chance: random.Random) -> None:
    os.truncate(path, chance.randrange(1, path.stat().st_size))


def zero_pages(path: Path, chance: random.Random) -> None:
    pages = path.stat().st_size // PAGE_BYTES
    with path.open("r+b") as file:
        for _time in range(chance.choice((1, 2, 5))):
            file.seek(PAGE_BYTES * chance.randrange(1, max(pages, 2)))
            file.write(bytes(PAGE_BYTES))


def garble_a_stretch(path: Path, chance: random.Random) -> None:
    with path.open("r+b") as file:
        file.seek(chance.randrange(path.stat().st_size))
        file.write(chance.randbytes(chance.randrange(1, 5000)))


def garble_the_header(path: Path, chance: random.Random) -> None:
    with path.open("r+b") as file:
        file.write(chance.randbytes(chance.choice((4, 16, 30, 100, 1024))))


def flip_in_the_header(path: Path, chance: random.Random) -> None:
    with path.open("r+b") as file:
        place = chance.randrange(100)
        file.seek(place)
        (byte,) = file.read(1)
        file.seek(place)
        file.write(bytes([byte ^ 1 << chance.randrange(8)]))


def empty(path: Path, chance: random.Random) -> None:
    os.truncate(path, 0)


def flip_in_the_log(path: Path, chance: random.Random) -> None:
    log = Path(f"{path}-wal")
    flip_bytes(log if log.exists() and log.stat().st_size else path, chance)


def lose_the_log(path: Path, chance: random.Random) -> None:
    Path(f"{path}-wal").unlink(missing_ok=True)
    flip_bytes(path, chance)


DAMAGES: tuple[Callable[[Path, random.Random], None], ...] = (
    flip_bytes,
    cut_short,
    zero_pages,
    garble_a_stretch,
    garble_the_header,
    flip_in_the_header,
    empty,
    flip_in_the_log,
    lose_the_log,
)


def damaged_copy(number: int, samples: list[Sample], folder: Path) -> tuple[str, Sample]:
    """Make damaged file `number` in `folder`; return the name of the damage and the file with its epoch."""
    chance = random.Random(number)
    damage = DAMAGES[number % len(DAMAGES)]
    sample = samples[chance.randrange(len(samples))]
    path = folder / "sinyal.db"
    for suffix in ("", "-wal"):
        with suppress(FileNotFoundError):
            shutil.copy(f"{sample.path}{suffix}", f"{path}{suffix}")
    damage(path, chance)
    return damage.__name__, Sample(path, sample.epoch)


def what_sqlite_reads(path: Path, folder: Path) -> dict[int, dict[str, Any]]:
    """Return every unsent row that plain SQLite still reads, one by one, from a copy of the file."""
    for suffix in ("", "-wal"):
        with suppress(FileNotFoundError):
            shutil.copy(f"{path}{suffix}", folder / f"copy.db{suffix}")
    rows = {}
    with closing(sqlite3.connect(folder / "copy.db")) as connection:
        connection.text_factory = bytes
        for seq in UNSENT:
            with suppress(sqlite3.Error, UnicodeDecodeError):
                cursor = connection.execute("SELECT * FROM readings WHERE seq = ?", (seq,))
                values = cursor.fetchone()
                if values is not None:
                    names = [column[0] for column in cursor.description]
                    rows[seq] = dict(zip(names, values, strict=True))
    return rows
