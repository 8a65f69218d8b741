"""What the village page says, as plain values: the renderer makes them a page, and --json shows them."""

from typing import Any, Literal, NamedTuple

State = Literal["on", "off", "unknown"]


class Day(NamedTuple):
    """A day of WIB: day counts from 1970-01-01. Hours are None for a day of which nothing is known.

    known_h: how much of the day is accounted for; the rest lies ahead, or nothing recorded it.
    """

    day: int
    on_h: float | None
    off_h: float
    no_power_h: float

    @property
    def known_h(self) -> float:
        """Return how many hours of the day are accounted for."""
        return (self.on_h or 0.0) + self.off_h + self.no_power_h


class Speed(NamedTuple):
    """The last speed test, in kbit/s; ts is when."""

    ts: float
    down_kbit_s: float | None
    up_kbit_s: float | None


class Quota(NamedTuple):
    """What was left of the data package, in bytes, as the operator said; ts is when."""

    ts: float
    left_bytes: float


class PageContent(NamedTuple):
    """The page. since_ts None: not known. cause: a word of the contract's causes, or a state's own word.

    data_ts is when the last reading was taken, interval_s how often the page is written. meeting: whether a
    video meeting would work, None when not known. quota_spent: whether the data package seems used up.
    """

    place: str
    kode_desa: str
    state: State
    since_ts: float | None
    cause: str
    inferred: bool
    reports_late: bool
    on_battery: bool
    days: tuple[Day, ...]
    speed: Speed | None
    meeting: bool | None
    quota_spent: bool
    quota: Quota | None
    contact_name: str
    contact_phone: str
    data_ts: float | None
    clock_is_true: bool
    written_ts: float
    interval_s: float

    def document(self) -> dict[str, Any]:
        """Return it for programs: `sinyal page --json`."""
        days = [{**day._asdict(), "known_h": round(day.known_h, 2)} for day in self.days]
        speed = None if self.speed is None else self.speed._asdict()
        quota = None if self.quota is None else self.quota._asdict()
        return {**self._asdict(), "days": days, "speed": speed, "quota": quota}
