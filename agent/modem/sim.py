"""The state of the SIM card, from +CPIN? and the errors that name it.

Source: 3GPP TS 27.007 clauses 8.3 (+CPIN) and 9.2 (+CME ERROR); TS 27.005 clause 3.2.5 (+CMS ERROR).
"""

from collections.abc import Mapping

from agent.modem.at_reply import FinalResult, Reply

CPIN = "AT+CPIN?"
CPIN_PREFIX = "+CPIN:"
BUSY = "busy"
"""Not a state of the contract: the card is still starting and must be asked again."""

_STATES: Mapping[str, str] = {
    "READY": "ready",
    "SIM PIN2": "ready",  # the second PIN guards settings, not the data service
    "SIM PUK2": "ready",
    "SIM PIN": "pin_required",
    "SIM PUK": "puk_required",
    "NOT INSERTED": "absent",
    "NOT READY": BUSY,
}
_LOCKED_PREFIX = "PH-"

_CME_STATES: Mapping[int, str] = {
    5: "locked",
    6: "locked",
    7: "locked",
    10: "absent",
    11: "pin_required",
    12: "puk_required",
    13: "error",
    14: BUSY,
    15: "error",
    17: "ready",
    18: "ready",
    40: "locked",
    515: BUSY,  # Wavecom: still starting
}
_CMS_STATES: Mapping[int, str] = {
    310: "absent",
    311: "pin_required",
    312: "locked",
    313: "error",
    314: BUSY,
    315: "error",
    316: "puk_required",
}
_ERROR_WORDS: Mapping[str, str] = {
    "SIM NOT INSERTED": "absent",
    "SIM PIN REQUIRED": "pin_required",
    "SIM PUK REQUIRED": "puk_required",
    "SIM PIN2 REQUIRED": "ready",
    "SIM PUK2 REQUIRED": "ready",
    "SIM FAILURE": "error",
    "SIM BUSY": BUSY,
    "SIM WRONG": "error",
    "PH-SIM PIN REQUIRED": "locked",
}


def sim_state(reply: Reply) -> str | None:
    """Return the state a reply to +CPIN? tells, BUSY when it must be asked again, or None.

    A bare ERROR says nothing about the card: it must not be read as "no SIM" or "PIN".
    """
    for text in reversed(reply.answers(CPIN_PREFIX)):
        word = text.strip('" ').upper()
        if word in _STATES:
            return _STATES[word]
        if word.startswith(_LOCKED_PREFIX):
            return "locked"
    return _state_of_error(reply.final)


def _state_of_error(final: FinalResult | None) -> str | None:
    if final is None or final.is_ok:
        return None
    if final.code is not None:
        states = _CME_STATES if final.word == "+CME ERROR" else _CMS_STATES
        return states.get(final.code)
    words = final.text.upper()
    if "PERSONALI" in words or words.startswith("PH-"):
        return "locked"
    return _ERROR_WORDS.get(words)
