"""The file of a store: opened, watched, explained when it fails, moved aside when it is damaged.

    opening ──▶ open ──error──▶ let go ──RETRY_S──▶ opening ──damage, twice──▶ moved aside, a new one begins
                 │                                                                  │
                 └─ deleted or replaced under the connection ──▶ put back           └──▶ searched in slices

What the rows in it mean is the store's (store.py); this room only knows when they can be reached.
"""

import logging
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from agent.buffer import file_watch
from agent.buffer.damaged_files import files_to_search, move_aside, remove_searched
from agent.buffer.faults import FILE_ERRORS, explain, is_damage, is_disk_full, primary_code
from agent.buffer.log_check import SUSPECT_SEQS
from agent.buffer.opening import Database, file_bytes, log_file, open_database
from agent.buffer.schema import wanted_columns
from agent.contract.events import Evidence
from agent.errors import StoreUnusable
from agent.language import N_, _
from agent.pulse import Pulse

if TYPE_CHECKING:
    from agent.buffer.salvage import LastSight, Salvage

log = logging.getLogger("sinyal.buffer")

RETRY_S = 5.0
SALVAGE_AGAIN_S = 60.0
LOOK_EVERY_S = 20.0
MENDING_LIMIT_S = 300.0
"""So long it may take to open a file, which an upgrade copies, or to write all of it anew, on a slow card."""
# A disk that comes and goes does not fill the queue of events.
TELL_FAILING_EVERY_S = 600.0

_ASTRAY = {
    file_watch.MISSING: N_(
        "The reading database {path} was deleted while the agent runs; it is written anew"
    ),
    file_watch.REPLACED: N_(
        "Another file was put in the place of the reading database {path}; the readings are written anew"
    ),
    file_watch.LOG_MISSING: N_("The log {path}-wal was deleted while the agent runs; it is begun anew"),
}


class Contents(Protocol):
    """What a store knows of the rows in its file."""

    @property
    def last_seq(self) -> int:
        """Return the newest seq that was given."""

    @property
    def stored(self) -> int:
        """Return how many rows the file holds."""

    @property
    def held(self) -> int:
        """Return how many rows wait in RAM for it."""

    @property
    def counted_epoch(self) -> str:
        """Return the epoch whose rows were counted, "" when none were."""

    @property
    def unsent(self) -> int:
        """Return how many rows are not acknowledged."""

    def load(self, database: Database) -> None:
        """Ask the file what it holds: after a failure only the file knows. Raises what SQLite raises."""

    def tell(self, what: str, evidence: Evidence) -> None:
        """Note an event of the buffer; never raises."""


class StoreFile:
    """The one connection to a database file, and what is to be done when there is none; for one thread only.

    path: the file, in an existing folder. max_bytes: limit for the file with its log. pulse: shows that long
    work gets on.

    damaged_file: where an unreadable file was moved, or None. failure: why the last access failed, None
    when it did not. What fails raises StoreUnusable; a call at least RETRY_S later tries again.
    """

    def __init__(
        self, path: Path, contents: Contents, *, max_bytes: int, boot_id_file: Path, pulse: Pulse
    ) -> None:
        self.path = path
        self.damaged_file: Path | None = None
        self.failure: StoreUnusable | None = None
        self._contents = contents
        self._max_bytes = max_bytes
        self._boot_id_file = boot_id_file
        self._pulse = pulse

        self._database: Database | None = None
        self._open_again_at = 0.0
        self._write_again_at = 0.0
        self._check_wanted = file_bytes(log_file(path)) > 0  # a clean stop leaves no log
        self._upgrade_wanted = True

        self._watch: file_watch.FileWatch | None = None
        self._look_at = 0.0
        self._astray = ""
        self._astray_failure = ""

        self._damage = ""
        self._condemned = ""
        self._failing: tuple[str, float] | None = None
        self._is_failing_told = False
        self._tell_failing_at = float("-inf")
        self._salvage: Salvage | None = None
        self._salvage_at: float | None = None
        self._last_sights: dict[str, LastSight] = {}

    # ---- reaching it ----

    def opened(self) -> Database:
        """Return the open database; opens it, or begins a new one, when there is none."""
        if self._database is None:
            self._wait_out(self._open_again_at)
            for is_last in (False, False, True):
                try:
                    with self._explained():
                        self._open()
                    break
                except StoreUnusable as failure:
                    # Damage that opening met is looked for, and in the end the file is moved aside unseen.
                    if (
                        is_last
                        or not isinstance(failure.__cause__, Exception)
                        or not is_damage(failure.__cause__)
                    ):
                        self._open_again_at = time.monotonic() + RETRY_S
                        raise
        assert self._database is not None
        return self._database

    @contextmanager
    def using(self) -> Iterator[Database]:
        """Give the open database; turn what fails inside into StoreUnusable."""
        database = self.opened()
        with self._explained():
            yield database

    @property
    def is_open(self) -> bool:
        """Return whether there is a connection now."""
        return self._database is not None

    @property
    def is_failing(self) -> bool:
        """Return whether the disk fails, or failed at the last try."""
        return self._failing is not None or self.failure is not None

    @property
    def is_room_awaited(self) -> bool:
        """Return whether the disk was full when it was written last."""
        return self._failing is not None and self._failing[0] == "full"

    @property
    def write_again_at(self) -> float:
        """Return the monotonic time before which no write is tried."""
        return max(self._write_again_at, self._open_again_at)

    def wait_out_failure(self) -> None:
        """Raise StoreUnusable as before while it is too early to try a write again."""
        self._wait_out(self._write_again_at)

    def try_now(self) -> None:
        """Let the next call try at once."""
        self._open_again_at = self._write_again_at = 0.0

    def note_written(self, *, rows: int) -> None:
        """Note that a commit succeeded, with so many rows."""
        self.failure = None
        if self._failing is None:
            return
        if self.is_room_awaited and is_disk_full(self.path):
            # A little fits in where the log was before; the next reading may not.
            self._write_again_at = time.monotonic() + RETRY_S
            return
        (what, since), self._failing = self._failing, None
        if self._is_failing_told:
            evidence: Evidence = {"after": what, "lasted_s": round(time.monotonic() - since), "rows": rows}
            self._contents.tell("recovered", evidence)

    def disconnect(self) -> None:
        """Close what is open."""
        if self._salvage is not None:
            self._salvage.close()
        if self._database is not None:
            self._database.connection.close()
            self._database = None
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    # ---- looking after it ----

    def seconds_to_look(self) -> float | None:
        """Return when `look` is due, None when no file is open."""
        return None if self._watch is None else max(0.0, self._look_at - time.monotonic())

    def look(self) -> None:
        """Notice a file that was deleted, replaced or overwritten under the open connection, and mend it.

        What the connection still reaches is put back under its name: same epoch, nothing lost. A file that
        was overwritten goes the way of a damaged one. While the mending fails, the connection stays open.
        """
        self._look_at = time.monotonic() + LOOK_EVERY_S
        if self._database is None or self._watch is None:
            return
        found = self._watch.look()
        if found == file_watch.OVERWRITTEN:
            self._give_up()
        elif found:
            self._bring_back(self._database, self._watch, found)

    def seconds_to_salvage(self) -> float | None:
        """Return when `salvage` has something to do, None when it has not."""
        if self._salvage_at is None or self._database is None:
            return None
        return max(0.0, self._salvage_at - time.monotonic())

    def salvage(self) -> None:
        """Take a slice of unsent rows out of the damaged files: some 50 ms of reading and a commit."""
        self._salvage_at = time.monotonic() + SALVAGE_AGAIN_S  # also after what nobody thought of
        with self.using() as database:
            if self._salvage is None:
                from agent.buffer.salvage import Salvage  # most gateways never need its memory

                path = Path(os.path.realpath(self.path))
                self._salvage = Salvage(
                    path, self._last_sights, self._contents.tell, keep_bytes=self._max_bytes
                )
            pause_s = self._salvage.step(database)
        self._salvage_at = None if pause_s is None else time.monotonic() + pause_s
        if pause_s is None:
            self._salvage = None

    # ---- opening, failing, opening again ----

    def _open(self) -> None:
        self._pulse.begins(MENDING_LIMIT_S)
        database = self._database = open_database(
            self.path,
            max_bytes=self._max_bytes,
            boot_id_file=self._boot_id_file,
            check=self._check_wanted,
            # Later this process knows which seqs it gave, and a commit that failed is no loss.
            check_log=not self._contents.counted_epoch,
            upgrade=self._upgrade_wanted,
            condemned=self._condemned,
            at_work=self._pulse.goes_on,
        )
        if database.damaged_file:
            self._note_damaged_file(database.damaged_file)
        with suppress(OSError):  # gone again already: nothing to compare with
            self._watch = file_watch.FileWatch(Path(os.path.realpath(self.path)))
        self._look_at = time.monotonic() + LOOK_EVERY_S
        self._contents.load(database)
        if database.lacks_commits:
            self._note_cut_log()
        if files_to_search(Path(os.path.realpath(self.path))):
            self._salvage_at = time.monotonic()
        lacking = wanted_columns().keys() - set(database.columns)
        if lacking and self._upgrade_wanted:
            text = _("The reading database has no column for: {names}; these values are not kept")
            log.warning(text.format(names=", ".join(sorted(lacking))))
        self._check_wanted = self._upgrade_wanted = False

    def _note_cut_log(self) -> None:
        log.warning(
            _("The end of the log of {path} may be lost; reading numbers go on {skipped} later").format(
                path=self.path, skipped=SUSPECT_SEQS
            )
        )
        last = self._contents.last_seq
        evidence: Evidence = {"file": log_file(self.path).name, "seq_first": last - SUSPECT_SEQS + 1}
        self._contents.tell("damaged", {**evidence, "seq_last": last})

    def _note_damaged_file(self, file: Path, reason: str = "") -> None:
        self.damaged_file = file
        self._damage = self._condemned = ""
        known = self._contents
        if known.counted_epoch:
            from agent.buffer.salvage import LastSight  # see salvage()

            self._last_sights[file.name] = LastSight(
                known.counted_epoch, known.last_seq, known.unsent, reason
            )

    def _give_up(self) -> None:
        """Move the overwritten file aside and begin a new one."""
        with self._explained():
            # Still open: closing first would let SQLite remove the log.
            aside = move_aside(Path(os.path.realpath(self.path)))
        self.disconnect()
        text = _("The reading database was damaged ({reason}); it is kept as {file}, a new one begins")
        log.error(text.format(reason=_("overwritten or cut short by another program"), file=aside))
        self._note_damaged_file(aside, file_watch.OVERWRITTEN)
        self._open_again_at = 0.0
        self.opened()

    def _bring_back(self, database: Database, watch: file_watch.FileWatch, found: str) -> None:
        """Put what the open connection reaches back under its name."""
        self._pulse.begins(MENDING_LIMIT_S)
        if found != self._astray:
            self._astray = found
            log.error(_(_ASTRAY[found]).format(path=self.path))
            evidence: Evidence = {"file": self.path.name, "rows": self._contents.stored, "reason": found}
            self._contents.tell("damaged", evidence)
        path = Path(os.path.realpath(self.path))
        foreign = None
        try:
            if found == file_watch.LOG_MISSING:
                file_watch.fold_log_in(database.connection)
            else:
                foreign = file_watch.copy_back(database.connection, watch, path)
        except (*FILE_ERRORS, OSError) as error:
            failure = explain(error, self.path)
            if failure.what != self._astray_failure:
                self._astray_failure = failure.what
                log.error("%s. %s.", failure.what, failure.next_step)  # noqa: TRY400 -- a sentence
            return
        self.disconnect()
        self._astray = self._astray_failure = ""
        self._open_again_at = 0.0
        if foreign:
            log.warning(_("The file that was put in its place is kept as {file}").format(file=foreign))
        with self._explained():
            if found != file_watch.LOG_MISSING:
                file_watch.remove_own_log(watch, path)
        self.opened()
        log.info(_("The reading database {path} is whole again, nothing is lost").format(path=self.path))
        evidence = {
            "after": "damaged",
            "file": self.path.name,
            "rows": self._contents.stored,
            "reason": found,
        }
        self._contents.tell("recovered", evidence)

    def _is_nameless(self) -> bool:
        """Return whether the open connection is all that still reaches every row."""
        found = self._watch.look() if self._watch and self._database else None
        return found is not None and found != file_watch.OVERWRITTEN

    def _wait_out(self, moment: float) -> None:
        """Fail as before until `moment`: a sick disk is not asked more often than every RETRY_S."""
        if self.failure and time.monotonic() < moment:
            raise StoreUnusable(self.failure.what, self.failure.next_step)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn an error of SQLite or the file system into StoreUnusable, and let go of the connection."""
        try:
            yield
        except (*FILE_ERRORS, OSError) as error:
            was_open = self._database is not None
            if was_open and self._is_nameless() and not is_damage(error):
                self._stay_connected()
            else:
                self.disconnect()
            self._write_again_at = time.monotonic() + RETRY_S
            self.failure = explain(error, self.path)
            self._note_failure(error, was_open=was_open)
            raise self.failure from error

    def _stay_connected(self) -> None:
        assert self._database is not None
        with suppress(sqlite3.Error):
            self._database.connection.rollback()
        self._look_at = 0.0

    def _note_failure(self, error: Exception, *, was_open: bool) -> None:
        if is_damage(error):
            # What the check at the next opening does not find is believed the second time.
            if was_open:
                self._condemned, self._damage = self._damage, str(error)
            self._check_wanted = True
            return
        code = primary_code(error)
        if code == sqlite3.SQLITE_FULL and is_disk_full(self.path):
            remove_searched(Path(os.path.realpath(self.path)), keep_files=0, keep_bytes=0)
        if self._failing is None and code not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            what = "full" if code == sqlite3.SQLITE_FULL else "unwritable"
            self._failing = what, time.monotonic()
            self._is_failing_told = time.monotonic() >= self._tell_failing_at
            if self._is_failing_told:
                self._tell_failing_at = time.monotonic() + TELL_FAILING_EVERY_S
                reason = getattr(error, "sqlite_errorname", None) or os.strerror(
                    getattr(error, "errno", 0) or 0
                )
                evidence: Evidence = {"rows": self._contents.held, "reason": reason}
                self._contents.tell(what, evidence)
