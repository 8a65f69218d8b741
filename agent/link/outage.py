"""An outage as it is stored: two edges, a cause, its evidence (contract, section 5)."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from agent.link.causes import Evidence, explain

KINDS = ("link", "report", "gateway")
"""What was away: the internet; only the reports to the centre; the gateway itself."""

RESTITUTION_S = 300.0
"""A link outage longer than this counts in A_link (contract, section 5)."""


class Edge(NamedTuple):
    """A moment: boot number, seconds since that boot, and what the wall clock showed.

    boot is 0 for this boot before it has a number. ts is UTC seconds, right or wrong, or None.
    """

    boot: int
    uptime_s: float
    ts: int | None = None


@dataclass(frozen=True, slots=True)
class Outage:
    """One outage; end is None while it lasts.

    precision_s: how far the edges may be off, None when not known. seen: how often each cause was found.
    """

    kind: str
    start: Edge
    end: Edge | None = None
    cause: str = "unknown"
    inferred: bool = False
    precision_s: float | None = None
    evidence: Evidence = field(default_factory=dict)
    seen: Mapping[str, int] = field(default_factory=dict)

    def with_evidence(self, evidence: Evidence) -> "Outage":
        """Return the outage after one more look around.

        The cause found most often wins, the earlier of two equals; "unknown" only when nothing else was
        found. Its own first evidence stays with it.
        """
        found = explain(evidence)
        seen = {**self.seen, found.cause: self.seen.get(found.cause, 0) + 1}
        best = max(seen, key=lambda cause: (cause != "unknown", seen[cause], cause == self.cause))
        if best != found.cause or (best == self.cause and self.evidence):
            return replace(self, seen=seen)
        return replace(self, cause=best, inferred=found.inferred, evidence=dict(evidence), seen=seen)


class DatedOutage(NamedTuple):
    """An outage in true time: UTC seconds, None where not known (yet); quality is the weaker edge's.

    number is its own in the database; end_ts is None as well while it lasts.
    """

    number: int
    outage: Outage
    start_ts: int | None
    end_ts: int | None
    quality: str

    @property
    def is_over(self) -> bool:
        """Return whether it has ended."""
        return self.outage.end is not None

    @property
    def counts_as_down(self) -> bool:
        """Return whether the village had no internet: not while only the reports were late."""
        return self.outage.kind == "link" or (self.outage.kind == "report" and self.outage.cause == "quota")

    def duration_s(self) -> float | None:
        """Return how long it lasted, by the clock of one boot or else in true time; None: not known."""
        start, end = self.outage.start, self.outage.end
        if end is None:
            return None
        if start.boot == end.boot:
            return max(0.0, end.uptime_s - start.uptime_s)
        if self.start_ts is None or self.end_ts is None:
            return None
        length_s = max(0.0, float(self.end_ts - self.start_ts))
        # A boot with an unknown time was placed close to its neighbour: that is no length.
        return length_s if length_s or not self._is_estimated_across_boots() else None

    def _is_estimated_across_boots(self) -> bool:
        start, end = self.outage.start, self.outage.end
        return end is not None and start.boot != end.boot and self.quality == "estimated"

    def document(self) -> dict[str, Any]:
        """Return it for programs: `sinyal outages --json`."""
        outage = self.outage
        duration_s = self.duration_s()
        return {
            "number": self.number,
            "kind": outage.kind,
            "cause": outage.cause,
            "inferred": outage.inferred,
            "start_ts": self.start_ts,
            "end_ts": self.end_ts,
            "ts_quality": self.quality,
            "is_over": self.is_over,
            "duration_s": None if duration_s is None else round(duration_s, 1),
            "precision_s": None if self._is_estimated_across_boots() else outage.precision_s,
            "counts_as_down": self.counts_as_down,
            "counts_for_a_link": bool(
                self.counts_as_down and duration_s is not None and duration_s > RESTITUTION_S
            ),
            "evidence": dict(outage.evidence),
        }
