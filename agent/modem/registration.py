"""Where the modem is registered: the +CREG family, and which of its answers to trust.

On a data gateway circuit-switched registration may be denied while the packet side works, so the
packet answers come first. Source: 3GPP TS 27.007 clauses 7.2, 10.1.20, 10.1.22, 10.1.48 and 7.3 (<AcT>).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from agent.modem.conversions import hexadecimal, whole
from agent.modem.dialect import split_columns


@dataclass(frozen=True, slots=True)
class RegistrationQuery:
    """One command of the family. area_field: what its area code is, a TAC (4G, 5G) or a LAC (2G, 3G)."""

    command: str
    prefix: str
    set_up: str
    area_field: str


REGISTRATION_QUERIES = (
    RegistrationQuery("AT+C5GREG?", "+C5GREG:", "AT+C5GREG=2", "tac"),
    RegistrationQuery("AT+CEREG?", "+CEREG:", "AT+CEREG=2", "tac"),
    RegistrationQuery("AT+CGREG?", "+CGREG:", "AT+CGREG=2", "lac"),
    RegistrationQuery("AT+CREG?", "+CREG:", "AT+CREG=2", "lac"),
)
"""Most trusted first."""

_NOT_REGISTERED, _SEARCHING, _DENIED, _UNKNOWN, _EMERGENCY_ONLY, _RLOS = 0, 2, 3, 4, 8, 11
_WORDS: Mapping[int, str] = {
    _NOT_REGISTERED: "not_registered",
    1: "home",
    _SEARCHING: "searching",
    _DENIED: "denied",
    _UNKNOWN: "unknown",
    5: "roaming",
    6: "home",  # SMS only; an L850-GL prints it while data flows
    7: "roaming",
    _EMERGENCY_ONLY: "not_registered",
    9: "home",
    10: "roaming",
    _RLOS: "unknown",  # restricted services; ASR parts print it in normal use
}
_REGISTERED = frozenset((1, 5, 6, 7, 9, 10))
_ON_A_CELL = _REGISTERED | {_RLOS}

_HIGHEST_ACT = 20
_TECHNOLOGIES: Mapping[int, str] = {
    0: "gsm",
    1: "gsm",
    2: "umts",
    3: "edge",
    4: "hspa",
    5: "hspa",
    6: "hspa",
    7: "lte",
    9: "nb-iot",
    10: "lte",
    11: "nr5g-sa",
    12: "nr5g-sa",
    13: "nr5g-nsa",
}


def technology_word(act: int | None, family_codes: Mapping[int, str]) -> str | None:
    """Return the access technology of an <AcT> number; family_codes are a family's own meanings."""
    if act is None:
        return None
    return family_codes.get(act) or _TECHNOLOGIES.get(act)


@dataclass(frozen=True, slots=True)
class Registration:
    """One answer of the family. area, cell_id and act are None where the modem does not tell them."""

    stat: int
    area: int | None = None
    cell_id: int | None = None
    act: int | None = None

    @property
    def is_on_a_cell(self) -> bool:
        """Return True when the place it names is that of a cell which serves the modem."""
        return self.stat in _ON_A_CELL


def parse_registration(text: str) -> Registration | None:
    """Return the registration in an answer or notice of the +CREG family, None when it is neither.

    text is what follows the prefix. The answer begins with <n>, the notice does not; they are told
    apart by number of columns and by a second column that is quoted or too wide to be a <stat>.
    """
    columns = split_columns(text)
    second = whole(columns[1]) if len(columns) > 1 else None
    is_notice = len(columns) in (1, 3)
    if len(columns) > 3:
        is_quoted = text.partition(",")[2].lstrip().startswith('"')
        is_notice = is_quoted or second not in _WORDS or len(columns[1]) > 3
    stat = whole(columns[0]) if is_notice else second
    if stat is None or stat not in _WORDS:
        return None
    place = columns[1 if is_notice else 2 :]
    if len(place) > 2 and len(place[1]) <= 2 and len(place[2]) >= 4:
        del place[1]  # Novatel and u-blox put the routing area between area and cell
    area, cell_id, act = (*place, "", "", "")[:3]
    act_number = whole(act)
    if act_number is not None and not 0 <= act_number <= _HIGHEST_ACT:
        act_number = None
    area_code, cell_number = hexadecimal(area), hexadecimal(cell_id)
    if not area_code and not cell_number:
        area_code = cell_number = None  # both zero: a placeholder, no place
    return Registration(stat, area_code, cell_number, act_number)


def last_registration(answers: Iterable[str]) -> Registration | None:
    """Return what the last readable line says."""
    last = None
    for text in answers:
        last = parse_registration(text) or last
    return last


def decide_registration(heard: Mapping[str, Registration], *, is_served: bool) -> tuple[str, str] | None:
    """Return the contract's word and the command it came from; None when nothing was heard.

    heard: command to answer, most trusted first. A place on a cell anywhere wins, then denied or
    searching, then the most trusted answer. is_served: +COPS names a technology in use, so "not
    registered" cannot be the truth.
    """
    for wanted in (_REGISTERED, (_RLOS,), (_DENIED, _SEARCHING)):
        for command, registration in heard.items():
            if registration.stat in wanted:
                is_home_after_all = registration.stat == _RLOS and is_served
                return "home" if is_home_after_all else _WORDS[registration.stat], command
    for command, registration in heard.items():
        return "unknown" if is_served else _WORDS[registration.stat], command
    return None
