"""Where a modem begins to print what belongs to the SIM card's owner: messages, broadcasts and USSD texts.

Their lines look like any answer and can say anything, "OK" and "+CSQ: 31,0" included; how many follow is not
told. So everything below such a line is theirs until the port falls silent.
Source: 3GPP TS 27.005 clauses 3.4.1 and 4.5 (+CMT, +CDS, +CBM), TS 27.007 clause 7.15 (+CUSD).
"""

import re

_WITH_TEXT_BELOW = re.compile(r"(?:\+CMT|\+CDS|\+CBM|\^HCMT):")
_USSD = re.compile(r"\+CUSD:(.*)", re.DOTALL)
_WHOLE_USSD = re.compile(r'\s*\d*\s*(,\s*("[^"]*"|[0-9A-Fa-f]*)\s*(,\s*\d*\s*)?)?')


def begins_text(line: str, command: str = "") -> bool:
    """Return whether lines of a subscriber's text follow; what `command` itself asks for is no such text."""
    if _WITH_TEXT_BELOW.search(line):
        return True
    ussd = _USSD.search(line)
    if ussd is None or command.upper().startswith("AT+CUSD"):
        return False
    return _WHOLE_USSD.fullmatch(ussd[1]) is None
