"""`sinyal run`: starts the stages, watches over them, and stops them in the right order.

One thread takes readings (sampler), one probes the link (prober), one owns the database (keeper), one owns
the connection to the broker (forwarder); this one waits for a signal and notices when another has ended.
"""

import contextlib
import ctypes
import logging
import os
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from agent import __version__
from agent.buffer.keeper import Keeper
from agent.collectors.clients import ClientsCollector
from agent.collectors.clock import AGENT_BIRTH_TS, ClockCollector, raise_to_floor
from agent.collectors.host import HostCollector
from agent.collectors.uplink import UplinkCollector
from agent.config.model import Config
from agent.contract.catalogue import catalogue
from agent.errors import ConfigMistake, NoPermission, SinyalError, StoreUnusable
from agent.language import _
from agent.modem.network_time import LATEST_AFTER_FLOOR_S
from agent.modem.poll import ModemPoller
from agent.pipeline.agent_reading import AgentCollector
from agent.pipeline.buffer_control import buffer_answerers
from agent.pipeline.control import ControlServer
from agent.pipeline.link_control import link_answerers
from agent.pipeline.link_watch import LinkWatch
from agent.pipeline.measuring import Measuring
from agent.pipeline.modem_control import modem_answerers
from agent.pipeline.sampler import Sampler
from agent.pipeline.snapshot import DaemonLock, shown_link, shown_queue, write_snapshot
from agent.pipeline.state_lock import StateLock
from agent.pipeline.steady_forwarder import SteadyForwarder
from agent.pipeline.stop_signal import StopSignal
from agent.pipeline.system_events import SystemEvents
from agent.pipeline.true_clock import TrueClock
from agent.pipeline.watchdog import Watchdog, put_off_alarm, systemd_of_process
from agent.publish.forwarder import Forwarder

log = logging.getLogger("sinyal")

DATABASE_NAME = "sinyal.db"
MODEM_MEMORY_NAME = "modem.json"

LOOK_AFTER_S = 5.0
"""How often the threads are looked after, and a database that could not be opened is tried again."""

STOP_FORWARDER_S = 2.5
STOP_SAMPLER_S = 0.5
STOP_CONTROL_S = 0.5
STOP_LINK_S = 0.2
"""Parts of the five seconds in which SIGTERM must end everything (contract, section 2)."""

STOP_ALARM_S = 30.0
"""A stop that hangs in spite of them is cut short: systemd and procd wait longer than this for nobody."""

MODEM_LOOKS_S = (0.0, 5.0, 15.0)
"""Pauses before each look for a modem that has just been plugged in: its ports appear before it answers."""

CLOCK_LOOKS_S = (0.0, 5.0, 20.0)
"""Pauses before each look at a clock that was set: the kernel may call it synchronised a little later."""

_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8  # both: mallopt(3)


class Daemon:
    """A running gateway, wired from its configuration."""

    def __init__(self, config: Config, file: Path, stop: StopSignal) -> None:
        self._config = config
        self._started_ts = time.time()
        self._stop = stop
        state = config.paths.state
        self._keeper = Keeper(
            state / DATABASE_NAME,
            max_bytes=config.buffer.max_bytes,
            commit_interval_s=config.effective_commit_interval_s(),
            commit_readings=config.buffer.commit_readings,
            keep_days=config.buffer.keep_days,
            event_stored=lambda: self._forwarder.wake(urgent=True),
        )
        self._modem_memory = state / MODEM_MEMORY_NAME
        self._modem = ModemPoller(
            config.modem.port, sim_pin=config.modem.sim_pin, memory_file=self._modem_memory
        )
        uplink = UplinkCollector(config.uplink.interface, memory_folder=config.paths.runtime)
        self._measuring = Measuring(
            config, self._keeper, self._wall_clock, uplink.total_bytes, self._is_online
        )
        self._clock = TrueClock(ClockCollector(), self._keeper, self._modem.network_time_ts)
        self._forwarder = SteadyForwarder(self._make_forwarder)
        self._forwarding = False
        self._link = LinkWatch(
            config,
            self._keeper,
            self._modem,
            reports=self._reports,
            modem_expected=self._has_modem,
            clock_trusted=lambda: self._clock.is_trusted,
            rates_kbit_s=self._measuring.last_rates_kbit_s,
            may_probe=self._measuring.ledger.may_probe,
        )
        self._measuring.ledger.watch("mqtt", lambda: self._forwarder.health().wire_bytes)
        self._measuring.ledger.watch("probes", self._link.bytes_used)
        self._events = SystemEvents(
            {
                "uplink-up": ((0.0, self._on_uplink_up),),
                "time-synced": tuple((pause_s, self._on_time_synced) for pause_s in CLOCK_LOOKS_S),
                "modem-removed": ((0.0, self._modem_answers),),
                # Written down; what a button does is a role of the configuration.
                **dict.fromkeys(("button-short", "button-long", "button-very-long"), ()),
                "modem-added": tuple((pause_s, self._modem_answers) for pause_s in MODEM_LOOKS_S),
            }
        )
        self._control = ControlServer(
            config.paths.runtime,
            {
                **modem_answerers(self._modem),
                **buffer_answerers(self._keeper, state / DATABASE_NAME, config.buffer.max_bytes),
                **self._measuring.answerers(),
                **link_answerers(self._keeper, self._link),
                **self._events.answerers(),
            },
        )
        self._provisioned_ts = newest_file_ts(
            [file, config.broker.ca_file, config.broker.cert_file, config.broker.key_file]
        )
        self._sampler = Sampler(
            [
                self._clock,
                self._modem,
                HostCollector(state),
                uplink,
                ClientsCollector(config.lan.interface),
                self._link.prober,
                AgentCollector(self._keeper, self._measuring.ledger.spent_bytes, time.time),
            ],
            self._keeper,
            catalogue(),
            interval_s=config.readings.interval_s,
            taken=self._on_reading,
        )
        self._watchdog = Watchdog(
            {
                "sampler": self._sampler.pulse,
                "prober": self._link.prober.pulse,
                "keeper": self._keeper.pulse,
            },
            systemd_of_process(),
            left_behind=self._forwarder.left_behind,
        )

    def _make_forwarder(self) -> Forwarder:
        config = self._config
        return Forwarder(
            self._keeper,
            config.broker,
            config.publish,
            gateway_id=config.gateway.id,
            version=__version__,
            interval_s=config.readings.interval_s,
            inventory=self.inventory,
            clock_is_trusted=lambda: self._clock.is_trusted,
            hear_time=self._clock.hear_from_centre,
            may_send_readings=self._measuring.ledger.may_send_readings,
        )

    def _reports(self) -> tuple[str, str | None]:
        health = self._forwarder.health()
        return health.state, health.last_problem_code

    def _has_modem(self) -> bool:
        """Return whether this gateway has a modem: one is configured, or was read at some time."""
        is_named = self._config.modem.port != "auto"
        return is_named or bool(self._modem.inventory()) or self._modem_memory.exists()

    def inventory(self) -> Mapping[str, object]:
        """Return what the centre should know of this gateway beside its readings."""
        gateway = self._config.gateway
        modem = self._modem.inventory()
        last = self._sampler.health.last_row or {}
        return {
            "kode_desa": gateway.kode_desa,
            "kode_edisi": gateway.kode_edisi,
            "site_name": gateway.site_name,
            "role": gateway.role,
            "modem_manufacturer": modem.get("manufacturer"),
            "modem_model": modem.get("model"),
            "modem_firmware": modem.get("firmware"),
            "operator_name": last.get("operator_name"),
            "operator_mccmnc": last.get("operator_mccmnc"),
            "catalogue": catalogue().id,
        }

    def run(self) -> int:
        """Work until told to stop; return the exit code."""
        self._control.start()
        self._open_database()
        self._link.start()
        self._sampler.start()
        self._watchdog.begin()
        code = 0
        while not self._stop.wait(LOOK_AFTER_S):
            if not self._watchdog.all_well():
                code = 1
                break
            _give_back_memory()
            if not self._forwarding:
                self._open_database()
            else:
                self._measuring.tick()
            self._forwarder.look_after()
            if not self._sampler.is_alive():
                log.critical(_("a worker has ended by itself; the agent stops so that it is started anew"))
                code = 1
                break
        self._shut_down()
        return code

    def _open_database(self) -> None:
        """Open the database and begin forwarding; until that works readings wait in the sampler's memory."""
        try:
            self._keeper.start()
            put_off_alarm()
            self._measuring.ledger.load()
        except StoreUnusable:
            # The sampler says so, once, when it meets the same failure.
            return
        self._raise_clock()
        self._forwarder.start()
        self._forwarding = True
        log.info(
            _("readings go to {path} (epoch {epoch}, boot {boot})").format(
                path=self._config.paths.state / DATABASE_NAME,
                epoch=self._keeper.epoch,
                boot=self._keeper.boot,
            )
        )

    def _raise_clock(self) -> None:
        """Let a clock that was never set begin at the newest moment that is certainly past."""
        newest_ts = 0
        with contextlib.suppress(StoreUnusable):
            newest_ts = self._keeper.newest_true_ts() or 0
        floor_ts = max(AGENT_BIRTH_TS, newest_ts, self._provisioned_ts)
        if raise_to_floor(floor_ts):
            shown = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(floor_ts))
            log.warning(_("the system clock was never set; it begins at {when}").format(when=shown))
            self._keeper.note_event("clock", "raised_to_floor", {"floor_ts": floor_ts})

    def _wall_clock(self) -> tuple[float, bool]:
        """Return UTC seconds, and whether the last reading found that they can be believed."""
        quality = (self._sampler.health.last_row or {}).get("ts_quality", "unset")
        return time.time(), quality != "unset"

    def _is_online(self) -> bool:
        return (self._sampler.health.last_row or {}).get("link_up") != 0

    def _on_reading(self) -> None:
        self._forwarder.wake()
        self._show()

    def _show(self, *, stopped: bool = False) -> None:
        try:
            write_snapshot(self._config.paths.runtime, self._snapshot(stopped=stopped))
        except OSError as error:
            log.debug("snapshot: %s", error)

    def _snapshot(self, *, stopped: bool) -> dict[str, Any]:
        sampler = self._sampler.health
        link = self._forwarder.health()
        shown: dict[str, Any] = {
            "v": 1,
            "pid": os.getpid(),
            "version": __version__,
            "state": "stopped" if stopped else "running",
            "ts": round(time.time()),
            "started_ts": round(self._started_ts),
            "interval_s": self._config.readings.interval_s,
            "reading": sampler.last_row,
            "modem": {
                name: self._modem.inventory().get(name) for name in ("manufacturer", "model", "firmware")
            },
            "taken": sampler.taken,
            "waiting_in_memory": sampler.waiting,
            "lost": sampler.lost,
            "store_problem": sampler.store_problem,
            "link": shown_link(link),
        }
        try:
            counts = self._keeper.counts()
        except StoreUnusable:
            return shown
        shown["internet"] = self._link.shown()
        shown["epoch"] = self._keeper.epoch
        shown["boot"] = self._keeper.boot
        shown["buffer"] = shown_queue(counts)
        return shown

    def _on_uplink_up(self) -> None:
        self._link.prober.probe_now()
        self._forwarder.hurry()

    def _on_time_synced(self) -> bool:
        """Read the clocks, and send what waited for the time; return whether the clock can be believed."""
        self._clock.collect()
        if self._clock.is_trusted:
            # Certificates that seemed out of their time are not, and readings go out with their true time.
            self._forwarder.hurry()
        return self._clock.is_trusted

    def _modem_answers(self) -> bool:
        """Look for the modem at its port, old or new; return whether it answers."""
        return self._modem.look().fields.get("modem_state") in ("ok", "restarted")

    def _shut_down(self) -> None:
        log.info(_("stopping"))
        self._watchdog.end(STOP_ALARM_S)
        self._events.stop()
        self._control.ask_to_stop()
        self._sampler.ask_to_stop()
        self._link.prober.ask_to_stop()
        self._modem.close()
        self._control.stop(STOP_CONTROL_S)
        self._sampler.stop(STOP_SAMPLER_S)
        self._link.stop(STOP_LINK_S)
        if self._forwarding:
            # Only committed readings are offered, and the goodbye takes along what is offered.
            with contextlib.suppress(StoreUnusable):
                self._keeper.commit()
            self._forwarder.stop(STOP_FORWARDER_S)
            self._measuring.close()
        self._show(stopped=True)
        self._keeper.close()


def run_daemon(config: Config, *, file: Path) -> int:
    """Run the agent until it is told to stop; return the exit code. file is where `config` came from.

    Raises ConfigMistake without a gateway id, NoPermission when a folder cannot be made or written, and
    SinyalError when another agent already runs in these folders.
    """
    if not config.gateway.id:
        raise ConfigMistake(
            _("{file}: gateway.id is empty; the agent must know which gateway it is").format(file=file),
            _("sinyal config set gateway.id NAME"),
        )
    # A disk that hangs may hold us before there is anything to watch.
    put_off_alarm()
    _make_folder(config.paths.state, may_be_read_only=True)
    _make_folder(config.paths.runtime)
    _keep_one_arena()
    _log_to_stderr()
    stop = StopSignal()
    lock, state_lock = DaemonLock(config.paths.runtime), StateLock(config.paths.state)
    lock.take()
    try:
        state_lock.take()
        log.info(
            _("sinyal {version} starts for gateway {id}").format(version=__version__, id=config.gateway.id)
        )
        return Daemon(config, file, stop).run()
    finally:
        state_lock.release()
        lock.release()


def newest_file_ts(files: Iterable[Path | None]) -> int:
    """Return when the newest of these files was written (UTC seconds, no far future), 0 without any."""
    written = [0]
    for file in files:
        with contextlib.suppress(OSError):
            if file is not None:
                written.append(int(file.stat().st_mtime))
    return max(ts for ts in written if ts <= AGENT_BIRTH_TS + LATEST_AFTER_FLOOR_S)


def _make_folder(folder: Path, *, may_be_read_only: bool = False) -> None:
    """Make a folder; one on a disk that became read-only does for the time being if may_be_read_only."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except PermissionError:
        raise NoPermission(
            _("no permission to make the folder {folder}").format(folder=folder),
            _("run as the user sinyal or with sudo, or move paths.state and paths.runtime"),
        ) from None
    except OSError as error:
        raise SinyalError(
            _("the folder {folder} cannot be made: {reason}").format(folder=folder, reason=error.strerror),
            _("check the disk, or move paths.state and paths.runtime"),
        ) from None
    if may_be_read_only and os.statvfs(folder).f_flag & os.ST_RDONLY:
        return
    if not os.access(folder, os.W_OK | os.X_OK):
        raise NoPermission(
            _("no permission to write in {folder}").format(folder=folder),
            _("run as the user sinyal or with sudo"),
        )


def _keep_one_arena() -> None:
    # glibc gives each thread a heap of its own, which a small board cannot spare; musl has no mallopt.
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)
        mallopt(_M_MMAP_THRESHOLD, 64 * 1024)


def _give_back_memory() -> None:
    # glibc keeps what a TLS handshake or a backlog has freed, some 0.7 MB; musl gives it back by itself.
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _log_to_stderr() -> None:
    handler = logging.StreamHandler(sys.stderr)
    # Under systemd and procd the log has its own time; elsewhere UTC is written out.
    stamped = "JOURNAL_STREAM" not in os.environ
    formatter = logging.Formatter(
        "%(asctime)s %(levelname)s %(name)s: %(message)s"
        if stamped
        else "%(levelname)s %(name)s: %(message)s",
        "%Y-%m-%dT%H:%M:%SZ",
    )
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
