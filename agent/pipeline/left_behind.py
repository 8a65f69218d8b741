"""What a daemon left in its database, in the shape of its snapshot: read when it runs no more."""

import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.budget.billing import billing_day, billing_month
from agent.budget.ledger import month_state
from agent.budget.limits import Limits
from agent.budget.tables import reserve, used_since
from agent.buffer.peek import peek
from agent.pipeline.link_history import correct_all
from agent.pipeline.looking_back import past_of
from agent.pipeline.measuring import shown_budget


def left_behind(database: Path, values: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return "epoch", "reading", "buffer", "today", "hour" and "budget" as the snapshot has them, or None.

    values: the configuration. None means what it does for `peek`.
    """
    now_ts = time.time()

    def also(connection: sqlite3.Connection) -> dict[str, Any]:
        past = past_of(connection, correct_all(connection), now_ts)
        return {**past, "budget": _budget(connection, values, now_ts)}

    return peek(database, also)


def _budget(connection: sqlite3.Connection, values: Mapping[str, Any], now_ts: float) -> dict[str, Any]:
    cap = values["budget.month_bytes"] if values["budget.profile"] == "prepaid" else None
    limits = Limits(cap, values["budget.day_of_month"], values["budget.rupiah_per_mb"])
    day = billing_day(now_ts)
    days = used_since(connection, billing_month(day, limits.begins_on).first)
    today = days.setdefault(day, {})
    today["other"] = today.get("other", 0) + reserve(connection)
    state = month_state(days, limits, day)
    return shown_budget(state.used, cap, state.stage)
