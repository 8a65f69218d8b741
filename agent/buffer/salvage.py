"""Takes the unsent readings out of damaged databases, in small slices between the keeper's other work.

They go into the table `salvaged` of the current database under the identity they have always had, so that
the centre can tell those it already knows. Each is looked up by its own seq: a page that cannot be read
costs the rows on it and no others. How far a file was searched is committed with the rows, so a power cut
costs one slice. Loaded only when there is a damaged file.
"""

import json
import logging
import re
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agent.buffer import damaged_files
from agent.buffer.faults import FILE_ERRORS, is_damage, primary_code
from agent.buffer.opening import Database, epoch_of_mark, file_bytes, log_file
from agent.buffer.ranges import SeqRanges
from agent.buffer.rollup import with_extremes
from agent.buffer.true_time import TrueTimes
from agent.contract.catalogue import Metric, Row, catalogue
from agent.contract.events import Evidence
from agent.language import _

log = logging.getLogger("sinyal.buffer")

SLICE_S = 0.05
SLICE_ROWS = 50
PAUSE_S = 0.25
"""A slice of reading and one commit, and how long the flash then rests."""

LATER_S = 30.0
"""When a disk that is full, or fails, or a database that has no room is looked at again."""

ROOM = 0.5
"""Salvaged rows may fill the new database up to this share of its cap: new readings go first."""

MAX_DISK_ERRORS = 50
"""A worn out card takes seconds for each of them."""
MAX_ABSENT = 1_000_000
"""So many seqs in a row that lead nowhere are the work of a damaged counter, not of missing rows."""
MAX_SEQ = 1 << 40
MAX_VALUE_BYTES = 64 * 1024
_LEAST_ROW_BYTES = 16
_MAX_TRIES = 10

NoteEvent = Callable[[str, Evidence], None]
"""Takes `what` and evidence of an event `buffer`."""


@dataclass(frozen=True, slots=True)
class LastSight:
    """What the agent knew of a database when it was found damaged: the seq given last, and rows unsent.

    reason: one word for programs of what happened to it, "" when only SQLite's words are known.
    """

    epoch: str
    last_seq: int
    unsent: int
    reason: str = ""


@dataclass(slots=True)
class _Progress:
    """How far a file was searched; kept as JSON in `meta`.

    next_seq goes through `readings`, then (cursor_epoch, cursor_seq) through what this database had itself
    salvaged. unsent: rows that were to be found, as far as known before. unreadable: rows met that cannot
    be read. known_marks: whether "which rows were sent" could be read.
    """

    epoch: str = ""
    last_seq: int = 0
    next_seq: int = 1
    cursor_epoch: str = ""
    cursor_seq: int = 0
    unsent: int | None = None
    rows: int = 0
    unreadable: int = 0
    known_marks: bool = True
    done: bool = False


class Salvage:
    """The search of all damaged files of the database at `path`; for the thread that owns the database.

    last_sights: by file name, what was known when the file was moved aside. keep_bytes: what the damaged
    files may take together once they were searched.
    """

    def __init__(
        self, path: Path, last_sights: Mapping[str, LastSight], note_event: NoteEvent, *, keep_bytes: int
    ) -> None:
        self._path = path
        self._keep_bytes = keep_bytes
        self._last_sights = last_sights
        self._note_event = note_event
        self._search: _Search | None = None
        self._told = False
        self._tries = 0

    def step(self, database: Database) -> float | None:
        """Do a slice of work; return the seconds until the next, None when there is nothing left to do.

        Raises sqlite3.Error when the current database fails.
        """
        if self._search is None:
            if self._begin_next(database):
                return PAUSE_S
            return LATER_S if 0 < self._tries < _MAX_TRIES else None
        if _used_pages(database.connection) > ROOM * database.max_pages:
            return LATER_S
        try:
            if self._told:
                self._finish(database.connection)
            elif not self._search.advance(database.connection):
                self._tell()
        except sqlite3.OperationalError as error:
            if primary_code(error) != sqlite3.SQLITE_FULL:
                raise
            database.connection.rollback()
            self.close()
            return LATER_S
        return PAUSE_S

    def close(self) -> None:
        """Let go of the damaged file; the next step goes on where the last commit was."""
        if self._search is not None:
            self._search.close()
            self._search = None
            self._told = False

    def _begin_next(self, database: Database) -> bool:
        """Open the oldest file that was not searched; return False when there is none to be had now."""
        for file in damaged_files.files_to_search(self._path):
            search = _Search(file, database.connection)
            if search.progress.done:  # its new name did not reach the disk
                self._mark_searched(file)
                continue
            try:
                search.open(self._last_sights.get(file.name))
            except (*FILE_ERRORS, OSError) as error:
                search.close()
                if not _means_unreadable(error):
                    self._tries += 1
                    log.warning(_("{file} cannot be searched now: {reason}").format(file=file, reason=error))
                    return False
                search.give_up(str(error), self._last_sights.get(file.name))
            if search.is_new:
                sight = self._last_sights.get(file.name)
                reason: Evidence = {"reason": sight.reason} if sight and sight.reason else {}
                self._note_event("damaged", {"file": file.name, "rows": search.progress.unsent, **reason})
            self._tries = 0
            self._search = search
            return True
        return False

    def _tell(self) -> None:
        """Report what came out of a file; it is done with only after that is committed."""
        assert self._search is not None
        file, rows, lost = self._search.file, self._search.progress.rows, self._search.lost()
        self._note_event(
            "recovered", {"after": "damaged", "file": file.name, "rows": rows, "rows_lost": lost}
        )
        text = _("Unsent readings taken out of {file}: {rows}; lost: {lost}")
        log.warning(text.format(file=file, rows=rows, lost="?" if lost is None else lost))
        self._told = True

    def _finish(self, current: sqlite3.Connection) -> None:
        assert self._search is not None
        self._search.note_done(current)
        file = self._search.file
        self.close()
        self._mark_searched(file)
        removed = damaged_files.remove_searched(
            self._path, keep_files=damaged_files.KEPT_FILES, keep_bytes=self._keep_bytes
        )
        for name in removed:
            log.info(_("Old damaged file removed: {file}").format(file=name))

    def _mark_searched(self, file: Path) -> None:
        try:
            damaged_files.mark_searched(file)
        except OSError as error:
            log.warning(_("{file} cannot be renamed: {reason}").format(file=file, reason=error.strerror))


class _Search:
    """One damaged file, open for reading, and how far it was searched."""

    def __init__(self, file: Path, current: sqlite3.Connection) -> None:
        self.file = file
        self.is_new = True
        self.progress = _Progress()
        self._damaged: sqlite3.Connection | None = None
        self._times: TrueTimes | None = None
        self._candidates: Iterator[int] = iter(())
        self._disk_errors = 0
        self._absent = 0
        with suppress(ValueError, TypeError):
            query = "SELECT value FROM meta WHERE key = ?"
            found = current.execute(query, (self._key,)).fetchone()
            if found:
                self.progress = _Progress(**json.loads(found[0]))
                self.is_new = False

    @property
    def _key(self) -> str:
        return f"salvage {self.file.name}"

    def open(self, last_sight: LastSight | None) -> None:
        """Open the file and find out whose rows it has and which were not sent; raises sqlite3.Error."""
        if not file_bytes(self.file):
            # SQLite would delete the log, in which little but the newest pages is left.
            raise sqlite3.DatabaseError(_("only its log is left"))
        uri = f"{self.file.absolute().as_uri()}?mode=rw"
        damaged = sqlite3.connect(uri, uri=True, timeout=1.0, isolation_level=None)
        self._damaged = damaged
        damaged.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)
        damaged.text_factory = lambda raw: raw.decode(errors="replace")
        for pragma in ("locking_mode=EXCLUSIVE", "cache_size=-64", "temp_store=MEMORY", "trusted_schema=OFF"):
            damaged.execute(f"PRAGMA {pragma}")
        damaged.execute("SELECT count(*) FROM sqlite_master").fetchone()
        sent, are_sent_known = _ranges(damaged, "sent")
        set_aside, are_set_aside_known = _ranges(damaged, "quarantined")
        progress = self.progress
        if self.is_new:
            progress.epoch = _epoch(damaged) or (last_sight.epoch if last_sight else "")
            if last_sight and last_sight.epoch == progress.epoch:
                progress.unsent = last_sight.unsent
            newest = last_sight.last_seq if last_sight else 0
            progress.last_seq = max(newest, _last_seq(damaged, self.file, sent))
            progress.known_marks = are_sent_known and are_set_aside_known
        if progress.epoch:
            gaps = SeqRanges([*sent, *set_aside]).gaps(progress.next_seq, progress.last_seq)
            self._candidates = (seq for first, last in gaps for seq in range(first, last + 1))
        else:
            log.error(
                _("{file} does not tell its epoch: its readings have no identity").format(file=self.file)
            )

    def give_up(self, reason: str, last_sight: LastSight | None) -> None:
        """Take the file as one that nothing can be read from."""
        log.error(_("No reading can be taken out of {file}: {reason}").format(file=self.file, reason=reason))
        self.progress.known_marks = False
        if last_sight:
            self.progress.unsent = last_sight.unsent

    def close(self) -> None:
        """Close the file."""
        if self._damaged is not None:
            with suppress(*FILE_ERRORS):
                self._damaged.close()
            self._damaged = None

    def advance(self, current: sqlite3.Connection) -> bool:
        """Read a slice and commit it with the progress to the current database; return False at the end."""
        found: list[tuple[str, int, str]] = []
        progress = self.progress
        ends_at = time.monotonic() + SLICE_S
        for seq in self._candidates:
            row = self._look_up(seq)
            if row is not None:
                found.append((progress.epoch, seq, _as_json(row)))
            progress.next_seq = seq + 1
            if len(found) >= SLICE_ROWS or time.monotonic() > ends_at:
                break
            if self._absent > MAX_ABSENT or self._disk_errors > MAX_DISK_ERRORS:
                self._candidates = iter(())
                break
        else:
            if not found:
                found, is_end = self._salvaged_before()
                if is_end:
                    return False
        current.execute("BEGIN IMMEDIATE")
        added = current.executemany("INSERT OR IGNORE INTO salvaged VALUES (?, ?, ?)", found).rowcount
        progress.rows += max(added, 0)
        self._write_progress(current)
        current.execute("COMMIT")
        return True

    def note_done(self, current: sqlite3.Connection) -> None:
        """Write down that this file needs no further look."""
        self.progress.done = True
        self._write_progress(current)

    def _write_progress(self, current: sqlite3.Connection) -> None:
        state = json.dumps(asdict(self.progress))
        current.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (self._key, state))

    def lost(self) -> int | None:
        """Return how many unsent rows are lost, None when nobody can know."""
        progress = self.progress
        if progress.unsent is not None and (progress.known_marks or not progress.rows):
            return max(0, progress.unsent - progress.rows)
        if progress.known_marks and progress.epoch and self._disk_errors <= MAX_DISK_ERRORS:
            return progress.unreadable
        return None

    def _look_up(self, seq: int) -> Row | None:
        assert self._damaged is not None
        try:
            cursor = self._damaged.execute("SELECT * FROM readings WHERE seq = ?", (seq,))
            values = cursor.fetchone()
        except FILE_ERRORS as error:
            self.progress.unreadable += 1
            self._disk_errors += primary_code(error) == sqlite3.SQLITE_IOERR
            return None
        if values is None:
            self._absent += 1
            return None
        self._absent = 0
        row = _believable(zip((column[0] for column in cursor.description), values, strict=True))
        return self._completed({**row, "seq": seq})

    def _completed(self, row: Row) -> Row:
        """Return the row with what stands beside it in the damaged file, as far as that can be read."""
        assert self._damaged is not None
        with suppress(*FILE_ERRORS, ValueError, TypeError, KeyError):
            (row,) = with_extremes(self._damaged, [dict(row)])
        with suppress(*FILE_ERRORS, ValueError, TypeError, KeyError):
            if self._times is None:
                (boot,) = self._damaged.execute("SELECT coalesce(max(boot), 0) FROM clocks").fetchone()
                self._times = TrueTimes(self._damaged, boot=boot)
            row = self._times.corrected(row)
        return row

    def _salvaged_before(self) -> tuple[list[tuple[str, int, str]], bool]:
        """Return the next rows that this database had itself salvaged, and whether they were the last."""
        if self._damaged is None:
            return [], True
        progress = self.progress
        cursor = (progress.cursor_epoch, progress.cursor_seq)
        query = (
            "SELECT epoch, seq, reading FROM salvaged WHERE (epoch, seq) > (?, ?) ORDER BY epoch, seq LIMIT ?"
        )
        found: list[tuple[str, int, str]] = []
        with suppress(*FILE_ERRORS):  # up to the first that cannot be read
            found.extend(self._damaged.execute(query, (*cursor, SLICE_ROWS)))
        sound = [row for row in found if _is_sound(*row) and row[:2] > cursor]
        if not sound:
            return [], True
        progress.cursor_epoch, progress.cursor_seq = sound[-1][:2]
        return sound, False


def _means_unreadable(error: Exception) -> bool:
    if is_damage(error):
        return True
    return isinstance(error, sqlite3.Error) and primary_code(error) in (
        0,
        sqlite3.SQLITE_ERROR,
        sqlite3.SQLITE_READONLY,
    )


def _epoch(damaged: sqlite3.Connection) -> str:
    """Return the epoch from the file's header, else from its table, "" when neither can be read."""
    with suppress(*FILE_ERRORS, TypeError):
        if epoch := epoch_of_mark(damaged.execute("PRAGMA application_id").fetchone()[0]):
            return epoch
    with suppress(*FILE_ERRORS, TypeError):
        (epoch,) = damaged.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()
        return epoch if re.fullmatch("[0-9a-f]{8}", epoch) else ""
    return ""


def _ranges(damaged: sqlite3.Connection, table: str) -> tuple[SeqRanges, bool]:
    """Return the marks that can be read from either end of a table, and whether these are all.

    A mark that reaches into the next one is no mark: they never overlap.
    """
    marks: dict[Any, Any] = {}
    is_complete = True
    for order in ("ASC", "DESC"):
        try:
            marks.update(damaged.execute(f"SELECT first, last FROM {table} ORDER BY first {order}"))  # noqa: S608
        except FILE_ERRORS:
            is_complete = False
            continue
        break
    sound = SeqRanges()
    next_first = MAX_SEQ
    whole = [
        (first, last) for first, last in marks.items() if isinstance(first, int) and isinstance(last, int)
    ]
    for first, last in sorted(whole, reverse=True):
        if 0 < first <= last < next_first:
            sound.add(first, last)
        else:
            is_complete = False
        next_first = min(next_first, first)
    return sound, is_complete and len(whole) == len(marks)


def _last_seq(damaged: sqlite3.Connection, file: Path, sent: SeqRanges) -> int:
    """Return a seq that no row is above, by the best that can be read."""
    known = [0, *(last for _first, last in sent)]
    # Each of the two can lie, about what lies behind a page that leads nowhere or by a flipped bit.
    given = _seq(damaged, "SELECT max(seq) FROM sqlite_sequence WHERE name = 'readings'")
    stored = _seq(damaged, "SELECT max(seq) FROM readings")
    newest = max(*known, given or 0, stored or 0)
    if given:
        return newest
    return newest + (file_bytes(file) + file_bytes(log_file(file))) // _LEAST_ROW_BYTES


def _seq(damaged: sqlite3.Connection, query: str) -> int | None:
    with suppress(*FILE_ERRORS, TypeError):
        (seq,) = damaged.execute(query).fetchone()
        if isinstance(seq, int) and 0 < seq < MAX_SEQ:
            return seq
    return None


def _believable(values: Iterable[tuple[str, object]]) -> Row:
    """Return what the catalogue knows and allows: a flipped bit can make any value of any other."""
    row: Row = {}
    for name, value in values:
        metric = _metric(name)
        kept = metric.clean(value) if metric else None
        if kept is not None:
            row[name] = kept
    return row


def _metric(name: str) -> Metric | None:
    return catalogue().get(name) or catalogue().get(name.removesuffix("_min").removesuffix("_max"))


def _as_json(row: Row) -> str:
    return json.dumps(row, ensure_ascii=False, separators=(",", ":"))


def _is_sound(epoch: object, seq: object, reading: object) -> bool:
    if not (isinstance(epoch, str) and re.fullmatch("[0-9a-f]{8}", epoch) and isinstance(reading, str)):
        return False
    with suppress(ValueError):
        row = json.loads(reading)
        return isinstance(row, dict) and row.get("seq") == seq
    return False


def _used_pages(connection: sqlite3.Connection) -> int:
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    return int(pages) - int(free)
