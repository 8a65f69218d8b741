"""+COPS? and +CPIN?: forms seen in the field."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.modem.at_reply import FinalResult, Reply
from agent.modem.network_operator import NetworkOperator, parse_operator
from agent.modem.sim import BUSY, sim_state


@pytest.mark.parametrize(
    ("text", "operator"),
    [
        ('0,0,"TELKOMSEL",7', NetworkOperator("TELKOMSEL", None, 7)),
        ('0,2,"51010",7', NetworkOperator(None, "51010", 7)),
        ('1,2,"46000"', NetworkOperator(None, "46000", None)),
        ('0,0,"T-Mobile USA, In",2', NetworkOperator("T-Mobile USA, In", None, 2)),
        ('0,0,"Verizon ",8', NetworkOperator("Verizon", None, 8)),
        ('0,0,"XL XL",7', NetworkOperator("XL", None, 7)),
        ('0,0,"CHINA MOBILE CMCC",11', NetworkOperator("CHINA MOBILE CMCC", None, 11)),
        ('0,0,"999 70 Magic",11', NetworkOperator("999 70 Magic", None, 11)),
        ('0,0,"0056006500720069007A006F006E",7', NetworkOperator("Verizon", None, 7)),
        ('0,2,"003300310031003400380030",7', NetworkOperator(None, "311480", 7)),
        ('0,255,"",7', NetworkOperator(None, None, 7)),
        ("0", NetworkOperator()),
        ("2", NetworkOperator()),
        (
            '(2,"TELKOMSEL","TSEL","51010",7),(1,"XL","XL","51011",7)',
            NetworkOperator("TELKOMSEL", "51010", 7),
        ),
        ('0,2,"51010FF",7', NetworkOperator(None, None, 7)),
        ('0,0,"bad \ufffd name",7', NetworkOperator(None, None, 7)),
    ],
)
def test_operator_forms(text: str, operator: NetworkOperator) -> None:
    assert parse_operator([text]) == operator


@given(st.lists(st.text(max_size=60), max_size=3))
def test_any_operator_answer_is_survived(texts: list[str]) -> None:
    parse_operator(texts)


@pytest.mark.parametrize(
    ("lines", "final", "state"),
    [
        (["+CPIN: READY"], "OK", "ready"),
        (["+CPIN:READY"], None, "ready"),
        (["+CPIN: SIM PIN"], "OK", "pin_required"),
        (["+CPIN: SIM PUK"], "OK", "puk_required"),
        (["+CPIN: SIM PIN2"], "OK", "ready"),
        (["+CPIN: PH-NET PIN"], "OK", "locked"),
        (["+CPIN: PH-SIM PIN"], "OK", "locked"),
        (["+CPIN: NOT INSERTED"], "OK", "absent"),
        (["+CPIN: NOT READY"], "OK", BUSY),
        (["+CPIN: SIM PIN", "+CPIN: READY"], "OK", "ready"),
        ([], FinalResult("+CME ERROR", code=10), "absent"),
        ([], FinalResult("+CME ERROR", code=11), "pin_required"),
        ([], FinalResult("+CME ERROR", code=13), "error"),
        ([], FinalResult("+CME ERROR", code=14), BUSY),
        ([], FinalResult("+CME ERROR", code=40), "locked"),
        ([], FinalResult("+CME ERROR", text="SIM not inserted"), "absent"),
        ([], FinalResult("+CME ERROR", text="SIM busy"), BUSY),
        ([], FinalResult("+CME ERROR", text="network personalization PIN required"), "locked"),
        ([], FinalResult("+CMS ERROR", code=310), "absent"),
        # No reason given is no reason: neither "absent" nor "PIN".
        ([], "ERROR", None),
        ([], FinalResult("+CME ERROR"), None),
        ([], None, None),
        (["+CPIN: WHATEVER"], "OK", None),
    ],
)
def test_sim_states(lines: list[str], final: FinalResult | str | None, state: str | None) -> None:
    ended = FinalResult(final) if isinstance(final, str) else final
    assert sim_state(Reply("AT+CPIN?", tuple(lines), ended)) == state
