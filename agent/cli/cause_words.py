"""The causes of an outage in words (contract, section 5)."""

from collections.abc import Mapping
from typing import Any

from agent.language import N_, _

CAUSE_WORDS = {
    "power": N_("power"),
    "gateway": N_("gateway"),
    "modem": N_("modem"),
    "sim": N_("SIM card"),
    "quota": N_("data package"),
    "no_service": N_("no service"),
    "weak_signal": N_("weak signal"),
    "bearer": N_("data connection"),
    "backhaul": N_("operator's network"),
    "dns": N_("names (DNS)"),
    "broker": N_("centre"),
    "clock": N_("clock"),
    "unknown": N_("not known"),
}
"""The causes for people."""


def cause_words(document: Mapping[str, Any]) -> str:
    """Return the cause of an outage in words, with "presumably" where it is inferred."""
    word = _(CAUSE_WORDS.get(str(document["cause"]), str(document["cause"])))
    return _("presumably {cause}").format(cause=word) if document["inferred"] else word
