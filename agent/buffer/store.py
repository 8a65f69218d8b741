"""The reading database: holds every reading until the broker has it, and then as local history.

    append ──▶ held in RAM ──commit──▶ readings ──unsent_rows──▶ publish
                                         │   ▲                      │
                      retention ◀────────┘   └── sent ranges ◀──mark_sent

Promised: a committed row survives kill -9 and a power cut, is offered until it is marked sent, and is
pruned only after that. Its identity (epoch, seq) never belongs to another row, because only committed
rows are offered. At stake: in a power cut the rows held in RAM (commit_interval_s, commit_readings),
and the newest marks, whose rows then go out again under the same identity. When max_bytes is near, old
unsent rows live on in rollups (retention.py), so that a new reading always finds room.
"""

import json
import logging
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from agent.buffer.event_log import EventLog
from agent.buffer.faults import primary_code
from agent.buffer.log_check import mark_at_rest, mark_in_use
from agent.buffer.opening import Database, file_bytes, log_file
from agent.buffer.ranges import SeqRange, SeqRanges
from agent.buffer.retention import Holdings, Room, look_again, make_room
from agent.buffer.rollup import end_of_rollup, whole_rollups_from, with_extremes
from agent.buffer.room_costs import FULL, RoomCosts, count
from agent.buffer.schema import last_given_seq, storable
from agent.buffer.store_file import StoreFile
from agent.buffer.true_time import FAR_S, TrueTimes
from agent.contract.catalogue import Row, Value
from agent.contract.events import Event, Evidence
from agent.errors import StoreUnusable
from agent.language import _
from agent.pulse import Pulse

log = logging.getLogger("sinyal.buffer")

BOOT_ID_FILE = Path("/proc/sys/kernel/random/boot_id")
# Readings come a little early or late: one that is nearly due for its commit does not wait for the clock.
NEARLY_DUE = 0.75
PRUNE_EVERY_S = 3600.0

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class BufferCounts:
    """What the database holds; rows not yet committed are not counted.

    stored: rows, sent or not. unsent: rows not acknowledged. oldest_unsent_ts: `ts` of the oldest of
    these that has one, or None. last_seq: newest seq, 0 before the first. last_sent_ts: `ts` of the
    newest acknowledged row still stored, or None. bytes_used: the file and its log. quarantined: rows that
    no broker took and that are not offered any more (not in `unsent`). events_unsent: events not
    acknowledged. folded, dropped: readings that went into rollups, or were lost for want of room, since the
    file was made. stored_seq: the centre says that it has every row up to here for good; None: it never did.
    """

    stored: int
    unsent: int
    oldest_unsent_ts: int | None
    last_seq: int
    last_sent_ts: int | None
    bytes_used: int
    quarantined: int = 0
    events_unsent: int = 0
    folded: int = 0
    dropped: int = 0
    stored_seq: int | None = None


class Store:
    """One SQLite connection and the little that is held in RAM before it; for one thread only.

    path: the database file, in an existing folder. max_bytes: limit for the file with its log.
    commit_interval_s: the longest time between two commits while rows are held. commit_readings: this
    many rows or marks held in RAM are committed at once. keep_days: how long sent rows are kept.

    epoch and boot are "" and 0 until the first opening succeeds. file: the file itself, why it fails and
    what is done about it (store_file.py). pulse: shows that long work gets on. All methods raise
    StoreUnusable when the database fails; a call at least RETRY_S later opens it again. The epoch changes
    only when a damaged file was replaced, and even then the seqs go on from the last one, so that a late
    mark cannot hit a row of the new epoch.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_bytes: int,
        commit_interval_s: float,
        commit_readings: int,
        keep_days: int,
        boot_id_file: Path = BOOT_ID_FILE,
    ) -> None:
        self.path = path
        self.epoch = ""
        self.boot = 0
        self.pulse = Pulse()
        self.file = StoreFile(path, self, max_bytes=max_bytes, boot_id_file=boot_id_file, pulse=self.pulse)
        self._commit_interval_s = commit_interval_s
        self._commit_readings = commit_readings
        self._keep_days = keep_days

        self._held: list[Row] = []
        self._doubtful: Row | None = None
        self._marks: list[SeqRange] = []
        self._sent = SeqRanges()
        self._quarantined = SeqRanges()
        self._events = EventLog()
        self._times: TrueTimes | None = None
        self._is_marked = False
        self._costs = RoomCosts()
        self._stored_seq: int | None = None
        self._stored_seq_written: int | None = None
        self._last_seq = 0
        self._stored = 0
        self._unsent = 0
        self._committed_at = float("-inf")
        self._pruned_at = float("-inf")

        self._misfits: set[str] = set()

        self._counted_epoch = ""
        self._lost_readings = 0

    # ---- for the one who samples ----

    def append(self, row: Row) -> int:
        """Accept one reading and return its seq; `seq` and `boot` are filled in here.

        A returned seq promises: this row is committed, or held in RAM and committed within
        commit_interval_s of the last commit. If that commit fails it is tried again under the same
        seq until it succeeds: never dropped, never stored twice. StoreUnusable means: not accepted,
        offer the same row again. (Its commit can have reached the disk before it failed; the row
        offered again then gets the seq that it has.) A value that Catalogue.clean would not give is
        left out.
        """
        row = self._without_misfits(row)
        self.file.opened()
        doubtful, self._doubtful = self._doubtful, None
        if doubtful and doubtful == {**row, "seq": self._last_seq}:
            return self._last_seq
        seq = self._newest_seq() + 1
        self._held.append({**row, "seq": seq})
        nearly_due = time.monotonic() - self._committed_at >= NEARLY_DUE * self._commit_interval_s
        if self.file.failure or nearly_due or self._holds_enough():
            try:
                self.commit()
            except StoreUnusable:
                self._doubtful = self._held.pop()
                raise
        return seq

    def note_event(self, type_: str, what: str, evidence: Evidence, *, quality: str) -> None:
        """Take an event in, to be committed as soon as the disk allows; never raises.

        type_ is one of EVENT_TYPES, what one word, quality the ts_quality of the clock now.
        """
        self._events.hold(type_, what, evidence, seq=self._newest_seq(), quality=quality)

    def note_lost_readings(self, rows: int) -> None:
        """Count readings that were lost before the database could take them, in an event; never raises."""
        self._lost_readings += rows
        self.note_event("buffer", "dropped", {"rows": rows, "reason": "memory"}, quality="unset")

    def commit(self) -> None:
        """Write what is held in RAM now; once an hour, prune too."""
        if self._held or self._marks or self._events.waiting or self.file.is_room_awaited:
            self._write(prune=time.monotonic() - self._pruned_at >= PRUNE_EVERY_S)

    def seconds_to_commit(self) -> float | None:
        """Return how long what is held may still wait for its commit, None when nothing waits."""
        if not (self._held or self._events.urgent or self.file.is_room_awaited):
            return None
        if self._events.urgent or self.file.is_failing:
            return max(0.0, self.file.write_again_at - time.monotonic())
        due = max(self._committed_at + self._commit_interval_s, self.file.write_again_at)
        return max(0.0, due - time.monotonic())

    # ---- for the one who sends ----

    def unsent_rows(self, *, newest: bool, limit: int, leased: Sequence[SeqRange]) -> list[Row]:
        """Return at most `limit` committed, unacknowledged rows, ascending by seq, in true time as known.

        They are one unbroken run: no sent and no leased row lies between them. A rollup covers `seq_first` to
        `seq`; both are to be in the range that is leased and marked. newest: the end of the
        newest run, else the start of the oldest. leased: ranges that are already on their way.
        """
        with self.file.using() as database:
            runs = SeqRanges([*self._sent, *self._quarantined, *leased]).gaps(1, self._last_seq)
            order = "DESC" if newest else "ASC"
            query = (
                f"SELECT {', '.join(database.columns)} FROM readings"  # noqa: S608 -- catalogue names
                f" WHERE seq BETWEEN ? AND ? ORDER BY seq {order} LIMIT ?"
            )
            for first, last in reversed(runs) if newest else runs:
                times, texts = self._true_times(), dict[Value, Value]()
                found = database.connection.execute(query, (first, last, max(limit, 0)))
                # One by one: hundreds of rows twice over would stay in the memory of the process.
                rows = [times.corrected(_row(database.columns, values, texts)) for values in found]
                if rows:
                    rows.sort(key=_seq)
                    return with_extremes(database.connection, rows)
            return []

    def mark_sent(self, first_seq: int, last_seq: int) -> None:
        """Take the rows first_seq to last_seq, both included, as acknowledged.

        Holds at once for unsent_rows; reaches the disk with a commit. A mark that is lost before that, or
        refused with StoreUnusable, costs no more than that these rows go out again. A rollup that begins
        before first_seq stays unsent: not all of its readings were acknowledged. ValueError: rows that
        were never offered.
        """
        if not 1 <= first_seq <= last_seq <= self._last_seq:
            raise ValueError((first_seq, last_seq, self._last_seq))
        with self.file.using() as database:
            first_seq = whole_rollups_from(database.connection, first_seq, last_seq)
            newly_sent = _count(database.connection, self._waiting(first_seq, last_seq))
        if first_seq > last_seq:
            return
        self._unsent -= newly_sent
        self._sent.add(first_seq, last_seq)
        self._marks.append((first_seq, last_seq))
        if self._holds_enough():
            with suppress(StoreUnusable):  # the mark is held; `failure` tells, and later commits try again
                self.commit()

    def quarantine(self, first_seq: int, last_seq: int, reason: str) -> None:
        """Offer these rows no more, until `resend`: no broker takes them. An event says so, with reason."""
        self.commit()
        with self.file.using() as database:
            first_seq = whole_rollups_from(database.connection, first_seq, last_seq)
            if first_seq > last_seq:
                return
            rows = _count(database.connection, self._waiting(first_seq, last_seq))
            self._quarantined.add(first_seq, last_seq)
            with _transaction(database.connection):
                _rewrite(database.connection, "quarantined", self._quarantined)
                look_again(database.connection)
        self._unsent -= rows
        evidence: Evidence = {"rows": rows, "seq_first": first_seq, "seq_last": last_seq, "reason": reason}
        self.note_event("buffer", "quarantined", evidence, quality="unset")

    def note_stored(self, epoch: str, seq: int) -> None:
        """Note that the centre has every row of `epoch` up to seq for good; written with the next commit.

        Only for the current epoch, never above the newest row, never lower than before.
        """
        self.file.opened()
        if epoch == self.epoch:
            self._stored_seq = max(self._stored_seq or 0, min(seq, self._last_seq))

    def resend(self, first_seq: int, last_seq: int, *, quarantined: bool = True) -> int:
        """Take stored rows as unsent again, quarantined ones if asked; return how many of them were not."""
        self.commit()
        last_seq = min(last_seq, self._last_seq)
        if last_seq < first_seq:
            return 0
        with self.file.using() as database:
            last_seq = end_of_rollup(database.connection, last_seq)
            before = _count(database.connection, self._waiting(first_seq, last_seq))
            with _transaction(database.connection):
                for table, ranges in (("sent", self._sent), ("quarantined", self._quarantined)):
                    if table == "sent" or quarantined:
                        ranges.remove(first_seq, last_seq)
                        _rewrite(database.connection, table, ranges)
                look_again(database.connection)
            rows = _count(database.connection, self._waiting(first_seq, last_seq)) - before
        self._unsent += rows
        return rows

    def salvaged_rows(self, limit: int) -> tuple[str, list[Row]]:
        """Return an earlier epoch and at most `limit` of its unsent rows, ascending; none left: ("", []).

        They come from a damaged database and keep their identity. Taken off by mark_salvaged_sent.
        """
        query = (
            "SELECT epoch, reading FROM salvaged WHERE epoch = (SELECT min(epoch) FROM salvaged)"
            " ORDER BY seq LIMIT ?"
        )
        with self.file.using() as database:
            found = database.connection.execute(query, (limit,)).fetchall()
        return (found[0][0], [json.loads(reading) for _epoch, reading in found]) if found else ("", [])

    def mark_salvaged_sent(self, epoch: str, first_seq: int, last_seq: int) -> None:
        """Take salvaged rows as acknowledged: they are removed, the damaged file still has them."""
        with self.file.using() as database, _transaction(database.connection):
            database.connection.execute(
                "DELETE FROM salvaged WHERE epoch = ? AND seq BETWEEN ? AND ?", (epoch, first_seq, last_seq)
            )

    @property
    def events_written(self) -> int:
        """Return how many events were committed since the start of the process."""
        return self._events.written

    def unsent_events(self, limit: int) -> list[Event]:
        """Return the oldest committed events that are not acknowledged, at most `limit`."""
        with self.file.using() as database:
            return self._events.unsent(database.connection, self._true_times(), epoch=self.epoch, limit=limit)

    def mark_event_sent(self, number: int) -> None:
        """Take an event as acknowledged; reaches the disk with the next commit."""
        self._events.mark_sent(number)

    # ---- for the one who knows the time ----

    def note_true_time(self, true_s: float, quality: str) -> int:
        """Take in when this boot began (UTC seconds) by a clock of this ts_quality.

        Says so of every row of the boot, and of those before it that waited for a neighbour. Rows that went
        out meanwhile under no or a worse time are unsent again; returns how many. What says nothing new
        is passed over.
        """
        with self.file.using() as database:
            times = self._true_times()
            if not times.improves(true_s, quality):
                return 0
            first_seq = times.first_seq_without_anchor()
            with _transaction(database.connection):
                times.write_anchor(true_s, quality)
            self._times = TrueTimes(database.connection, boot=database.boot)
            query = (
                "SELECT min(seq), max(seq) FROM readings WHERE seq >= ? AND (ts_quality = 'unset'"
                " OR boot = ? AND abs(ts - uptime_s - ?) > ?) AND EXISTS"
                " (SELECT 1 FROM sent WHERE readings.seq BETWEEN sent.first AND sent.last)"
            )
            values = (first_seq, database.boot, true_s, FAR_S)
            first, last = database.connection.execute(query, values).fetchone()
        return self.resend(first, last) if first is not None else 0

    def newest_true_ts(self) -> int | None:
        """Return the newest believable UTC second among the readings, None when there is none."""
        with self.file.using():
            return self._true_times().newest_true_ts()

    # ---- for both ----

    def read(self, work: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """Let `work` ask the database and return its answer; it must neither write nor take long."""
        with self.file.using() as database:
            return work(database.connection)

    def write(self, work: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """Let `work` change tables of its own in one durable transaction and return its answer.

        What is held in RAM is committed first. When this raises StoreUnusable nothing was changed, or (after
        a failed sync) all of it: `work` must bear being done twice.
        """
        self.commit()
        with self.file.using() as database, _transaction(database.connection):
            return work(database.connection)

    def counts(self) -> BufferCounts:
        """Return what the database holds now."""
        with self.file.using() as database:
            unsent = self._waiting(1, self._last_seq) if self._unsent else []
            return BufferCounts(
                stored=self._stored,
                unsent=self._unsent,
                oldest_unsent_ts=self._first_ts(database.connection, unsent, "ASC"),
                last_seq=self._last_seq,
                last_sent_ts=self._first_ts(database.connection, reversed(self._sent), "DESC"),
                bytes_used=file_bytes(self.path) + file_bytes(log_file(self.path)),
                quarantined=_count(database.connection, self._quarantined),
                events_unsent=self._events.count_unsent(database.connection),
                folded=_counter(database.connection, "folded"),
                dropped=_counter(database.connection, "dropped"),
                stored_seq=self._stored_seq,
            )

    def prune(self) -> int:
        """Commit, and remove a slice of the sent rows that need not be kept; return how many rows."""
        return self._write(prune=True)

    def open(self) -> None:
        """Open the database or make a new one. Without this call, the first other call does it."""
        self.file.opened()

    def close(self) -> None:
        """Commit and close; the file is then complete without its log."""
        self.file.try_now()
        try:
            self.commit()
            self.file.look()
            self.commit()  # what the look has told
            if self.file.is_open:
                with self.file.using() as database:
                    mark_at_rest(database.connection)
        finally:
            self.file.disconnect()

    # ---- writing ----

    def _without_misfits(self, row: Row) -> Row:
        kept = storable(row)
        misfits = {name for name in row.keys() - kept.keys() if row[name] is not None} - self._misfits
        if misfits:
            self._misfits |= misfits
            text = _("Values that the catalogue does not allow are not stored: {names}")
            log.error(text.format(names=", ".join(sorted(misfits))))
        return kept

    def _holds_enough(self) -> bool:
        marked = sum(last - first + 1 for first, last in self._marks)
        return len(self._held) + marked >= self._commit_readings

    def _newest_seq(self) -> int:
        held = self._held[-1]["seq"] if self._held else 0
        assert isinstance(held, int)
        return max(held, self._last_seq)

    def _write(self, *, prune: bool) -> int:
        self.file.wait_out_failure()
        with self.file.using() as database:
            for what, evidence in self._costs.news(database.connection, time.monotonic()).items():
                self.note_event("buffer", what, evidence, quality="unset")
            try:
                return self._write_once(database, self._held, prune=prune).pruned
            except sqlite3.OperationalError as error:
                if primary_code(error) != sqlite3.SQLITE_FULL:
                    raise
                database.connection.rollback()
                return self._squeeze_in(database)

    def _squeeze_in(self, database: Database) -> int:
        """Make room now, not at the full hour, until the held rows fit; return the number of pruned rows."""
        pruned = 0
        while True:
            room = self._write_once(database, [], prune=True, full=True)
            pruned += room.pruned
            try:
                self._write_once(database, self._held, prune=False)
            except sqlite3.OperationalError as error:
                if primary_code(error) != sqlite3.SQLITE_FULL or not (room.rows or room.more):
                    raise
                database.connection.rollback()
            else:
                return pruned

    def _write_once(
        self, database: Database, rows: Sequence[Row], *, prune: bool, full: bool = False
    ) -> Room:
        """Write the marks and `rows` (what is held, or nothing) in one transaction; prune: make room before.

        full: what is held has met a full file, which is to be told if room can be made.
        """
        connection = database.connection
        connection.execute("BEGIN IMMEDIATE")
        if not self._is_marked:
            mark_in_use(connection)
        self._costs.write(connection)
        room = Room()
        if prune:
            holds = Holdings(
                database.columns, self._sent, self._quarantined, self._last_seq, writing=len(self._held)
            )
            room = make_room(
                connection, holds, self._true_times(), keep_days=self._keep_days, max_pages=database.max_pages
            )
        if full and room.rows and self._held:
            count(connection, FULL, len(self._held), self._last_seq + 1, self._newest_seq())
        for mark in self._marks:
            first, last = self._sent.add(*mark)
            connection.execute("DELETE FROM sent WHERE first BETWEEN ? AND ?", (first, last))
            connection.execute("INSERT INTO sent VALUES (?, ?)", (first, last))
        # After the pruning, which may have to make the room for them.
        self._events.write(connection, boot=database.boot)
        if self._lost_readings:
            _add_to_counter(connection, "dropped", self._lost_readings)
        if self._stored_seq != self._stored_seq_written:
            connection.execute(
                "INSERT OR REPLACE INTO meta VALUES ('stored_seq', ?)", (str(self._stored_seq),)
            )
        inserted = _insert(database, rows)
        connection.execute("COMMIT")
        if not self._is_marked:
            # The mark must be in the file itself, for the day on which its log is missing.
            self._is_marked = True
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")

        self._stored += inserted - room.rows
        self._unsent += inserted - room.unsent
        written = len(rows)
        if rows:
            self._last_seq = self._newest_seq()
            self._held.clear()
        self._marks.clear()
        self._events.note_written()
        self._costs.note_written()
        self._lost_readings = 0
        self._stored_seq_written = self._stored_seq
        self._committed_at = time.monotonic()
        self.file.note_written(rows=written)
        if prune:
            self._pruned_at = float("-inf") if room.more else self._committed_at
        return room

    def _true_times(self) -> TrueTimes:
        assert self._times is not None, "the database is open"
        return self._times

    def _first_ts(self, connection: sqlite3.Connection, ranges: Iterable[SeqRange], order: str) -> int | None:
        """Return the true `ts` of the first row within `ranges` that has one, in the given order, or None."""
        query = (
            "SELECT seq FROM readings WHERE seq BETWEEN ? AND ? AND ts NOT NULL"  # noqa: S608 -- two words
            f" ORDER BY seq {order} LIMIT 1"
        )
        for first_and_last in ranges:
            found = connection.execute(query, first_and_last).fetchone()
            if found:
                return self._true_times().ts_of(found[0])
        return None

    def _waiting(self, first_seq: int, last_seq: int) -> list[SeqRange]:
        """Return the ranges within first_seq to last_seq that are neither sent nor quarantined."""
        return SeqRanges([*self._sent, *self._quarantined]).gaps(first_seq, last_seq)

    # ---- what the file of the store asks of it ----

    @property
    def last_seq(self) -> int:
        """Return the newest seq that was given, 0 before the first opening of an empty file."""
        return self._last_seq

    @property
    def stored(self) -> int:
        """Return how many rows the file holds."""
        return self._stored

    @property
    def held(self) -> int:
        """Return how many accepted readings are in RAM only."""
        return len(self._held)

    @property
    def unsent(self) -> int:
        """Return how many rows are not acknowledged."""
        return self._unsent

    @property
    def counted_epoch(self) -> str:
        """Return the epoch whose rows were counted, "" while none were."""
        return self._counted_epoch if self._counted_epoch == self.epoch else ""

    def tell(self, what: str, evidence: Evidence) -> None:
        """Take an event of the buffer in; never raises."""
        self.note_event("buffer", what, evidence, quality="unset")

    def load(self, database: Database) -> None:
        """Ask the file what it holds: after a failure only the file knows."""
        connection = database.connection
        written = self._stored_seq_written = _stored_seq(connection)
        held = self._stored_seq if database.epoch == self.epoch else None
        self._stored_seq = written if held is None else max(held, written or 0)
        self.epoch, self.boot = database.epoch, database.boot
        self._times = TrueTimes(connection, boot=database.boot)
        self._is_marked = False
        self._sent = SeqRanges([*_read_ranges(connection, "sent"), *self._marks])
        self._quarantined = SeqRanges(_read_ranges(connection, "quarantined"))
        given = last_given_seq(connection)
        self._last_seq = max(self._last_seq, given)
        self._stored = _count(connection, [(1, self._last_seq)])
        self._unsent = _count(connection, self._waiting(1, self._last_seq))
        self._counted_epoch = self.epoch


def _insert(database: Database, rows: Sequence[Row]) -> int:
    """Insert `rows` and return how many were not there yet.

    After a commit that failed at its fsync they may be in the file all the same, under the same seqs.
    """
    names, places = ", ".join(database.columns), ", ".join("?" * len(database.columns))
    insert = f"INSERT OR IGNORE INTO readings ({names}) VALUES ({places})"  # noqa: S608 -- catalogue names
    complete = ({**row, "boot": database.boot} for row in rows)
    values = [tuple(row.get(name) for name in database.columns) for row in complete]
    return database.connection.executemany(insert, values).rowcount if values else 0


def _row(columns: Sequence[str], values: Sequence[Value], texts: dict[Value, Value]) -> Row:
    """Return what is known of a row; a text that repeats from row to row is kept once, in `texts`."""
    return {
        name: texts.setdefault(value, value) if isinstance(value, str) else value
        for name, value in zip(columns, values, strict=True)
        if value is not None
    }


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    connection.execute("COMMIT")


def _rewrite(connection: sqlite3.Connection, table: str, ranges: Iterable[SeqRange]) -> None:
    connection.execute(f"DELETE FROM {table}")  # noqa: S608 -- one of two names above
    connection.executemany(f"INSERT INTO {table} VALUES (?, ?)", ranges)  # noqa: S608


def _read_ranges(connection: sqlite3.Connection, table: str) -> list[SeqRange]:
    """Return the ranges of a table; one that is none proves that the file is damaged."""
    ranges: list[SeqRange] = connection.execute(f"SELECT first, last FROM {table} ORDER BY first").fetchall()  # noqa: S608
    for first, last in ranges:
        if type(first) is not int or type(last) is not int or not 1 <= first <= last:
            damage = sqlite3.DatabaseError(f"{table}: {first!r} to {last!r}")
            damage.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise damage
    return ranges


def _stored_seq(connection: sqlite3.Connection) -> int | None:
    found = connection.execute("SELECT value FROM meta WHERE key = 'stored_seq'").fetchone()
    return int(found[0]) if found else None


def _counter(connection: sqlite3.Connection, name: str) -> int:
    found = connection.execute("SELECT value FROM counters WHERE name = ?", (name,)).fetchone()
    return int(found[0]) if found else 0


def _add_to_counter(connection: sqlite3.Connection, name: str, rows: int) -> None:
    add = "INSERT INTO counters VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value"
    connection.execute(add, (name, rows))


def _count(connection: sqlite3.Connection, ranges: Iterable[SeqRange]) -> int:
    query = "SELECT count(*) FROM readings WHERE seq BETWEEN ? AND ?"
    return sum(connection.execute(query, first_and_last).fetchone()[0] for first_and_last in ranges)


def _seq(row: Row) -> int:
    seq = row["seq"]
    assert isinstance(seq, int)
    return seq
