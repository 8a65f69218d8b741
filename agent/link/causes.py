"""Why the link is down: a table of evidence, read from the top; the first row whose needs are all met tells.

Evidence is a flat set of names and plain values, as stored and sent with the outage. A name that is absent,
or None, was not found out, and meets no need but one that says so. Where each comes from:

    trigger   what began it: `probes` that failed, `reports` that did not arrive; absent for a gap
    mains_present · boot_changed · clean_stop · agent_gap   the gap between two readings
    modem_expected · modem_state · sim_state · registration · signal_class   a fresh reading of the modem
    default_route · ip_address                              the routes and the uplink's interface
    operator_says_spent · operator_left_bytes               the operator's reply to a USSD code
    redirected · refused_everywhere · addresses_answer · names_resolve      see `checks`
    report_problem · broker_fails · clock_trusted           the connection to the broker; the system clock
"""

from collections.abc import Mapping
from typing import NamedTuple

from agent.language import N_

CAUSES = (
    *("power", "gateway", "modem", "sim", "quota", "no_service", "weak_signal", "bearer", "backhaul"),
    *("dns", "broker", "clock", "unknown"),
)
"""The words of the contract, section 5."""

Value = int | float | str | bool | None
Evidence = Mapping[str, Value]


class Row(NamedTuple):
    """One line of the table.

    needs: evidence and the values it must have one of. inferred: a conclusion, not an observation. sentence
    is for people, English here and Indonesian in the catalogue of texts. next_step: what to do where that is
    not what the cause usually asks for.
    """

    cause: str
    needs: Mapping[str, tuple[Value, ...]]
    sentence: str
    inferred: bool = False
    next_step: str = ""

    def fits(self, evidence: Evidence) -> bool:
        """Return whether the evidence meets every need."""
        return all(evidence.get(name) in allowed for name, allowed in self.needs.items())


_YES, _NO = (True,), (False,)
_PROBES = ("probes",)
_REGISTERED = ("home", "roaming")
_USABLE_SIGNAL = ("excellent", "good", "fair", "poor")
_CLOCK_PROBLEMS = ("clock", "tls_not_yet_valid", "tls_expired")

TABLE = (
    # The gateway itself was away.
    Row("power", {"mains_present": _NO, "boot_changed": _YES}, N_("The mains power was out.")),
    Row(
        "gateway",
        {"clean_stop": _YES, "boot_changed": _YES},
        N_("The gateway was shut down or restarted in good order."),
    ),
    Row(
        "power",
        {"boot_changed": _YES},
        N_("The gateway lost its power: it stopped without warning and started anew."),
        inferred=True,
    ),
    Row("gateway", {"agent_gap": _YES}, N_("The agent stood still while the gateway kept running.")),
    # Nothing answers (while only the broker is away, the way to it works). The modem and its card.
    Row(
        "modem",
        {"trigger": _PROBES, "modem_state": ("missing",), "modem_expected": _YES},
        N_("The modem is not found."),
    ),
    Row(
        "modem",
        {"trigger": _PROBES, "modem_state": ("hung",), "modem_expected": _YES},
        N_("The modem does not answer."),
    ),
    Row(
        "modem",
        {"trigger": _PROBES, "modem_state": ("busy",), "modem_expected": _YES},
        N_("Another program holds the modem's port."),
        next_step=N_("technician: stop that program; sinyal modem find names it"),
    ),
    Row("sim", {"trigger": _PROBES, "sim_state": ("absent",)}, N_("No SIM card is inserted.")),
    Row("sim", {"trigger": _PROBES, "sim_state": ("pin_required",)}, N_("The SIM card asks for its PIN.")),
    Row("sim", {"trigger": _PROBES, "sim_state": ("puk_required", "locked")}, N_("The SIM card is locked.")),
    Row("sim", {"trigger": _PROBES, "sim_state": ("error",)}, N_("The SIM card cannot be read.")),
    # The network.
    Row(
        "no_service",
        {"trigger": _PROBES, "registration": ("denied",)},
        N_("The operator's network refuses this SIM card."),
        next_step=N_("call whoever pays the subscription: the card may be blocked or expired"),
    ),
    Row(
        "no_service",
        {"trigger": _PROBES, "registration": ("searching",)},
        N_("The modem searches and finds no network."),
    ),
    Row(
        "no_service",
        {"trigger": _PROBES, "registration": ("not_registered",)},
        N_("The modem is not registered anywhere."),
    ),
    Row(
        "no_service",
        {"trigger": _PROBES, "signal_class": ("none",)},
        N_("There is no operator's signal here."),
    ),
    Row("weak_signal", {"trigger": _PROBES, "signal_class": ("very_poor",)}, N_("The signal is too weak.")),
    # The data connection.
    Row(
        "bearer",
        {"trigger": _PROBES, "default_route": _NO},
        N_("There is a signal, but no data connection (no route)."),
    ),
    Row(
        "bearer",
        {"trigger": _PROBES, "ip_address": _NO},
        N_("There is a signal, but no data connection (no IP address)."),
    ),
    Row(
        "bearer",
        {"default_route": _NO, "names_resolve": _NO},
        N_("There is a signal, but no data connection (no route)."),
    ),
    # Paid for or not.
    Row("quota", {"operator_says_spent": _YES}, N_("The operator says that the data package is used up.")),
    Row(
        "quota",
        {
            "redirected": _YES,
            "registration": _REGISTERED,
            "signal_class": _USABLE_SIGNAL,
            "ip_address": _YES,
        },
        N_("Presumably the data package is used up: every page leads to the operator's."),
        inferred=True,
    ),
    Row(
        "quota",
        {"redirected": _YES, "modem_expected": _NO, "ip_address": _YES},
        N_("Presumably the subscription is not paid: every page leads to the provider's."),
        inferred=True,
    ),
    Row(
        "quota",
        {
            "refused_everywhere": _YES,
            "registration": _REGISTERED,
            "signal_class": _USABLE_SIGNAL,
            "ip_address": _YES,
        },
        N_("Presumably the data package is used up: the operator refuses every connection."),
        inferred=True,
    ),
    # The internet beyond, and the centre.
    Row(
        "clock",
        {"report_problem": _CLOCK_PROBLEMS, "clock_trusted": (False, None)},
        N_("The clock is wrong, so no certificate is valid."),
    ),
    Row(
        "dns",
        {"names_resolve": _NO, "addresses_answer": _YES},
        N_("Names are not resolved; addresses answer."),
    ),
    Row(
        "backhaul",
        {"addresses_answer": _NO, "ip_address": _YES},
        N_("Signal and data connection are there; nothing beyond the operator answers."),
    ),
    Row(
        "broker",
        {"broker_fails": _YES, "addresses_answer": _YES},
        N_("The internet works; the centre does not answer."),
    ),
    Row("unknown", {}, N_("The cause is not known.")),
)
"""Ordered: the nearer to the gateway, the earlier, because what is near explains what lies behind it."""


def explain(evidence: Evidence) -> Row:
    """Return the row of the table that the evidence fits; the last one fits always."""
    return next(row for row in TABLE if row.fits(evidence))


def sentence_of(cause: str, evidence: Evidence) -> str:
    """Return the English sentence for a stored cause: of the row that fits, else of the cause's first."""
    return _row_of(cause, evidence).sentence


def next_step_of(cause: str, evidence: Evidence) -> str:
    """Return in English what a person in the village can do about a stored cause."""
    return _row_of(cause, evidence).next_step or NEXT_STEPS.get(cause, NEXT_STEPS["unknown"])


def _row_of(cause: str, evidence: Evidence) -> Row:
    row = explain(evidence)
    if row.cause == cause:
        return row
    return next((one for one in TABLE if one.cause == cause), TABLE[-1])


NEXT_STEPS = {
    "power": N_("check the circuit breaker and the plug; note when the power went"),
    "gateway": N_("if it happens again, call the technician"),
    "modem": N_("pull the modem out and plug it in again, once"),
    "sim": N_("do not try PINs; call whoever looks after the card"),
    "quota": N_("call whoever pays the subscription, and name the date"),
    "no_service": N_("check the antenna's cable and direction"),
    "weak_signal": N_("have the antenna aimed anew"),
    "bearer": N_("technician: check the APN"),
    "backhaul": N_("report it to the operator; leave the equipment as it is"),
    "dns": N_("nothing to do in the village; the report comes later"),
    "broker": N_("nothing to do in the village; the report comes later"),
    "clock": N_("nothing to do in the village; the report comes later"),
    "unknown": N_("keep the support file for the technician"),
}
"""What a person in the village can do, by cause."""
