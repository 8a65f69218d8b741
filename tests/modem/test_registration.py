"""The +CREG family: forms told apart, and the most trusted truth taken."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.modem.registration import (
    Registration,
    decide_registration,
    last_registration,
    parse_registration,
    technology_word,
)


@pytest.mark.parametrize(
    ("text", "registration"),
    [
        ('2,1,"00A8","5355E8D",7', Registration(1, 0xA8, 0x5355E8D, 7)),
        ("2,5,CEB0,2C9E", Registration(5, 0xCEB0, 0x2C9E)),
        ("2,1,0A,3799B", Registration(1, 0xA, 0x3799B)),
        ("0,1", Registration(1)),
        ('0,1,"81AE","0331C805",7', Registration(1, 0x81AE, 0x331C805, 7)),
        ('002,001,"18d8","ffff"', Registration(1, 0x18D8, 0xFFFF)),
        ('2, 1, "0426", "F00F"', Registration(1, 0x426, 0xF00F)),
        ('2,1,"001F","0219038",2,"1F"', Registration(1, 0x1F, 0x219038, 2)),
        ('2,1,"1422","00","00000142",3', Registration(1, 0x1422, 0x142, 3)),
        ('4,5,,,,,,,"00000000","01100000"', Registration(5)),
        ("2,3,,,,0,15", Registration(3)),
        ('2,1,"60AA00","939204254",11', Registration(1, 0x60AA00, 0x939204254, 11)),
        ("2,0,00,0", Registration(0)),
        # Notices: no <n>.
        ("2", Registration(2)),
        ('1,"1964","260768000",11,4,"01.D143A5"', Registration(1, 0x1964, 0x260768000, 11)),
        ("1,00A8,5355E8D", Registration(1, 0xA8, 0x5355E8D)),
        ("1,00A8,5355E8D,7", Registration(1, 0xA8, 0x5355E8D, 7)),
        # Neither.
        ("", None),
        ("x", None),
        ("2,77", None),
        ("99", None),
        ('2,1,"XYZ","QQ",99', Registration(1)),
    ],
)
def test_answers_and_notices_are_told_apart(text: str, registration: Registration | None) -> None:
    assert parse_registration(text) == registration


@given(st.text(max_size=60))
def test_any_text_is_survived(text: str) -> None:
    parse_registration(text)


def test_last_readable_line_wins() -> None:
    assert last_registration(["2,2", '2,1,"00A8","5355E8D",7', "garbage"]) == Registration(
        1, 0xA8, 0x5355E8D, 7
    )
    assert last_registration([]) is None


@pytest.mark.parametrize(
    ("stats", "is_served", "word"),
    [
        ({"AT+CEREG?": 1, "AT+CREG?": 3}, True, "home"),
        ({"AT+CEREG?": 0, "AT+CGREG?": 5}, True, "roaming"),
        ({"AT+C5GREG?": 0, "AT+CEREG?": 1}, True, "home"),
        ({"AT+CREG?": 6}, True, "home"),
        ({"AT+CREG?": 9}, False, "home"),
        ({"AT+CREG?": 10}, False, "roaming"),
        ({"AT+CEREG?": 2, "AT+CREG?": 0}, False, "searching"),
        ({"AT+CEREG?": 0, "AT+CREG?": 3}, False, "denied"),
        ({"AT+CEREG?": 0}, False, "not_registered"),
        ({"AT+CEREG?": 0}, True, "unknown"),
        ({"AT+CREG?": 8}, False, "not_registered"),
        ({"AT+CREG?": 4}, False, "unknown"),
        ({"AT+CREG?": 0, "AT+CEREG?": 11}, True, "home"),
        ({"AT+CREG?": 0, "AT+CEREG?": 11}, False, "unknown"),
    ],
)
def test_most_trusted_answer_decides(stats: dict[str, int], is_served: bool, word: str) -> None:
    heard = {command: Registration(stat) for command, stat in stats.items()}
    decided = decide_registration(heard, is_served=is_served)
    assert decided is not None
    assert decided[0] == word


def test_nothing_heard_is_not_known() -> None:
    assert decide_registration({}, is_served=True) is None


@pytest.mark.parametrize(
    ("act", "codes", "word"),
    [
        (0, {}, "gsm"),
        (3, {}, "edge"),
        (7, {}, "lte"),
        (13, {}, "nr5g-nsa"),
        (8, {}, None),
        (8, {8: "lte-m"}, "lte-m"),
    ],
)
def test_access_technology_numbers(act: int, codes: dict[int, str], word: str | None) -> None:
    assert technology_word(act, codes) == word
    assert technology_word(None, codes) is None
