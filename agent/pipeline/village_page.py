"""Gathers what the village page says: from the running agent, or from what it left behind."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from agent.buffer import DATABASE_NAME
from agent.buffer.untouched import opened_untouched
from agent.errors import SinyalError
from agent.link.availability import Availability, availability
from agent.link.availability import Day as CalendarDay
from agent.link.outage import DatedOutage
from agent.page.content import Day, PageContent, Quota, Speed, State
from agent.pipeline.control_client import ask_daemon
from agent.pipeline.link_history import correct_all
from agent.pipeline.page_facts import DAYS, outages_in, page_facts, spans_in
from agent.pipeline.snapshot import daemon_runs, read_snapshot
from agent.screen import WIB_OFFSET_S

SILENT_SLOTS = 3
SILENT_AT_LEAST_S = 300.0
"""A reading older than three intervals, and than this, says nothing of now."""

NO_FACTS: Mapping[str, Any] = {"spans": [], "outages": [], "speed": None, "quota": None}


def page_content(values: Mapping[str, Any]) -> PageContent:
    """Return what the page says now. values: the configuration. Raises NoPermission for a closed folder."""
    runtime = values["paths.runtime"]
    shown = read_snapshot(runtime) or {}
    runs, now_ts = daemon_runs(runtime), time.time()
    facts = _facts(values, runs=runs)
    try:
        return content_of(values, shown, facts, runs=runs, now_ts=now_ts)
    except (AttributeError, KeyError, TypeError, ValueError):
        # An agent of another version shows other things: then its state is not known.
        return content_of(values, {}, facts, runs=runs, now_ts=now_ts)


def _facts(values: Mapping[str, Any], *, runs: bool) -> Mapping[str, Any]:
    # A page without its bars says more than none: a database in trouble is told by other commands.
    try:
        if runs:
            return ask_daemon(values["paths.runtime"], "page")
        with opened_untouched(values["paths.state"] / DATABASE_NAME) as connection:
            return page_facts(connection, correct_all(connection), time.time())
    except SinyalError:
        return NO_FACTS


def content_of(
    values: Mapping[str, Any],
    shown: Mapping[str, Any],
    facts: Mapping[str, Any],
    *,
    runs: bool,
    now_ts: float,
) -> PageContent:
    """Return what the page says about a snapshot and these facts (see page_facts)."""
    reading = shown.get("reading") or {}
    outages = outages_in(facts)
    outage = (shown.get("internet") or {}).get("outage")
    state, cause, since_ts = _state(shown, reading, outage, runs=runs, now_ts=now_ts)
    if state == "on":
        since_ts = _on_since_ts(facts, outages)
    is_now = state != "unknown"
    meeting = (shown.get("internet") or {}).get("meeting") or {}
    speed, quota = facts.get("speed"), facts.get("quota")
    return PageContent(
        place=values["gateway.site_name"],
        kode_desa=values["gateway.kode_desa"],
        state=state,
        since_ts=since_ts,
        cause=cause,
        inferred=bool(outage and outage.get("inferred")),
        reports_late=state == "on" and bool(outage),
        on_battery=is_now and reading.get("mains_present") == 0,
        days=_days(facts, outages, now_ts),
        speed=None if speed is None else Speed(*speed),
        meeting=meeting.get("enough") if state == "on" else None,
        quota_spent=is_now and bool(outage and outage.get("cause") == "quota"),
        quota=None if quota is None else Quota(*quota),
        contact_name=values["page.contact_name"],
        contact_phone=values["page.contact_phone"],
        data_ts=reading.get("ts"),
        clock_is_true=reading.get("ts_quality") not in ("unset", None),
        written_ts=now_ts,
        interval_s=values["page.interval_s"],
    )


def _state(
    shown: Mapping[str, Any],
    reading: Mapping[str, Any],
    outage: Mapping[str, Any] | None,
    *,
    runs: bool,
    now_ts: float,
) -> tuple[State, str, float | None]:
    """Return whether the village has internet, why, and since when it has none or nobody knows."""
    ts = reading.get("ts")
    if runs and ts is None:
        return "unknown", "starting", None
    silent_s = max(SILENT_AT_LEAST_S, SILENT_SLOTS * float(shown.get("interval_s", 60)))
    # A reading of the future comes from a clock that was set back; it is new all the same.
    if not runs or now_ts - float(ts or 0) > silent_s:
        return "unknown", "silent", ts or shown.get("ts")
    if outage and (outage["kind"] == "link" or outage["cause"] == "quota"):
        return "off", str(outage["cause"]), outage.get("start_ts")
    link_up = reading.get("link_up")
    if link_up is None:
        return "unknown", "starting", None
    return "on", "" if link_up else "checking", None


def _on_since_ts(facts: Mapping[str, Any], outages: Sequence[DatedOutage]) -> float | None:
    """Return when the last outage ended; without one, since when the link is watched."""
    ended = [one.end_ts for one in outages if one.end_ts is not None and _was_felt(one)]
    watched = (from_ts for from_ts, _to_ts, _known in facts["spans"])
    return max(ended) if ended else min(watched, default=None)


def _was_felt(one: DatedOutage) -> bool:
    """Return whether the village was without internet, or nobody knows that it was not."""
    return one.counts_as_down or one.outage.kind == "gateway"


def _days(facts: Mapping[str, Any], outages: Sequence[DatedOutage], now_ts: float) -> tuple[Day, ...]:
    spans, correct = spans_in(facts)
    today = int(now_ts + WIB_OFFSET_S) // 86400
    days = [CalendarDay(number) for number in range(today - DAYS + 1, today + 1)]
    return tuple(_day(day.number, availability(day, spans, outages, correct, now_ts=now_ts)) for day in days)


def _day(number: int, figures: Availability) -> Day:
    is_known = figures.a_total is not None
    return Day(
        number,
        round(figures.up_s / 3600, 2) if is_known else None,
        round(figures.down_s / 3600, 2),
        round(figures.power_off_s / 3600, 2),
    )
