"""Recording a modem: one full poll, with every question of its dialect, as a transcript to give away.

What the modem says is written down below the conversation, byte for byte, and made into lines afterwards.
"""

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from agent.contract.catalogue import Row
from agent.errors import ModemUnavailable
from agent.modem.at_reply import LineSplitter, Reply, read_final_result
from agent.modem.cells import Cell
from agent.modem.conversation import DEFAULT_DEADLINE_S, Conversation, Port
from agent.modem.dialect import Dialect, Query
from agent.modem.dialects import FAMILIES
from agent.modem.dialects.generic_3gpp import GENERIC_3GPP, SIGNAL_QUERIES
from agent.modem.find import PortFinder
from agent.modem.identity import MODEM_QUERIES, SIM_QUERIES
from agent.modem.masking import CellMask, IdentifierMask, without_private_notices
from agent.modem.memory import ModemMemory
from agent.modem.network_operator import COPS, COPS_PREFIX
from agent.modem.port import SerialPort
from agent.modem.ranges import is_possible
from agent.modem.registration import REGISTRATION_QUERIES, Registration, parse_registration
from agent.modem.session import ModemSession
from agent.modem.transcript import command_key

log = logging.getLogger("sinyal.modem")

FIND_LIMIT_S = 15.0
RECORD_LIMIT_S = 60.0
"""After this long no further question is asked."""

MASKED_ALWAYS = ("imei", "imsi", "iccid", "msisdn")
MASKED_WITH_CELLS = ("cell_id", "tac", "lac")
_SECRET_FIELDS = ("imei", "iccid", "imsi")
_NAMES = ("manufacturer", "model")


@dataclass(frozen=True, slots=True)
class Turn:
    """One asking: the command, and the lines that came until the next one, without the echo."""

    command: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Recording:
    """A transcript. questions: asked. left_out: no longer asked, the modem being slow or gone.

    fault: what ended it before the reading was whole, None when it is.
    """

    text: str
    questions: int
    left_out: int
    fault: ModemUnavailable | None = None


class _ListeningPort:
    """A port that keeps what goes over it."""

    def __init__(self, port: Port) -> None:
        self._port = port
        self._heard: list[tuple[str, bytearray]] = []

    def read(self, timeout_s: float) -> bytes:
        chunk = self._port.read(timeout_s)
        if self._heard:
            self._heard[-1][1].extend(chunk)
        return chunk

    def write(self, command: bytes) -> None:
        self._heard.append((command.decode("ascii").strip(), bytearray()))
        self._port.write(command)

    def turns(self) -> list[Turn]:
        """Return what was asked and heard so far; a bare AT, which only finds the step again, is left out."""
        return [Turn(command, _lines(command, heard)) for command, heard in self._heard if command != "AT"]


def record_modem(wanted: str, *, hide_cells: bool) -> Recording:
    """Open a port (a path, or "auto") and record the modem on it.

    hide_cells: hide which cells it hears as well. Raises SinyalError when the port or the modem fails.
    """
    path = PortFinder(wanted).find(time.monotonic() + FIND_LIMIT_S)
    port = SerialPort(path)
    try:
        return record(port, hide_cells=hide_cells)
    finally:
        port.close()


def record(port: Port, *, hide_cells: bool) -> Recording:
    """Record the modem on an open port; raises ModemUnavailable when it never answered anything."""
    listening = _ListeningPort(port)
    conversation = Conversation(listening)
    ends_at = time.monotonic() + RECORD_LIMIT_S
    # Nothing is remembered of it, and no PIN is entered: the agent does that.
    session = ModemSession(conversation, ModemMemory(None), sim_pin="", pause=time.sleep)
    cells: list[Cell] = []
    left_out = 0
    failed: ModemUnavailable | None = None
    try:
        cells = session.read_cells()
        left_out = _ask_the_rest(conversation, listening, session.dialect, ends_at)
    except ModemUnavailable as fault:
        if not any(turn.lines for turn in listening.turns()):
            raise
        failed = fault  # what it said until then is the evidence
    technologies = _technologies(cells)
    turns = _without_messages(listening.turns())
    secret = _secret_commands(session.dialect)
    mask = IdentifierMask(_answers(turns), _answers(turn for turn in turns if turn.command in secret))
    blocks = [mask.line(_header(session.identity, hide_cells=hide_cells))]
    hiding = CellMask(*_cells_and_areas(turns, session.dialect, technologies)) if hide_cells else None
    for turn in turns:
        clean = mask.identity_line if turn.command in secret else mask.line
        lines = map(clean, turn.lines)
        blocks.append(_block(turn.command, map(hiding.line, lines) if hiding else lines))
    return Recording("\n\n".join(blocks) + "\n", len(turns), left_out, failed)


def _ask_the_rest(
    conversation: Conversation, listening: _ListeningPort, dialect: Dialect, ends_at: float
) -> int:
    """Ask what the reading had no need for; return how many questions stayed unasked."""
    asked = {command_key(turn.command) for turn in listening.turns()}
    rest = {
        command_key(command): (command, prefixes, deadline_s)
        for command, prefixes, deadline_s in _questions(dialect)
        if command_key(command) not in asked
    }
    for place, (command, prefixes, deadline_s) in enumerate(rest.values()):
        if time.monotonic() >= ends_at:
            return len(rest) - place
        try:
            conversation.ask(command, *prefixes, deadline_s=deadline_s)
        except ModemUnavailable as fault:
            # The reading is whole; what this one question does to the modem is worth knowing too.
            log.warning("%s: %s", command, fault.what)
            return len(rest) - place - 1
    return 0


def _questions(dialect: Dialect) -> Iterator[tuple[str, tuple[str, ...], float]]:
    """Return command, prefixes and deadline of everything that could be asked of a modem of this dialect."""
    for identity in (*MODEM_QUERIES, *dialect.identity, *SIM_QUERIES):
        yield identity.command, ("", *identity.prefixes), DEFAULT_DEADLINE_S
    for query in (*dialect.queries, *dialect.cell_queries, *SIGNAL_QUERIES):
        yield query.command, query.prefixes, query.deadline_s
    for registration in REGISTRATION_QUERIES:
        yield registration.command, (registration.prefix,), DEFAULT_DEADLINE_S
    yield COPS, (COPS_PREFIX,), DEFAULT_DEADLINE_S
    for family in FAMILIES:
        if family.probe is not None and (dialect is GENERIC_3GPP or family.dialect == dialect.name):
            command, prefix = family.probe
            yield command, (prefix,), DEFAULT_DEADLINE_S


def _lines(command: str, heard: bytes | bytearray) -> tuple[str, ...]:
    lines = LineSplitter().feed(bytes(heard) + b"\n")
    if lines and lines[0].upper() == command.upper():
        del lines[0]
    return tuple(lines)


# Masking


def _without_messages(turns: Iterable[Turn]) -> list[Turn]:
    return [replace(turn, lines=tuple(without_private_notices(turn.lines, turn.command))) for turn in turns]


def _secret_commands(dialect: Dialect) -> frozenset[str]:
    queries = (*MODEM_QUERIES, *dialect.identity, *SIM_QUERIES)
    return frozenset(query.command for query in queries if query.field in _SECRET_FIELDS)


def _answers(turns: Iterable[Turn]) -> Iterator[str]:
    for turn in turns:
        yield from turn.lines


def _technologies(cells: Iterable[Cell]) -> tuple[str | None, ...]:
    """Return the access technologies under which answers may have to be read."""
    heard = {cell.access_technology for cell in cells}
    five_g = ("nr5g-nsa", "nr5g-sa") if "nr5g" in heard else ()
    return (*(heard - {"nr5g", None}), *five_g, None)


def _cells_and_areas(
    turns: Sequence[Turn], dialect: Dialect, technologies: Iterable[str | None]
) -> tuple[list[int], list[int]]:
    """Return all cell identities and area codes in the answers, in the order in which they were heard."""
    cells: list[int] = []
    areas: list[int] = []
    queries: dict[str, list[Query]] = {}
    for query in (*dialect.queries, *dialect.cell_queries):
        queries.setdefault(command_key(query.command), []).append(query)
    for turn in turns:
        for query in queries.get(command_key(turn.command), ()):
            for name, number in _places(query, turn, technologies):
                (cells if name == "cell_id" else areas).append(number)
        for registration in _registrations(turn):
            cells += [registration.cell_id] if registration.cell_id else []
            areas += [registration.area] if registration.area else []
    return cells, areas


def _registrations(turn: Turn) -> Iterator[Registration]:
    """Return what answers and notices of the +CREG family say, whatever was asked."""
    for query in REGISTRATION_QUERIES:
        for text in Reply(turn.command, turn.lines, None).answers(query.prefix):
            registration = parse_registration(text)
            if registration is not None:
                yield registration


def _places(query: Query, turn: Turn, technologies: Iterable[str | None]) -> Iterator[tuple[str, int]]:
    answers = Reply(turn.command, turn.lines, None).answers(*query.prefixes)
    for row in query.split(answers):
        for technology in technologies:
            shape = query.layout_of(row, technology)
            fields = {} if shape is None else shape.read(row)
            for name in MASKED_WITH_CELLS:
                value = fields.get(name)
                if isinstance(value, int) and is_possible(technology, name, value):
                    yield name, value


# The text


def _header(identity: Row, *, hide_cells: bool) -> str:
    names = " ".join(str(identity[name]) for name in _NAMES if name in identity) or "?"
    cleaned = " ".join((*MASKED_ALWAYS, *(MASKED_WITH_CELLS if hide_cells else ())))
    return f"# modem: {names}    firmware: {identity.get('firmware', '?')}    cleaned: {cleaned}"


def _block(command: str, lines: Iterable[str]) -> str:
    out = [f"> {command}"]
    sign = "<"
    for line in lines:
        out.append(f"{sign} {_escaped(line)}")
        if read_final_result(line) is not None:
            sign = "!"
    return "\n".join(out)


def _escaped(line: str) -> str:
    """Return a line as a transcript holds it: what would end it, or cannot be seen, as bytes in figures."""
    return "".join(
        character if character.isprintable() else "".join(f"\\x{byte:02x}" for byte in character.encode())
        for character in line.replace("\\", "\\\\")
    )
