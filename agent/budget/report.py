"""The budget as one document: what `sinyal budget --json` gives and the screen is made of."""

import math
from typing import Any

from agent.budget.billing import DAY_S, date_of, day_begins_ts
from agent.budget.ledger import BudgetState
from agent.budget.limits import Limits


def budget_document(state: BudgetState, limits: Limits, now_ts: float) -> dict[str, Any]:
    """Return the month so far, what is left and where it leads; null where there is no cap or no price."""
    left = limits.left(state.used)
    forecast = forecast_bytes(state, now_ts)
    return {
        "profile": "unlimited" if limits.month_bytes is None else "prepaid",
        "month_first": date_of(state.month.first),
        "month_last": date_of(state.month.last),
        "today": date_of(state.day),
        "max_bytes": limits.month_bytes,
        "used_bytes": state.used,
        "left_bytes": None if math.isinf(left) else int(left),
        "used_pct": round(100 * state.used / limits.month_bytes, 1) if limits.month_bytes else None,
        "by_use": dict(state.by_use),
        "today_bytes": sum(state.today.values()),
        "today_by_use": dict(state.today),
        "forecast_bytes": forecast,
        "stage": state.stage,
        "rupiah_per_mb": limits.rupiah_per_mb or None,
        "used_rupiah": limits.rupiah(state.used),
        "forecast_rupiah": limits.rupiah(forecast),
    }


def forecast_bytes(state: BudgetState, now_ts: float) -> int:
    """Return what the month will use when its rest is like the days counted so far (at least one day)."""
    since_day_began_s = min(max(now_ts - day_begins_ts(state.day), 0.0), float(DAY_S))
    now = state.day + since_day_began_s / DAY_S
    days_left = max(0.0, state.month.last + 1 - now)
    return round(state.used * (1 + days_left / max(now - state.counted_from, 1.0)))
