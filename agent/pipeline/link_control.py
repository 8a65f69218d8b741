"""What a command may ask of the link while the daemon holds the database."""

from collections.abc import Mapping
from typing import Any

from agent.buffer.keeper import Keeper
from agent.errors import UsageMistake
from agent.language import _
from agent.link.outage import Edge
from agent.link.prober import boot_clock_s
from agent.pipeline.control import Answerer, Question
from agent.pipeline.link_watch import LinkWatch, corrector

OUTAGES_AN_ANSWER = 40
"""One takes up to about a kilobyte, and an answer 64."""


def link_answerers(keeper: Keeper, watch: LinkWatch) -> Mapping[str, Answerer]:
    """Return what is done for each question about the link."""

    def outages(question: Question) -> Mapping[str, Any]:
        # Seldom asked, and the daemon has to be small.
        from agent.pipeline.link_history import outages_between

        after = _number(question, "after") or 0
        from_ts, to_ts = _number(question, "from_ts"), _number(question, "to_ts")
        found = keeper.read(
            lambda connection: outages_between(
                connection, corrector(connection, keeper.boot), from_ts=from_ts, to_ts=to_ts
            )
        )
        left = [one for one in found if one.number > after]
        return {
            "outages": [
                {**one.document(), "began_s_ago": _began_s_ago(one.outage.start)}
                for one in left[:OUTAGES_AN_ANSWER]
            ],
            "more": len(left) > OUTAGES_AN_ANSWER,
        }

    def _began_s_ago(start: Edge) -> float | None:
        # Known on a box without a clock, too, as long as it was in this boot.
        return round(boot_clock_s() - start.uptime_s, 1) if start.boot == keeper.boot else None

    def availability(question: Question) -> Mapping[str, Any]:
        from agent.link.availability import month_of
        from agent.pipeline.link_history import month_figures

        month = month_of(str(question.get("month", "")))
        figures = keeper.read(
            lambda connection: month_figures(connection, corrector(connection, keeper.boot), month)
        )
        return {"availability": figures.document(), "meeting": watch.meeting().document()}

    return {"outages": outages, "availability": availability}


def _number(question: Question, name: str) -> float | None:
    value = question.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UsageMistake(_("the running agent does not know this question"))
    return value
