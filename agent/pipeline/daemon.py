"""`sinyal run`: starts the stages, watches over them, and stops them in the right order.

One thread takes readings (sampler), one probes the link (prober), one owns the database (keeper), one owns
the connection to the broker (forwarder); this one waits for a signal and notices when another has ended.
"""

import contextlib
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent import __version__
from agent.buffer import DATABASE_NAME
from agent.buffer.keeper import Keeper
from agent.collectors.clients import ClientsCollector
from agent.collectors.clock import AGENT_BIRTH_TS, ClockCollector, raise_to_floor
from agent.collectors.host import HostCollector
from agent.collectors.power import PowerCollector
from agent.collectors.uplink import UplinkCollector
from agent.config.model import Config
from agent.contract.catalogue import Row, catalogue
from agent.enrolment.board import ROOT, standing
from agent.errors import StoreUnusable
from agent.language import _
from agent.link.tables import Correct
from agent.modem.memory import MEMORY_NAME
from agent.modem.poll import ModemPoller
from agent.pipeline.agent_reading import AgentCollector
from agent.pipeline.aim_control import aim_answerers
from agent.pipeline.box import Box
from agent.pipeline.buffer_control import buffer_answerers
from agent.pipeline.control import ControlServer
from agent.pipeline.heap import give_back_memory
from agent.pipeline.link_control import link_answerers
from agent.pipeline.link_watch import LinkWatch, corrector
from agent.pipeline.looking_back import LookingBack
from agent.pipeline.measuring import Measuring
from agent.pipeline.modem_control import modem_answerers
from agent.pipeline.page_writer import PageWriter, page_answerers
from agent.pipeline.power_watch import PowerWatch
from agent.pipeline.recovering import Recovering, run_program
from agent.pipeline.sampler import Sampler
from agent.pipeline.sending_control import Pause, Shown, sending_answerers
from agent.pipeline.snapshot import shown_link, shown_queue, write_snapshot
from agent.pipeline.steady_forwarder import SteadyForwarder
from agent.pipeline.stop_signal import StopSignal
from agent.pipeline.system_events import SystemEvents
from agent.pipeline.technician import Technician
from agent.pipeline.true_clock import TrueClock, newest_file_ts
from agent.pipeline.watchdog import Watchdog, put_off_alarm, systemd_of_process
from agent.publish.forwarder import OVER_BUDGET, Forwarder
from agent.publish.problems import CLONED_BOARD, LinkProblem

log = logging.getLogger("sinyal")

LOOK_AFTER_S = 5.0
"""How often the threads are looked after, and a database that could not be opened is tried again."""

BACK_FOR_S = 20.0
"""So long power must be back before an agent that a low battery stopped begins again."""

OLD_SENDINGS = 2
"""Readings that wait for longer than so many times the usual make the light for them blink."""

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


class Daemon:
    """A running gateway, wired from its configuration; board_root is the folder where the board shows itself.

    On a board that is not the enrolled one everything is stored and nothing is sent.
    """

    def __init__(self, config: Config, file: Path, stop: StopSignal, *, board_root: Path = ROOT) -> None:
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
        self._modem_memory = state / MEMORY_NAME
        self._modem = ModemPoller(
            config.modem.port, sim_pin=config.modem.sim_pin, memory_file=self._modem_memory
        )
        uplink = UplinkCollector(config.uplink.interface, memory_folder=config.paths.runtime)
        self._measuring = Measuring(
            config, self._keeper, self._wall_clock, uplink.total_bytes, self._is_online,
            lambda: uplink.interface_now() or None,
        )  # fmt: skip
        self._clock = TrueClock(ClockCollector(), self._keeper, self._modem.network_time_ts)
        self._board = standing(state, board_root)
        self._clone: LinkProblem | None = None
        if self._board.verdict == "cloned":
            self._clone = CLONED_BOARD.problem((config.broker.host, 0), self._board.enrolled)
        self._pause = Pause()
        self._forwarder = SteadyForwarder(self._make_forwarder, held_back=self._clone)
        self._forwarding = False
        self._link = LinkWatch(
            config,
            self._keeper,
            self._modem,
            reports=self._reports,
            modem_expected=self._has_modem,
            clock_trusted=lambda: self._clock.is_trusted,
            rates_kbit_s=self._measuring.last_rates_kbit_s,
            probes_rarer=self._measuring.ledger.probes_rarer,
            received_bytes=uplink.received_bytes,
        )
        self._past = LookingBack(self._keeper, self._corrector)
        self._page = PageWriter(config.page, file, self._link.outage_now)
        self._measuring.ledger.watch("mqtt", lambda: self._forwarder.health().wire_bytes)
        self._measuring.ledger.watch("probes", self._link.bytes_used)
        self._technician = Technician()
        self._then_run = ""
        self._power = PowerWatch(
            config.power,
            note_event=self._keeper.note_event,
            take_reading=lambda: self._sampler.hurry(),
            pace=lambda interval_s: self._sampler.change_pace(interval_s),
        )
        self._box = Box(
            config,
            note_mains=self._power.note_mains,
            note_battery_low=self._power.note_battery_input,
            long_press=self._cut_modem_by_hand,
            technician_for=self._technician.stay,
        )
        self._power_collector = PowerCollector(
            config.power.mains_supply, config.power.battery_supply, lambda: self._box.mains
        )
        self._recovering = Recovering(
            config,
            self._keeper,
            self._modem,
            last_row=lambda: (self._sampler.health.last_row, self._sampler.health.last_taken_monotonic),
            lasting_cause=self._link.lasting_cause,
            held_by=self._held_by,
            modem_expected=self._has_modem,
            cut_modem=self._box.cut_modem if self._box.has_relay else None,
            reboot=lambda: self._end_with("reboot"),
        )
        self._events = self._make_events()
        self._control = self._make_control()
        self._provisioned_ts = newest_file_ts(
            [file, config.broker.ca_file, config.broker.cert_file, config.broker.key_file]
        )
        self._sampler = self._make_sampler(uplink)
        self._watchdog = Watchdog(
            {
                "sampler": self._sampler.pulse,
                "prober": self._link.prober.pulse,
                "keeper": self._keeper.pulse,
            },
            systemd_of_process(),
            left_behind=self._forwarder.left_behind,
        )

    def _make_events(self) -> SystemEvents:
        return SystemEvents(
            {
                "uplink-up": ((0.0, self._on_uplink_up),),
                "time-synced": tuple((pause_s, self._on_time_synced) for pause_s in CLOCK_LOOKS_S),
                "modem-removed": ((0.0, self._modem_answers),),
                # Written down; what a button does is a role of the configuration.
                **dict.fromkeys(("button-short", "button-long", "button-very-long"), ()),
                "modem-added": tuple((pause_s, self._modem_answers) for pause_s in MODEM_LOOKS_S),
            }
        )

    def _make_control(self) -> ControlServer:
        config = self._config
        database = config.paths.state / DATABASE_NAME
        shown = Shown(self._shown_now, self._last_reading, self._show)
        return ControlServer(
            config.paths.runtime,
            self._technician.noticing(
                {
                    **modem_answerers(self._modem),
                    **buffer_answerers(self._keeper, database, config.buffer.max_bytes),
                    **self._measuring.answerers(),
                    **link_answerers(self._keeper, self._link),
                    **self._box.answerers(),
                    **self._events.answerers(),
                    **page_answerers(self._keeper, self._corrector),
                    **aim_answerers(self._keeper),
                    **sending_answerers(self._keeper, self._forwarder, self._pause, shown),
                }
            ),
        )

    def _make_sampler(self, uplink: UplinkCollector) -> Sampler:
        return Sampler(
            [
                self._clock,
                self._modem,
                HostCollector(self._config.paths.state),
                uplink,
                ClientsCollector(self._config.lan.interface),
                self._power_collector,
                self._link.prober,
                AgentCollector(self._keeper, self._measuring.ledger.spent_bytes, time.time),
            ],
            self._keeper,
            catalogue(),
            interval_s=self._config.readings.interval_s,
            taken=self._on_reading,
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
            is_paused=self._pause.is_on,
            may_connect=self._measuring.ledger.may_connect,
        )

    def _corrector(self, connection: sqlite3.Connection) -> Correct:
        return corrector(connection, self._keeper.boot)

    def _reports(self) -> tuple[str, str | None]:
        health = self._forwarder.health()
        # What the agent itself holds back is no outage.
        code = health.last_problem_code
        held_back = self._clone is not None or code == OVER_BUDGET
        return health.state, None if held_back else code

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
        self._box.start()
        self._link.start()
        self._sampler.start()
        self._watchdog.begin()
        code = 0
        while not self._stop.wait(LOOK_AFTER_S):
            if not self._watchdog.all_well():
                code = 1
                break
            give_back_memory()
            if not self._forwarding:
                self._open_database()
            else:
                self._measuring.tick(may_test=not self._power.saves_power)
                self._recovering.tick()
                self._page.tick()
            self._forwarder.look_after()
            if self._pause.has_just_ended():
                log.info(_("readings are sent again: the pause is over"))
                self._forwarder.wake()
            self._power.look(self._power_collector.collect())
            self._show_on_box()
            if self._power.ends_with:
                self._end_with(self._power.ends_with)
            if self._then_run:
                break
            if not self._sampler.is_alive():
                log.critical(_("a worker has ended by itself; the agent stops so that it is started anew"))
                code = 1
                break
        self._shut_down()
        if self._then_run not in ("", "stop"):
            run_program(self._then_run, self._config.paths.runtime)
        return code

    def rest_until_power(self) -> None:
        """After a stop for a low battery: wait for power or a stop signal, with only the box's lines open.

        A process that ended would be started anew at once: a service manager never gives up, and none knows
        of batteries.
        """
        if self._then_run != "stop":
            return
        back_since: float | None = None
        while not self._stop.wait(LOOK_AFTER_S):
            self._watchdog.rest()
            self._power.look(self._power_collector.collect())
            self._show_on_box(rests=True)
            if not self._power.is_back:
                back_since = None
            elif back_since is None:
                back_since = time.monotonic()
            elif time.monotonic() - back_since >= BACK_FOR_S:
                log.warning(_("power is back; the agent ends here so that it is started anew"))
                break
        self._watchdog.end(STOP_ALARM_S)
        self._box.stop()

    def _end_with(self, program: str) -> None:
        """Stop at the next look around, then run `poweroff` or `reboot`; "stop" runs nothing."""
        log.warning(_("the agent stops now; then: {program}").format(program=program))
        self._then_run = program

    def _held_by(self) -> str | None:
        """Return why the modem must be left alone now, None when it need not."""
        if self._technician.is_here:
            return "technician"
        return "mains" if self._power.mains is False else None

    def _cut_modem_by_hand(self) -> None:
        if self._box.has_relay:
            # In a thread of its own: the panel's, which hears the button, does the cutting.
            threading.Thread(target=self._cut_modem_for_button, name="button", daemon=True).start()

    def _cut_modem_for_button(self) -> None:
        if self._box.cut_modem():
            self._keeper.note_event("modem", "power_cycled", {"by": "button"})
        else:
            log.warning(_("the modem keeps its power: it was cut only just now (gpio.relay_pause_s)"))

    def _show_on_box(self, *, rests: bool = False) -> None:
        if not self._box.has_panel:
            return
        from agent.pipeline.box_states import Seen

        # An agent that rests knows nothing of modem and link.
        row: Row = {} if rests else self._sampler.health.last_row or {}
        oldest_s = row.get("buffer_oldest_s")
        patience_s = OLD_SENDINGS * max(self._config.publish.interval_s, self._config.readings.interval_s)
        self._box.update(
            Seen(
                row=row,
                is_down=None if rests else self._link.prober.is_down,
                has_old_unsent=isinstance(oldest_s, int | float) and oldest_s > patience_s,
                is_unstorable=self._sampler.health.store_problem is not None,
                mains=self._power.mains,
                battery_low=self._power.battery_low,
                undervoltage=self._power.undervoltage,
                is_recovering=self._recovering.is_working,
                technician=self._technician.is_here,
            )
        )

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
        self._refuse_a_clone()
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

    def _refuse_a_clone(self) -> None:
        if self._clone is None:
            return
        log.error("; ".join((self._clone.what, self._clone.next_step)))
        evidence = {"board_enrolled": self._board.enrolled, "board_here": self._board.here}
        self._keeper.note_event("security", "cloned_board", evidence)

    def _wall_clock(self) -> tuple[float, bool]:
        """Return UTC seconds, and whether the last reading found that they can be believed."""
        quality = (self._sampler.health.last_row or {}).get("ts_quality", "unset")
        return time.time(), quality != "unset"

    def _is_online(self) -> bool:
        return (self._sampler.health.last_row or {}).get("link_up") != 0

    def _on_reading(self) -> None:
        if self._power.mains is False:
            # The next thing may be the end of the battery.
            with contextlib.suppress(StoreUnusable):
                self._keeper.commit()
        self._forwarder.wake()
        self._show()

    def _show(self, state: str = "running") -> None:
        try:
            write_snapshot(self._config.paths.runtime, self._snapshot(state))
        except OSError as error:
            log.debug("snapshot: %s", error)

    def _snapshot(self, state: str = "running") -> dict[str, Any]:
        sampler = self._sampler.health
        link = self._forwarder.health()
        shown: dict[str, Any] = {
            "v": 1,
            "pid": os.getpid(),
            "version": __version__,
            "state": state,
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
            "board": self._board.verdict,
            "paused_until_ts": self._pause.until_ts(),
            "technician": self._technician.is_here,
            "recovery": self._recovering.shown(),
            "battery_low": self._power.battery_low,
        }
        try:
            counts = self._keeper.counts()
        except StoreUnusable:
            return shown
        shown["internet"] = self._link.shown()
        shown |= self._past.shown(shown["internet"]["outage"])
        shown["budget"] = self._measuring.shown()
        shown["epoch"] = self._keeper.epoch
        shown["boot"] = self._keeper.boot
        shown["buffer"] = shown_queue(counts)
        return shown

    def _shown_now(self) -> dict[str, Any]:
        return self._snapshot()

    def _last_reading(self) -> Mapping[str, Any]:
        health = self._sampler.health
        taken_at = health.last_taken_monotonic
        age_s = None if taken_at is None else round(time.monotonic() - taken_at, 1)
        return {"reading": health.last_row, "age_s": age_s}

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
        then_rests = self._then_run == "stop"
        self._watchdog.end(STOP_ALARM_S, then_rests=then_rests)
        self._events.stop()
        self._control.ask_to_stop()
        self._page.close()
        self._sampler.ask_to_stop()
        self._link.prober.ask_to_stop()
        self._modem.close()
        if not then_rests:
            self._box.stop()
        self._control.stop(STOP_CONTROL_S)
        self._sampler.stop(STOP_SAMPLER_S)
        self._link.stop(STOP_LINK_S)
        if self._forwarding:
            # Only committed readings are offered, and the goodbye takes along what is offered.
            with contextlib.suppress(StoreUnusable):
                self._keeper.commit()
            self._forwarder.stop(STOP_FORWARDER_S)
            self._measuring.close()
        self._show("low_battery" if then_rests else "stopped")
        self._keeper.close()
