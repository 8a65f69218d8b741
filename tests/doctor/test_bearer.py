"""What a modem tells of its data connection, in the writings of several families."""

import time

import pytest

from agent.doctor.bearer import QUESTIONS, read_bearer
from agent.doctor.evidence import Context
from agent.errors import SinyalError
from agent.modem.typed_command import why_dangerous

FLOOR_TS = 1_767_225_600


def bearer(answers: dict[str, list[str]]) -> object:
    def ask(command: str) -> list[str]:
        if command not in answers:
            raise SinyalError("refused")
        return answers[command]

    return read_bearer(ask, FLOOR_TS)


@pytest.mark.parametrize(
    ("contexts", "active", "addresses", "wanted"),
    [
        (['+CGDCONT: 1,"IP","internet","0.0.0.0",0,0'], ["+CGACT: 1,1"], ['+CGPADDR: 1,"10.1.2.3"'], True),
        (['+CGDCONT: 1,"IPV4V6","internet"'], ["+CGACT: 1,1"], ["+CGPADDR: 1,10.1.2.3,2001:db8::1"], True),
        (['+CGDCONT:1,"IP","internet"'], ["+CGACT:1,1"], [], True),
        (['+CGDCONT: 1,"IP","internet"'], ["+CGACT: 1,1"], ['+CGPADDR: 1,"0.0.0.0"'], False),
        (['+CGDCONT: 1,"IP","internet"'], ["+CGACT: 1,1"], ["+CGPADDR: 1,"], False),
        (['+CGDCONT: 1,"IP","internet"'], ["+CGACT: 1,0"], [], False),
        (['+CGDCONT: 1,"IP","internet"'], [], [], False),
    ],
)
def test_a_context_carries_when_it_has_an_address(
    contexts: list[str], active: list[str], addresses: list[str], wanted: bool
) -> None:
    seen = bearer({"AT+CGDCONT?": contexts, "AT+CGACT?": active, "AT+CGPADDR": addresses})
    (context,) = seen.contexts  # type: ignore[attr-defined]
    assert isinstance(context, Context)
    assert (context.cid, context.apn, context.carries) == (1, "internet", wanted)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('+CEER: "Missing or unknown APN"', "Missing or unknown APN"),
        ("+CEER: 33", "33"),
        ('+CEER: 33,"Service option not subscribed"', "33,Service option not subscribed"),
        ("+CEER: No cause information available", ""),
        ("+CEER: 0", ""),
        ("+CEER: ", ""),
        ("OK?", ""),
    ],
)
def test_why_the_network_refused(line: str, reason: str) -> None:
    assert bearer({"AT+CEER": [line]}).reason == reason  # type: ignore[attr-defined]


def test_a_modem_that_refuses_everything_tells_nothing() -> None:
    assert bearer({}) == ([], "", None)


def test_the_network_time() -> None:
    text = time.strftime("%y/%m/%d,%H:%M:%S", time.gmtime(FLOOR_TS + 3600))
    assert bearer({"AT+CCLK?": [f'+CCLK: "{text}+00"']}).network_ts == FLOOR_TS + 3600  # type: ignore[attr-defined]


def test_every_question_only_reads() -> None:
    assert [question for question in QUESTIONS if why_dangerous(question)] == []
