"""The lines of `sinyal status` and `sinyal watch`: what was seen of the gateway, in words."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from agent import __version__, screen
from agent.cli.release_trial import release_trial, upgrade_folder
from agent.config.keys import effective_port
from agent.language import N_, _, ngettext

LABEL_WIDTH = 11
BAR_WIDTH = 20
NARROW_BAR_WIDTH = 8
TEXT_COLUMNS = screen.COLUMNS - LABEL_WIDTH - 2
MAX_LINES = 22
"""Title and prompt stand on the screen as well."""
MAX_TEXT_LINES = 3
SEPARATOR = " · "

STALE_SLOTS = 3
"""A reading older than this many intervals is old news."""

STALE_AT_LEAST_S = 30
DISK_LOW_BYTES = 16_000_000
"""Less free than this, and there may be no room for the next readings."""


RUNGS = {
    "reopen": N_("port opened anew"),
    "other_port": N_("another port"),
    "soft_reset": N_("restart of the modem"),
    "usb": N_("restart of its USB port"),
    "relay": N_("power cut by the relay"),
    "reboot": N_("restart of the box"),
}
"""The steps of the recovery ladder in words."""


class Line(NamedTuple):
    """One line of the screen. problem is None, or the short name under which --json lists it."""

    label: str
    text: str
    problem: str | None = None


class Seen(NamedTuple):
    """What one look found.

    shown: the daemon's snapshot, {} without one. left: what it left in its database, when there is no
    snapshot; {} when that cannot be read, None without a database. missing: what the configuration lacks, in
    words. disk: `free_bytes` and `used_pct`.
    """

    shown: Mapping[str, Any]
    left: Mapping[str, Any] | None
    running: bool
    now_ts: float
    missing: str | None = None
    disk: Mapping[str, Any] | None = None

    def part(self, name: str) -> Mapping[str, Any]:
        """Return a part of the snapshot, else of what was left, {} where neither has it."""
        return self.shown.get(name) or (self.left or {}).get(name) or {}

    @property
    def reading(self) -> Mapping[str, Any]:
        """Return the last reading."""
        return self.part("reading")

    @property
    def internet(self) -> Mapping[str, Any]:
        """Return what the running daemon says of the internet."""
        return (self.shown.get("internet") or {}) if self.running else {}

    def agent(self) -> tuple[str | None, float | None]:
        """Return why the agent does not run (None: it runs), and since when that is so (None: unknown)."""
        if self.running:
            return None, self.shown.get("started_ts")
        if not self.shown and self.left is None:
            return "never_ran", None
        if not self.shown and not self.left:
            return "database_unreadable", None
        since_ts = self.shown.get("ts") or self.reading.get("ts")
        if self.shown:
            state = self.shown.get("state")
            return (state if state in ("stopped", "low_battery") else "ended"), since_ts
        return "restarted", since_ts

    def internet_is_up(self) -> bool | None:
        """Return whether the village has internet, None when that is not known now."""
        if is_down(self.internet.get("outage")):
            return False
        link_up = self.reading.get("link_up") if self.running else None
        return None if link_up is None else bool(link_up)

    def internet_since_ts(self) -> float | None:
        """Return since when it is so, None when that is not known."""
        outage = self.internet.get("outage")
        if outage and is_down(outage):
            start_ts: float | None = outage.get("start_ts")
            return start_ts
        return self.part("today").get("last_end_ts") if self.internet_is_up() else None

    def outages_today(self) -> dict[str, Any] | None:
        """Return the outages of this day in WIB, None when they are not known."""
        today = self.part("today")
        is_of_today = self.left is not None or _day(self.shown.get("ts", 0)) == _day(self.now_ts)
        if not today or not is_of_today:
            return None
        return {name: today[name] for name in ("outages", "down_s", "power_outages")}


def is_down(outage: Any) -> bool:
    """Return whether an outage leaves the village without internet: a used-up package does, too."""
    return bool(outage) and (outage["kind"] == "link" or outage["cause"] == "quota")


def _day(ts: float) -> int:
    return int(ts + screen.WIB_OFFSET_S) // 86400


def title(values: Mapping[str, Any], columns: int = screen.COLUMNS) -> str:
    """Return which gateway it is: version, id, place and village code; where there is no room, its place."""
    place = [values[f"gateway.{key}"] for key in ("id", "site_name", "kode_desa")]
    if columns < screen.NARROW_COLUMNS:
        return screen.fit(
            [values["gateway.site_name"] or values["gateway.id"] or f"Sinyal {__version__}"], columns
        )
    return screen.fit((f"Sinyal {__version__}", *place), columns)


def next_step(lines: Sequence[Line]) -> str:
    """Return what to do about what is wrong, "" when nothing is."""
    problems = [line.problem for line in lines if line.problem]
    if not problems:
        return ""
    is_just_stopped = "daemon_not_running" in problems and "not_configured" not in problems
    return "sudo service sinyal start" if is_just_stopped else "sinyal doctor"


def status_lines(values: Mapping[str, Any], seen: Seen, columns: int = screen.COLUMNS) -> list[Line]:
    """Return everything that `sinyal status` says, in its order; `written` wraps it."""
    reading = seen.reading
    lines = []
    if seen.missing is not None:
        lines.append(Line(_("Settings"), seen.missing, "not_configured"))
    lines += [_agent_line(seen), *_release_lines(), _reading_line(seen)]
    if reading:
        lines += [
            _power_line(reading, seen.shown),
            _modem_line(reading, seen.shown),
            *_hands_lines(seen),
            _sim_line(reading),
            _network_line(reading),
            _signal_line(reading, is_narrow=columns < screen.NARROW_COLUMNS),
        ]
    if seen.internet:
        lines.append(_internet_line(seen))
    lines += _outage_lines(seen)
    lines += _centre_lines(values, seen)
    lines += _pause_lines(seen)
    lines += _queue_lines(seen)
    lines += _budget_lines(seen)
    lines.append(_board_line(seen))
    if reading:
        lines.append(_clock_line(seen))
    return lines


def written(lines: Sequence[Line], max_lines: int = MAX_LINES, columns: int = screen.COLUMNS) -> list[str]:
    """Return the lines as they stand on the screen, long ones wrapped as far as there is room for it.

    What is wrong gets room first.
    """
    rows = [_rows(line, 1, columns) for line in lines]
    room = max_lines - len(lines)
    for each in range(2, MAX_TEXT_LINES + 1):
        for at in sorted(range(len(lines)), key=lambda at: lines[at].problem is None):
            longer = _rows(lines[at], each, columns)
            if room > 0 and len(longer) > len(rows[at]):
                rows[at], room = longer, room - 1
    return [row for each_line in rows for row in each_line][:max_lines]


def _rows(line: Line, max_rows: int, columns: int) -> list[str]:
    mark = "!" if line.problem else " "
    first, *rest = in_rows(line.text, max_rows, columns - LABEL_WIDTH - 2)
    return [
        f"{mark} {line.label:<{LABEL_WIDTH}}{first}",
        *(f"{'':<{LABEL_WIDTH + 2}}{text}" for text in rest),
    ]


def in_rows(text: str, max_rows: int, width: int) -> list[str]:
    """Return a text in at most max_rows lines; the last one is cut."""
    lines: list[str] = []
    while len(text) > width and len(lines) < max_rows - 1:
        # A word longer than a line, such as a host name, is cut in the middle.
        ends = (text.rfind(sign, 1, width + len(sign)) for sign in (SEPARATOR, " "))
        at = next((end for end in ends if end > 0), width)
        lines.append(text[:at])
        text = text[at:].removeprefix(SEPARATOR).strip()
    return [*lines, screen.fit((text,), width)]


def _agent_line(seen: Seen) -> Line:
    label = _("Agent")
    why, since_ts = seen.agent()
    if why is None:
        when = _("just now") if since_ts is None else screen.wib(since_ts)
        return Line(label, _("running since {when}").format(when=when))
    if why == "never_ran":
        return Line(label, _("not running; it has never run here"), "daemon_not_running")
    words = {
        "stopped": _("it was stopped"),
        "low_battery": _("the battery is nearly empty; the agent begins again by itself when power is back"),
        "ended": _("it ended without a goodbye (power, kill or crash)"),
        "restarted": _("the gateway was restarted"),
        "database_unreadable": _("not even its readings can be read; try sudo, or sinyal doctor"),
    }
    if since_ts is None:
        return Line(label, _("not running: {why}").format(why=words[why]), "daemon_not_running")
    text = _("not running since {when}: {why}").format(when=screen.wib(since_ts), why=words[why])
    return Line(label, text, "daemon_not_running")


def _release_lines() -> list[Line]:
    folder = upgrade_folder()
    told = release_trial(folder) if folder is not None else None
    return [] if told is None else [Line(_("Release"), *told)]


def _reading_line(seen: Seen) -> Line:
    label = _("Reading")
    ts = seen.reading.get("ts")
    if ts is None:
        return Line(label, _("none yet"))
    text = screen.wib(ts, seconds=True)
    if seen.reading.get("ts_quality") == "unset":
        text += " " + _("(clock not certain yet)")
    age_s = seen.now_ts - ts
    stale_s = max(STALE_AT_LEAST_S, STALE_SLOTS * float(seen.shown.get("interval_s", 60)))
    stale = seen.running and age_s > stale_s
    if stale:
        text += " " + _("({age} old)").format(age=screen.span(age_s))
    problem = "reading_stale" if stale else None
    if seen.shown.get("store_problem"):
        return Line(label, _("not stored: {what}").format(what=seen.shown["store_problem"]), "not_stored")
    return Line(label, text, problem)


def _power_line(reading: Mapping[str, Any], shown: Mapping[str, Any]) -> Line:
    label = _("Power")
    mains, volts, percent = (reading.get(name) for name in ("mains_present", "battery_v", "battery_pct"))
    parts, problem = [], None
    if mains is not None:
        parts.append(_("mains on") if mains else _("mains OFF"))
        problem = None if mains else "mains_off"
    battery = [f"{screen.number(volts, 1)} V"] if volts is not None else []
    battery += [f"{percent:.0f} %"] if percent is not None else []
    if battery:
        parts.append(_("battery {level}").format(level=", ".join(battery)))
    if shown.get("battery_low"):
        parts.append(_("battery nearly empty"))
    if reading.get("undervoltage"):
        parts.append(_("voltage too low"))
        problem = problem or "undervoltage"
    return Line(label, SEPARATOR.join(parts) or _("not measured here"), problem)


def _modem_line(reading: Mapping[str, Any], shown: Mapping[str, Any]) -> Line:
    state = reading.get("modem_state")
    modem = shown.get("modem") or {}
    name = " ".join(str(modem[part]) for part in ("manufacturer", "model") if modem.get(part))
    temperature = reading.get("modem_temperature_c")
    warm = f"{screen.number(temperature, 1)} °C" if temperature is not None else ""
    problem = None if state in ("ok", "restarted") else f"modem_{state}"
    parts = (screen.word("modem_state", state), name, warm)
    return Line(_("Modem"), screen.fit(parts, TEXT_COLUMNS), problem)


def _hands_lines(seen: Seen) -> Iterator[Line]:
    """Say who has hands on the modem: the agent that revives it, or a technician whom it leaves it to."""
    recovery = (seen.shown.get("recovery") or {}) if seen.running else {}
    if seen.running and seen.shown.get("technician"):
        yield Line("", _("a technician is at work: the agent does not restart the modem"))
    elif recovery.get("held_by") == "mains":
        yield Line("", _("not revived while mains power is away"))
    elif recovery.get("given_up"):
        text = _("could not be revived; look at its power, cable and SIM card")
        yield Line("", text, "recovery_given_up")
    elif recovery.get("last"):
        step = _(RUNGS.get(recovery["last"], recovery["last"]))
        text = _("being revived: {step}") if recovery.get("working") else _("being revived; last: {step}")
        yield Line("", text.format(step=step))


def _sim_line(reading: Mapping[str, Any]) -> Line:
    state = reading.get("sim_state")
    problem = None if state in (None, "ready") else f"sim_{state}"
    return Line(_("SIM card"), screen.word("sim_state", state), problem)


def _network_line(reading: Mapping[str, Any]) -> Line:
    registration = reading.get("registration")
    technology = str(reading.get("access_technology") or "")
    code = reading.get("operator_mccmnc")
    operator = " ".join(
        part for part in (str(reading.get("operator_name") or ""), f"({code})" if code else "") if part
    )
    parts = (
        screen.word("registration", registration),
        operator,
        screen.TECHNOLOGIES.get(technology, ""),
        str(reading.get("band") or ""),
    )
    problem = None if registration in (None, "home", "roaming") else f"registration_{registration}"
    return Line(_("Network"), screen.fit(parts, TEXT_COLUMNS), problem)


def _signal_line(reading: Mapping[str, Any], *, is_narrow: bool) -> Line:
    signal_class = reading.get("signal_class")
    level = screen.level_bar(dict(reading), NARROW_BAR_WIDTH if is_narrow else BAR_WIDTH)
    text = screen.word("signal_class", signal_class)
    if level is not None:
        text = f"{level[0]} {text} [{level[1]}]" if is_narrow else f"[{level[1]}] {level[0]}  {text}"
    if reading.get("sinr_db") is not None:
        text += f"{SEPARATOR}SINR {screen.number(reading['sinr_db'], 1)} dB"
    problem = "no_service" if signal_class == "none" else None
    return Line(_("Signal"), text, problem)


def _internet_line(seen: Seen) -> Line:
    label = _("Internet")
    outage = seen.internet.get("outage")
    if not outage:
        is_up, since_ts = seen.internet_is_up(), seen.internet_since_ts()
        if is_up is None:
            return Line(label, _("not known yet"))
        if not is_up:
            return Line(label, _("the last probes got no answer"))
        if since_ts is None:
            started_ts = seen.shown.get("started_ts")
            if started_ts is None or seen.reading.get("ts_quality") in (None, "unset"):
                return Line(label, _("works"))
            # No outage is known: all that can be said is since when the agent looks.
            return Line(label, _("works, at least since {when}").format(when=screen.wib(started_ts)))
        return Line(label, _("works since {when}").format(when=screen.wib(since_ts)))
    # Only while something is wrong: the words cost time to load.
    from agent.cli.cause_words import cause_words

    when = screen.wib(outage["start_ts"]) if outage.get("start_ts") else "-"
    if is_down(outage):
        text, problem = _("down since {when}: {cause}"), "internet_down"
    else:
        text, problem = _("reports to the centre are late since {when}: {cause}"), "reports_late"
    return Line(
        label, screen.fit((text.format(when=when, cause=cause_words(outage)),), TEXT_COLUMNS), problem
    )


def _outage_lines(seen: Seen) -> list[Line]:
    today = seen.outages_today()
    if today is None:
        return []
    label = _("Outages")
    if not today["outages"]:
        return [Line(label, _("none today"))]
    text = ngettext("{n} today, {span}", "{n} today, {span} in all", today["outages"])
    parts = [text.format(n=today["outages"], span=screen.span(today["down_s"]))]
    if today["power_outages"]:
        parts.append(_("{n} by lack of power").format(n=today["power_outages"]))
    return [Line(label, SEPARATOR.join(parts))]


def _centre_lines(values: Mapping[str, Any], seen: Seen) -> list[Line]:
    label = _("Centre")
    host = values["broker.host"]
    if not host:
        return [Line(label, _("no broker configured; readings stay on this gateway"))]
    link = seen.shown.get("link") or {}
    where = f"{host}:{effective_port(values['broker.port'], tls=values['broker.tls'])}"
    if not seen.running or not link:
        return [Line(label, _("{where}, not connected").format(where=where))]
    last = link.get("last_ack_ts")
    sent = _("last sent {when}").format(when=screen.wib(last)) if last else _("nothing sent yet")
    if link.get("state") != "connected" or link.get("last_problem"):
        # The problem names the address itself.
        why = link.get("last_problem") or _("{where}, connecting").format(where=where)
        is_refused = link.get("state") == "connected" and link.get("last_problem_code")
        problem = str(link["last_problem_code"]) if is_refused else "not_connected"
        return [Line(label, str(why), problem), *_reconnects(link, sent if last else "")]
    text = SEPARATOR.join((_("{where}, connected").format(where=where), sent))
    return [Line(label, text), *_reconnects(link)]


def _reconnects(link: Mapping[str, Any], sent: str = "") -> list[Line]:
    """Return what was sent last, how often the link came back, and why it went unless that is said above."""
    reconnects = max(0, int(link.get("connects") or 0) - 1)
    parts = [sent] if sent else []
    if reconnects:
        text = ngettext("connected again {n} time", "connected again {n} times", reconnects)
        parts.append(text.format(n=reconnects))
    reason, reason_ts = link.get("last_reason"), link.get("last_reason_ts")
    if reason and reason_ts and not link.get("last_problem"):
        text = _("last trouble {when}: {why}")
        parts.append(text.format(when=screen.wib(reason_ts), why=reason))
    return [Line("", part) for part in parts]


def _pause_lines(seen: Seen) -> Iterator[Line]:
    """Say until when a person wants no readings sent."""
    until_ts = seen.shown.get("paused_until_ts")
    if seen.running and until_ts is not None and until_ts > seen.now_ts:
        text = _("paused until {when}; readings wait here. Now: sinyal pause off")
        yield Line("", text.format(when=screen.wib(until_ts)))


def _queue_lines(seen: Seen) -> Iterator[Line]:
    queue = seen.part("buffer")
    if not queue:
        yield Line(_("Queue"), _("not known"))
        return
    unsent, quarantined = queue["unsent"], queue.get("quarantined", 0)
    parts = [_("{n} waiting").format(n=unsent)]
    oldest = queue.get("oldest_unsent_ts")
    if oldest is not None:
        parts[0] += ", " + _("oldest {age}").format(age=screen.span(seen.now_ts - oldest))
    parts.append(_("{n} sent").format(n=queue["stored"] - unsent - quarantined))
    if queue.get("events_unsent"):
        parts.append(_("{n} events waiting").format(n=queue["events_unsent"]))
    yield Line(_("Queue"), SEPARATOR.join(parts))
    # Seldom, and then worth a line of their own; `sinyal buffer stats` has them always.
    fates = (
        (quarantined, _("{n} refused by the broker")),
        (queue.get("folded"), _("{n} folded")),
        (queue.get("dropped"), _("{n} dropped")),
    )
    seldom = [text.format(n=count) for count, text in fates if count]
    if seldom:
        yield Line("", SEPARATOR.join((*seldom, "sinyal buffer stats")))


def _budget_lines(seen: Seen) -> list[Line]:
    budget = seen.part("budget")
    if not budget:
        return []
    used, cap = budget["used_bytes"], budget["max_bytes"]
    if cap is None:
        text = _("{used} this month, no cap").format(used=screen.amount(used))
        return [Line(_("Budget"), text)]
    text = _("{used} of {cap} this month").format(used=screen.amount(used), cap=screen.amount(cap))
    stage = budget["stage"]
    if stage == "no_throughput":
        text += SEPARATOR + _("no more speed tests")
    elif stage != "all":
        text += SEPARATOR + _("readings wait until the next month")
    return [Line(_("Budget"), text, f"budget_{stage}" if stage in ("liveness_only", "closed") else None)]


def _board_line(seen: Seen) -> Line:
    reading = seen.reading
    parts, problem = [], None
    if seen.disk is not None:
        free = seen.disk["free_bytes"]
        text = _("disk {used} %, {free} free")
        parts.append(text.format(used=seen.disk["used_pct"], free=screen.amount(free)))
        problem = "disk_full" if free < DISK_LOW_BYTES else None
    elif reading.get("disk_used_pct") is not None:
        parts.append(f"{_('disk')} {reading['disk_used_pct']:.0f} %")
    shares = ((_("processor"), "cpu_pct"), (_("memory"), "mem_used_pct"))
    parts += [f"{name} {reading[field]:.0f} %" for name, field in shares if reading.get(field) is not None]
    if reading.get("soc_temp_c") is not None:
        parts.append(f"{screen.number(reading['soc_temp_c'], 1)} °C")
    return Line(_("Board"), screen.fit(parts, TEXT_COLUMNS) or "-", problem)


def _clock_line(seen: Seen) -> Line:
    label = _("Clock")
    if not seen.running:
        return Line(label, _("not checked while the agent does not run"))
    parts = [screen.word("ts_quality", seen.reading.get("ts_quality"))]
    offset_s = seen.reading.get("clock_offset_s")
    if offset_s is not None:
        parts.append(_("system clock off by {span}").format(span=screen.span(abs(offset_s))))
    return Line(label, SEPARATOR.join(parts))
