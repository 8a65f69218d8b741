"""From the text of one column to a value, or None where it is not known or not readable.

No function raises, and none checks physics: that is done once for all fields in `ranges`.
"""

import re
from dataclasses import dataclass
from math import log10

_DIGITS = frozenset("0123456789")
_HEX_DIGITS = frozenset("0123456789abcdefABCDEF")
_MAX_DIGITS = 12
_LEADING_NUMBER = re.compile(r"[-+]?[0-9]{1,12}(?:\.[0-9]{1,12})?(?![0-9.])")
_IN_BRACKETS = re.compile(r"\(([0-9]{1,12})\)")
_BAND = re.compile(r"([BbNn]?) ?([0-9]{1,3})")


def whole(text: str) -> int | None:
    """Return a decimal whole number ("-99", "+5", "007"); "-", "x", "1e5", "" and blanks give None."""
    digits = text[1:] if text[:1] in ("-", "+") else text
    if not digits or len(digits) > _MAX_DIGITS or not _DIGITS.issuperset(digits):
        return None
    return int(text)


def decimal(text: str) -> float | None:
    """Return a number with or without decimals ("-17.4"); "-7.-50", "NA", "1e5" give None."""
    before, point, after = text.partition(".")
    if not point:
        return whole(text)
    if whole(before) is None or not after or len(after) > _MAX_DIGITS or not _DIGITS.issuperset(after):
        return None
    return float(text)


def hexadecimal(text: str) -> int | None:
    """Return a hexadecimal number with or without 0x, digits-only ones too ("939204254")."""
    digits = text[2:] if text[:2] in ("0x", "0X") else text
    if not digits or len(digits) > _MAX_DIGITS or not _HEX_DIGITS.issuperset(digits):
        return None
    return int(digits, 16)


def leading_number(text: str) -> float | None:
    """Return the number before a unit ("-84.1dBm", "20 MHz"); "--", "NA" and "-7.-50" give None."""
    number = _LEADING_NUMBER.match(text)
    return None if number is None else decimal(number.group())


def number_in_brackets(text: str) -> int | None:
    """Return the whole number in brackets ("D5AC (54700)", "4711-3(130)")."""
    number = _IN_BRACKETS.search(text)
    return None if number is None else int(number.group(1))


@dataclass(frozen=True, slots=True)
class Code:
    """A coded scale: index 0 to `last` stands for `offset` + index x `step`, the interval's lower bound."""

    last: int
    step: float
    offset: float

    def value(self, text: str) -> float | None:
        """Return the value of a coded column; an index outside the scale (99, 255 …) is not known."""
        index = whole(text)
        if index is None or not 0 <= index <= self.last:
            return None
        return self.offset + index * self.step


# 3GPP TS 27.007 clauses 8.5 (+CSQ) and 8.69 (+CESQ), which code TS 45.008, 25.133, 36.133, 38.133.
CSQ_RSSI = Code(last=31, step=2, offset=-113)
CSQ_RSSI_TD_SCDMA = Code(last=191, step=1, offset=-216)
CESQ_RXLEV = Code(last=63, step=1, offset=-111)
CESQ_RSCP = Code(last=96, step=1, offset=-121)
CESQ_ECNO = Code(last=49, step=0.5, offset=-24.5)
CESQ_RSRQ = Code(last=34, step=0.5, offset=-20)
CESQ_RSRP = Code(last=97, step=1, offset=-141)
CESQ_SS_RSRQ = Code(last=126, step=0.5, offset=-43.5)
CESQ_SS_RSRP = Code(last=126, step=1, offset=-157)
CESQ_SS_SINR = Code(last=127, step=0.5, offset=-23.5)


def csq_rssi_dbm(text: str) -> float | None:
    """Return dBm from the first column of +CSQ: 0…31, or 100…191 as some Chinese parts answer on 3G."""
    index = whole(text)
    if index is not None and index >= 100:
        return CSQ_RSSI_TD_SCDMA.value(text)
    return CSQ_RSSI.value(text)


def plmn(mcc: str, mnc: str) -> str | None:
    """Return the network code as digits, MNC length kept ("510", "10" give "51010").

    Some firmware drops the MNC's leading zero: one digit is filled to two. 000 is no country.
    """
    if len(mcc) != 3 or mcc == "000" or not _DIGITS.issuperset(mcc):
        return None
    if not 1 <= len(mnc) <= 3 or not _DIGITS.issuperset(mnc):
        return None
    return mcc + mnc.zfill(2)


def plmn_digits(text: str) -> str | None:
    """Return a network code printed in one piece ("51010", "510 10"), or None."""
    digits = text.replace(" ", "")
    if len(digits) not in (5, 6):
        return None
    return plmn(digits[:3], digits[3:])


def band_label(letter: str, text: str) -> str | None:
    """Return "B3" or "n78" from a number, or from words that end in it ("LTE BAND 3")."""
    number = whole(text.rpartition(" ")[2])
    if number is None or not 1 <= number <= 512:
        return None
    return f"{letter}{number}"


def printed_band(text: str) -> str | None:
    """Return the band from a column that carries its letter ("B3", "n78")."""
    band = _BAND.fullmatch(text.strip())
    if band is None or not band.group(1):
        return None
    return band_label("n" if band.group(1) in "nN" else "B", band.group(2))


def lte_band(text: str) -> str | None:
    """Return "B3" from "3" or "LTE BAND 3"."""
    return band_label("B", text)


def nr_band(text: str) -> str | None:
    """Return "n78" from "78" or "NR5G BAND 78"."""
    return band_label("n", text)


def level_below_zero(text: str) -> int | None:
    """Return a level in dBm that some firmware prints without its sign ("52" gives -52)."""
    level = whole(text)
    return None if level is None else -abs(level)


# How far below its bound a SINR may lie before it is called impossible: the modem does not measure
# RSRQ and SINR in the same instant, nor on the same resource elements.
_SINR_SLACK_DB = 8.0
_RSRQ_FLOOR_DB = -19.5  # many modems print this for anything below: it bounds nothing


def _sinr_floor_db(rsrq_db: float | None) -> float:
    """Return the lowest SINR that can go with an RSRQ, in dB.

    RSRQ = 1 / (12 x (load + 1/SINR)) for one resource block, and the load of the own cell is at least
    the share of reference signals, 1/6 (3GPP TS 36.214 clauses 5.1.1 and 5.1.3).
    """
    if rsrq_db is None or rsrq_db <= _RSRQ_FLOOR_DB:
        return -30.0
    inverse_sinr: float = 10 ** (-rsrq_db / 10) / 12 - 1 / 6
    if inverse_sinr <= 0.001:
        return 30.0 - _SINR_SLACK_DB
    return -10 * log10(inverse_sinr) - _SINR_SLACK_DB


def sinr_in_fifths(sinr: str, rsrq: str) -> float | None:
    """Return SINR in dB from a column that should hold fifths of a dB from -20 (0…250).

    The same firmware family prints whole dB as well; the unit that RSRQ allows is taken.
    """
    return _plausible_sinr(sinr, rsrq, fifths_first=True)


def sinr_in_whole_db(sinr: str, rsrq: str) -> float | None:
    """Return SINR in dB from a column that should hold whole dB, but is at times in fifths of a dB."""
    return _plausible_sinr(sinr, rsrq, fifths_first=False)


def _plausible_sinr(sinr: str, rsrq: str, *, fifths_first: bool) -> float | None:
    printed = decimal(sinr)
    if printed is None:
        return None
    floor_db = _sinr_floor_db(decimal(rsrq))
    whole_db = printed if -30 <= printed <= 50 else None
    fifths_db = printed / 5 - 20 if 0 <= printed <= 250 else None
    guesses = [guess for guess in (fifths_db, whole_db) if guess is not None]
    if not fifths_first:
        guesses.reverse()
    possible = [guess for guess in guesses if guess >= floor_db]
    return next(iter(possible or guesses), None)


_HIGHEST_HALF_DB = 100  # 255 is not known


def sinr_in_halves(text: str) -> float | None:
    """Return SINR in dB from halves of a dB, -100 to 100, as Intel and Qualcomm firmware prints it."""
    halves = whole(text)
    return halves / 2 if halves is not None and abs(halves) <= _HIGHEST_HALF_DB else None


def width_of_blocks_mhz(text: str) -> float | None:
    """Return the bandwidth in MHz of an E-UTRA carrier with so many resource blocks (6 to 100).

    Source: 3GPP TS 36.101 table 5.6-1. Fifths of a MHz, which some firmware prints for NR, read the same.
    """
    blocks = whole(text)
    return {6: 1.4, 15: 3.0}.get(blocks, blocks / 5) if blocks else None
