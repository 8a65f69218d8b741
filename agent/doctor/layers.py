"""The layers in their order: what is near comes first, because it explains what lies behind it."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from agent.doctor.board_checks import check_clock, check_disk, check_power, check_settings
from agent.doctor.centre_checks import check_broker, check_permission, check_queue, check_tls
from agent.doctor.evidence import Evidence
from agent.doctor.finding import Finding
from agent.doctor.link_checks import check_captive, check_internet, check_names
from agent.doctor.modem_checks import (
    check_bearer,
    check_modem,
    check_port,
    check_registration,
    check_signal,
    check_sim,
)
from agent.language import N_


class Layer(NamedTuple):
    """One layer: its stable name, how it is called on the screen, and who judges it."""

    name: str
    title: str
    check: Callable[[Evidence], Finding]


LAYERS = (
    Layer("settings", N_("Settings"), check_settings),
    Layer("power", N_("Power"), check_power),
    Layer("clock", N_("Clock"), check_clock),
    Layer("disk", N_("Disk"), check_disk),
    Layer("port", N_("Port"), check_port),
    Layer("modem", N_("Modem"), check_modem),
    Layer("sim", N_("SIM card"), check_sim),
    Layer("registration", N_("Network"), check_registration),
    Layer("signal", N_("Signal"), check_signal),
    Layer("bearer", N_("Data path"), check_bearer),
    Layer("dns", N_("Names (DNS)"), check_names),
    Layer("captive", N_("Quota"), check_captive),
    Layer("internet", N_("Internet"), check_internet),
    Layer("broker", N_("Broker"), check_broker),
    Layer("tls", N_("Certificate"), check_tls),
    Layer("permission", N_("Permission"), check_permission),
    Layer("queue", N_("Queue"), check_queue),
)


def diagnose(evidence: Evidence) -> Sequence[tuple[Layer, Finding]]:
    """Return what each layer was found to be, in order."""
    return [(layer, layer.check(evidence)) for layer in LAYERS]


def first_trouble(findings: Sequence[tuple[Layer, Finding]]) -> tuple[Layer, Finding] | None:
    """Return the first layer that fails, else the first that warns, else None.

    Settings that this user may not read come before all: what fails behind them was judged by defaults.
    """
    for layer, finding in findings:
        if finding.code == "no_permission":
            return layer, finding
    for verdict in ("FAIL", "WARN"):
        for layer, finding in findings:
            if finding.verdict == verdict:
                return layer, finding
    return None
