"""Messages, broadcasts and USSD texts that come unasked: never an answer, wherever they fall."""

import time
from pathlib import Path

import pytest

from agent.modem.conversation import Conversation
from agent.modem.poll import ModemPoller
from agent.modem.port import SerialPort
from agent.modem.simulator import Behaviour, SimulatedModem
from agent.modem.subscriber_text import begins_text
from agent.modem.transcript import parse_transcript, read_transcript
from tests.modem.scripted_port import ScriptedPort

EC25 = Path(__file__).parents[1] / "transcripts" / "quectel_ec2x" / "weak_cell" / "conversation.txt"
OK = b"\r\nOK\r\n"

TEXTS = {
    "message": b'\r\n+CMT: "+6281234567890",,"24/03/08,10:11:12+28"\r\nrahasia satu\r\nrahasia dua\r\n',
    "message as PDU": b"\r\n+CMT: ,24\r\n07912658050000F0040B912618\r\n",
    "message that says OK": b'\r\n+CMT: "+62812",,"x"\r\nrahasia\r\nOK\r\nrahasia dua\r\n',
    "message with an answer": b'\r\n+CMT: "+62812",,"x"\r\n+CSQ: 31,0\r\nrahasia\r\n',
    "report": b"\r\n+CDS: 25\r\n0006D60B912618\r\n",
    "broadcast": b"\r\n+CBM: 88\r\nrahasia\r\n",
    "USSD": b'\r\n+CUSD: 0,"rahasia satu\r\nrahasia dua 5000\r\n",15\r\n',
    "USSD with quotes": b'\r\n+CUSD: 0,"rahasia "satu"\r\nrahasia dua\r\n",15\r\n',
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("cut", [0, 9, 400])
def test_a_text_before_or_in_an_answer_is_no_answer(text: bytes, cut: int) -> None:
    answers = {"AT+CGMI": b"\r\nQuectel\r\n", "AT+CSQ": b"\r\n+CSQ: 9,0\r\n"}
    disturbed: set[str] = set()

    def answer(command: str) -> list[bytes | float]:
        if command not in answers:
            return [OK]
        if command in disturbed:
            return [answers[command] + OK]
        disturbed.add(command)
        return [text[cut:] + answers[command] + OK]

    port = ScriptedPort(answer)
    conversation = Conversation(port)
    conversation.synchronise()
    for command, prefix, wanted in (("AT+CGMI", "", ["Quectel"]), ("AT+CSQ", "+CSQ:", ["9,0"])):
        port.push(text[:cut])
        assert conversation.ask(command, prefix).answers(prefix) == wanted


@pytest.mark.parametrize(
    ("line", "begins"),
    [
        ('+CMTI: "SM",3', False),
        ('+CDSI: "SM",3', False),
        ('+CUSD: 0,"sisa 5000",15', False),
        ("+CUSD: 2", False),
        ('+CUSD: 0,"', True),
        ('+CUSD: 0,"sisa "pulsa",15', True),
        ("+CMT: ,24", True),
        ("DY+CMT: ,24", True),
    ],
)
def test_where_a_text_begins(line: str, begins: bool) -> None:
    assert begins_text(line) is begins


def test_a_ussd_answer_that_a_person_asked_for_is_given() -> None:
    text = b'\r\n+CUSD: 0,"sisa\r\n5000",15\r\n'
    port = ScriptedPort(lambda command: [text + OK] if command.startswith("AT+CUSD") else [OK])
    assert Conversation(port).ask('AT+CUSD=1,"*888#"').lines == ('+CUSD: 0,"sisa', '5000",15')


def test_a_line_that_had_begun_is_no_answer_and_still_tells_of_a_restart() -> None:
    port = ScriptedPort(lambda command: [b"DY\r\n", b"\r\nEC25\r\n" + OK] if command == "AT+CGMM" else [OK])
    conversation = Conversation(port)
    conversation.synchronise()
    port.push(b"\r\nR")
    assert conversation.ask("AT+CGMM", "").lines == ("EC25",)
    assert conversation.take_restart()


@pytest.mark.parametrize("word", ["NO CARRIER", "BUSY", "NO ANSWER"])
def test_the_end_of_a_call_is_not_the_end_of_another_answer(word: str) -> None:
    ended = f"\r\n{word}\r\n".encode()
    port = ScriptedPort(
        lambda command: [OK] if command == "AT" else [ended, 0.05, b"\r\n+CPIN: READY\r\n" + OK]
    )
    reply = Conversation(port).ask("AT+CPIN?", "+CPIN:")
    assert (reply.answers("+CPIN:"), reply.final and reply.final.word) == (["READY"], "OK")
    alone = Conversation(ScriptedPort(lambda command: [OK] if command == "AT" else [ended])).ask("ATD1")
    assert alone.final is not None and alone.final.word == word


def test_a_modem_that_waits_for_a_text_is_told_there_is_none() -> None:
    talk = parse_transcript('> AT+CMGS="1"\n< \\r\\n> \n')
    with SimulatedModem(talk) as modem:
        port = SerialPort(str(modem.path))
        conversation = Conversation(port)
        began = time.monotonic()
        reply = conversation.ask('AT+CMGS="1"', deadline_s=10)
        assert reply.wanted_text and reply.final is not None and time.monotonic() - began < 5
        assert conversation.ask("AT").final is not None
        port.close()


@pytest.mark.parametrize("echo", [False, True])
@pytest.mark.parametrize("notice", ["RDY", '+CMT: "+628123456789",,"x"\\r\\nrahasia', "NO CARRIER"])
def test_identity_survives_restarts_and_messages_byte_by_byte(notice: str, echo: bool) -> None:
    notices = (f"\\r\\n{notice}\\r\\n",)
    for seed in range(4):
        behaviour = Behaviour(bytewise=True, echo=echo, notices=notices, notice_chance=0.2, seed=seed)
        with SimulatedModem(read_transcript(EC25), behaviour) as modem:
            poller = ModemPoller(str(modem.path), sim_pin="", memory_file=None)
            for _ in range(2):
                poller.collect()
            known = poller.inventory()
            poller.close()
        for name, wanted in (
            ("manufacturer", "Quectel"),
            ("model", "EC25"),
            ("firmware", "EC25EFAR06A03M4G"),
        ):
            assert known.get(name, wanted) == wanted
