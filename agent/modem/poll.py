"""The modem as a collector: opens the port, takes a reading each time it is asked, and never gives up.

Whatever a modem or a port does becomes a `modem_state`; the log says it once when it changes.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from agent.contract.catalogue import Value
from agent.errors import ModemUnavailable, SinyalError
from agent.language import _
from agent.modem.at_reply import Reply
from agent.modem.cells import Cell
from agent.modem.conversation import Conversation, ModemSilent, check_command
from agent.modem.find import PortFinder, usb_device
from agent.modem.memory import ModemMemory
from agent.modem.network_time import COMMAND as NETWORK_TIME_COMMAND
from agent.modem.network_time import network_time_ts
from agent.modem.port import PortBusy, PortLost, PortStuck, SerialPort, busy, holders
from agent.modem.session import Gap, ModemSession

if TYPE_CHECKING:
    from agent.modem.recording import Recording

log = logging.getLogger("sinyal.modem")

_Told = TypeVar("_Told")

POLL_LIMIT_S = 17.0
"""No poll asks for longer; with opening and closing the port it ends within 20 s."""

AFTER_LONG_S = 4.0
"""So much longer a person's command may take than its deadline, to get into step and out again."""

NETWORK_TIME_LIMIT_S = 3.0

TURN_LIMIT_S = 17.5
"""So long a person's question waits for those before it."""
SHORT_POLL_S = 8.0
"""So much time it has after a long wait all the same, or a healthy modem would seem silent."""


RESTART_COMMAND = b"AT+CFUN=1,1"
"""Full functionality after a reset. Source: 3GPP TS 27.007, +CFUN."""

RESTART_LISTEN_S = 1.0
"""The bytes must be out before the port is closed, which throws away what waits."""


class ModemOccupied(ModemUnavailable):
    """Other questions are under way and do not end."""


@dataclass(frozen=True, slots=True)
class Look:
    """One reading with all that belongs to it.

    fields: those of the contract, `modem_state` among them. sources: the AT command behind each.
    identity: manufacturer, model, firmware, imei, iccid, imsi as far as known. port: the path in use,
    "auto" while none was found. fault: why there is no reading, None when there is one. gap: what a
    reading lacks, None when it is whole.
    """

    fields: Mapping[str, Value]
    sources: Mapping[str, str]
    identity: Mapping[str, Value]
    port: str
    fault: SinyalError | None
    gap: Gap | None = None


class ModemPoller:
    """Reads one modem.

    port: a path, or "auto". sim_pin: entered when the card asks for it, "" for never. memory_file: where
    refused commands and tried PINs are remembered; None remembers nothing and enters no PIN.
    All methods may be called from any thread.
    """

    name = "modem"

    def __init__(self, port: str, *, sim_pin: str, memory_file: Path | None) -> None:
        self._finder = PortFinder(port)
        self._sim_pin = sim_pin
        self._memory = ModemMemory(memory_file)
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._port: SerialPort | None = None
        self._open_modem: tuple[Conversation, ModemSession] | None = None
        self._path = port
        self._inventory: Mapping[str, Value] = {}
        self._sources: Mapping[str, str] = {}
        self._identity_sources: Mapping[str, str] = {}
        self._said = ""
        self._gap: Gap | None = None
        self._fault: SinyalError | None = None
        self._last: Mapping[str, Value] = {}
        self._last_ended_at = 0.0
        self._has_untold_restart = False

    @property
    def port(self) -> str:
        """Return the path in use, or what was asked for as long as none was opened."""
        return self._path

    def collect(self) -> Mapping[str, Value]:
        """Take one reading: fields of the contract, `modem_state` always among them; never raises."""
        asked_at = time.monotonic()
        if not self._lock.acquire(timeout=TURN_LIMIT_S):
            return {"modem_state": "busy"}  # a person searches for networks, which takes minutes
        try:
            values = self._take(asked_at, time.monotonic() + POLL_LIMIT_S)
            if self._has_untold_restart and values["modem_state"] == "ok":
                values = {**values, "modem_state": "restarted"}
            self._has_untold_restart = False
            return values
        finally:
            self._lock.release()

    def look(self) -> Look:
        """Take a reading for a person, beside those that `collect` takes; never raises.

        A reading that ends in another thread meanwhile serves both, so that a sick modem makes nobody
        wait twice; a restart seen here is told by the next `collect` too.
        """
        asked_at = time.monotonic()
        try:
            with self._turn():
                is_new = self._last_ended_at <= asked_at
                values = self._take(asked_at, _end_of_poll(asked_at))
                if is_new and values["modem_state"] == "restarted":
                    self._has_untold_restart = True
                sources = {**self._sources, **self._identity_sources}
                return Look(values, sources, self._inventory, self._path, self._fault, self._gap)
        except ModemOccupied as fault:
            return Look({"modem_state": "busy"}, {}, self._inventory, self._path, fault)

    def glance(self) -> Mapping[str, Value]:
        """Return what the modem tells of its serving cell now; only the few questions for that are asked.

        Raises SinyalError when the port or the modem fails.
        """
        return self._in_turn(lambda _conversation, session: session.glance().fields)

    def ask(self, command: str, deadline_s: float, *, awaits: str = "") -> Reply:
        """Send one command of a person and return the reply; its final is None when no end came in time.

        awaits: what a line begins with that is due after the OK, as with +CUSD, "" for none.
        deadline_s: may be minutes; others that ask meanwhile are told that the modem is busy.
        Raises SinyalError when the port or the modem fails, UsageMistake for what is no one line.
        """
        check_command(command)

        def asking(conversation: Conversation, _session: ModemSession) -> Reply:
            conversation.ends_at = max(conversation.ends_at, time.monotonic() + deadline_s + AFTER_LONG_S)
            if awaits:
                return conversation.ask(command, awaits, deadline_s=deadline_s, late_s=deadline_s)
            return conversation.ask(command, deadline_s=deadline_s)

        return self._in_turn(asking)

    def record(self, *, hide_cells: bool) -> "Recording":
        """Record the modem for a person (see `recording`); readings meanwhile find it busy.

        Raises SinyalError when the port or the modem fails before anything is recorded.
        """
        # Seldom needed, and the daemon has to be small.
        from agent.modem.recording import record

        def asking(_conversation: Conversation, _session: ModemSession) -> "Recording":
            assert self._port is not None
            return record(self._port, hide_cells=hide_cells)

        return self._in_turn(asking)

    def read_cells(self) -> list[Cell]:
        """Return the serving cell, aggregated carriers and neighbours, none after `close`.

        Raises SinyalError when the port or the modem fails.
        """
        if self._closing.is_set():
            return []
        return self._in_turn(lambda _conversation, session: session.read_cells())

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """Have the modem alone; raises ModemOccupied rather than wait for ever."""
        if not self._lock.acquire(timeout=TURN_LIMIT_S):
            raise ModemOccupied(
                _("the modem at {port} is still busy with earlier questions").format(port=self._path),
                _("try again in a moment"),
            )
        try:
            yield
        finally:
            self._lock.release()

    def _in_turn(self, asking: Callable[[Conversation, ModemSession], _Told]) -> _Told:
        """Ask for a person; how a question that ended meanwhile has failed counts for this one, too."""
        asked_at = time.monotonic()
        with self._turn():
            if self._last_ended_at > asked_at and self._fault is not None:
                raise self._fault
            ends_at = _end_of_poll(asked_at)
            try:
                conversation, session = self._open(ends_at)
                conversation.ends_at = ends_at
                return asking(conversation, session)
            except SinyalError as fault:
                state, self._fault = self._give_up(fault)
                self._last, self._last_ended_at = {"modem_state": state}, time.monotonic()
                raise self._fault from None

    # ---- reviving it: only agent/recovery decides when ----

    @property
    def usb_device(self) -> str | None:
        """Return the modem's place on the USB bus, "1-1.4"; None when it is not known or not on USB."""
        return usb_device(self._finder.location)

    def reopen(self) -> None:
        """Close the port, so that the next reading finds and opens it anew; raises ModemOccupied."""
        with self._turn():
            self._close_port()

    def use_other_port(self) -> str | None:
        """Go over to another AT port of the same modem; None when none answers. Raises ModemOccupied."""
        with self._turn():
            self._close_port()
            return self._finder.prefer_other(time.monotonic() + POLL_LIMIT_S)

    def restart_modem(self) -> None:
        """Tell the modem to restart itself, whether it answers or not; raises SinyalError.

        Written without waiting for an answer first: a modem that is deaf on a port may obey it all the same.
        """
        with self._turn():
            self._close_port()
            port = SerialPort(self._finder.find(time.monotonic() + POLL_LIMIT_S))
            try:
                port.write(b"\r" + RESTART_COMMAND + b"\r")
                port.read(RESTART_LISTEN_S)
            finally:
                port.close()

    def network_time_ts(self, floor_ts: float) -> int | None:
        """Return the UTC second that the network told the modem, None when it told none; never raises.

        floor_ts: a UTC second that is certainly past. Only a modem that is registered and answered the last
        reading is asked.
        """
        with contextlib.ExitStack() as held:
            if not self._lock.acquire(timeout=TURN_LIMIT_S):
                return None
            held.callback(self._lock.release)
            registered = self._last.get("registration") in ("home", "roaming")
            if self._open_modem is None or not registered or self._closing.is_set():
                return None
            conversation, _session = self._open_modem
            try:
                conversation.ends_at = time.monotonic() + NETWORK_TIME_LIMIT_S
                reply = conversation.ask(NETWORK_TIME_COMMAND, deadline_s=NETWORK_TIME_LIMIT_S)
            except SinyalError:
                return None  # the next reading finds out what is wrong
            return network_time_ts(reply.lines, floor_ts=floor_ts)

    def inventory(self) -> Mapping[str, Value]:
        """Return manufacturer, model, firmware, imei, iccid and imsi as last seen, unknown ones absent."""
        return self._inventory

    def sources(self) -> Mapping[str, str]:
        """Return the AT command behind each field of the last reading."""
        return self._sources

    def close(self) -> None:
        """Close the port; a reading under way in another thread ends within a quarter of a second."""
        self._closing.set()
        port = self._port
        if port is not None:
            port.give_up()
        with self._lock:
            self._close_port()

    def _take(self, asked_at: float, ends_at: float) -> Mapping[str, Value]:
        """Return a reading that ended after asked_at: one that another thread took, or a new one."""
        if self._last_ended_at > asked_at:
            return self._last
        if self._closing.is_set():
            return {"modem_state": "missing"}
        self._last = self._take_new(ends_at)
        self._last_ended_at = time.monotonic()
        return self._last

    def _take_new(self, ends_at: float) -> Mapping[str, Value]:
        was_open = self._port is not None
        try:
            try:
                return self._read(ends_at)
            except PortLost:
                if not was_open or self._closing.is_set():
                    raise
                # The modem has restarted and may be back at once, even under another name.
                self._close_port()
                return {**self._read(ends_at), "modem_state": "restarted"}
        except SinyalError as fault:
            state, self._fault = self._give_up(fault)
            return {"modem_state": state}

    def _read(self, ends_at: float) -> Mapping[str, Value]:
        conversation, session = self._open(ends_at)
        conversation.ends_at = ends_at
        reading, has_restarted = session.read()
        self._inventory = session.identity
        self._sources = reading.sources
        self._identity_sources = {
            field: command for field, command in session.identity_sources.items() if field in session.identity
        }
        if session.gap is not None:
            self._check_alone()
        self._gap = session.gap
        self._fault = None
        if session.gap in ("refused", "empty"):
            told_nothing = _("modem at {port} answers, but tells nothing. Next step: sinyal modem read")
            self._say(logging.WARNING, told_nothing.format(port=self._path))
        else:
            self._say_that_it_works()
        return {**reading.fields, "modem_state": "restarted" if has_restarted else "ok"}

    def _open(self, ends_at: float) -> tuple[Conversation, ModemSession]:
        if self._open_modem is not None:
            return self._open_modem
        self._path = self._finder.find(ends_at)
        self._port = SerialPort(self._path)
        if self._closing.is_set():
            self._port.give_up()
        self._finder.remember(self._path)
        conversation = Conversation(self._port, in_doubt=self._check_alone)
        session = ModemSession(conversation, self._memory, sim_pin=self._sim_pin, pause=self._closing.wait)
        self._open_modem = conversation, session
        return self._open_modem

    def _check_alone(self) -> None:
        """Raise PortBusy when another program has opened the port meanwhile; root may, whoever holds it."""
        holding = holders(self._path)
        if holding:
            raise busy(self._path, holding)

    def _give_up(self, fault: SinyalError) -> tuple[str, SinyalError]:
        """Close the port, say once what is wrong, and return the modem_state for it and the true reason."""
        self._close_port()
        self._sources = self._identity_sources = {}
        self._gap = None
        if isinstance(fault, ModemSilent):
            # Another reader may have taken the answers.
            holding = holders(self._path)
            fault = busy(self._path, holding) if holding else self._with_port(fault)
        if isinstance(fault, PortBusy):
            state = "busy"
        else:
            state = "hung" if isinstance(fault, ModemSilent | PortStuck) else "missing"
        if not self._closing.is_set():
            self._say(
                logging.WARNING,
                _("modem {state}: {what}. Next step: {step}").format(
                    state=state, what=fault.what, step=fault.next_step
                ),
            )
        return state, fault

    def _with_port(self, fault: ModemSilent) -> ModemSilent:
        """Return the error with the port in its words; one that is told twice has it already."""
        if self._path in fault.what:
            return fault
        what = _("{port}: {what}").format(port=self._path, what=fault.what)
        return ModemSilent(what, fault.next_step)

    def _say_that_it_works(self) -> None:
        name = " ".join(
            str(self._inventory[part]) for part in ("manufacturer", "model") if part in self._inventory
        )
        self._say(
            logging.INFO, _("modem answers at {port}: {name}").format(port=self._path, name=name or "?")
        )

    def _say(self, level: int, text: str) -> None:
        if text != self._said:
            self._said = text
            log.log(level, text)

    def _close_port(self) -> None:
        if self._port is not None:
            self._port.close()
        self._port = self._open_modem = None


def _end_of_poll(asked_at: float) -> float:
    """Return when a question must be over for which a person has waited since asked_at."""
    return max(asked_at + POLL_LIMIT_S, time.monotonic() + SHORT_POLL_S)
