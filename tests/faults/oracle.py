"""The one judge of all fault campaigns: what was committed, what arrived, and whether the two agree.

Four properties must hold after any fault: every reading that was ever seen committed is at the independent
subscriber, none is there that was never committed, what arrived says what the database says, and a fresh
reading still flows. Identity is (epoch, seq), for ever.
"""

import shutil
import sqlite3
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.buffer.true_time import FAR_S
from tests.support.listener import Heard
from tests.wire.independent_decoder import decode

Row = dict[str, Any]
Identity = tuple[str, int]

WINDOW_MESSAGES = 4
"""Messages that may be under way at once; all of them may go out again after an interruption."""

_TRUE_TIME = frozenset(("ntp", "modem", "broker", "rtc"))
_CORRECTABLE = frozenset(("ts", "ts_quality"))
_ROLLUP_ONLY = "seq_first"


def covered(row: Mapping[str, Any]) -> range:
    """Return the seqs that a row speaks for: its own, or all that were folded into it."""
    return range(row.get(_ROLLUP_ONLY) or row["seq"], row["seq"] + 1)


def agree(one: Row, other: Row) -> bool:
    """Return whether two rows of one identity are the same reading.

    Two differences are no contradiction: `ts` and `ts_quality` are corrected when true time becomes known,
    and a rollup takes the place of the rows that were folded into it.
    """
    if (_ROLLUP_ONLY in one) != (_ROLLUP_ONLY in other):
        return True
    if one.get("ts_quality") == other.get("ts_quality") in _TRUE_TIME and not _is_corrected(one, other):
        return False
    return _lasting(one) == _lasting(other)


def _is_corrected(one: Row, other: Row) -> bool:
    """Return whether two stamps of a true clock are one, or one of them was of a clock that had stepped."""
    apart_s = abs(int(one.get("ts") or 0) - int(other.get("ts") or 0))
    return apart_s == 0 or apart_s >= FAR_S


def _lasting(row: Row) -> Row:
    return {name: value for name, value in row.items() if name not in _CORRECTABLE}


def stored_rows(database: Path, after_seq: int = 0) -> list[Row]:
    """Return what a database file holds, without NULLs, each row with its epoch.

    Reads a copy: opening the file itself would write its log back and so repair what a fault has left.
    Nobody may write to the database meanwhile.
    """
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / database.name
        for suffix in ("", "-wal"):
            if Path(f"{database}{suffix}").exists():
                shutil.copyfile(f"{database}{suffix}", f"{copy}{suffix}")
        with closing(sqlite3.connect(copy)) as connection:
            connection.row_factory = sqlite3.Row
            try:
                (epoch,) = connection.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()
                found = connection.execute("SELECT * FROM readings WHERE seq > ?", (after_seq,)).fetchall()
            except (sqlite3.OperationalError, TypeError):
                return []  # killed before the tables were there
    return [{"epoch": epoch, **_known(row)} for row in found]


def _known(row: sqlite3.Row) -> Row:
    return {name: value for name, value in zip(row.keys(), row, strict=True) if value is not None}


class Ledger:
    """Every reading that was ever seen committed. It stays an obligation, whatever becomes of the file."""

    def __init__(self) -> None:
        self.rows: dict[Identity, Row] = {}
        self.changed: list[Identity] = []

    def note(self, database: Path) -> None:
        """Take over what the database holds; only while nobody writes to it."""
        if not database.exists():
            return
        for row in stored_rows(database):
            identity = (row["epoch"], row["seq"])
            if not agree(self.rows.setdefault(identity, row), row):
                self.changed.append(identity)


@dataclass
class Arrivals:
    """What came at the independent subscriber, decoded by a decoder of its own."""

    hear: Callable[[], list[Heard]]
    rows: dict[Identity, Row] = field(default_factory=dict)
    times: Counter[Identity] = field(default_factory=Counter)
    contradicting: list[Identity] = field(default_factory=list)
    most_rows: int = 0
    _covered: set[Identity] = field(default_factory=set)
    _taken: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self) -> "Arrivals":
        """Decode what came since the last call."""
        with self._lock:
            heard = self.hear()
            for message in heard[self._taken :]:
                if message.topic.endswith(("/readings", "/readings/json")):
                    self._take_batch(decode(message.payload))
            self._taken = len(heard)
        return self

    def _take_batch(self, batch: Iterable[Row]) -> None:
        rows = [{name: value for name, value in row.items() if value is not None} for row in batch]
        self.most_rows = max(self.most_rows, len(rows))
        for row in rows:
            identity = (row["epoch"], row["seq"])
            self.times[identity] += 1
            self._covered.update((row["epoch"], seq) for seq in covered(row))
            if not agree(self.rows.setdefault(identity, row), row):
                self.contradicting.append(identity)

    def covered(self) -> set[Identity]:
        """Return every identity that has arrived, itself or in a rollup."""
        return self._covered

    def newest_seq(self) -> int:
        """Return the highest seq that has arrived, 0 before the first."""
        return max((seq for _epoch, seq in self.rows), default=0)

    def repeats(self) -> int:
        """Return how many rows came once more than needed."""
        return self.times.total() - len(self.times)


@dataclass(frozen=True)
class Verdict:
    """What the judge found; see holds()."""

    committed: int
    arrived: int
    lost: list[Identity]
    invented: list[Identity]
    different: list[Identity]
    repeats: int
    most_rows: int

    def holds(self, *, interruptions: int, held_rows: int = 0) -> "Verdict":
        """Fail unless nothing was lost, invented or altered, and rows came again only as often as they may.

        interruptions: kills, cuts and lost connections. held_rows: marks that a kill may lose.
        """
        assert (self.lost, self.invented, self.different) == ([], [], []), str(self)
        most = interruptions * (WINDOW_MESSAGES * self.most_rows + held_rows)
        assert self.repeats <= most, f"{self}: at most {most} repeats are allowed"
        return self

    def __str__(self) -> str:
        text = f"{self.committed} committed, {self.arrived} arrived, {len(self.lost)} lost, "
        text += f"{len(self.invented)} invented, {len(self.different)} different, 0 duplicates after dedupe, "
        text += f"{self.repeats} raw repeats"
        for name in ("lost", "invented", "different"):
            if found := getattr(self, name):
                text += f"; {name}: {found[:10]}"
        return text


def judge(committed: Ledger, arrived: Arrivals, *, due: Iterable[Identity] | None = None) -> Verdict:
    """Compare; `due` are the identities that must have arrived (default: all in the ledger)."""
    arrived.take()
    came = arrived.covered()
    invented = [identity for identity in arrived.rows if identity not in committed.rows]
    different = [
        identity
        for identity, row in arrived.rows.items()
        if identity in committed.rows and not agree(committed.rows[identity], row)
    ]
    return Verdict(
        committed=len(committed.rows),
        arrived=len(arrived.rows),
        lost=sorted(set(committed.rows if due is None else due) - came),
        invented=invented,
        different=sorted({*different, *arrived.contradicting, *committed.changed}),
        repeats=arrived.repeats(),
        most_rows=arrived.most_rows,
    )
