"""One opened modem: set up, identified, and read by a fixed plan of questions.

The plan only reads. Few settings are touched: error numbers (+CMEE=1), <n> of the +CREG family, which
makes the answers carry the cell, and what a dialect's `set_up` names for the same reason. A command
that the modem refuses is not asked again.
"""

import logging
import time
from collections.abc import Callable, Iterable
from typing import Literal

from agent.contract.catalogue import Row
from agent.language import _
from agent.modem.at_reply import FinalResult, Reply, is_answer
from agent.modem.cells import Cell, merge_cells, read_cells
from agent.modem.conversation import DEFAULT_DEADLINE_S, Conversation, ModemSilent
from agent.modem.dialect import Dialect, Query, read_answer
from agent.modem.dialects import FAMILIES, choose_dialect, load_dialect
from agent.modem.dialects.generic_3gpp import GENERIC_3GPP, SIGNAL_QUERIES
from agent.modem.identity import MODEM_QUERIES, SIM_QUERIES, IdentityQuery, read_identity
from agent.modem.memory import ModemMemory
from agent.modem.network_operator import COPS, COPS_PREFIX, parse_operator
from agent.modem.ranges import RANGES
from agent.modem.reading import Findings, Reading
from agent.modem.registration import REGISTRATION_QUERIES, last_registration
from agent.modem.sim import BUSY, CPIN, CPIN_PREFIX, sim_state

log = logging.getLogger("sinyal.modem")

SET_UP = ("AT+CMEE=1", *(one.set_up for one in REGISTRATION_QUERIES))

ALIVE_DEADLINE_S = 2.0
SIM_DEADLINE_S = 10.0
SIM_ASKS = 3
SIM_ASKS_AFTER_PIN = 6
SIM_PAUSE_S = 1.0

SOFT_LIMIT_S = 14.0
"""After this much of a poll no further question is begun, so that a slow modem still gives a reading."""

LAST_QUESTION_S = 3.0
"""So long before a poll must be over no question is begun: the last one is answered."""

SLOW_S = 0.4
"""A modem that takes so long to say OK is asked for SIM card, signal and network first, its name later."""

FRESH_S = 5.0
"""So long a reading serves for a question about the cells, so that a slow modem is not read twice."""

MAX_SILENCES = 2
LEFT_OUT_S = 600.0
"""A command that got no answer so often in a row, while others did, is left out for this long."""

MAX_SIM_IDENTITY_TRIES = 5

MAX_PROBES = 3
"""So many polls look for the dialect of a modem whose name says nothing."""
PROBE_DEADLINE_S = 1.0

_NO_SERVICE = frozenset(("searching", "denied", "not_registered"))
_SIGNS_OF_A_CELL = ("access_technology", "rssi_dbm", "rsrp_dbm", "rscp_dbm")
_OF_THE_CELL = frozenset(
    ("rsrp_dbm", "rsrq_db", "sinr_db", "rscp_dbm", "ecio_db", "rssi_dbm", "pci", "cell_id", "band")
)
_SIGNS_OF_A_MODEM = ("sim_state", "registration", *_SIGNS_OF_A_CELL)
_REFUSING_WORDS = frozenset(("ERROR", "COMMAND NOT SUPPORT", "TOO MANY PARAMETERS"))
_REFUSING_CODES = frozenset((3, 4, 50, 100))  # not allowed, not supported, parameters, unknown


Gap = Literal["slow", "unanswered", "refused", "empty"]
"""Why a reading is not whole: questions stayed unasked for want of time, or without an answer; or the modem
refuses everything; or it answers and tells nothing."""


class ModemSession:
    """A modem on an open port.

    pause waits some seconds, less when the poll is given up. `read` may raise ModemSilent and PortLost.
    identity: manufacturer, model, firmware, imei, iccid, imsi as far as known; identity_sources: the AT
    command behind each. gap: what the last reading lacks, None when it is whole.
    """

    def __init__(
        self,
        conversation: Conversation,
        memory: ModemMemory,
        *,
        sim_pin: str,
        pause: Callable[[float], object],
    ) -> None:
        self._conversation = conversation
        self._memory = memory
        self._sim_pin = sim_pin
        self._pause = pause
        self._is_open = False
        self._is_slow = self._is_early = self._is_silent = False
        self._early: dict[str, Reply] = {}
        self._early_sim_state: str | None = None
        self._begun_at = 0.0
        self._said = ""
        self._refused_here: set[str] = set()
        self._refused_now: list[str] = []
        self._silences: dict[str, int] = {}
        self._left_out_until: dict[str, float] = {}
        self._unasked = self._unanswered = 0
        self.gap: Gap | None = None
        self._last_reading: Reading | None = None
        self._last_read_at = 0.0
        self._has_untold_restart = False
        self._forget_modem()

    @property
    def dialect(self) -> Dialect:
        """Return the dialect the modem was last read in, 3GPP's own before the first reading."""
        return self._dialect if self._found is None else self._found

    def read(self) -> tuple[Reading, bool]:
        """Take one reading; also return whether the modem told that it has restarted since the last."""
        self._begun_at = time.monotonic()
        self._conversation.ask("AT", deadline_s=ALIVE_DEADLINE_S)
        self._is_slow = time.monotonic() - self._begun_at > SLOW_S
        has_restarted = self._conversation.take_restart()
        if not self._is_open:
            # Notices from before the first answer tell of the start that made the port appear.
            self._is_open, has_restarted = True, False
        if has_restarted:
            self._forget_modem()
        reading = self._read_once()
        if self._conversation.take_restart():
            # The settings went meanwhile: nothing of this is believed.
            self._forget_modem()
            reading, has_restarted = self._read_once(), True
            self._conversation.take_restart()
        if self._unanswered and not reading.fields:
            # It answers AT, but nothing that matters.
            raise ModemSilent(
                _("the modem says OK to AT and then leaves every question without an answer"),
                _("take the modem's power away for ten seconds, then look again"),
            )
        self._learn_refusals(reading)
        self.gap = self._gap_of(reading)
        self._last_reading, self._last_read_at = reading, time.monotonic()
        has_restarted, self._has_untold_restart = has_restarted or self._has_untold_restart, False
        return reading, has_restarted

    def _gap_of(self, reading: Reading) -> Gap | None:
        if self._unasked:
            return "slow"
        if not any(name in reading.fields for name in _SIGNS_OF_A_MODEM):
            return "refused" if self._refused_now else "empty"
        return "unanswered" if self._unanswered else None

    def glance(self) -> Reading:
        """Read only what tells of the serving cell, in a few questions; a modem not yet known is read whole.

        Raises ModemSilent and PortLost.
        """
        if self._last_reading is None:
            return self._read_for_later()
        self._begun_at = time.monotonic()
        self._unasked = self._unanswered = 0
        self._refused_now.clear()
        self._early.clear()
        self._is_silent = False
        findings = Findings()
        wanted = [query for query in self.dialect.queries if query.gives(_OF_THE_CELL)]
        self._ask_queries(wanted, findings)
        # Without cell and technology levels have no meaning.
        if not (findings.has_cell and findings.access_technology):
            self._read_registration(findings)
        self._ask_queries(SIGNAL_QUERIES, findings)
        if self._conversation.take_restart():
            self._forget_modem()
            return self._read_for_later()
        if self._unanswered and not findings.fields:
            raise ModemSilent(
                _("the modem does not answer any more"),
                _("take the modem's power away for ten seconds, then look again"),
            )
        return findings.settle()

    def _read_for_later(self) -> Reading:
        """Take a whole reading beside the slots; a restart it finds is told by the next one in a slot."""
        reading, self._has_untold_restart = self.read()
        return reading

    def read_cells(self) -> list[Cell]:
        """Return the cell of a reading, with the other carriers and neighbours the modem hears.

        The reading is the last one when it is fresh, else a new one.
        """
        reading = self._last_reading
        if reading is None or time.monotonic() - self._last_read_at > FRESH_S:
            reading = self._read_for_later()
        technology = reading.fields.get("access_technology")
        word = technology if isinstance(technology, str) else None
        self._begun_at = time.monotonic()
        heard: list[Cell] = []
        for query in self._dialect.cell_queries:
            reply = self._ask(query.command, *query.prefixes, deadline_s=query.deadline_s)
            if reply is not None:
                heard += read_cells(query, reply.answers(*query.prefixes), word)
        return merge_cells(reading, heard)

    def _forget_modem(self) -> None:
        """Begin anew, as after opening: the settings are gone, and it may be another card or firmware."""
        self.identity: Row = {}
        self.identity_sources: dict[str, str] = {}
        self._dialect = GENERIC_3GPP
        self._found: Dialect | None = None
        self._probes_left = MAX_PROBES
        self._set_up_left = list(SET_UP)
        self._identity_left = list(MODEM_QUERIES)
        self._sim_identity_tries = 0

    def _forget_card(self) -> None:
        """Drop the card's numbers: the next one has others."""
        self.identity = {
            field: value for field, value in self.identity.items() if field not in ("iccid", "imsi")
        }
        self._sim_identity_tries = 0

    def _read_once(self) -> Reading:
        """Take a reading; a modem that falls silent in the middle gives what it told until then."""
        self._refused_now.clear()
        self._unasked = self._unanswered = 0
        self._early.clear()
        self._early_sim_state = None
        self._is_silent = False
        findings = Findings()
        silence: ModemSilent | None = None
        try:
            if self._is_slow and self._identity_left:
                self._ask_early()
            self._read_all(findings)
        except ModemSilent as fault:
            silence = fault
            self._unanswered += 1
            if self._early:
                self._is_silent = True
                self._read_all(findings)
        reading = findings.settle()
        if silence is not None and not reading.fields:
            raise silence
        return reading

    def _ask_early(self) -> None:
        """Ask a slow modem first what matters most: time may not be enough for all.

        Only asked here: the answers are kept, and read when it is their turn.
        """
        scratch = Findings()
        self._is_early = True
        try:
            self._early_sim_state = self._read_sim()
            self._read_operator(scratch)
            self._ask_queries(SIGNAL_QUERIES, scratch)
            self._read_registration(scratch)
        finally:
            self._is_early = False

    def _read_all(self, findings: Findings) -> None:
        self._identify_modem()
        self._set_up()
        state = self._early_sim_state or self._read_sim()
        if state == "absent":
            self._forget_card()
        findings.add(CPIN, {"sim_state": state})
        has_answered = self._ask_queries(self._dialect.queries, findings)
        self._read_registration(findings)
        self._read_operator(findings)
        if not has_answered:
            self._find_dialect(findings)
        self._ask_queries(SIGNAL_QUERIES, findings)
        if state in (None, "ready"):
            self._identify_sim()

    def _ask(self, command: str, *prefixes: str, deadline_s: float = DEFAULT_DEADLINE_S) -> Reply | None:
        """Ask, unless it is known to be in vain or the poll has taken long already; then None."""
        if command in self._early:
            return self._early[command]
        if self._is_in_vain(command) or self._is_silent:
            return None
        if time.monotonic() > min(
            self._begun_at + SOFT_LIMIT_S, self._conversation.ends_at - LAST_QUESTION_S
        ):
            self._unasked += 1
            return None
        reply = self._conversation.ask(command, *prefixes, deadline_s=deadline_s * (1 + self._is_slow))
        if reply.final is not None and _is_refusal(reply.final):
            self._refused_now.append(command)
        self._count_silence(command, reply, prefixes)
        if self._is_early:
            self._early[command] = reply
        return reply

    def _count_silence(self, command: str, reply: Reply, prefixes: tuple[str, ...]) -> None:
        if reply.final is not None or any(is_answer(line, prefixes) for line in reply.lines):
            self._silences.pop(command, None)
            return
        self._unanswered += 1
        silences = self._silences[command] = self._silences.get(command, 0) + 1
        if silences >= MAX_SILENCES:
            self._left_out_until[command] = time.monotonic() + LEFT_OUT_S

    def _is_in_vain(self, command: str) -> bool:
        return (
            command in self._refused_here
            or time.monotonic() < self._left_out_until.get(command, 0.0)
            or self._memory.is_refused(self._modem_key, command)
        )

    @property
    def _modem_key(self) -> str:
        """Return model and firmware for the memory, "" as long as the model is not known."""
        if "model" not in self.identity:
            return ""
        return " ".join(str(self.identity.get(part, "?")) for part in ("manufacturer", "model", "firmware"))

    def _learn_refusals(self, reading: Reading) -> None:
        """Take the refusals for good, unless the card, the network or a start under way may be the reason.

        A modem without a model's name is another one tomorrow: its refusals count until the port closes.
        """
        has_card = reading.fields.get("sim_state") in (None, "ready")
        has_cell = any(name in reading.fields for name in _SIGNS_OF_A_CELL)
        if not has_card or not has_cell or reading.fields.get("registration") in _NO_SERVICE:
            return
        for command in self._refused_now:
            self._refused_here.add(command)
            if self._modem_key:
                self._memory.remember_refusal(self._modem_key, command)
        self._memory.save()

    def _identify_modem(self) -> None:
        for query in tuple(self._identity_left):
            reply = self._ask_identity(query)
            if reply is not None and reply.final is not None:
                self._identity_left.remove(query)
        names = (str(self.identity.get(part, "")) for part in ("manufacturer", "model", "firmware"))
        self._adopt(self._found or choose_dialect(*names))

    def _adopt(self, dialect: Dialect) -> None:
        if dialect is not self._dialect:
            self._dialect = dialect
            self._set_up_left += dialect.set_up

    def _find_dialect(self, findings: Findings) -> None:
        """Look for a modem under a foreign name by what it does not refuse."""
        technology = findings.access_technology
        is_served = technology not in (None, "none") or findings.has_place
        if not self._probes_left or not is_served or RANGES[technology].keys() <= findings.fields.keys():
            return
        self._probes_left -= 1
        for family in FAMILIES:
            if family.dialect == self._dialect.name or not self._answers(family.probe):
                continue
            dialect = load_dialect(family)
            if self._ask_queries(dialect.queries, findings):
                self._found = dialect
                return

    def _answers(self, probe: tuple[str, str] | None) -> bool:
        if probe is None:
            return False
        command, prefix = probe
        reply = self._ask(command, prefix, deadline_s=PROBE_DEADLINE_S)
        return reply is not None and bool(reply.answers(prefix))

    def _identify_sim(self) -> None:
        if self._sim_identity_tries >= MAX_SIM_IDENTITY_TRIES:
            return
        queries = (*self._dialect.identity, *SIM_QUERIES)
        wanted = [query for query in queries if query.field not in self.identity]
        self._sim_identity_tries += bool(wanted)
        for query in wanted:
            self._ask_identity(query)

    def _ask_identity(self, query: IdentityQuery) -> Reply | None:
        if query.field in self.identity:
            return None
        reply = self._ask(query.command, "", *query.prefixes)
        value = read_identity(query, reply.lines) if reply is not None else None
        if value is not None:
            self.identity = {**self.identity, query.field: value}
            self.identity_sources[query.field] = query.command
        return reply

    def _set_up(self) -> None:
        for command in tuple(self._set_up_left):
            reply = self._ask(command)
            if reply is not None and reply.final is not None and reply.final.is_ok:
                self._set_up_left.remove(command)

    def _read_sim(self) -> str | None:
        state = self._ask_sim(SIM_ASKS)
        if state == "pin_required" and self._enter_pin():
            state = self._ask_sim(SIM_ASKS_AFTER_PIN, wanted="ready")
            self._sim_identity_tries = 0
        return "error" if state == BUSY else state

    def _ask_sim(self, times: int, wanted: str | None = None) -> str | None:
        """Ask until the card is no longer busy, or is in the wanted state."""
        state = None
        for turn in range(0 if self._is_silent else times):
            if turn:
                self._pause(SIM_PAUSE_S)
            reply = self._conversation.ask(CPIN, CPIN_PREFIX, deadline_s=SIM_DEADLINE_S)
            state = sim_state(reply)
            if state != BUSY and wanted in (None, state):
                break
        return state

    def _enter_pin(self) -> bool:
        """Enter the configured PIN, at most once in its life unless it was right; return whether it was."""
        pin = self._sim_pin
        if not (pin.isascii() and pin.isdigit() and 4 <= len(pin) <= 8):
            return False
        self._identify_sim()
        card = str(self.identity.get("iccid") or self.identity.get("imei") or "?")
        if not self._memory.may_try_pin(card, pin):
            self._say_once(
                _(
                    "the SIM card wants a PIN; the one in modem.sim_pin is not entered: it was tried on this "
                    "card before without success, or that cannot be remembered"
                )
            )
            return False
        if not self._memory.remember_pin(card, pin):
            self._say_once(_("the PIN is not entered: it could not be noted that it is being tried"))
            return False
        reply = self._conversation.ask(f'AT+CPIN="{pin}"', deadline_s=SIM_DEADLINE_S)
        if reply.final is not None and reply.final.is_ok:
            self._memory.forget_pin(card, pin)
            log.info(_("the SIM card took the PIN"))
            return True
        log.error(
            _(
                "the SIM card refused the PIN; it is not entered again. "
                "Next step: put the right one into modem.sim_pin"
            )
        )
        return False

    def _say_once(self, text: str) -> None:
        if text != self._said:
            self._said = text
            log.warning(text)

    def _ask_queries(self, queries: Iterable[Query], findings: Findings) -> bool:
        """Ask for what is still open, best source first; return whether any of them gave something."""
        has_given = False
        for query in queries:
            technology = findings.access_technology
            if not query.is_worth_asking(technology, findings.fields):
                continue
            reply = self._ask(query.command, *query.prefixes, deadline_s=query.deadline_s)
            if reply is not None:
                values = read_answer(query, reply.answers(*query.prefixes), technology)
                findings.add(query.command, values)
                has_given = has_given or bool(values)
        return has_given

    def _read_registration(self, findings: Findings) -> None:
        """Ask until the serving cell is known, early only until one answer tells of being registered."""
        for query in REGISTRATION_QUERIES:
            if findings.has_place or (self._is_early and findings.is_registered):
                return
            reply = self._ask(query.command, query.prefix)
            registration = last_registration(reply.answers(query.prefix)) if reply is not None else None
            if registration is not None:
                findings.add_registration(query, registration, self._dialect.technology_codes)

    def _read_operator(self, findings: Findings) -> None:
        reply = self._ask(COPS, COPS_PREFIX)
        if reply is not None:
            operator = parse_operator(reply.answers(COPS_PREFIX))
            findings.add_operator(COPS, operator, self._dialect.technology_codes)


def _is_refusal(final: FinalResult) -> bool:
    """Return True for a final result that a command which the modem lacks gives."""
    return final.word in _REFUSING_WORDS or (final.word == "+CME ERROR" and final.code in _REFUSING_CODES)
