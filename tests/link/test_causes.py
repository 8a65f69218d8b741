"""Every row of the table of evidence is reached by its own evidence, and by no other row's."""

from typing import Any

import pytest

from agent.language import _, use_language
from agent.link.causes import CAUSES, NEXT_STEPS, TABLE, Row, Value, explain, next_step_of, sentence_of

WELL: dict[str, Value] = {
    "modem_expected": True, "modem_state": "ok", "sim_state": "ready", "registration": "home",
    "signal_class": "good", "default_route": True, "ip_address": True, "names_resolve": True,
    "refused_everywhere": False, "redirected": False,
}  # fmt: skip
"""A gateway at which nothing is wrong that can be seen from it."""

DEAD = {**WELL, "trigger": "probes", "addresses_answer": False}

CASES: list[tuple[dict[str, Value], str, bool]] = [
    ({"boot_changed": True, "clean_stop": False, "mains_present": False}, "power", False),
    ({"boot_changed": True, "clean_stop": True, "mains_present": False}, "power", False),
    ({"boot_changed": True, "clean_stop": True}, "gateway", False),
    ({"boot_changed": True, "clean_stop": True, "mains_present": True}, "gateway", False),
    ({"boot_changed": True, "clean_stop": False}, "power", True),
    ({"boot_changed": True, "clean_stop": False, "mains_present": True}, "power", True),
    ({"agent_gap": True, "clean_stop": False}, "gateway", False),
    ({"agent_gap": True, "clean_stop": True}, "gateway", False),
    *(({**DEAD, "modem_state": state}, "modem", False) for state in ("missing", "hung", "busy")),
    *(
        ({**DEAD, "sim_state": state}, "sim", False)
        for state in ("absent", "pin_required", "puk_required", "locked", "error")
    ),
    *(
        ({**DEAD, "registration": state}, "no_service", False)
        for state in ("denied", "searching", "not_registered")
    ),
    ({**DEAD, "signal_class": "none"}, "no_service", False),
    ({**DEAD, "signal_class": "very_poor"}, "weak_signal", False),
    ({**DEAD, "default_route": False}, "bearer", False),
    ({**DEAD, "ip_address": False}, "bearer", False),
    # Probes are bound to the uplink and need no route; everything else does.
    ({**WELL, "trigger": "reports", "default_route": False, "names_resolve": False, "addresses_answer": True,
      "broker_fails": True}, "bearer", False),
    ({**WELL, "trigger": "reports", "default_route": False, "addresses_answer": True, "broker_fails": True},
     "broker", False),
    ({**DEAD, "operator_says_spent": True}, "quota", False),
    ({**DEAD, "redirected": True}, "quota", True),
    ({**DEAD, "refused_everywhere": True}, "quota", True),
    ({"modem_expected": False, "ip_address": True, "default_route": True, "redirected": True}, "quota", True),
    ({**WELL, "addresses_answer": True, "report_problem": "tls_not_yet_valid", "broker_fails": True,
      "clock_trusted": False}, "clock", False),
    ({**WELL, "addresses_answer": True, "names_resolve": False}, "dns", False),
    (DEAD, "backhaul", False),
    ({**DEAD, "names_resolve": False}, "backhaul", False),
    ({**WELL, "addresses_answer": True, "broker_fails": True}, "broker", False),
    # A certificate that has run out while the clock is right is the centre's matter.
    ({**WELL, "addresses_answer": True, "report_problem": "tls_expired", "broker_fails": True,
      "clock_trusted": True}, "broker", False),
    ({**WELL, "addresses_answer": True}, "unknown", False),
    # The internet works without the port for AT commands, and says nothing about the broker.
    ({**WELL, "trigger": "reports", "modem_state": "busy", "addresses_answer": True, "broker_fails": True},
     "broker", False),
    ({}, "unknown", False),
]  # fmt: skip


@pytest.mark.parametrize(("evidence", "cause", "inferred"), CASES)
def test_evidence_tells_its_cause(evidence: dict[str, Any], cause: str, inferred: bool) -> None:
    row = explain(evidence)
    assert (row.cause, row.inferred) == (cause, inferred)


def test_every_row_is_the_answer_to_some_case() -> None:
    reached = [explain(evidence).sentence for evidence, _cause, _inferred in CASES]
    assert [row.sentence for row in TABLE if row.sentence not in reached] == []


def test_every_cause_of_the_contract_is_told_by_some_row_and_has_a_next_step() -> None:
    assert {row.cause for row in TABLE} == set(CAUSES) == set(NEXT_STEPS)


@pytest.mark.parametrize("row", TABLE[:-1], ids=lambda row: row.sentence)
def test_a_need_that_is_not_known_is_not_met(row: Row) -> None:
    given = {name: allowed[0] for name, allowed in row.needs.items()}
    assert row.fits(given)
    for name, allowed in row.needs.items():
        assert row.fits({**given, name: None}) == (None in allowed)


def test_a_redirection_without_registration_or_signal_is_no_used_up_package() -> None:
    for missing in ({"registration": None}, {"signal_class": None}, {"ip_address": None}):
        assert explain({**DEAD, "redirected": True, **missing}).cause != "quota"


def test_a_gateway_without_a_modem_is_not_told_that_its_modem_is_missing() -> None:
    assert explain({**DEAD, "modem_expected": False, "modem_state": "missing"}).cause == "backhaul"


def test_every_sentence_and_step_is_there_in_indonesian() -> None:
    use_language("id")
    for text in (*(row.sentence for row in TABLE), *NEXT_STEPS.values()):
        assert _(text) != text
    assert all("Dugaan" in _(row.sentence) for row in TABLE if row.inferred and row.cause == "quota")


def test_a_stored_cause_keeps_a_sentence_of_its_own_when_its_evidence_fits_another_row() -> None:
    assert sentence_of("sim", {}) == next(row.sentence for row in TABLE if row.cause == "sim")
    assert sentence_of("no_service", {**DEAD, "registration": "denied"}).startswith("The operator's network")
    assert sentence_of("from_the_future", {}) == TABLE[-1].sentence


def test_a_refused_card_is_no_matter_of_the_antenna() -> None:
    refused, searching = ({**DEAD, "registration": state} for state in ("denied", "searching"))
    assert "card" in next_step_of("no_service", refused)
    assert next_step_of("no_service", searching) == NEXT_STEPS["no_service"]
    assert next_step_of("from_the_future", {}) == NEXT_STEPS["unknown"]
