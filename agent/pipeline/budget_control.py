"""What a command may ask about budget and speed tests: of the daemon or, without one, of the files."""

import time
from collections.abc import Mapping
from typing import Any

from agent.budget.desk import Desk, OverBudget, checked_result
from agent.budget.report import budget_document
from agent.errors import UsageMistake
from agent.language import _
from agent.pipeline.control import Answerer, Question

MOST_TESTS = 100

TRAFFIC_PORTION_BYTES = 20_000
"""What `sinyal aim --traffic` is charged at a time: a minute or two of echoes."""


def budget_answerers(desk: Desk) -> Mapping[str, Answerer]:
    """Return what is done for each question."""
    return {
        "budget": lambda _question: budget_now(desk),
        "aim_traffic": lambda _question: _charge_traffic(desk),
        "speedtest_offer": lambda question: _offer(desk, question),
        "speedtest_begin": lambda question: desk.begin("asked", _engine(desk, question), time.time()),
        "speedtest_finish": lambda question: _finish(desk, question),
        "speedtest_history": lambda question: {
            "tests": desk.history(_limit(question)),
            "planned": desk.planned(),
        },
        "speedtest_peak": lambda _question: _peak(desk),
    }


def budget_now(desk: Desk) -> dict[str, Any]:
    """Return the budget's document."""
    return budget_document(desk.ledger.state(), desk.ledger.limits, time.time())


def _charge_traffic(desk: Desk) -> Mapping[str, Any]:
    """Charge the next portion of the traffic of an aiming before it is sent; raises OverBudget."""
    if not desk.ledger.may_test(TRAFFIC_PORTION_BYTES, asked=True):
        raise OverBudget(
            _("traffic for aiming does not fit into the data budget of this month"),
            _("aim without --traffic, or see what was used: sinyal budget"),
        )
    desk.ledger.charge("other", TRAFFIC_PORTION_BYTES)
    return {"bytes": TRAFFIC_PORTION_BYTES}


def _engine(desk: Desk, question: Question) -> str:
    engine = question.get("engine") or desk.config.engine
    if not isinstance(engine, str):
        raise UsageMistake(_("{engine} is no way to test the speed").format(engine=engine))
    return engine


def _offer(desk: Desk, question: Question) -> Mapping[str, Any]:
    engine = _engine(desk, question)
    size = desk.offer(engine, asked=True, now_ts=time.time())
    budget = budget_now(desk)
    return {
        "engine": engine,
        "cost_bytes": size.cost_bytes,
        "cost_rupiah": desk.ledger.limits.rupiah(size.cost_bytes),
        "left_bytes": budget["left_bytes"],
    }


def _finish(desk: Desk, question: Question) -> Mapping[str, Any]:
    number = question.get("number")
    if type(number) is not int:
        raise UsageMistake(_("this is not the result of a speed test"))
    return {"result": desk.finish(number, checked_result(question.get("result")))}


def _limit(question: Question) -> int:
    limit = question.get("limit")
    return max(1, min(limit, MOST_TESTS)) if type(limit) is int else 10


def _peak(desk: Desk) -> Mapping[str, Any]:
    peak = desk.peak()
    return {"down_kbit_s": peak[0] if peak else None, "up_kbit_s": peak[1] if peak else None}
