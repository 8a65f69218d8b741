"""The operator's own word on the data package: the reply to a USSD code (3GPP TS 27.007, 7.15 +CUSD).

Replies differ by operator, language and day; so the code and the words of a used-up package are configured,
and nothing is concluded from a reply that does not hold them.
"""

import re
from collections.abc import Iterable, Sequence

from agent.config.rules import split_operator_code

_REPLY = re.compile(r'\+CUSD: *([0-5])(?:, *"(.*?)"(?:, *([0-9]+))?)?\s*$', re.DOTALL)
_LEFT = re.compile(r"(?:sisa|remaining|left)[^0-9\n]{0,40}([0-9][0-9.,]*) ?([KMGT]B)", re.IGNORECASE)
_UNITS = {"KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}
_UCS2_SCHEMES = (8, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 72)


def code_for(lines: Sequence[str], plmn: str) -> tuple[str, str] | None:
    """Return USSD code and pattern configured for a network (MCC with MNC), None without any."""
    for line in lines:
        configured, code, pattern = split_operator_code(line)
        if configured == plmn:
            return code, pattern
    return None


def says_spent(lines: Iterable[str], pattern: str) -> bool | None:
    """Return whether a reply holds the words of a used-up package, None when there is no reply."""
    text = reply_text(lines)
    return None if text is None else re.search(pattern, text, re.IGNORECASE) is not None


def left_bytes(lines: Iterable[str]) -> int | None:
    """Return how much of the package a reply says is left, None when it names no amount after that word."""
    found = _LEFT.search(reply_text(lines) or "")
    if found is None:
        return None
    # "1.024 MB" is a thousand, "1.5 GB" one and a half; Indonesian texts have it the other way round as well.
    number = re.sub(r"[.,](?=[0-9]{3}(?![0-9]))", "", found[1]).replace(",", ".")
    try:
        return round(float(number) * _UNITS[found[2].upper()])
    except ValueError:
        return None


def reply_text(lines: Iterable[str]) -> str | None:
    """Return the text of a +CUSD answer, which may stand on several lines; None without one."""
    written = "\n".join(lines)
    at = written.find("+CUSD:")
    found = _REPLY.match(written[at:]) if at >= 0 else None
    if found is None or found[2] is None:
        return None
    return _plain(found[2], int(found[3] or 15))


def _plain(text: str, scheme: int) -> str:
    # Many modems give UCS-2 as hexadecimal digits, some also for other coding schemes.
    is_hex = len(text) % 4 == 0 and re.fullmatch("[0-9A-Fa-f]+", text) is not None
    if is_hex and (scheme in _UCS2_SCHEMES or len(text) >= 16):
        return bytes.fromhex(text).decode("utf-16-be", "replace")
    return text
