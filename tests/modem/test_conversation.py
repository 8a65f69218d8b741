"""One command, one reply: in step whatever the line does."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.errors import UsageMistake
from agent.modem import conversation as module
from agent.modem.conversation import Conversation, ModemSilent
from agent.modem.port import SerialPort
from agent.modem.simulator import Behaviour, SimulatedModem
from agent.modem.transcript import parse_transcript
from tests.modem.lines import LINES
from tests.modem.scripted_port import ScriptedPort

OK = b"\r\nOK\r\n"
TALK = parse_transcript(
    """
> AT+CSQ
< +CSQ: 20,99
< OK
> AT+CGMM
< EC25
< OK
> AT+COPS?
< +CME ERROR: 30
> AT+QENG="servingcell"
< +QENG: "servingcell","NOCONN"
< +QENG: "LTE",1
< +QENG: "NR5G-NSA",2
< OK
"""
)


def talk(answers: dict[str, list[bytes | float]]) -> tuple[Conversation, ScriptedPort]:
    port = ScriptedPort(
        lambda command: list(answers.get(command, [OK if command == "AT" else b"\r\nERROR\r\n"]))
    )
    return Conversation(port), port


@pytest.mark.parametrize("line", LINES)
def test_each_command_gets_its_own_answer_over_every_line(line: str) -> None:
    with SimulatedModem(TALK, LINES[line]) as modem:
        port = SerialPort(str(modem.path))
        conversation = Conversation(port)
        for _round in range(3):
            assert conversation.ask("AT+CSQ", "+CSQ:").answers("+CSQ:") == ["20,99"]
            final = conversation.ask("AT+COPS?", "+COPS:").final
            assert final is not None and (final.word, final.code) == ("+CME ERROR", 30)
            assert "EC25" in conversation.ask("AT+CGMM", "").lines
            assert len(conversation.ask('AT+QENG="servingcell"', "+QENG:").answers("+QENG:")) == 3
            refused = conversation.ask("AT+NOSUCH").final
            assert refused is not None and refused.word == "ERROR"
        port.close()


@pytest.mark.parametrize(
    "command",
    ["", "AT+CSQ\r", "AT\nAT+CFUN=0", "AT\x00", "AT\x1a", "AT+CPIN=\u0661", "AT\x7f", "A" * 600, "AT\u2028"],
)
def test_nothing_but_one_printable_line_is_sent(command: str) -> None:
    conversation, port = talk({})
    with pytest.raises(UsageMistake):
        conversation.ask(command)
    assert port.written == []


@given(st.text())
@settings(max_examples=50, deadline=None)
def test_no_text_brings_a_line_end_into_a_command(text: str) -> None:
    conversation, port = talk({})
    try:
        conversation.ask(text)
    except UsageMistake:
        assert port.written == []
    assert not any(sign in sent for sent in port.written for sign in "\r\n\x00")


def test_a_late_answer_is_not_taken_for_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SYNC_WAIT_S", 0.3)
    conversation, port = talk({"AT+CGMI": [0.6, b"\r\nQuectel\r\n" + OK], "AT+CGMM": [b"\r\nEC25\r\n" + OK]})
    assert conversation.ask("AT+CGMI", "", deadline_s=0.2).final is None
    assert conversation.ask("AT+CGMM", "").lines == ("EC25",)
    assert "AT" in port.written


def test_a_stray_ok_does_not_end_a_question_that_is_not_answered_yet() -> None:
    conversation, _port = talk({"AT+CSQ": [OK, 0.05, b"\r\n+CSQ: 20,99\r\n" + OK]})
    reply = conversation.ask("AT+CSQ", "+CSQ:")
    assert reply.answers("+CSQ:") == ["20,99"]
    assert reply.final is not None and reply.final.is_ok


def test_an_ok_without_an_answer_is_accepted_after_a_moment() -> None:
    conversation, _port = talk({"AT+CSQ": [OK]})
    began = time.monotonic()
    reply = conversation.ask("AT+CSQ", "+CSQ:")
    assert reply.final is not None and reply.answers("+CSQ:") == []
    assert time.monotonic() - began < 2


def test_an_answer_without_final_result_counts_when_the_line_falls_silent() -> None:
    conversation, _port = talk({"AT+CPIN?": [b"\r\n+CPIN: READY\r\n"], "AT+CSQ": [b"\r\n+CSQ: 9,0\r\n" + OK]})
    reply = conversation.ask("AT+CPIN?", "+CPIN:", deadline_s=10)
    assert (reply.answers("+CPIN:"), reply.final) == (["READY"], None)
    assert conversation.ask("AT+CSQ", "+CSQ:").answers("+CSQ:") == ["9,0"]


def test_notices_before_a_command_are_no_part_of_its_answer() -> None:
    conversation, port = talk({"AT+CSQ": [b"\r\n+CSQ: 9,0\r\n" + OK]})
    conversation.synchronise()
    port.push(b"\r\n+CSQ: 31,0\r\n", b"\r\n+CRE")
    assert conversation.ask("AT+CSQ", "+CSQ:").answers("+CSQ:") == ["9,0"]


@pytest.mark.parametrize("notice", [b"\r\nRDY\r\n", b"\r\n^BOOT:1,0\r\n", b"\r\nMODEM:STARTUP\r\n"])
def test_a_restart_is_told_once_wherever_its_notice_comes(notice: bytes) -> None:
    conversation, port = talk(
        {"AT+CSQ": [notice + b"\r\n+CSQ: 9,0\r\n" + OK], "AT+CGMM": [b"EC25\r\n" + OK + notice]}
    )
    conversation.synchronise()
    assert not conversation.take_restart()
    for command in ("AT+CSQ", "AT+CGMM"):
        conversation.ask(command, "")
        assert conversation.take_restart()
        assert not conversation.take_restart()
    port.push(notice)
    conversation.ask("AT")
    assert conversation.take_restart()


def test_the_notices_that_end_one_start_do_not_count_as_another(monkeypatch: pytest.MonkeyPatch) -> None:
    conversation, port = talk({})
    conversation.synchronise()
    port.push(b"\r\nRDY\r\n", b"\r\nSMS DONE\r\n")
    conversation.ask("AT")
    assert conversation.take_restart()
    port.push(b"\r\nCall Ready\r\n")
    conversation.ask("AT")
    assert not conversation.take_restart()
    monkeypatch.setattr(module, "START_UP_S", 0.0)
    port.push(b"\r\nCall Ready\r\n")
    conversation.ask("AT")
    assert conversation.take_restart()


def test_everything_ends_at_the_limit_of_the_poll() -> None:
    conversation, _port = talk({"AT+COPS?": [60.0]})
    conversation.ends_at = time.monotonic() + 0.5
    began = time.monotonic()
    with pytest.raises(ModemSilent):
        conversation.ask("AT+COPS?", "+COPS:", deadline_s=45)
    assert time.monotonic() - began < 3


_NOISE = st.one_of(
    st.binary(max_size=60),
    st.sampled_from(
        (b"\r\nOK\r\n", b"\r\n+CSQ: 20,99\r\n", b"\r\n+CME ERROR: 14\r\n", b"RDY\r\n", b"\x00" * 50)
    ),
)


def test_random_noise_never_breaks_a_conversation(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SYNC_WAIT_S", "ANSWERED_QUIET_S", "LATE_GRACE_S", "_DRAIN_QUIET_S"):
        monkeypatch.setattr(module, name, 0.005)

    @given(chunks=st.lists(_NOISE, max_size=8))
    @settings(max_examples=150, deadline=None)
    def check(chunks: list[bytes]) -> None:
        conversation = Conversation(ScriptedPort(lambda _command: list(chunks)))
        began = time.monotonic()
        try:
            reply = conversation.ask("AT+CSQ", "+CSQ:", deadline_s=0.02)
        except ModemSilent:
            pass
        else:
            assert all(isinstance(text, str) for text in reply.answers("+CSQ:"))
        assert time.monotonic() - began < 2

    check()


def test_a_modem_that_hangs_babbles_or_drips_is_found_silent_in_bounded_time() -> None:
    behaviours = (
        Behaviour(hang_after=1),
        Behaviour(flood_after=1),
        Behaviour(bytewise=True, byte_delay_s=0.6),
    )

    def run(behaviour: Behaviour) -> float:
        with SimulatedModem(TALK, behaviour) as modem:
            port = SerialPort(str(modem.path))
            conversation = Conversation(port)
            began = time.monotonic()
            with pytest.raises(ModemSilent):
                conversation.ask("AT+CSQ", "+CSQ:", deadline_s=2)
            port.close()
            return time.monotonic() - began

    with ThreadPoolExecutor(3) as pool:
        assert max(pool.map(run, behaviours)) < 10
