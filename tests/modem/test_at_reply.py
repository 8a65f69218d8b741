"""Framing: bytes become lines, and every line is an answer, a final result or a notice."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.modem.at_reply import (
    MAX_LINE_BYTES,
    FinalResult,
    LineSplitter,
    Reply,
    read_final_result,
    tells_of_boot,
    tells_of_start_up,
)


@pytest.mark.parametrize(
    ("sent", "lines"),
    [
        (b"\r\n+CSQ: 20,99\r\n\r\nOK\r\n", ["+CSQ: 20,99", "OK"]),
        (b"AT+CSQ\r\r\n+CSQ: 20,99\r\r\n\r\r\nOK\r\r\n", ["AT+CSQ", "+CSQ: 20,99", "OK"]),
        (b"AT+CGMI\nQuectel\nOK\n", ["AT+CGMI", "Quectel", "OK"]),
        (b"OK\r", ["OK"]),
        (b"\x00\x00\x00\r\n+CS\r\n+CSQ: 20,99\r\n", ["+CS", "+CSQ: 20,99"]),
        (b"\x11O\x00K\x13\r\n", ["OK"]),
        (b"\r\n \t \r\n\r\n", []),
        (b"\xff\xfe+CSQ: 1,2\r\n", ["\ufffd\ufffd+CSQ: 1,2"]),
        (b"no end of line", []),
        (b"EC\xc2\x9b25\r\n", ["EC25"]),
    ],
)
def test_bytes_become_lines(sent: bytes, lines: list[str]) -> None:
    assert LineSplitter().feed(sent) == lines


@given(sent=st.binary(max_size=300), cuts=st.lists(st.integers(0, 300), max_size=8))
def test_lines_do_not_depend_on_how_the_bytes_arrive(sent: bytes, cuts: list[int]) -> None:
    whole, in_pieces = LineSplitter(), LineSplitter()
    places = [0, *sorted(cuts), len(sent)]
    pieces = [sent[start:end] for start, end in pairwise(places)]
    assert [line for piece in pieces for line in in_pieces.feed(piece)] == whole.feed(sent)


def test_a_run_without_line_end_is_thrown_away_and_memory_stays_bounded() -> None:
    splitter = LineSplitter()
    for _ in range(100):
        assert splitter.feed(b"x" * 1000) == []
    assert len(splitter._tail) <= MAX_LINE_BYTES
    assert splitter.feed(b"\r\nOK\r\n")[-1] == "OK"


@pytest.mark.parametrize(
    ("line", "final"),
    [
        ("OK", FinalResult("OK")),
        ("ERROR", FinalResult("ERROR")),
        ("COMMAND NOT SUPPORT", FinalResult("COMMAND NOT SUPPORT")),
        ("NO CARRIER", FinalResult("NO CARRIER")),
        ("BUSY", FinalResult("BUSY")),
        ("NO ANSWER", FinalResult("NO ANSWER")),
        ("NO DIALTONE", FinalResult("NO DIALTONE")),
        ("MODEM ERROR", FinalResult("MODEM ERROR")),
        ("+CME ERROR: 14", FinalResult("+CME ERROR", code=14)),
        ("+CME ERROR:14", FinalResult("+CME ERROR", code=14)),
        ("+CME ERROR: SIM PUK required", FinalResult("+CME ERROR", text="SIM PUK required")),
        ("+CME ERROR:", FinalResult("+CME ERROR")),
        ("+CME ERROR", FinalResult("+CME ERROR")),
        ("+CMS ERROR: 310", FinalResult("+CMS ERROR", code=310)),
        ("+CME ERROR: ١٤", FinalResult("+CME ERROR", text="١٤")),
        ("+CME ERROR: 99999999", FinalResult("+CME ERROR", text="99999999")),
    ],
)
def test_final_result_is_a_whole_line(line: str, final: FinalResult) -> None:
    assert read_final_result(line) == final


@pytest.mark.parametrize(
    "line", ["OKAY", "ok", "ERRORS: 0", "+CSQ: 1,2", "BUSY LINE", "+CMEE: 1", "NO CARRIERS"]
)
def test_a_line_that_only_begins_so_is_no_final_result(line: str) -> None:
    assert read_final_result(line) is None


def test_notices_are_split_off_and_broken_quotes_joined() -> None:
    reply = Reply(
        "AT+COPS?",
        ("^RSSI:20", '+COPS: 0,0,"Mobile Vikings', "RING", '",7', "+CREG: 1", '+COPS:0,2,"51010"'),
        FinalResult("OK"),
    )
    assert reply.answers("+COPS:") == ['0,0,"Mobile Vikings",7', '0,2,"51010"']
    assert reply.answers("+CREG:") == ["1"]


@pytest.mark.parametrize("line", ["RDY", "APP RDY", "^BOOT:22179532,0,0,0,75", "MODEM:STARTUP", "^SYSSTART"])
def test_boot_notices_are_known(line: str) -> None:
    assert tells_of_boot(line)


@pytest.mark.parametrize(
    "line", ["SMS DONE", "Call Ready", "SMS Ready", "PB DONE", "+PBREADY", "+QIND: SMS DONE"]
)
def test_start_up_notices_are_known(line: str) -> None:
    assert tells_of_start_up(line)
    assert not tells_of_boot(line)
