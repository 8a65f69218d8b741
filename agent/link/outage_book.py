"""Keeps the outages of this boot: opens and closes them, and sees to it that they are stored and told.

What the disk does not take now is offered again with every tick, and storing twice is storing once; so a
power cut in the middle of an outage loses nothing but its end, which the next boot supplies.
"""

import logging
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from agent.errors import StoreUnusable
from agent.language import _
from agent.link import tables
from agent.link.causes import Evidence, Value
from agent.link.outage import DatedOutage, Edge, Outage
from agent.link.tables import Correct, LastSign

log = logging.getLogger("sinyal.link")

Answer = TypeVar("Answer")

KEEP_SPANS_EVERY_S = 3600.0
TELL_EVERY_S = 60.0


class Database(Protocol):
    """The buffer's keeper, as far as it is needed here; every method may raise StoreUnusable."""

    @property
    def boot(self) -> int:
        """Return the number of this boot, 0 as long as it is not known."""

    def read(self, work: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """Let `work` ask the database."""

    def write(self, work: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """Let `work` change tables of its own in one durable transaction."""


Tell = Callable[[sqlite3.Connection, DatedOutage], None]
"""Stores the event of an outage, in the transaction that marks it as told."""


class OutageBook:
    """The outages under way, one of a kind at most. Used by one thread.

    corrector: gives `correct` for an open connection (see tables). tell: see Tell. wall_ts: the wall clock.
    """

    def __init__(
        self,
        database: Database,
        *,
        corrector: Callable[[sqlite3.Connection], Correct],
        tell: Tell,
        wall_ts: Callable[[], float],
    ) -> None:
        self._database = database
        self._corrector = corrector
        self._tell = tell
        self._wall_ts = wall_ts
        self._open: dict[str, Outage] = {}
        self._unsaved: list[Outage] = []
        self._has_tables = False
        self._now_s = 0.0
        self._spans_at_s = 0.0
        self._tell_at_s = 0.0

    def current(self, kind: str) -> Outage | None:
        """Return the outage of a kind that lasts now."""
        return self._open.get(kind)

    # ---- at the start ----

    def take_up(self, started_s: float) -> None:
        """See what happened before this agent, which began started_s seconds after boot.

        A gap becomes an outage; one that was open is closed at the last sign of life, or goes on when the
        agent was away only for a moment of the same boot. May be called again; raises StoreUnusable.
        """
        boot = self._database.boot

        def work(connection: sqlite3.Connection) -> list[Outage]:
            tables.create(connection)
            last = tables.last_sign(connection, boot=boot, before_s=started_s)
            gap = _gap(last, boot, started_s) if last is not None else None
            still_open: list[Outage] = []
            for outage in tables.open_outages(connection):
                goes_on = gap is None and outage.start.boot == boot
                if goes_on:
                    still_open.append(outage)
                else:
                    tables.save(connection, _ended(outage, last), boot=boot)
            if gap is not None:
                tables.save(connection, gap, boot=boot)
            tables.keep_spans(connection)
            return still_open

        for outage in self._database.write(work):
            self._open.setdefault(outage.kind, outage)
        self._has_tables = True

    # ---- while the agent runs ----

    def begin(self, kind: str, at_s: float, *, precision_s: float | None, evidence: Evidence) -> None:
        """Open an outage that began at_s seconds after boot."""
        outage = Outage(kind, self._edge(at_s), precision_s=precision_s).with_evidence(evidence)
        self._put(outage)
        log.warning(
            _("outage ({kind}) since {seconds} s ago").format(
                kind=kind, seconds=round(max(0.0, self._now_s - at_s))
            )
        )

    def look_again(self, kind: str, evidence: Evidence) -> None:
        """Add what another look around found, if the outage still lasts."""
        outage = self._open.get(kind)
        if outage is not None:
            changed = outage.with_evidence(evidence)
            if changed != outage:
                self._put(changed)

    def end(self, kind: str, at_s: float, *, precision_s: float | None = None) -> None:
        """Close the outage of a kind, if there is one, at_s seconds after boot."""
        outage = self._open.pop(kind, None)
        if outage is None:
            return
        known = [value for value in (outage.precision_s, precision_s) if value is not None]
        ended = replace(outage, end=self._edge(at_s), precision_s=max(known) if known else None)
        self._unsaved.append(ended)
        log.info(_("the outage ({kind}) is over; cause: {cause}").format(kind=kind, cause=ended.cause))

    def tick(self, now_s: float) -> None:
        """Store what is not stored, tell what can be told, keep the spans; a failing disk is tried again."""
        self._now_s = now_s
        if not self._has_tables:
            return
        try:
            self._save()
            if now_s >= self._tell_at_s:
                self._tell_at_s = now_s + TELL_EVERY_S
                self._tell_all()
            if now_s >= self._spans_at_s:
                if self._spans_at_s:
                    self._database.write(tables.keep_spans)
                self._spans_at_s = now_s + KEEP_SPANS_EVERY_S
        except StoreUnusable:
            return  # the keeper has said so

    def stop(self, now_s: float) -> None:
        """Store everything, and that the agent stops in good order; raises StoreUnusable."""
        if not self._has_tables:
            return
        self._save()
        boot = self._database.boot
        self._database.write(lambda connection: tables.note_clean_stop(connection, boot=boot, uptime_s=now_s))

    def _put(self, outage: Outage) -> None:
        self._open[outage.kind] = outage
        self._unsaved.append(outage)

    def _edge(self, at_s: float) -> Edge:
        ts = round(self._wall_ts() - max(0.0, self._now_s - at_s))
        return Edge(self._database.boot, at_s, ts)

    def _save(self) -> None:
        waiting, boot = list(self._unsaved), self._database.boot
        if not waiting or not boot:
            return

        def work(connection: sqlite3.Connection) -> None:
            for outage in waiting:
                tables.save(connection, outage, boot=boot)

        self._database.write(work)
        del self._unsaved[: len(waiting)]

    def _tell_all(self) -> None:
        """Store an event for each outage that is over and has its place in true time.

        An estimated one waits for this boot's own true time: until then the estimate may still change.
        """
        boot = self._database.boot

        def ready(connection: sqlite3.Connection) -> list[DatedOutage]:
            correct = self._corrector(connection)
            knows_now = tables.dated(Edge(boot, 0.0), correct)[0] is not None
            found = tables.outages(connection, correct, untold=True)
            placed = (one for one in found if one.start_ts is not None and one.end_ts is not None)
            return [one for one in placed if knows_now or one.quality != "estimated"]

        for one in self._database.read(ready):

            def work(connection: sqlite3.Connection, told: DatedOutage = one) -> None:
                self._tell(connection, told)
                tables.mark_told(connection, told.number)

            self._database.write(work)


def _gap(last: LastSign, boot: int, started_s: float) -> Outage | None:
    """Return the outage that lies between the last sign of life and now, None when there is no gap."""
    evidence: dict[str, Value] = {"clean_stop": last.is_clean}
    if last.mains_present is not None:
        evidence["mains_present"] = last.mains_present
    start = Edge(last.boot, last.uptime_s, last.ts)
    # After a clean stop the edge is exact; else the agent lived on for up to a slot.
    precision_s = 0.0 if last.is_clean else last.slot_s
    if last.boot != boot:
        evidence["boot_changed"] = True
        if boot - last.boot > 1:
            evidence["boots"] = boot - last.boot
        end = Edge(boot, 0.0)
    elif started_s - last.uptime_s > tables.SLOTS_MISSED * last.slot_s:
        evidence["agent_gap"] = True
        end = Edge(boot, started_s)
    else:
        return None
    return Outage("gateway", start, end, precision_s=precision_s).with_evidence(evidence)


def _ended(outage: Outage, last: LastSign | None) -> Outage:
    """Return an outage that the agent did not see end, closed at the last sign of life."""
    end = outage.start
    if last is not None and (last.boot, last.uptime_s) > (end.boot, end.uptime_s):
        end = Edge(last.boot, last.uptime_s, last.ts)
    return replace(outage, end=end, evidence={**outage.evidence, "end_seen": False})


def event_evidence(one: DatedOutage) -> Mapping[str, Any]:
    """Return what `event/outage` carries beside its frame; the outage's own evidence stands among it."""
    outage = one.outage
    duration_s = one.duration_s()
    return {
        **outage.evidence,
        "outage": one.number,
        "kind": outage.kind,
        "inferred": outage.inferred,
        "start_ts": one.start_ts,
        "end_ts": one.end_ts,
        "duration_s": None if duration_s is None else round(duration_s, 1),
        "precision_s": outage.precision_s,
        "counts_as_down": one.counts_as_down,
    }
