"""Wires the room `link`: prober and outage book with modem, routes, broker connection and database.

prober (thread) ──▶ LinkWatch ──▶ outage book ──▶ keeper
                       │ ▲
                       ▼ │ evidence
                  "diagnosis" (a thread that lives only while something is wrong)
"""

import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from agent.buffer.event_log import EventLog
from agent.buffer.keeper import Keeper
from agent.buffer.true_time import TrueTimes
from agent.collectors.uplink import ROUTES, ROUTES_IPV6, default_interface
from agent.config.model import Config
from agent.config.rules import split_target
from agent.errors import SinyalError, StoreUnusable
from agent.language import _
from agent.link.causes import Evidence, Value
from agent.link.detector import Change
from agent.link.meeting import Readiness, Thresholds, readiness
from agent.link.outage import DatedOutage
from agent.link.outage_book import OutageBook, event_evidence
from agent.link.probe import TCP_PORT, Target
from agent.link.prober import Prober, boot_clock_s
from agent.link.tables import Correct
from agent.modem.poll import ModemPoller

log = logging.getLogger("sinyal.link")

PUBLIC_HOSTS = ("1.1.1.1", "9.9.9.9")
"""Two resolvers of different owners that answer everywhere; the first stands beside the broker."""

LOOK_AGAIN_S = 60.0
"""The second look comes when every reading is surely newer than the failure,"""

LOOK_LATER_S = 300.0
"""the following ones so often."""

END_WAITS_S = 60.0
"""An outage that is over waits so long for the look around that began in it."""

REPORT_AFTER_PROBE_SLOTS = 3
"""So long the broker may be away, while the internet works, before that is an outage of the reports."""

ANSWERED_BYTES = 4096
"""Received within a third of a slot: more than what strangers knock with, so somebody was answered."""

ASK_OPERATOR_EVERY_S = 86400.0
OPERATOR_LIMIT_S = 15.0

Reports = Callable[[], tuple[str, str | None]]
"""Tells the state of the connection to the broker, and the code of its last problem or None."""


class LinkWatch:
    """Watches the link for the daemon.

    reports: see Reports. modem_expected: whether this gateway has a modem at all. clock_trusted: whether the
    system clock can be believed. probes_rarer: see Prober. received_bytes: what the uplink counts, or None.
    """

    def __init__(
        self,
        config: Config,
        keeper: Keeper,
        modem: ModemPoller,
        *,
        reports: Reports,
        modem_expected: Callable[[], bool],
        clock_trusted: Callable[[], bool],
        rates_kbit_s: Callable[[], tuple[float | None, float | None]] = lambda: (None, None),
        probes_rarer: Callable[[], float] = lambda: 1.0,
        received_bytes: Callable[[], int | None] = lambda: None,
    ) -> None:
        self._config = config
        self._keeper = keeper
        self._modem = modem
        self._reports = reports
        self._modem_expected = modem_expected
        self._clock_trusted = clock_trusted
        self._rates_kbit_s = rates_kbit_s
        self._probes_rarer = probes_rarer
        self._received_bytes = received_bytes
        self._received_before: int | None = None
        self._started_s = boot_clock_s()
        self._book = OutageBook(
            keeper, corrector=lambda connection: corrector(connection, keeper.boot), tell=self._tell,
            wall_ts=time.time,
        )  # fmt: skip
        self.prober = Prober(
            targets_of(config),
            self,
            interval_s=config.link.probe_interval_s,
            suspect_interval_s=config.link.suspect_interval_s,
            interface=self.interface,
            rarer=probes_rarer,
            free_look=self._free_look,
        )
        self._found: queue.SimpleQueue[tuple[str, Evidence]] = queue.SimpleQueue()
        self._looking: threading.Thread | None = None
        self._look_at_s = 0.0
        self._looks = 0
        self._ending: tuple[str, float, float | None] | None = None
        self._reports_off_since_s: float | None = None
        self._reports_not_before_s = 0.0
        self._is_taken_up = False
        self._operator_asked_at_s: float | None = None
        self._operator_left_bytes: int | None = None
        self._operator_said: dict[str, Value] = {}

    # ---- the daemon ----

    def start(self) -> None:
        """Find out what happened before this agent, and begin to probe."""
        self._take_up()
        lasting = self._book.current("link")
        self.prober.start(down_since_s=self._started_s if lasting else None)

    def stop(self, timeout_s: float) -> None:
        """Stop probing and store what is known, within about timeout_s."""
        self.prober.stop(timeout_s)
        try:
            self._book.stop(boot_clock_s())
        except StoreUnusable:
            log.debug("the stop could not be stored")

    def interface(self) -> str | None:
        """Return the uplink's interface: the configured one, else that of the default route."""
        configured = self._config.uplink.interface
        return self.routed_interface() if configured == "auto" else configured

    def routed_interface(self) -> str | None:
        """Return the interface of the default route."""
        return default_interface(ROUTES, ROUTES_IPV6)

    def bytes_used(self) -> int:
        """Return what probing and looking around have cost since the start, both ways."""
        return self.prober.bytes_used()

    def lasting_cause(self) -> str | None:
        """Return the cause of the link's outage, as far as known now; None while there is none."""
        lasting = self._book.current("link")
        return None if lasting is None else lasting.cause

    def shown(self) -> dict[str, Any]:
        """Return what the snapshot tells of the link."""
        lasting = self._book.current("link") or self._book.current("report")
        outage = None
        if lasting is not None:
            outage = {
                "kind": lasting.kind,
                "cause": lasting.cause,
                "inferred": lasting.inferred,
                "start_ts": lasting.start.ts,
            }
        return {
            "outage": outage,
            "probed_by": self.prober.how or None,
            "bytes_used": self.bytes_used(),
            "meeting": self.meeting().document(),
        }

    def outage_now(self) -> object:
        """Return what the outage that lasts is, None while none does."""
        lasting = self._book.current("link") or self._book.current("report")
        return lasting and (lasting.kind, lasting.cause)

    def meeting(self) -> Readiness:
        """Return whether the link is good enough for a video meeting now."""
        return meeting_readiness(self._config, self.prober.recent(), *self._rates_kbit_s())

    # ---- the prober's thread ----

    def note_change(self, change: Change) -> None:
        """Open or close the outage of the link."""
        # One that still waits for its cause must not be taken for the next one.
        if self._ending is not None:
            self._finish()
        if change.is_down:
            self._book.end("report", change.at_s)
            self._book.begin(
                "link", change.at_s, precision_s=change.precision_s, evidence={"trigger": "probes"}
            )
            self._look_anew()
            return
        # The broker may take its time to be tried again.
        self._reports_not_before_s = change.at_s + self._config.publish.reconnect_max_s
        self._reports_off_since_s = None
        self._end_when_looked("link", change.at_s, change.precision_s)

    def tick(self, now_s: float, *, is_down: bool) -> None:
        """Look around where that is due, and let the book store and tell."""
        if not self._is_taken_up:
            self._take_up()
        while not self._found.empty():
            self._book.look_again(*self._found.get())
        is_looking = self._looking is not None and self._looking.is_alive()
        if self._ending is not None and (not is_looking or now_s - self._ending[1] > END_WAITS_S):
            self._finish()
        if not is_down and self._ending is None:
            self._watch_reports(now_s)
        kind = next((kind for kind in ("link", "report") if self._book.current(kind)), None)
        if kind is not None and self._ending is None and not is_looking and now_s >= self._look_at_s:
            self._looks += 1
            self._look_at_s = now_s + (LOOK_AGAIN_S if self._looks == 1 else LOOK_LATER_S)
            self._looking = threading.Thread(
                target=self._look_around, args=(kind,), name="diagnosis", daemon=True
            )
            self._looking.start()
        self._book.tick(now_s)

    def _look_anew(self) -> None:
        self._looks, self._look_at_s = 0, 0.0
        # A new one, because a look that began in the outage before may still write into the old one.
        self._operator_said = {}

    def _end_when_looked(self, kind: str, at_s: float, precision_s: float | None) -> None:
        self._ending = (kind, at_s, precision_s)

    def _finish(self) -> None:
        assert self._ending is not None
        kind, at_s, precision_s = self._ending
        self._ending = None
        while not self._found.empty():
            self._book.look_again(*self._found.get())
        self._book.end(kind, at_s, precision_s=precision_s)

    def _watch_reports(self, now_s: float) -> None:
        """Open an outage of the reports when the broker is away though the internet works, or close it."""
        state, problem = self._reports()
        slot_s = self._config.link.probe_interval_s
        if state == "connected" or problem is None:
            self._reports_off_since_s = None
            if self._book.current("report") is not None and state == "connected":
                self._end_when_looked("report", now_s, slot_s / 3)
            return
        if now_s < self._reports_not_before_s:
            return
        if self._reports_off_since_s is None:
            self._reports_off_since_s = now_s
        is_long = now_s - self._reports_off_since_s >= REPORT_AFTER_PROBE_SLOTS * slot_s
        if is_long and self._book.current("report") is None:
            self._look_anew()
            evidence: Evidence = {"trigger": "reports", "broker_fails": True, "report_problem": problem}
            self._book.begin("report", self._reports_off_since_s, precision_s=slot_s / 3, evidence=evidence)

    def _take_up(self) -> None:
        if not self._keeper.boot:
            return
        try:
            self._book.take_up(self._started_s)
        except StoreUnusable:
            return
        self._is_taken_up = True

    def _free_look(self) -> bool | None:
        """Tell what costs nothing: whether the uplink receives what users asked for, or has no address."""
        interface = self.interface()
        if interface is None or not self._has_address(interface):
            self._received_before = None
            return False
        before, self._received_before = self._received_before, self._received_bytes()
        if before is None or self._received_before is None:
            return None
        return True if self._received_before - before >= ANSWERED_BYTES else None

    @staticmethod
    def _has_address(interface: str) -> bool:
        from agent.link.checks import has_address

        return has_address(interface)

    # ---- the diagnosis' thread ----

    def _look_around(self, kind: str) -> None:
        try:
            self._found.put((kind, self._evidence(kind)))
        except Exception:  # the edge of the thread: an outage without a cause is still an outage
            log.exception(_("unexpected fault while looking for the cause of an outage"))

    def _evidence(self, kind: str) -> Evidence:
        # Needed only when something is wrong, and the daemon has to be small.
        from agent.link.checks import look_around, modem_evidence, page_check

        evidence: dict[str, Value] = {"trigger": "probes"}
        said = self._operator_said
        if kind == "report":
            # Asked first: looking around may take half a minute, and the broker be back by then.
            state, problem = self._reports()
            evidence = {
                "trigger": "reports", "broker_fails": state != "connected", "report_problem": problem,
                "clock_trusted": self._clock_trusted(),
            }  # fmt: skip
        expected = self._modem_expected()
        fields = self._modem.look().fields if expected else {}
        evidence.update(modem_evidence(fields, expected=expected))
        link, broker = self._config.link, self._config.broker
        targets = [
            (target, self.prober.addresses.of(number)) for number, target in enumerate(self.prober.targets)
        ]
        configured = self._config.uplink.interface
        # With the budget used up, only what costs nothing is looked at.
        may_ask = self._probes_rarer() > 0
        found = look_around(
            targets if may_ask else [],
            page_check(link.page_url, link.page_text) if may_ask else None,
            names=[broker.host] if broker.host and may_ask else [],
            route=self.routed_interface,
            interface=None if configured == "auto" else configured,
        )
        self.prober.charge(found.wire_bytes)
        evidence.update(found.evidence)
        spent = self._operator_says_spent(fields)
        if spent is not None:
            said.update(operator_says_spent=spent, operator_left_bytes=self._operator_left_bytes)
        # The one reply of a day holds for every look of this outage, else the later ones would outvote it.
        return {**evidence, **said}

    def _operator_says_spent(self, fields: Mapping[str, Any]) -> bool | None:
        """Return what the operator's own reply says, None when it was not asked: once a day at most."""
        codes = self._config.link.operator_codes
        if not codes or fields.get("registration") not in ("home", "roaming"):
            return None
        now_s = boot_clock_s()
        asked_at_s = self._operator_asked_at_s
        if asked_at_s is not None and now_s - asked_at_s < ASK_OPERATOR_EVERY_S:
            return None
        from agent.link.operator_reply import code_for, left_bytes, says_spent

        chosen = code_for(codes, str(fields.get("operator_mccmnc") or ""))
        if chosen is None:
            return None
        self._operator_asked_at_s = now_s
        try:
            reply = self._modem.ask(f'AT+CUSD=1,"{chosen[0]}",15', OPERATOR_LIMIT_S, awaits="+CUSD:")
        except SinyalError:
            return None
        self._operator_left_bytes = left_bytes(reply.lines)
        return says_spent(reply.lines, chosen[1])

    # ---- the keeper's thread ----

    def _tell(self, connection: sqlite3.Connection, one: DatedOutage) -> None:
        (newest,) = connection.execute("SELECT coalesce(max(seq), 0) FROM readings").fetchone()
        events = EventLog()
        events.hold("outage", one.outage.cause, event_evidence(one), seq=newest, quality="unset")
        events.write(connection, boot=self._keeper.boot)


def corrector(connection: sqlite3.Connection, boot: int) -> Correct:
    """Return what gives a row its true time, by what the database knows now."""
    return TrueTimes(connection, boot=boot).corrected


def targets_of(config: Config) -> list[Target]:
    """Return the two hosts to probe: the configured ones, else the broker and a public one."""
    if config.link.targets:
        named = [split_target(target) for target in config.link.targets]
        return [Target(host, port or TCP_PORT) for host, port in named]
    if config.broker.host:
        return [Target(config.broker.host, config.broker.effective_port()), Target(PUBLIC_HOSTS[0])]
    return [Target(host) for host in PUBLIC_HOSTS]


def meeting_readiness(
    config: Config,
    slot: Mapping[str, float | int],
    down_kbit_s: float | None = None,
    up_kbit_s: float | None = None,
) -> Readiness:
    """Return whether these figures of a slot and these last speeds will do for a video meeting."""
    link = config.link
    names = ("link_up", "rtt_ms", "jitter_ms", "loss_ratio")
    thresholds = Thresholds(
        max_rtt_ms=link.meeting_max_rtt_ms,
        max_jitter_ms=link.meeting_max_jitter_ms,
        max_loss_ratio=link.meeting_max_loss_ratio,
        min_down_kbit_s=link.meeting_min_down_kbit_s,
        min_up_kbit_s=link.meeting_min_up_kbit_s,
    )
    measured = {name: slot.get(name) for name in names}
    return readiness(thresholds, **measured, down_kbit_s=down_kbit_s, up_kbit_s=up_kbit_s)
