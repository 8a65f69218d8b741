"""Who the modem and its SIM card are. Source: 3GPP TS 27.007 clauses 5.1 to 5.4 and 5.6."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from agent.modem.at_reply import is_answer

_PLACEHOLDERS = frozenset(("", "-", "0", "ERROR", "NULL", "NA", "N/A"))
_MAX_CHARACTERS = 100


_LONG_RUN = re.compile(r"[0-9]{10,}")
_BUILD_TIME = re.compile(r"20[0-3][0-9](?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])[0-9]{2,6}")
_PHONE = re.compile(r"\+?(?:62|0)[ .()\-]{0,2}8[0-9]{1,2}[ .()\-]{1,2}[0-9]{3,4}[ .\-]?[0-9]{3,5}")


def without_identifiers(text: str) -> str:
    """Return a text for people with the digits of what can be an IMEI, card or phone number as asterisks.

    So many digits in a row stand in no version but as the time of a build, which is kept.
    """

    def starred(found: re.Match[str]) -> str:
        return found.group() if _BUILD_TIME.fullmatch(found.group()) else re.sub("[0-9]", "*", found.group())

    return _LONG_RUN.sub(starred, _PHONE.sub(starred, text))


def _text(printed: str) -> str | None:
    value = without_identifiers(" ".join(printed.split()))
    readable = value.isprintable() and "\N{REPLACEMENT CHARACTER}" not in value
    if not readable or value.upper() in _PLACEHOLDERS or len(value) > _MAX_CHARACTERS:
        return None
    return value


def _imei(printed: str) -> str | None:
    """Return 15 digits, or the 14 or 16 that some modems print."""
    return printed if printed.isascii() and printed.isdigit() and 14 <= len(printed) <= 16 else None


def _imsi(printed: str) -> str | None:
    return printed if printed.isascii() and printed.isdigit() and 14 <= len(printed) <= 15 else None


def read_iccid(printed: str) -> str | None:
    """Return 18 to 20 characters from "89": digits, with letters inside on some Chinese cards.

    The filler F at the end is cut off, and the raw form with swapped digits ("98…") is turned back.
    """
    number = printed.replace(" ", "").upper()
    if number.startswith("98") and len(number) == 20:
        number = "".join(number[place + 1] + number[place] for place in range(0, 20, 2))
    number = number.rstrip("F")
    is_card = number.startswith("89") and 18 <= len(number) <= 20 and number.isascii() and number.isalnum()
    return number if is_card else None


@dataclass(frozen=True, slots=True)
class IdentityQuery:
    """A command for one field of the inventory.

    prefixes: what some modems print before the value; most print the bare value.
    """

    command: str
    field: str
    prefixes: tuple[str, ...]
    convert: Callable[[str], str | None]


MODEM_QUERIES = (
    IdentityQuery("AT+CGMI", "manufacturer", ("+CGMI:",), _text),
    IdentityQuery("AT+CGMM", "model", ("+CGMM:",), _text),
    IdentityQuery("AT+CGMR", "firmware", ("+CGMR:", "Revision:"), _text),
    IdentityQuery("AT+CGSN", "imei", ("+CGSN:", "IMEI:"), _imei),
)
SIM_QUERIES = (
    IdentityQuery("AT+CCID", "iccid", ("+CCID:", "ICCID:", "+ICCID:"), read_iccid),
    IdentityQuery("AT+ICCID", "iccid", ("+ICCID:", "ICCID:", "+CCID:"), read_iccid),
    IdentityQuery("AT+QCCID", "iccid", ("+QCCID:",), read_iccid),
    IdentityQuery("AT+CIMI", "imsi", ("+CIMI:",), _imsi),
)
"""A field that an earlier command gave is not asked again."""


def read_identity(query: IdentityQuery, lines: Iterable[str]) -> str | None:
    """Return the first value that the answer lines give, without prefix, quotes and surrounding blanks."""
    for line in lines:
        if is_answer(line, ("", *query.prefixes)):
            prefix = next((one for one in query.prefixes if line.startswith(one)), "")
            value = query.convert(line[len(prefix) :].strip('" \t'))
            if value is not None:
                return value
    return None
