"""What the lights tell: each state of a gateway, and the one number that the button lets blink."""

from typing import Any

import pytest

from agent.pipeline.box_control import LIGHTS
from agent.pipeline.box_states import Seen, code_of, states_of
from firmware_hooks.gpio import patterns

FINE = Seen(
    row={"modem_state": "ok", "sim_state": "ready", "signal_class": "good"},
    is_down=False, has_old_unsent=False, is_unstorable=False, mains=True, battery_low=False,
    undervoltage=False, is_recovering=False, technician=False,
)  # fmt: skip


def row(**changes: Any) -> dict[str, Any]:
    return {**FINE.row, **changes}


@pytest.mark.parametrize(
    ("changes", "light", "state", "code"),
    [
        ({}, "power", "mains", "fine"),
        ({"mains": None}, "power", "unknown", "fine"),
        ({"mains": False}, "power", "battery", "power"),
        ({"mains": False, "battery_low": True}, "power", "low", "power"),
        ({"undervoltage": True}, "power", "undervoltage", "power"),
        ({"technician": True}, "power", "technician", "fine"),
        ({"row": row(modem_state="hung")}, "modem", "hung", "modem"),
        ({"row": row(modem_state="missing")}, "modem", "missing", "modem"),
        ({"row": row(modem_state="busy")}, "modem", "busy", "modem"),
        ({"row": row(modem_state="restarted")}, "modem", "ok", "fine"),
        ({"row": row(sim_state="puk_required")}, "modem", "sim", "sim"),
        ({"is_recovering": True}, "modem", "recovering", "modem"),
        ({"row": {}}, "modem", "unknown", "modem"),
        ({"row": row(signal_class="very_poor")}, "signal", "very_poor", "signal"),
        ({"row": row(signal_class=None)}, "signal", "none", "signal"),
        ({"is_down": True}, "link", "down", "link"),
        ({"is_down": None}, "link", "unknown", "fine"),
        ({"has_old_unsent": True}, "unsent", "waiting", "unsent"),
        ({"is_unstorable": True}, "unsent", "unstorable", "unsent"),
    ],
)
def test_a_light_and_the_code_tell_a_state(
    changes: dict[str, Any], light: str, state: str, code: str
) -> None:
    seen = FINE._replace(**changes)
    assert states_of(seen)[light] == state
    assert code_of(seen) == code


def test_every_state_has_a_pattern_and_every_trouble_a_number() -> None:
    assert tuple(patterns.LIGHTS) == LIGHTS
    assert code_of(FINE) in patterns.CODES
    assert list(patterns.CODES.values()) == list(range(1, 8))


def test_of_two_troubles_the_nearer_one_is_told() -> None:
    seen = FINE._replace(row=row(modem_state="hung"), is_down=True, mains=False)
    assert code_of(seen) == "power"
    assert code_of(seen._replace(mains=True)) == "modem"
