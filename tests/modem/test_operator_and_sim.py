"""+COPS? and +CPIN?: forms seen in the field."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.modem.at_reply import FinalResult, Reply
from agent.modem.identity import MODEM_QUERIES, read_identity, without_identifiers
from agent.modem.network_operator import NetworkOperator, parse_operator
from agent.modem.reading import Findings
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


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        ("EC25 356938035643809", "EC25 ***************"),
        ("hub 081234567890", "hub ************"),
        ("CS +62 812-3456-7890", "CS +** ***-****-****"),
        ("EC25EFAR06A03M4G_01.001.01.001", "EC25EFAR06A03M4G_01.001.01.001"),
        ("SWI9X30C_02.33.03.00 r8209 CARMD-EV 2019/08/28 20:59:30", None),
        ("18500.5001.00.05.27.16", None),
        ("81600.0000.00.29.23.14_GC_L0_5111.0110.09", None),
        ("B02_20230412153000", None),
        ("M0F.660006 1418B05SIM800L24", None),
        ("21.333.01.00.00", None),
    ],
)
def test_a_subscribers_number_is_hidden_in_texts_and_a_version_is_not(
    printed: str, shown: str | None
) -> None:
    assert without_identifiers(printed) == (shown or printed)
    query = next(query for query in MODEM_QUERIES if query.field == "firmware")
    assert read_identity(query, [printed]) == (shown or printed)
    findings = Findings()
    findings.add("AT+COPS?", {"operator_name": printed})
    assert findings.fields["operator_name"] == (shown or printed)
