"""What the database tells of outages and availability: asked by the daemon, or by a command without one."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.buffer.true_time import TrueTimes
from agent.link import tables
from agent.link.availability import Availability, Month, availability
from agent.link.outage import DatedOutage
from agent.link.tables import Correct


def outages_between(
    connection: sqlite3.Connection, correct: Correct, *, from_ts: float | None, to_ts: float | None
) -> list[DatedOutage]:
    """Return the outages that lie at least partly between two UTC seconds (None: no bound), the oldest first.

    One whose time is not known is in every answer: it may belong there.
    """
    found = tables.outages(connection, correct) if tables.exist(connection) else []
    return [one for one in found if _is_between(one, from_ts, to_ts)]


def _is_between(one: DatedOutage, from_ts: float | None, to_ts: float | None) -> bool:
    begins_too_late = to_ts is not None and one.start_ts is not None and one.start_ts >= to_ts
    ends_too_early = from_ts is not None and one.end_ts is not None and one.end_ts < from_ts
    return not begins_too_late and not ends_too_early


def month_figures(
    connection: sqlite3.Connection, correct: Correct, month: Month, *, now_ts: float | None = None
) -> Availability:
    """Return the three figures of a month."""
    has_tables = tables.exist(connection)
    return availability(
        month,
        tables.spans(connection) if has_tables else [],
        tables.outages(connection, correct) if has_tables else [],
        correct,
        now_ts=time.time() if now_ts is None else now_ts,
    )


@contextmanager
def left_behind(database: Path) -> Iterator[tuple[sqlite3.Connection, Correct] | None]:
    """Open the database of a daemon that does not run, to read only; None when there is no database yet.

    Raises NoPermission, and StoreUnusable for one that cannot be read.
    """
    if not database.exists():
        yield None
        return
    # Only a command without an agent reads so.
    from agent.buffer.untouched import opened_untouched

    with opened_untouched(database) as connection:
        yield connection, correct_all(connection)


def correct_all(connection: sqlite3.Connection) -> Correct:
    """Return what corrects the rows of a database that no agent holds."""
    # No boot of it goes on: the last one, too, is placed beside its neighbours.
    (newest,) = connection.execute("SELECT coalesce(max(boot), 0) FROM clocks").fetchone()
    return TrueTimes(connection, boot=int(newest) + 1).corrected
