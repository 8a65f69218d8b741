"""Settings, power, clock, disk: what belongs to the board itself."""

import errno
import os
from pathlib import Path

from agent import screen
from agent.collectors.clock import AGENT_BIRTH_TS
from agent.doctor.evidence import RESTS, DiskSeen, Evidence
from agent.doctor.finding import Finding, failed, passed, untested, warned
from agent.errors import NoPermission
from agent.language import N_, _, system_reason
from agent.pipeline.control_client import DaemonSilent

MAINS_STEP = N_("check the circuit breaker and the plug; the gateway lives on its battery")

HOT_C = 80.0
"""A Raspberry Pi slows itself down from here on."""

CLOCK_OFF_S = 120
LATER_FILE_S = 3600
"""A file that was written so much later than now shows a clock that is behind; time zones do not count."""

LITTLE_ROOM_BYTES = 20 << 20
LARGE_DISK_MB = 10_000

SET_CLOCK = N_(
    "set the clock from a phone: sudo date -s 'YYYY-MM-DD HH:MM', then look for its source of time"
)
MAKE_ROOM = N_("make room: sudo du -xm {folder} | sort -n | tail shows what takes it")


def check_settings(evidence: Evidence) -> Finding:
    """Judge the configuration file."""
    problem = evidence.settings_problem
    if isinstance(problem, NoPermission):
        return warned("no_permission", problem.what, problem.next_step)
    if problem is not None:
        return failed("settings", problem.what, problem.next_step)
    if not evidence.is_configured:
        return warned(
            "not_configured",
            _("there is no configuration file yet; the defaults are used here"),
            _("enrol this gateway, or copy the commented sample to {file}").format(
                file=evidence.settings_path
            ),
        )
    if not evidence.config.gateway.id:
        return failed(
            "settings", _("gateway.id is empty: the agent refuses to start"),
            _("sinyal config set gateway.id NAME"),
        )  # fmt: skip
    return passed(
        _("{file}, gateway {id}").format(file=evidence.settings_path, id=evidence.config.gateway.id)
    )


def check_power(evidence: Evidence) -> Finding:
    """Judge mains, battery, supply and temperature, as far as this board tells of them."""
    reading = evidence.reading
    parts = [_("up for {span}").format(span=screen.span(evidence.uptime_s))]
    mains, battery_v, battery_pct = (
        reading.get(name) for name in ("mains_present", "battery_v", "battery_pct")
    )
    if mains is not None:
        parts.append(_("mains present") if mains else _("no mains"))
    if battery_v is not None:
        parts.append(_("battery {volt} V").format(volt=screen.number(battery_v, 1)))
    if battery_pct is not None:
        parts.append(_("battery {percent} %").format(percent=screen.number(battery_pct)))
    text = ", ".join(parts)
    if evidence.undervoltage or reading.get("undervoltage"):
        return failed(
            "undervoltage", _("the board says that its supply is too weak; {more}").format(more=text),
            _("use the board's own power supply and a short, thick cable"),
        )  # fmt: skip
    if evidence.rests:
        return failed("low_battery", _(RESTS), _(MAINS_STEP))
    if evidence.snapshot.get("battery_low"):
        text += ", " + _("battery nearly empty")
    if mains == 0:
        return warned("no_mains", text, _(MAINS_STEP))
    if evidence.soc_temp_c is not None and evidence.soc_temp_c >= HOT_C:
        warm = f"{screen.number(evidence.soc_temp_c, 1)} °C"
        return warned(
            "hot", _("the processor is {warm} hot").format(warm=warm), _("give the box shade and air")
        )
    if mains is None and evidence.undervoltage is None:
        return untested(_("{up}; no sensor tells of mains or supply").format(up=text))
    return passed(text)


def check_clock(evidence: Evidence) -> Finding:
    """Judge the system clock against everything that knows better, the modem and the files."""
    shown = _("it shows {when}").format(when=screen.wib(evidence.now_ts))
    off_s = clock_offset_s(evidence)
    if evidence.now_ts < AGENT_BIRTH_TS:
        return failed("clock_wrong", _("the clock was never set: {shown}").format(shown=shown), _(SET_CLOCK))
    if off_s is not None and abs(off_s) >= CLOCK_OFF_S:
        text = _("the clock is {span} slow; {shown}") if off_s > 0 else _("the clock is {span} fast; {shown}")
        return failed("clock_wrong", text.format(span=screen.span(abs(off_s)), shown=shown), _(SET_CLOCK))
    is_confirmed = evidence.clock_quality == "ntp" or _network_agrees(evidence)
    if evidence.files_ts - evidence.now_ts >= LATER_FILE_S and not is_confirmed:
        what = _("the clock is behind: the settings were written later; {shown}").format(shown=shown)
        return failed("clock_wrong", what, _(SET_CLOCK))
    if evidence.clock_quality == "unset":
        if _network_agrees(evidence):
            return passed(f"{shown}, {screen.word('ts_quality', 'modem')}")
        return warned(
            "clock_unconfirmed", _("{shown}; nothing confirms it yet").format(shown=shown),
            _("compare it with a phone; only when it is wrong: sudo date -s 'YYYY-MM-DD HH:MM'"),
        )  # fmt: skip
    return passed(f"{shown}, {screen.word('ts_quality', evidence.clock_quality)}")


def clock_offset_s(evidence: Evidence) -> float | None:
    """Return true time less system clock in seconds, as agent, modem or readings know it; None: unknown."""
    known = evidence.reading.get("clock_offset_s") if evidence.running else None
    if isinstance(known, int | float):
        return float(known)
    if evidence.clock_quality == "ntp":
        return None
    if evidence.bearer is not None and evidence.bearer.network_ts is not None:
        return evidence.bearer.network_ts - evidence.now_ts
    newest_ts, quality = evidence.reading.get("ts"), evidence.reading.get("ts_quality")
    if isinstance(newest_ts, int | float) and quality in ("ntp", "modem", "broker", "rtc"):
        return max(0.0, newest_ts - evidence.now_ts) or None
    return None


def _network_agrees(evidence: Evidence) -> bool:
    """Return whether the modem heard the time from its network, and the clock shows the same."""
    network_ts = evidence.bearer.network_ts if evidence.bearer is not None else None
    return network_ts is not None and abs(network_ts - evidence.now_ts) < CLOCK_OFF_S


def check_disk(evidence: Evidence) -> Finding:
    """Judge room, writing, and the database of readings."""
    seen, state = evidence.disk, evidence.config.paths.state
    if seen is None:
        return failed(
            "disk_hangs", _("the disk of {folder} does not answer").format(folder=state),
            _("look at `dmesg`; an SD card that hangs has to be replaced"),
        )  # fmt: skip
    if not seen.is_there:
        return untested(_("{folder} does not exist yet: the agent has never run").format(folder=state))
    trouble = _writing(evidence, seen)
    if trouble is not None:
        return trouble
    if evidence.snapshot.get("store_problem"):
        what = _("readings are not stored: {why}").format(why=evidence.snapshot["store_problem"])
        return failed("not_stored", what, _("look at the log: sudo journalctl -u sinyal -n 50"))
    free_mb = (seen.free_bytes or 0) / 1e6
    room = (
        f"{screen.number(free_mb / 1000)} GB" if free_mb >= LARGE_DISK_MB else f"{screen.number(free_mb)} MB"
    )
    free = _("{room} free").format(room=room)
    if seen.fault is not None:
        if isinstance(seen.fault, NoPermission | DaemonSilent):
            return untested(seen.fault.what, seen.fault.next_step)
        return failed("database", seen.fault.what, seen.fault.next_step)
    if (seen.free_bytes or 0) < LITTLE_ROOM_BYTES:
        return warned("disk_nearly_full", free, _make_room(state))
    if seen.rows is None:
        return untested(_("{free}; the database was not read").format(free=free))
    return passed(_("{free}, {rows} readings stored").format(free=free, rows=seen.rows))


def _make_room(folder: Path) -> str:
    mount = next(each for each in (folder, *folder.parents) if each.is_mount() or each == each.parent)
    return _(MAKE_ROOM).format(folder=mount)


def _writing(evidence: Evidence, seen: DiskSeen) -> Finding | None:
    code, folder = seen.write_errno, evidence.config.paths.state
    if code in (errno.ENOSPC, errno.EDQUOT) or seen.free_bytes == 0:
        return failed(
            "disk_full", _("the disk of {folder} is full").format(folder=folder), _make_room(folder)
        )
    if code == errno.EROFS:
        return failed(
            "disk_read_only", _("the disk of {folder} has become read-only").format(folder=folder),
            _("restart once; if it happens again, the SD card is worn out: replace it"),
        )  # fmt: skip
    if code not in (0, None, errno.EACCES, errno.EPERM):
        reason = system_reason(os.strerror(code))
        return failed(
            "disk_failing", _("{folder} cannot be written: {reason}").format(folder=folder, reason=reason),
            _("look at `dmesg`; an SD card with errors has to be replaced"),
        )  # fmt: skip
    return None
