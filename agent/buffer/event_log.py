"""Events beside the readings: held in RAM until the next commit, kept until the broker has them.

The Store owns one and lets it write inside its own transactions.
"""

import json
import sqlite3
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from agent.buffer.true_time import TrueTimes
from agent.contract.events import Event, Evidence

HELD = 100
"""Events that wait in RAM for a disk that fails; the oldest go first."""

KEPT = 1000
"""Events kept in the file, sent or not."""


@dataclass(frozen=True, slots=True)
class _HeldEvent:
    """An event that is not committed yet, with the clocks of its moment."""

    type: str
    what: str
    evidence: Evidence
    seq: int
    uptime_s: float
    ts: int
    quality: str


class EventLog:
    """The events of one database; every method but `hold` and `mark_sent` may raise sqlite3.Error."""

    def __init__(self) -> None:
        self._held: list[_HeldEvent] = []
        self._marks: set[int] = set()
        self.written = 0
        """How many events were committed since the start of the process."""

    @property
    def urgent(self) -> bool:
        """Return whether an event waits for its commit."""
        return bool(self._held)

    @property
    def waiting(self) -> bool:
        """Return whether there is anything to write."""
        return bool(self._held or self._marks)

    def hold(self, type_: str, what: str, evidence: Evidence, *, seq: int, quality: str) -> None:
        """Take an event in, with the clocks of now."""
        uptime_s = time.clock_gettime(time.CLOCK_BOOTTIME)
        self._held.append(_HeldEvent(type_, what, dict(evidence), seq, uptime_s, int(time.time()), quality))
        del self._held[:-HELD]

    def mark_sent(self, number: int) -> None:
        """Take an event as acknowledged; a mark lost before its commit lets it go out again."""
        self._marks.add(number)

    def write(self, connection: sqlite3.Connection, *, boot: int) -> None:
        """Write what is held, inside the caller's transaction."""
        for event in self._held:
            evidence = json.dumps(event.evidence, ensure_ascii=False).encode(errors="replace").decode()
            connection.execute(
                "INSERT INTO events (type, boot, uptime_s, ts, ts_quality, seq, what, evidence, sent)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0)",
                (event.type, boot, event.uptime_s, event.ts, event.quality, event.seq, event.what, evidence),
            )
        connection.executemany(
            "UPDATE events SET sent = 1 WHERE number = ?", [(number,) for number in self._marks]
        )
        if self._held:
            connection.execute(
                "DELETE FROM events WHERE number <= (SELECT max(number) FROM events) - ?", (KEPT,)
            )

    def note_written(self) -> None:
        """Forget what was held: the transaction is committed."""
        self.written += len(self._held)
        self._held.clear()
        self._marks.clear()

    def unsent(
        self, connection: sqlite3.Connection, times: TrueTimes, *, epoch: str, limit: int
    ) -> list[Event]:
        """Return the oldest committed events that are not acknowledged, at most `limit`, in true time."""
        query = (
            "SELECT number, type, boot, uptime_s, ts, ts_quality, seq, what, evidence FROM events"
            " WHERE sent = 0 ORDER BY number LIMIT ?"
        )
        found = connection.execute(query, (limit + len(self._marks),)).fetchall()
        return [_event(times, epoch, *values) for values in found if values[0] not in self._marks][:limit]

    def count_unsent(self, connection: sqlite3.Connection) -> int:
        """Return how many committed events are not acknowledged."""
        (unsent,) = connection.execute("SELECT count(*) FROM events WHERE sent = 0").fetchone()
        return max(0, int(unsent) - len(self._marks))


def newest_events(connection: sqlite3.Connection, limit: int) -> list[dict[str, Any]]:
    """Return the newest events for people, the newest last, with the clocks of their moment as stored.

    Raises sqlite3.Error.
    """
    names = ("number", "type", "boot", "uptime_s", "ts", "ts_quality", "seq", "what", "evidence", "sent")
    found = connection.execute(
        f"SELECT {', '.join(names)} FROM events ORDER BY number DESC LIMIT ?",  # noqa: S608 -- our own names
        (limit,),
    ).fetchall()
    return [{**dict(zip(names, row, strict=True)), "evidence": _evidence(row[8])} for row in reversed(found)]


def _event(times: TrueTimes, epoch: str, number: int, type_: str, *rest: Any) -> Event:
    boot, uptime_s, ts, quality, seq, what, evidence = rest
    moment = times.corrected({"boot": boot, "uptime_s": uptime_s, "ts": ts, "ts_quality": quality})
    return Event(
        epoch=epoch,
        number=number,
        type=type_,
        ts=int(moment["ts"] or 0),
        ts_quality=str(moment["ts_quality"]),
        seq=seq,
        what=what,
        evidence=_evidence(evidence),
    )


def _evidence(text: str) -> Evidence:
    # A flipped bit in one text must not hold back this event and all behind it.
    with suppress(ValueError):
        evidence = json.loads(text)
        if isinstance(evidence, dict):
            return evidence
    return {"evidence_readable": False}
