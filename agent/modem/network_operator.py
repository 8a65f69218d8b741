"""The operator in use, from +COPS?. Source: 3GPP TS 27.007 clause 7.3."""

from collections.abc import Iterable
from dataclasses import dataclass

from agent.modem.conversions import plmn_digits, whole
from agent.modem.dialect import split_columns

COPS = "AT+COPS?"
COPS_PREFIX = "+COPS:"

_NUMERIC_FORMAT = 2
_CURRENT_IN_LIST = 2


@dataclass(frozen=True, slots=True)
class NetworkOperator:
    """name: as displayed. mccmnc: digits. act: <AcT>. None where the modem does not tell it."""

    name: str | None = None
    mccmnc: str | None = None
    act: int | None = None


def parse_operator(answers: Iterable[str]) -> NetworkOperator:
    """Return the operator of the last readable +COPS? line; the format it states says what it is."""
    operator = NetworkOperator()
    for text in answers:
        columns = split_columns(text)
        if columns[0].startswith("("):
            operator = _from_list(text) or operator
        elif len(columns) >= 3:
            operator = _from_columns(columns)
    return operator


def _from_columns(columns: list[str]) -> NetworkOperator:
    act = whole(columns[3]) if len(columns) > 3 else None
    shown = _from_ucs2(columns[2])
    if whole(columns[1]) == _NUMERIC_FORMAT:
        return NetworkOperator(mccmnc=plmn_digits(shown), act=act)
    return NetworkOperator(name=_tidy(shown), act=act)


def _from_list(text: str) -> NetworkOperator | None:
    """Read the list form that some Marvell parts give: the entry whose status is "current"."""
    for entry in text.split("("):
        columns = split_columns(entry.partition(")")[0])
        if len(columns) >= 4 and whole(columns[0]) == _CURRENT_IN_LIST:
            act = whole(columns[4]) if len(columns) > 4 else None
            return NetworkOperator(_tidy(_from_ucs2(columns[1])), plmn_digits(_from_ucs2(columns[3])), act)
    return None


def _from_ucs2(text: str) -> str:
    """Return the text behind hexadecimal UCS2, as another program's +CSCS leaves it; else the text."""
    if len(text) < 8 or len(text) % 4 or not text.isascii():
        return text
    try:
        readable = bytes.fromhex(text).decode("utf-16-be")
    except ValueError:  # not hexadecimal, or no text
        return text
    return readable if readable.isprintable() else text


def _tidy(name: str) -> str | None:
    """Return a name without damage: not empty, readable, and not said twice ("XL XL")."""
    words = name.split()
    half = len(words) // 2
    if words[:half] == words[half:]:
        words = words[:half]
    tidy = " ".join(words)
    return tidy if tidy and "\N{REPLACEMENT CHARACTER}" not in tidy else None
