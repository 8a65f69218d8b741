"""The broker: TCP, TLS and certificates, the permission to publish; and the queue of what is unsent."""

from agent import screen
from agent.doctor.evidence import RESTS, BrokerSeen, Evidence
from agent.doctor.finding import Finding, failed, passed, untested, warned
from agent.enrolment.identity_files import RENEW_DAYS
from agent.errors import NoPermission, SinyalError
from agent.language import N_, _, ngettext
from agent.publish.problems import CLONED_BOARD, next_step_for

RENEW_BEFORE_S = 30 * 86400
"""A broker whose certificate ends within a month is told of: its operator sees to it, not we."""

RENEW_OWN_BEFORE_S = RENEW_DAYS * 86400
"""Ours is renewed from one third of its life left: a gateway may be offline for months."""

LATE_S = 900
"""So much later than the publish interval the oldest reading may wait."""

ASK_OPERATOR = N_("ask the broker's operator")
RENEW = N_("ask the broker's operator for a new certificate of this gateway")


def check_broker(evidence: Evidence) -> Finding:
    """Judge whether the broker takes a TCP connection."""
    if not evidence.config.broker.host:
        return untested(_("no broker is configured"), _("sinyal config set broker.host NAME"))
    seen = evidence.broker
    if seen is None:
        return failed("timeout", _("the broker does not answer in time"), next_step_for("timeout"))
    if seen.tcp_problem is not None:
        return _by(seen.tcp_problem)
    return passed(_("{where} takes connections").format(where=_where(seen)))


def check_tls(evidence: Evidence) -> Finding:
    """Judge certificates and dates, on both sides."""
    broker = evidence.config.broker
    if broker.host and not broker.tls:
        return untested(_("broker.tls is off: readings travel unencrypted"))
    own = _own_certificate(evidence)
    seen = evidence.broker
    if seen is None or seen.tcp_problem is not None:
        if own is not None and own.verdict == "FAIL":
            return own
        return untested(_("needs a broker that takes connections"))
    if own is not None and own.verdict == "FAIL":
        return own
    if isinstance(seen.tls_problem, NoPermission):
        # The key is the agent's alone, as it should be.
        return untested(seen.tls_problem.what, _("use sudo"))
    if seen.tls_problem is not None:
        return _by(seen.tls_problem)
    assert seen.expires_ts is not None
    if seen.expires_ts - evidence.now_ts < RENEW_BEFORE_S:
        return warned(
            "broker_certificate_ends",
            _("the broker's certificate ends {when}").format(when=screen.wib(seen.expires_ts)),
            _(ASK_OPERATOR),
        )
    if own is not None:
        return own
    ends = evidence.certificate.ends_ts if evidence.certificate is not None else None
    until = _("ours until {when}").format(when=screen.wib(ends)) if ends is not None else _("none of ours")
    return passed(f"{seen.tls_version}, {until}")


def _own_certificate(evidence: Evidence) -> Finding | None:
    """Judge the certificate of this gateway by itself; None when nothing is wrong with it."""
    own, now_ts = evidence.certificate, evidence.now_ts
    if own is None:
        return None
    begins, ends = screen.wib(own.begins_ts), screen.wib(own.ends_ts)
    if own.ends_ts <= now_ts:
        return failed(
            "own_certificate_expired", _("our certificate ended {when}").format(when=ends), _(RENEW)
        )
    if own.begins_ts > now_ts:
        what = _("our certificate begins only {when}").format(when=begins)
        return failed("own_certificate_not_yet_valid", what, _("check the clock first: date -u"))
    if own.subject != evidence.config.gateway.id:
        what = _("our certificate is for {subject}, this gateway is {id}").format(
            subject=own.subject or "?", id=evidence.config.gateway.id or "?"
        )
        return failed(
            "own_certificate_foreign", what, _("put this gateway's own certificate into broker.cert_file")
        )
    if own.ends_ts - now_ts < RENEW_OWN_BEFORE_S:
        step = _("have a new certificate made: sinyal enrol send URL --renew, or by the centre: ca renew")
        return warned("own_certificate_ends", _("our certificate ends {when}").format(when=ends), step)
    return None


def check_permission(evidence: Evidence) -> Finding:
    """Judge whether the broker lets this gateway in and takes its readings."""
    board = evidence.board
    if board.verdict == "cloned":
        problem = CLONED_BOARD.problem((evidence.config.broker.host, 0), board.enrolled)
        return failed(CLONED_BOARD.code, problem.what, problem.next_step)
    seen = evidence.broker
    if seen is None or seen.tcp_problem is not None:
        return untested(_("needs a connection to the broker"))
    if evidence.running and (seen.tls_problem is None or isinstance(seen.tls_problem, NoPermission)):
        return _as_the_agent_says(evidence)
    if seen.tls_problem is not None:
        return untested(_("needs a connection to the broker"))
    if seen.mqtt_problem is not None:
        return _by(seen.mqtt_problem)
    if seen.accepted is None:
        return untested(_("needs the gateway's id, and to see whether the agent runs"))
    if seen.published is None:
        return untested(_("the broker accepts us; there is no reading yet to try the topic with"))
    return passed(_("the broker took a reading from us"))


def _as_the_agent_says(evidence: Evidence) -> Finding:
    link = evidence.snapshot.get("link") or {}
    code, problem = str(link.get("last_problem_code") or ""), link.get("last_problem")
    if problem:
        step = next_step_for(code) or _(ASK_OPERATOR)
        return failed(code, _("the agent says: {what}").format(what=problem), step)
    last = link.get("last_ack_ts")
    if link.get("state") != "connected":
        return untested(_("the agent is just connecting"), _("try again in a moment"))
    if last is None:
        return untested(_("the agent is connected and has sent nothing yet"))
    return passed(_("the agent is connected; last taken {when}").format(when=screen.wib(last)))


def check_queue(evidence: Evidence) -> Finding:
    """Judge whether the agent runs and what is stored gets away."""
    if evidence.running is None and evidence.settings_problem is not None:
        return untested(_("where the agent would run is not known without its settings"))
    if evidence.running is None:
        return untested(_("this user may not see whether the agent runs"), _("use sudo"))
    if evidence.rests:
        return untested(_(RESTS))
    if not evidence.running:
        return failed(
            "daemon_not_running", _("the agent does not run"), _("start it: sudo service sinyal start")
        )
    queue = evidence.snapshot.get("buffer") or {}
    unsent, oldest = queue.get("unsent"), queue.get("oldest_unsent_ts")
    if unsent is None:
        return untested(_("the agent has not opened its database"))
    text = ngettext("{n} reading waits", "{n} readings wait", unsent).format(n=unsent)
    if queue.get("quarantined"):
        return warned(
            "quarantined", _("{n} readings were refused by the broker").format(n=queue["quarantined"]),
            _("look at them: sinyal buffer stats"),
        )  # fmt: skip
    age_s = evidence.now_ts - oldest if oldest is not None else 0.0
    if evidence.config.broker.host and age_s > evidence.config.publish.interval_s + LATE_S:
        late = _("{waiting}, the oldest for {span}").format(waiting=text, span=screen.span(age_s))
        return warned("queue_late", late, _("it drains by itself once the layers above are well"))
    return passed(text)


def _by(problem: SinyalError) -> Finding:
    code = getattr(problem, "code", "") or "tls_files"
    return failed(code, problem.what, problem.next_step or _(ASK_OPERATOR))


def _where(seen: BrokerSeen) -> str:
    return f"{seen.address[0]}:{seen.address[1]}"
