"""What the error numbers of modems mean. Sources: 3GPP TS 27.007 clause 9.2, TS 27.005 clause 3.2.5."""

from agent.language import N_, _
from agent.modem.at_reply import FinalResult

_CME = {
    0: N_("fault in the phone part"),
    1: N_("no connection to the phone part"),
    3: N_("not allowed"),
    4: N_("not supported by this modem"),
    5: N_("asks for the PIN that ties the SIM card to this modem"),
    10: N_("no SIM card inserted"),
    11: N_("the SIM card asks for its PIN"),
    12: N_("the SIM card asks for its PUK"),
    13: N_("the SIM card is faulty"),
    14: N_("the SIM card is busy"),
    15: N_("wrong SIM card"),
    16: N_("wrong password"),
    17: N_("the SIM card asks for its PIN2"),
    18: N_("the SIM card asks for its PUK2"),
    20: N_("memory full"),
    21: N_("invalid index"),
    22: N_("not found"),
    23: N_("memory fault"),
    24: N_("text too long"),
    25: N_("invalid characters in the text"),
    26: N_("number too long"),
    27: N_("invalid characters in the number"),
    30: N_("no network service"),
    31: N_("the network did not answer in time"),
    32: N_("only emergency calls are allowed"),
    40: N_("locked to one network, asks for the code"),
    50: N_("wrong parameters"),
    51: N_("command aborted"),
    100: N_("unknown error"),
    103: N_("the network calls this modem illegal"),
    106: N_("the network calls this equipment illegal"),
    107: N_("packet data not allowed"),
    111: N_("this network is not allowed"),
    112: N_("this area is not allowed"),
    113: N_("roaming is not allowed in this area"),
    132: N_("service not supported"),
    133: N_("service not subscribed"),
    134: N_("service out of order for now"),
    148: N_("error in packet data"),
    149: N_("packet data: wrong name or password"),
}
_CMS = {
    300: N_("fault in the phone part"),
    302: N_("not allowed"),
    303: N_("not supported by this modem"),
    304: N_("wrong parameters"),
    310: N_("no SIM card inserted"),
    311: N_("the SIM card asks for its PIN"),
    313: N_("the SIM card is faulty"),
    314: N_("the SIM card is busy"),
    322: N_("memory full"),
    330: N_("message centre not known"),
    331: N_("no network service"),
    500: N_("unknown error"),
}
_WORDS = {"+CME ERROR": _CME, "+CMS ERROR": _CMS}


def error_words(final: FinalResult) -> str | None:
    """Return what a final result's number means, or its own words; None when there are none."""
    if final.code is None:
        return final.text or None
    known = _WORDS.get(final.word, {}).get(final.code)
    return None if known is None else _(known)
