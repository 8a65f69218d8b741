"""Names, the operator's own pages, the internet beyond."""

from agent import screen
from agent.doctor.evidence import Evidence
from agent.doctor.finding import Finding, failed, passed, untested, warned
from agent.language import _


def check_names(evidence: Evidence) -> Finding:
    """Judge whether host names are resolved."""
    if not _has_way_out(evidence):
        return untested(_("needs a data connection"))
    if evidence.names is None:
        if not evidence.internet_answers:
            return untested(_("nothing beyond this gateway answers"))
        return failed("dns", _("the name server does not answer"), _name_server())
    if not evidence.names:
        return untested(_("no host name is configured, only addresses"))
    broken = [seen for seen in evidence.names if not seen.resolves]
    if not broken:
        return passed(", ".join(seen.host for seen in evidence.names))
    what = _("{host} is not resolved ({detail})").format(host=broken[0].host, detail=broken[0].detail)
    if len(broken) < len(evidence.names):
        if broken[0].host not in [host for host, _port in evidence.config.broker.addresses()]:
            # Only a spent package is found by that page; nothing is sent there.
            step = _("on a network that does not reach that page: sinyal config set link.page_url ''")
            return warned("name_not_resolved", what, step)
        step = _("check the spelling of that name: sinyal config show")
        # Another address of the broker may have stood in for it.
        in_the_way = evidence.broker is None or evidence.broker.tcp_problem is not None
        return (failed if in_the_way else warned)("name_not_resolved", what, step)
    if not evidence.internet_answers:
        return untested(_("nothing beyond this gateway answers"))
    return failed("dns", what, _name_server())


def _name_server() -> str:
    return _("in the router's page, under DNS, set 1.1.1.1; without a router: in /etc/resolv.conf")


def check_captive(evidence: Evidence) -> Finding:
    """Judge whether somebody else answers in place of the known page: a spent package, a login."""
    if not _has_way_out(evidence):
        return untested(_("needs a data connection"))
    outcomes = [outcome for _host, outcome in evidence.reach or ()]
    if evidence.operator_says_spent:
        return failed(
            "quota", _("the operator says that the data package is used up"),
            _("top the card up, or call whoever pays the subscription"),
        )  # fmt: skip
    if evidence.redirected:
        return failed(
            "quota", _("every page leads to the operator's: the data package is presumably used up"),
            _("top the card up, or call whoever pays the subscription"),
        )  # fmt: skip
    is_refused = bool(outcomes) and all(outcome.why == "refused" for outcome in outcomes)
    if is_refused and evidence.redirected is None and not _modem_answers(evidence):
        return untested(_("every connection is refused, and no modem tells of a package"))
    if is_refused and evidence.redirected is None:
        return failed(
            "quota", _("every connection is refused: the data package is presumably used up"),
            _("top the card up, or call whoever pays the subscription"),
        )  # fmt: skip
    if evidence.redirected is None:
        return untested(_("the page for it is not configured or does not answer"))
    return passed(_("pages come from where they should"))


def check_internet(evidence: Evidence) -> Finding:
    """Judge whether anything beyond the operator answers."""
    if not _has_way_out(evidence):
        return untested(_("needs a data connection"))
    answers = [
        f"{host} {screen.number(outcome.rtt_ms)} ms"
        for host, outcome in evidence.reach or ()
        if outcome.rtt_ms is not None
    ]
    if answers:
        return passed(", ".join(answers))
    hosts = ", ".join(host for host, _outcome in evidence.reach or ())
    what = _("no answer from {hosts}").format(hosts=hosts or "?")
    if evidence.internet_answers:
        return warned(
            "probes_fail", _("{what}, but the broker answers").format(what=what),
            _("check the hosts in link.targets: sinyal config show"),
        )  # fmt: skip
    if _modem_answers(evidence):
        step = _("call the operator: signal is there, and nothing beyond answers; change nothing")
    else:
        step = _(
            "look at the router and its line: this gateway has an address, and nothing beyond it answers"
        )
    return failed("backhaul", what, step)


def _modem_answers(evidence: Evidence) -> bool:
    return evidence.modem_fields.get("modem_state") in ("ok", "restarted")


def _has_way_out(evidence: Evidence) -> bool:
    return (evidence.route.interface is not None and evidence.route.has_address) or evidence.internet_answers
