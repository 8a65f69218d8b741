"""Taking the numbers of persons, cards and places out of what a modem said, line by line.

A masked number keeps its length and its place, so that a masked answer is still read like the real one.
Sources for the forms: 3GPP TS 23.003 (IMEI, IMSI, cell and area codes), ITU-T E.118 (ICCID: "89" stands for
telecommunication on every card and is kept), TS 24.008 clause 10.5.1.4 (digits swapped in pairs).
"""

import re
from collections.abc import Iterable, Iterator, Sequence

from agent.modem.at_reply import read_final_result
from agent.modem.subscriber_text import begins_text

MIN_FRAGMENT_DIGITS = 8
"""So many digits of an identifier in a row are masked wherever they stand, a part of it as well."""

_SEPARATORS = r"[ .\-]?"
_LONG_NUMBER = re.compile(r"(?<![0-9A-Fa-f])(?!0000|003)[0-9]{14,}(?![0-9A-Fa-f])")
"""No value of the radio has so many digits; what begins with zeros is padded to a width, or UCS2."""

_CARD_NUMBER = re.compile(r"(?<![0-9A-Za-z])(?:89|98)[0-9A-Za-z]{16,20}(?![0-9A-Za-z])")
_PHONE_NUMBER = re.compile(
    r"\+[0-9]{8,15}(?![0-9])|(?<![0-9A-Fa-f])(?:08[0-9]{8,11}|628[0-9]{9,11})(?![0-9A-Fa-f])"
)
_WRITTEN_PHONE_NUMBER = re.compile(
    r"\+[0-9]{1,3}[ .()\-]{0,3}(?:[0-9][ .()\-]{0,2}){6,13}[0-9](?![0-9])"
    r"|(?<![0-9A-Fa-f.,])\(?08[0-9]{1,3}\)?(?:[ .()\-]{1,2}[0-9]{2,5}){2,4}(?![0-9])"
    r"|\(08[0-9]{1,3}\)[ .\-]?[0-9]{6,9}(?![0-9])"
)
"""As a person writes one: "+62(813)9998877", "0813.9998.877"."""

_SPACED_NUMBER = re.compile(rf"[0-9](?:{_SEPARATORS}[0-9]){{13,}}")
_HEX_RUN = re.compile(r"[0-9A-Fa-f]{6,}")
_DIGIT = re.compile(r"[0-9]")

_RENDERINGS = ("", "3", "003")
"""What stands before each digit: nothing, or the rest of its code in ASCII or UCS2 as hexadecimal digits."""

_PRIVATE_NOTICES = (
    *(
        "+CLIP:",
        "+CMT:",
        "+CDS:",
        "+CBM:",
        "^HCMT:",
        "+CUSD:",
        "+CCWA:",
        "+CNAP:",
        "+COLP:",
        "+CNUM:",
        "+CRING:",
    ),
    *("+CLCC:", "+CDIP:", "+CPBR:", "+CPBF:", "+CPBS:", "+CMGR:", "+CMGL:", "^CLCC:", "^CPBR:", "^CNUM:"),
)
_WITH_TEXT_BELOW = ("+CMGR:", "+CMGL:")
_COMMAND_NAME = re.compile(r"AT([+^$%!#*_@][A-Z0-9_]+)", re.IGNORECASE)


class IdentifierMask:
    """Masks the IMEI, IMSI, ICCID and phone numbers of one session.

    answers: every line heard. identity_answers: the answers to questions for such a number, in which
    everything long is taken for one.
    """

    def __init__(self, answers: Iterable[str], identity_answers: Iterable[str]) -> None:
        identifiers: set[str] = set()
        for line in answers:
            identifiers.update(_LONG_NUMBER.findall(line))
            identifiers.update(_CARD_NUMBER.findall(line))
        for line in identity_answers:
            identifiers.update(re.sub(_SEPARATORS, "", found) for found in _SPACED_NUMBER.findall(line))
        self._patterns = [
            (before, re.compile(pattern)) for number in identifiers for before, pattern in _fragments(number)
        ]

    def line(self, text: str) -> str:
        """Return a line without identifiers."""
        for pattern in (_CARD_NUMBER, _LONG_NUMBER, _PHONE_NUMBER, _WRITTEN_PHONE_NUMBER):
            text = pattern.sub(_zeros, text)
        masked = list(text)
        for before, fragment in self._patterns:
            # All are looked for in the unmasked line: the parts of two numbers may overlap.
            for found in fragment.finditer(text):
                for place in _places_of_digits(found, before):
                    masked[place] = "0"
        return "".join(masked)

    def identity_line(self, text: str) -> str:
        """Return an answer to a question for an identifier: nothing long in it is left."""
        return _HEX_RUN.sub(_zeros_of_hex, self.line(text))


def without_private_notices(lines: Sequence[str], command: str = "") -> list[str]:
    """Return the answer to a command without callers, names and texts, of which the notice's name is left.

    How long a text goes on is not told: below its beginning only the command's own answer and the final
    result are kept.
    """
    kept: list[str] = []
    own = _COMMAND_NAME.match(command)
    is_in_text = False
    for line in lines:
        name = next((one for one in _PRIVATE_NOTICES if one in line), None)
        is_own = own is not None and line.upper().startswith(own[1].upper() + ":")
        if name is not None:
            kept.append(name)
            is_in_text = is_in_text or begins_text(line) or name in _WITH_TEXT_BELOW
        elif not is_in_text or is_own or read_final_result(line) is not None:
            kept.append(line)
    return kept


def _fragments(number: str) -> Iterator[tuple[str, str]]:
    """Give patterns for every part of a number, as it stands and with its digits swapped in pairs.

    With each goes what stands before every digit in it.
    """
    for digits in (number, _swapped(number), number[0] + _swapped(number[1:])):
        if not digits.isdigit() or not digits.strip("0"):
            continue
        for before in _RENDERINGS:
            for start in range(len(digits) - MIN_FRAGMENT_DIGITS + 1):
                units = [before + digit for digit in digits[start : start + MIN_FRAGMENT_DIGITS]]
                more = ""
                for digit in reversed(digits[start + MIN_FRAGMENT_DIGITS :]):
                    more = f"(?:{_SEPARATORS}{before}{digit}{more})?"
                yield before, _SEPARATORS.join(units) + more


def _places_of_digits(found: re.Match[str], before: str) -> Iterator[int]:
    for unit in re.finditer(before + "[0-9]", found.group()):
        yield found.start() + unit.end() - 1


def _swapped(digits: str) -> str:
    pairs = (digits[place : place + 2] for place in range(0, len(digits), 2))
    return "".join(pair[::-1] for pair in pairs)


def _zeros(found: re.Match[str]) -> str:
    """Return zeros for digits, and for the letters of a card's number too."""
    number = found.group()
    if _CARD_NUMBER.fullmatch(number):
        return number[:2] + "0" * (len(number) - 2)
    return _DIGIT.sub("0", number)


def _zeros_of_hex(found: re.Match[str]) -> str:
    run = found.group()
    if not any(character.isdigit() for character in run):
        return run
    kept = run[:2] if run.startswith(("89", "98")) and len(run) >= 18 else ""
    return kept + "0" * (len(run) - len(kept))


_TOKEN = re.compile(r"(?<![0-9A-Za-z.\-])(0[xX])?([0-9A-Fa-f]{3,12})(?![0-9A-Za-z.])")
_SHORT = 0xFF
_SITE_BITS = 8
_WIDEST_SHORT_CELL = 0xFFFF
# 255 and 65535 stand there read as hexadecimal digits, too.
_PLACEHOLDERS = frozenset((0, 0x255, 0x65535, 0xFFFE, 0xFFFF, 0xFFFFFE, 0xFFFFFF, 0xFFFFFFF, 0xFFFFFFFF))


class CellMask:
    """Replaces cell identities and area codes by small numbers, the same for the same one everywhere.

    cells, areas: the numbers to hide. The sector (the last byte of a wide cell identity) is kept, and the
    site's own number (eNB, RNC with cell) is hidden with it.
    """

    def __init__(self, cells: Iterable[int], areas: Iterable[int]) -> None:
        self._hidden: dict[int, int] = {}
        for area in areas:
            self._hide(area)
        for cell in cells:
            site, sector = cell >> _SITE_BITS, cell & (1 << _SITE_BITS) - 1
            if cell <= _WIDEST_SHORT_CELL:
                self._hide(cell)
            elif cell not in _PLACEHOLDERS and site not in _PLACEHOLDERS:
                self._hide(site)
                self._hidden[cell] = self._hidden[site] << _SITE_BITS | sector

    def line(self, text: str) -> str:
        """Return a line with the numbers replaced, in hexadecimal and in decimal, each at its own width."""
        return _TOKEN.sub(self._replace, text)

    def _hide(self, number: int) -> None:
        if number not in _PLACEHOLDERS and number not in self._hidden:
            self._hidden[number] = len(self._hidden) + 1

    def _replace(self, found: re.Match[str]) -> str:
        prefix, token = found[1] or "", found[2]
        for base, form in ((16, "X"), (10, "d")):
            if base == 10 and (prefix or not token.isdigit()):
                continue
            number = int(token, base)
            if number in self._hidden and (number > _SHORT or len(token) > 3):
                return prefix + format(self._hidden[number], form).zfill(len(token))
        return found.group()
