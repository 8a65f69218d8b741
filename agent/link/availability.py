"""The three figures of a month (contract, section 5), by the calendar of Western Indonesian Time.

    A_total = up / calendar
    A_link  = 1 - (link outages > 300 s) / (calendar - power off)
    A_power = powered / calendar

`up` is time in which the agent lived, knew the link's state, and there was no outage. Unknown time is a
figure of its own: it is never up, and it is no outage of the link either. A month that still runs ends now.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from agent.errors import UsageMistake
from agent.language import _
from agent.link.outage import RESTITUTION_S, DatedOutage, Edge
from agent.link.tables import Correct, Span, dated
from agent.screen import WIB_OFFSET_S

Stretch = tuple[float, float]
"""From and to, UTC seconds."""


class Month(NamedTuple):
    """A calendar month of Western Indonesian Time."""

    year: int
    month: int

    def __str__(self) -> str:
        """Return it as YYYY-MM."""
        return f"{self.year:04d}-{self.month:02d}"

    @property
    def following(self) -> "Month":
        """Return the month after it."""
        return Month(self.year + self.month // 12, self.month % 12 + 1)

    def stretch(self) -> Stretch:
        """Return its first UTC second and that of the following one."""
        return _first_ts(self), _first_ts(self.following)


class Day(NamedTuple):
    """A day of Western Indonesian Time, counted from 1970-01-01."""

    number: int

    def __str__(self) -> str:
        """Return it as YYYY-MM-DD."""
        return time.strftime("%Y-%m-%d", time.gmtime(self.number * 86400))

    def stretch(self) -> Stretch:
        """Return its first UTC second and that of the following one."""
        begins = float(self.number * 86400 - WIB_OFFSET_S)
        return begins, begins + 86400


def month_of(text: str) -> Month:
    """Return the month that "YYYY-MM" names; raises UsageMistake."""
    year, dash, month = text.partition("-")
    is_written = dash and len(year) == 4 and len(month) == 2 and (year + month).isdecimal() and text.isascii()
    if not is_written or not 1 <= int(month) <= 12 or not 1971 <= int(year) <= 9998:
        raise UsageMistake(
            _("{text!r} is no month").format(text=text), _("write it like this: --month 2026-11")
        )
    return Month(int(year), int(month))


def month_at(ts: float) -> Month:
    """Return the month in which a UTC second lies."""
    at = time.gmtime(ts + WIB_OFFSET_S)
    return Month(at.tm_year, at.tm_mon)


def _first_ts(month: Month) -> float:
    # Days from 1970-01-01 to the first of the month; the years are made to begin with March.
    year = month.year - (month.month <= 2)
    day_of_year = (153 * ((month.month + 9) % 12) + 2) // 5
    days = year * 365 + year // 4 - year // 100 + year // 400 + day_of_year - 719468
    return float(days * 86400 - WIB_OFFSET_S)


@dataclass(frozen=True, slots=True)
class Availability:
    """One month, or one day. All in seconds; the three ratios are None while nothing tells them.

    calendar_s = up_s + down_s + power_off_s + unknown_s. link_down_s: of outages longer than 300 s only.
    powered_s: the gateway had power. outages: how many began or lasted in the month, down ones only.
    undated_s: of readings whose true time is not known yet, in whatever month they lie.
    """

    month: str
    calendar_s: float
    up_s: float
    down_s: float
    link_down_s: float
    power_off_s: float
    powered_s: float
    unknown_s: float
    outages: int
    undated_s: float
    a_total: float | None
    a_link: float | None
    a_power: float | None

    def document(self) -> dict[str, Any]:
        """Return it for programs."""
        names = ("calendar_s", "up_s", "down_s", "link_down_s", "power_off_s", "powered_s", "unknown_s")
        ratios = ("a_total", "a_link", "a_power")
        figures = {name: round(getattr(self, name), 1) for name in names}
        shares = {
            name: None if (share := getattr(self, name)) is None else round(share, 6) for name in ratios
        }
        return {
            "month": self.month,
            **shares,
            **figures,
            "outages": self.outages,
            "undated_s": round(self.undated_s, 1),
        }


def availability(
    month: Month | Day,
    spans: Iterable[Span],
    outages: Sequence[DatedOutage],
    correct: Correct,
    *,
    now_ts: float,
) -> Availability:
    """Return the figures of a month or a day; now_ts ends one that still runs, and an outage that lasts."""
    begins, ends = month.stretch()
    window = (begins, max(begins, min(ends, now_ts)))
    calendar_s = window[1] - window[0]
    known: list[Stretch] = []
    alive: list[Stretch] = []
    undated_s = 0.0
    for span in spans:
        stretch = _span_stretch(span, correct)
        if stretch is None:
            undated_s += span.to_s - span.from_s
        else:
            alive.append(stretch)
            if span.known:
                known.append(stretch)
    power: list[Stretch] = []
    down: list[Stretch] = []
    long_down: list[Stretch] = []
    same_boot: list[Stretch] = []
    for one in outages:
        stretch = _outage_stretch(one, now_ts)
        if stretch is None:
            continue
        if one.outage.cause == "power":
            power.append(stretch)
        elif one.outage.kind == "gateway":
            # An agent that stood still in one boot had power all the time.
            if _is_one_boot(one):
                same_boot.append(stretch)
        elif one.counts_as_down:
            down.append(stretch)
            # The whole length decides, also where the month cuts it.
            if stretch[1] - stretch[0] > RESTITUTION_S:
                long_down.append(stretch)
    power_off = _within(power, window)
    all_down = _without(_within(down, window), power_off)
    is_off_or_down = _joined(power_off + all_down)
    up = _without(_within(known, window), is_off_or_down)
    powered = _without(_within(alive + down + same_boot, window), power_off)
    off_s, down_s, up_s = _length(power_off), _length(all_down), _length(up)
    unknown_s = max(0.0, calendar_s - off_s - down_s - up_s)
    link_down_s = _length(_without(_within(long_down, window), power_off))
    with_power_s = calendar_s - off_s
    is_known = bool(off_s or down_s or up_s)
    return Availability(
        month=str(month),
        calendar_s=calendar_s,
        up_s=up_s,
        down_s=down_s,
        link_down_s=link_down_s,
        power_off_s=off_s,
        powered_s=_length(powered),
        unknown_s=unknown_s,
        outages=sum(_touches(stretch, window) for stretch in down),
        undated_s=undated_s,
        a_total=up_s / calendar_s if is_known else None,
        a_link=1 - link_down_s / with_power_s if down_s + up_s > 0 else None,
        a_power=_length(powered) / calendar_s if is_known else None,
    )


def _is_one_boot(one: DatedOutage) -> bool:
    return one.outage.end is not None and one.outage.end.boot == one.outage.start.boot


def _span_stretch(span: Span, correct: Correct) -> Stretch | None:
    begins, _quality = dated(Edge(span.boot, span.from_s), correct)
    return None if begins is None else (float(begins), begins + span.to_s - span.from_s)


def _outage_stretch(one: DatedOutage, now_ts: float) -> Stretch | None:
    """Return when it was; None when its beginning or its end has no known time."""
    if one.start_ts is None:
        return None
    if not one.is_over:
        return (float(one.start_ts), max(float(one.start_ts), now_ts))
    duration_s = one.duration_s()
    return None if duration_s is None else (float(one.start_ts), one.start_ts + duration_s)


# ---- stretches: lists that are in order and do not overlap ----


def _joined(stretches: Iterable[Stretch]) -> list[Stretch]:
    joined: list[Stretch] = []
    for begins, ends in sorted(stretches):
        if joined and begins <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], ends))
        elif ends > begins:
            joined.append((begins, ends))
    return joined


def _within(stretches: Iterable[Stretch], window: Stretch) -> list[Stretch]:
    cut = ((max(begins, window[0]), min(ends, window[1])) for begins, ends in stretches)
    return _joined((begins, ends) for begins, ends in cut if begins < ends)


def _without(stretches: Iterable[Stretch], holes: Sequence[Stretch]) -> list[Stretch]:
    """Return the parts of `stretches` that lie in none of `holes` (in order, not overlapping)."""
    left: list[Stretch] = []
    for begins, ends in stretches:
        at = begins
        for hole_begins, hole_ends in holes:
            if hole_ends <= at or hole_begins >= ends:
                continue
            if hole_begins > at:
                left.append((at, hole_begins))
            at = max(at, hole_ends)
        if at < ends:
            left.append((at, ends))
    return left


def _length(stretches: Iterable[Stretch]) -> float:
    return sum(ends - begins for begins, ends in stretches)


def _touches(stretch: Stretch, window: Stretch) -> bool:
    return stretch[0] < window[1] and stretch[1] > window[0]
