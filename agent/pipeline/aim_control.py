"""What `sinyal aim` asks beside the modem: to keep an aiming that is over, and to read what was kept.

The running agent answers while it holds the database; without one the command opens the file for a moment.
"""

import time
from collections.abc import Mapping
from typing import Any

from agent.buffer.keeper import Keeper
from agent.pipeline.control import Answerer, Question
from agent.pipeline.link_watch import corrector

SESSIONS_AN_ANSWER = 20


def aim_answerers(keeper: Keeper) -> Mapping[str, Answerer]:
    """Return what is done for each question; what is seldom needed is loaded when it is."""

    def keep_session(question: Question) -> Mapping[str, Any]:
        from agent.aim.sessions import checked_session, keep

        session = checked_session(question.get("session"))
        uptime_s, ts = beginning_of(session)
        keeper.write(lambda connection: keep(connection, session, keeper.boot, uptime_s, ts))
        return {}

    def history(_question: Question) -> Mapping[str, Any]:
        from agent.aim.sessions import kept_sessions

        found = keeper.read(
            lambda connection: kept_sessions(
                connection, corrector(connection, keeper.boot), SESSIONS_AN_ANSWER
            )
        )
        return {"sessions": found}

    return {"aim_keep": keep_session, "aim_history": history}


def beginning_of(session: Mapping[str, Any]) -> tuple[float, int]:
    """Return when a session that ends now began: seconds since boot, and UTC second of the wall clock."""
    seconds = float(session["seconds"] or 0)
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - seconds), round(time.time() - seconds)
