"""Port, modem, SIM card, registration, signal, data connection."""

from agent import screen
from agent.doctor.evidence import Context, Evidence
from agent.doctor.finding import Finding, failed, passed, untested, warned
from agent.errors import NoPermission
from agent.language import N_, _

SIM_STEPS = {
    "absent": N_(
        "switch off, push the SIM card in until it clicks, switch on; a card that stays unseen is dead"
    ),
    "pin_required": N_("set the PIN once: sinyal config set modem.sim_pin -"),
    "puk_required": N_("do not try codes; get the PUK from whoever looks after the card"),
    "locked": N_("this modem takes cards of one operator only: use that operator's card, or another modem"),
    "error": N_("clean the card's contacts and push it in again; if it stays unread, it is dead: replace it"),
}

PIN_REFUSED = N_(
    "try no other code: ask for the PIN of whoever looks after the card, "
    "then sinyal config set modem.sim_pin -"
)

ANTENNA = N_("check the antenna's plug and cable, on the socket MAIN; then aim it: sinyal aim")

APN_STEP = N_("set the operator's APN in the router's modem settings, as on the card's leaflet")

LEVELS = ("rsrp_dbm", "rscp_dbm", "rssi_dbm")


def check_port(evidence: Evidence) -> Finding:
    """Judge the way to the modem: is there a port, and is it ours alone."""
    seen = evidence.modem
    if seen is None:
        return untested(_("no answer in time"), _("try again in a moment"))
    if seen.fault is not None:
        if isinstance(seen.fault, NoPermission):
            return untested(seen.fault.what, seen.fault.next_step)
        return failed("agent_silent", seen.fault.what, seen.fault.next_step)
    assert seen.answer is not None
    problem, state = seen.answer["problem"] or {}, evidence.modem_fields.get("modem_state")
    what, step = str(problem.get("what", "")), str(problem.get("next_step", ""))
    if problem.get("exit_code") == NoPermission.exit_code:
        return untested(what, step)
    if state == "busy":
        return failed("modem_manager" if "ModemManager" in what else "port_busy", what, step)
    if state == "missing":
        if not seen.ever_seen and evidence.internet_answers:
            return warned("no_modem", _("no modem found; the internet comes another way"), step)
        return failed("modem_missing", what or _("no modem found"), step)
    if seen.others:
        text = _("{port} is also held by {others}").format(
            port=seen.answer["port"], others=", ".join(seen.others)
        )
        is_manager = any(other.startswith("ModemManager") for other in seen.others)
        return failed(
            "modem_manager" if is_manager else "port_busy", text,
            _("stop that program: two programs cannot share a port"),
        )  # fmt: skip
    return passed(str(seen.answer["port"]))


def check_modem(evidence: Evidence) -> Finding:
    """Judge whether the modem answers, and tells what it should."""
    missing = _without_modem(evidence)
    if missing is not None:
        return missing
    assert evidence.modem is not None
    assert evidence.modem.answer is not None
    answer = evidence.modem.answer
    problem = answer["problem"] or {}
    if evidence.modem_fields.get("modem_state") == "hung":
        return failed("modem_hung", str(problem.get("what", "")), str(problem.get("next_step", "")))
    identity = answer["identity"]
    name = " ".join(str(identity[part]) for part in ("manufacturer", "model", "firmware") if part in identity)
    gap = answer.get("incomplete")
    if gap in ("refused", "empty"):
        return failed(
            "modem_tells_nothing", _("the modem answers, but tells nothing"),
            _("take its power away for ten seconds; if it goes on, find its AT port: sinyal modem find"),
        )  # fmt: skip
    if gap is not None:
        return warned(
            "modem_slow", _("{name}; it left questions without an answer").format(name=name or "?"),
            _("if it stays so, take the modem's power away for ten seconds"),
        )  # fmt: skip
    return passed(name or _("it answers"))


def check_sim(evidence: Evidence) -> Finding:
    """Judge the SIM card."""
    missing = _without_answer(evidence)
    if missing is not None:
        return missing
    state = evidence.modem_fields.get("sim_state")
    if state is None:
        return untested(_("the modem does not tell"))
    word = screen.word("sim_state", state)
    if state == "ready":
        return passed(word)
    if state == "pin_required" and evidence.config.modem.sim_pin:
        return failed("sim_pin_refused", _("the SIM card refuses the PIN of the settings"), _(PIN_REFUSED))
    text = _("the SIM card is {state}").format(state=word) if state == "absent" else word
    return failed(f"sim_{state}", text, _(SIM_STEPS.get(str(state), SIM_STEPS["error"])))


def check_registration(evidence: Evidence) -> Finding:
    """Judge whether a network has taken the modem in."""
    missing = _without_answer(evidence) or _without_card(evidence)
    if missing is not None:
        return missing
    fields = evidence.modem_fields
    state = fields.get("registration")
    word = screen.word("registration", state)
    if state in ("home", "roaming"):
        operator = str(fields.get("operator_name") or fields.get("operator_mccmnc") or "")
        technology = screen.technology(str(fields.get("access_technology") or ""))
        return passed(", ".join(part for part in (word, operator, technology) if part))
    if state == "denied":
        reason = evidence.bearer.reason if evidence.bearer else ""
        what = f"{word} ({reason})" if reason else word
        return failed(
            "registration_denied", what,
            _("the card may be blocked or not paid: try it in a phone, then call the operator"),
        )  # fmt: skip
    if state in (None, "unknown"):
        return untested(word)
    if not hears_a_cell(evidence):
        return failed("no_antenna", _("{state}; no cell at all is heard").format(state=word), _(ANTENNA))
    return failed(
        "not_registered", word, _("wait two minutes; if it goes on, try the card in a phone at this place")
    )


def check_signal(evidence: Evidence) -> Finding:
    """Judge the signal."""
    missing = _without_answer(evidence)
    if missing is not None:
        return missing
    fields = evidence.modem_fields
    grade = fields.get("signal_class")
    level = screen.level_bar(dict(fields), 10)
    text = screen.word("signal_class", grade)
    if level is not None:
        text = f"{level[0]}, {text}"
    if fields.get("sinr_db") is not None:
        text += f", SINR {screen.number(fields['sinr_db'], 1)} dB"
    if grade == "none" or (grade is None and level is None):
        if grade is None:
            return untested(_("the modem does not tell"))
        without_card = _without_card(evidence)
        if without_card is not None:
            # Some modems hear nothing before a card is ready.
            return without_card
        return failed("no_antenna", _("no cell at all is heard"), _(ANTENNA))
    if grade in ("poor", "very_poor"):
        return warned("weak_signal", text, _("aim the antenna anew: sinyal aim"))
    return passed(text)


def check_bearer(evidence: Evidence) -> Finding:
    """Judge the data connection: a PDP context with an address, a route, an address of the interface."""
    route, bearer = evidence.route, evidence.bearer
    contexts = bearer.contexts if bearer is not None else []
    has_way_out = route.interface is not None and route.has_address
    carrying = [one for one in contexts if one.carries]
    if has_way_out and (evidence.internet_answers or carrying or not contexts):
        parts = [_("{interface} has an IP address").format(interface=route.interface)]
        parts += [f"APN {one.apn}" for one in carrying if one.apn][:1]
        return passed(", ".join(parts))
    if contexts and not carrying:
        apns = ", ".join(f'"{one.apn}"' for one in contexts if one.apn) or _("none set")
        what = _("the network gives no data connection; APN: {apns}").format(apns=apns)
        if bearer is not None and bearer.reason:
            what += f" ({bearer.reason})"
        return failed("wrong_apn", what, _(APN_STEP))
    if route.interface is None:
        missing = _without_answer(evidence)
        if missing is not None and missing.verdict != "NOT TESTED":
            return missing
        return failed(
            "no_route", _without_route(carrying),
            _("restart the router's modem connection, and look at: ip route"),
        )  # fmt: skip
    return failed(
        "no_ip_address", _("{interface} has no IP address").format(interface=route.interface),
        _("restart the router's modem connection; check the APN: sinyal modem at AT+CGDCONT?"),
    )  # fmt: skip


def _without_route(carrying: list[Context]) -> str:
    if carrying:
        return _("the modem is connected, but this gateway has no route to it")
    return _("this gateway has no route to the internet")


def hears_a_cell(evidence: Evidence) -> bool:
    """Return whether the modem shows any level."""
    return any(evidence.modem_fields.get(name) is not None for name in LEVELS)


def _without_modem(evidence: Evidence) -> Finding | None:
    state = evidence.modem_fields.get("modem_state")
    return untested(_("needs the port of the modem")) if state in (None, "busy", "missing") else None


def _without_answer(evidence: Evidence) -> Finding | None:
    state = evidence.modem_fields.get("modem_state")
    return None if state in ("ok", "restarted") else untested(_("needs a modem that answers"))


def _without_card(evidence: Evidence) -> Finding | None:
    state = evidence.modem_fields.get("sim_state")
    return None if state in (None, "ready") else untested(_("needs a SIM card that is ready"))
