"""The modem as a collector: opens the port, takes a reading each time it is asked, and never gives up.

Whatever a modem or a port does becomes a `modem_state`; the log says it once when it changes.
"""

import logging
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from agent.contract.catalogue import Value
from agent.errors import SinyalError
from agent.language import _
from agent.modem.cells import Cell
from agent.modem.conversation import Conversation, ModemSilent
from agent.modem.find import PortFinder
from agent.modem.memory import ModemMemory
from agent.modem.port import PortBusy, PortLost, PortStuck, SerialPort, busy, holders
from agent.modem.session import ModemSession

log = logging.getLogger("sinyal.modem")

POLL_LIMIT_S = 17.0
"""No poll asks for longer; with opening and closing the port it ends within 20 s."""


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
        self._said = ""

    def collect(self) -> Mapping[str, Value]:
        """Take one reading: fields of the contract, `modem_state` always among them; never raises."""
        with self._lock:
            if self._closing.is_set():
                return {"modem_state": "missing"}
            ends_at = time.monotonic() + POLL_LIMIT_S
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
                return {"modem_state": self._give_up(fault)}

    def read_cells(self) -> list[Cell]:
        """Return the serving cell, aggregated carriers and neighbours, none after `close`.

        Raises SinyalError when the port or the modem fails.
        """
        with self._lock:
            if self._closing.is_set():
                return []
            try:
                ends_at = time.monotonic() + POLL_LIMIT_S
                conversation, session = self._open(ends_at)
                conversation.ends_at = ends_at
                return session.read_cells()
            except SinyalError as fault:
                self._give_up(fault)
                raise

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

    def _read(self, ends_at: float) -> Mapping[str, Value]:
        conversation, session = self._open(ends_at)
        conversation.ends_at = ends_at
        reading, has_restarted = session.read()
        self._inventory = session.identity
        self._sources = reading.sources
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
        conversation = Conversation(self._port)
        session = ModemSession(conversation, self._memory, sim_pin=self._sim_pin, pause=self._closing.wait)
        self._open_modem = conversation, session
        return self._open_modem

    def _give_up(self, fault: SinyalError) -> str:
        """Close the port, say once what is wrong, and return the modem_state for it."""
        self._close_port()
        self._sources = {}
        if isinstance(fault, ModemSilent):
            # Another reader may have taken the answers.
            holding = holders(self._path)
            fault = busy(self._path, holding) if holding else fault
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
        return state

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
