"""What the village page needs of the database: asked of the running agent, or of the file it left.

The daemon gives plain lists and no figures: the code that reckons hours is loaded by the short process that
writes the page, not by the daemon, which has to be small.
"""

import sqlite3
from collections.abc import Mapping
from typing import Any

from agent.budget.tables import newest_tests
from agent.link import tables
from agent.link.outage import DatedOutage, Edge, Outage
from agent.link.tables import Correct, Span, dated

DAYS = 7
_SINCE_S = (DAYS + 1) * 86400
_MOST_LISTED = 400
"""An answer holds 64 kB; more than fifty outages a day are not drawn one by one."""
_NEWEST_TESTS = 10


def page_facts(connection: sqlite3.Connection, correct: Correct, now_ts: float) -> dict[str, Any]:
    """Return the spans and outages of the last days in true time, and the last speed test.

    spans: [from_ts, to_ts, known]. outages: [start_ts, end_ts or None, kind, cause, inferred, is_over,
    is_one_boot]. speed: [ts, down_kbit_s, up_kbit_s] or None. quota: [ts, bytes left] as the operator last
    said in these days, or None. What has no known time is left out.
    """
    spans: list[list[Any]] = []
    outages: list[list[Any]] = []
    quota: list[Any] | None = None
    if tables.exist(connection):
        for span in tables.spans(connection):
            from_ts, _quality = dated(Edge(span.boot, span.from_s), correct)
            if from_ts is not None and from_ts + span.to_s - span.from_s > now_ts - _SINCE_S:
                spans.append([from_ts, round(from_ts + span.to_s - span.from_s), span.known])
        for one in tables.outages(connection, correct, newest=_MOST_LISTED):
            end_ts = one.end_ts if one.is_over else None
            is_placed = one.start_ts is not None and (end_ts is not None or not one.is_over)
            if is_placed and (end_ts is None or end_ts > now_ts - _SINCE_S):
                outages.append(_listed(one, end_ts))
                left = one.outage.evidence.get("operator_left_bytes")
                quota = quota if left is None else [one.start_ts, left]
    tests = (test for test in newest_tests(connection, _NEWEST_TESTS) if test["down_kbit_s"])
    speed = next(([test["ts"], test["down_kbit_s"], test["up_kbit_s"]] for test in tests), None)
    return {"spans": spans[-_MOST_LISTED:], "outages": outages, "speed": speed, "quota": quota}


def _listed(one: DatedOutage, end_ts: int | None) -> list[Any]:
    outage = one.outage
    is_one_boot = outage.end is not None and outage.end.boot == outage.start.boot
    return [one.start_ts, end_ts, outage.kind, outage.cause, outage.inferred, one.is_over, is_one_boot]


def spans_in(facts: Mapping[str, Any]) -> tuple[list[Span], Correct]:
    """Return the spans of page_facts() again, and what dates them."""
    starts = [from_ts for from_ts, _to_ts, _known in facts["spans"]]
    spans = [
        Span(number, 0.0, float(to_ts - from_ts), bool(known), number)
        for number, (from_ts, to_ts, known) in enumerate(facts["spans"])
    ]

    def correct(row: dict[str, Any]) -> Mapping[str, Any]:
        return {**row, "ts": starts[row["boot"]], "ts_quality": "ntp"}

    return spans, correct


def outages_in(facts: Mapping[str, Any]) -> list[DatedOutage]:
    """Return the outages of page_facts() again."""
    return [
        DatedOutage(
            number,
            Outage(
                kind,
                Edge(1, 0.0),
                Edge(1 if is_one_boot else 2, float((end_ts or start_ts) - start_ts)) if is_over else None,
                cause,
                inferred,
            ),
            start_ts,
            end_ts,
            "ntp",
        )
        for number, (start_ts, end_ts, kind, cause, inferred, is_over, is_one_boot) in enumerate(
            facts["outages"]
        )
    ]
