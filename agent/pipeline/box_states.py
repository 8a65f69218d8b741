"""What the lights of the box tell: from what the agent sees to the state of each light."""

from typing import NamedTuple

from agent.contract.catalogue import Row


class Seen(NamedTuple):
    """What the lights are to tell. is_down: of the link, None while it is not known."""

    row: Row
    is_down: bool | None
    has_old_unsent: bool
    is_unstorable: bool
    mains: bool | None
    battery_low: bool
    undervoltage: bool
    is_recovering: bool
    technician: bool


def states_of(seen: Seen) -> dict[str, str]:
    """Return the state that each light is to show."""
    return {
        "power": _power_state(seen),
        "modem": _modem_state(seen),
        "signal": str(seen.row.get("signal_class") or "none"),
        "link": {True: "down", False: "up", None: "unknown"}[seen.is_down],
        "unsent": "unstorable" if seen.is_unstorable else "waiting" if seen.has_old_unsent else "none",
    }


def _power_state(seen: Seen) -> str:
    if seen.technician:
        return "technician"
    if seen.battery_low:
        return "low"
    if seen.mains is False:
        return "battery"
    if seen.undervoltage:
        return "undervoltage"
    return "unknown" if seen.mains is None else "mains"


def _modem_state(seen: Seen) -> str:
    if seen.is_recovering:
        return "recovering"
    state = str(seen.row.get("modem_state") or "unknown")
    if state in ("ok", "restarted"):
        return "ok" if seen.row.get("sim_state") in (None, "ready") else "sim"
    return state


def code_of(seen: Seen) -> str:
    """Return the first thing that is wrong, nearest to the box first: what the button lets blink."""
    states = states_of(seen)
    wrong = {
        "power": states["power"] in ("battery", "low", "undervoltage"),
        "modem": states["modem"] not in ("ok", "sim"),
        "sim": states["modem"] == "sim",
        "signal": states["signal"] in ("none", "very_poor"),
        "link": states["link"] == "down",
        "unsent": states["unsent"] != "none",
    }
    return next((name for name, is_wrong in wrong.items() if is_wrong), "fine")
