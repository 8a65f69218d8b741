"""Looks at everything a gateway has, side by side and within a limit."""

import contextlib
import errno
import os
import socket
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from agent.buffer import DATABASE_NAME
from agent.buffer.history import Selection, overview, read_page
from agent.buffer.untouched import check, opened_untouched
from agent.collectors.clock import AGENT_BIRTH_TS, ClockCollector
from agent.collectors.host import THERMAL_ZONES, disk_used_pct, soc_temp_c
from agent.collectors.uplink import ROUTES, ROUTES_IPV6, default_interface
from agent.config.model import Config
from agent.doctor.bearer import Ask, read_bearer
from agent.doctor.broker_look import look_at_broker
from agent.doctor.evidence import BearerSeen, BrokerSeen, DiskSeen, Evidence, ModemSeen, NamesSeen, RouteSeen
from agent.doctor.looks import Look, wait_for_all
from agent.enrolment.board import standing
from agent.errors import NoPermission, SinyalError
from agent.language import _, system_reason
from agent.link.checks import fetch_is_redirected, has_address, page_check
from agent.link.probe import NO_ADDRESS, Outcome, probe
from agent.modem.memory import MEMORY_NAME
from agent.modem.port import OWN_PROGRAM, holders
from agent.pipeline.control_client import ask_daemon
from agent.pipeline.link_watch import targets_of
from agent.pipeline.snapshot import daemon_runs, read_snapshot
from agent.pipeline.true_clock import newest_file_ts
from agent.publish.certificate import Certificate, read_certificate
from agent.uplink_socket import look_up

LIMIT_S = 22.0
"""So long all looks together may take; starting and printing come on top, and all must be over in 30 s."""

TRIAL_BYTES = 8192
BROKER_WAITS_FOR_DISK_S = 3.0

HWMON = Path("/sys/class/hwmon")


class Settings(NamedTuple):
    """The configuration, and what is wrong with it: the defaults stand in for one that cannot be used."""

    config: Config
    path: Path
    problem: SinyalError | None = None
    is_configured: bool = True


class Modem(NamedTuple):
    """How the modem is asked; both may raise SinyalError.

    read gives a reading as `agent.pipeline.modem_control` does, ask sends one command that only reads.
    """

    read: Callable[[], Mapping[str, Any]]
    ask: Ask


def gather(
    settings: Settings,
    modem: Modem,
    *,
    root: Path = Path("/"),
    limit_s: float = LIMIT_S,
    tick: Callable[[float], None] = lambda _waited_s: None,
) -> Evidence:
    """Look at everything within limit_s; root is the folder where the board shows itself."""
    config = settings.config
    running, snapshot = _agent(config.paths.runtime)
    if settings.problem is not None and not running:
        running = None  # where it would run is not known
    board = standing(config.paths.state, root)
    disk = Look(partial(look_at_disk, config, running=running))
    modem_look = Look(partial(look_at_modem, config, modem))
    bearer = Look(partial(_look_at_bearer, modem_look, modem, limit_s))
    names = Look(partial(look_at_names, config))
    reach = Look(partial(look_at_targets, config))
    page = Look(partial(look_at_page, config))
    may_speak = running is False and board.verdict != "cloned"
    broker = Look(partial(_look_at_broker, config, disk, may_speak=may_speak))
    certificate = Look(partial(_own_certificate, config))
    clock = ClockCollector().collect()
    route = look_at_route(config)
    files_ts = newest_file_ts(
        [settings.path, config.broker.ca_file, config.broker.cert_file, config.broker.key_file]
    )
    wait_for_all([disk, modem_look, bearer, names, reach, page, broker, certificate], limit_s, tick)
    return Evidence(
        config=config,
        settings_path=str(settings.path),
        settings_problem=settings.problem,
        is_configured=settings.is_configured,
        running=running,
        snapshot=snapshot,
        now_ts=time.time(),
        clock_quality=clock.ts_quality,
        files_ts=files_ts,
        undervoltage=undervoltage(),
        soc_temp_c=soc_temp_c(THERMAL_ZONES),
        uptime_s=clock.uptime_s,
        board=board,
        certificate=certificate.seen,
        disk=disk.seen,
        modem=modem_look.seen,
        bearer=bearer.seen,
        route=route,
        names=names.seen,
        reach=reach.seen,
        redirected=page.seen,
        broker=broker.seen,
    )


def _agent(runtime: Path) -> tuple[bool | None, Mapping[str, Any]]:
    """Return whether the agent runs (None: this user may not know), and what it shows of itself."""
    try:
        running: bool | None = daemon_runs(runtime)
    except SinyalError:
        running = None
    shown = read_snapshot(runtime) or {}
    if running:
        return True, shown
    # What an agent left that is gone says nothing about now, except why it stays away.
    rests = running is False and shown.get("state") == "low_battery"
    return running, {"state": "low_battery"} if rests else {}


def look_at_disk(config: Config, *, running: bool | None) -> DiskSeen:
    """Return how the state folder does: room, whether it takes a small file, whether the database reads."""
    state = config.paths.state
    try:
        space = os.statvfs(state)
    except FileNotFoundError:
        return DiskSeen(is_there=False)
    except OSError as error:
        return DiskSeen(is_there=True, write_errno=error.errno)
    seen = DiskSeen(True, space.f_bavail * space.f_frsize, disk_used_pct(state), _write_trial(state))
    database = state / DATABASE_NAME
    try:
        if running:
            stats = ask_daemon(config.paths.runtime, "buffer_stats")
            return seen._replace(rows=int(stats["stored"]), queue=stats)
        if not database.exists():
            return seen._replace(rows=0)
        with opened_untouched(database) as connection:
            queue, reading = _newest(connection)
            seen = seen._replace(reading=reading, queue=queue, rows=int(queue["last_seq"] or 0))
            check(connection, database)
    except SinyalError as fault:
        return seen._replace(rows=None, fault=fault)
    except OSError as error:
        closed = NoPermission(
            _("no permission to look into {folder}").format(folder=state)
            if isinstance(error, PermissionError)
            else str(error),
            _("use sudo, or add this user to the group sinyal"),
        )
        return seen._replace(rows=None, fault=closed)
    return seen


def _newest(connection: sqlite3.Connection) -> tuple[dict[str, Any], Mapping[str, Any]]:
    queue = overview(connection)
    last_seq = queue["last_seq"] or 0
    rows = read_page(connection, Selection(), (queue["epoch"], last_seq - 1), limit=1).rows
    return queue, rows[0] if rows else {}


def _write_trial(state: Path) -> int:
    """Write a small file as the database would, and take it away; return the errno, 0 for none."""
    trial = state / f".doctor-{os.getpid()}"
    try:
        descriptor = os.open(trial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, b"\0" * TRIAL_BYTES)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        return error.errno or errno.EIO
    else:
        return 0
    finally:
        with contextlib.suppress(OSError):
            trial.unlink()


def look_at_modem(config: Config, modem: Modem) -> ModemSeen:
    """Return a reading of the modem."""
    memory = config.paths.state / MEMORY_NAME
    ever_seen = config.modem.port != "auto" or memory.exists()
    try:
        answer = modem.read()
    except SinyalError as fault:
        return ModemSeen(fault=fault, ever_seen=ever_seen)
    port = str(answer["port"])
    others = [f"{holder.program} ({holder.pid})" for holder in holders(port) if holder.program != OWN_PROGRAM]
    return ModemSeen(answer, None, others, ever_seen)


def _look_at_bearer(modem_look: Look[ModemSeen], modem: Modem, limit_s: float) -> BearerSeen | None:
    seen = modem_look.wait(limit_s)
    if seen is None or seen.answer is None or seen.answer["fields"].get("modem_state") not in _ANSWERING:
        return None
    return read_bearer(modem.ask, AGENT_BIRTH_TS)


_ANSWERING = ("ok", "restarted")


def look_at_route(config: Config) -> RouteSeen:
    """Return the interface that leads out, and whether it has an address."""
    configured = config.uplink.interface
    interface = default_interface(ROUTES, ROUTES_IPV6) if configured == "auto" else configured
    return RouteSeen(interface, interface is not None and has_address(interface))


def look_at_names(config: Config) -> Sequence[NamesSeen]:
    """Return which of the hosts that the agent needs are resolved; addresses need no resolving."""
    page = page_check(config.link.page_url, config.link.page_text)
    hosts = [host for host, _port in config.broker.addresses()] + ([page.host] if page else [])
    return [_resolved(host) for host in dict.fromkeys(hosts) if not _is_address(host)][:2]


def _resolved(host: str) -> NamesSeen:
    try:
        look_up(host)
    except (OSError, UnicodeError) as error:
        return NamesSeen(host, False, system_reason(getattr(error, "strerror", None) or error))
    return NamesSeen(host, True)


def _is_address(host: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError):
            socket.inet_pton(family, host)
            return True
    return False


def look_at_targets(config: Config) -> Sequence[tuple[str, Outcome]]:
    """Probe the two hosts that the agent watches, once each."""
    interface = look_at_route(config).interface
    return [(target.host, _reached(target.host, target.port, interface)) for target in targets_of(config)]


def _reached(host: str, port: int, interface: str | None) -> Outcome:
    try:
        address = str(look_up(host)[0][4][0])
    except (OSError, UnicodeError):
        return NO_ADDRESS
    return probe(address, port, interface=interface)


def look_at_page(config: Config) -> bool | None:
    """Return whether somebody else answers in place of the known page; None when nobody answers."""
    page = page_check(config.link.page_url, config.link.page_text)
    if page is None:
        return None
    try:
        address = str(look_up(page.host)[0][4][0])
    except (OSError, UnicodeError):
        return None
    interface = look_at_route(config).interface
    return fetch_is_redirected(page, address, interface=interface)[0]


def _look_at_broker(config: Config, disk: Look[DiskSeen], *, may_speak: bool) -> BrokerSeen | None:
    seen = disk.wait(BROKER_WAITS_FOR_DISK_S)
    newest = (str(seen.queue["epoch"]), seen.reading) if seen is not None and seen.reading else None
    return look_at_broker(
        config.broker, config.publish, config.gateway.id, may_speak=may_speak, newest=newest
    )


def _own_certificate(config: Config) -> Certificate | None:
    if not config.broker.tls or config.broker.cert_file is None:
        return None
    try:
        return read_certificate(config.broker.cert_file)
    except SinyalError:
        return None  # the TLS look tells why


def undervoltage(hwmon: Path = HWMON) -> bool | None:
    """Return whether the board says that its supply is too weak, None on a board that does not tell.

    Source: Linux drivers/hwmon/raspberrypi-hwmon.c (device "rpi_volt", in0_lcrit_alarm).
    """
    for device in hwmon.glob("hwmon*"):
        with contextlib.suppress(OSError):
            if (device / "name").read_text().strip() == "rpi_volt":
                return (device / "in0_lcrit_alarm").read_text().strip() == "1"
    return None
