import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.modem.network_time import LATEST_AFTER_FLOOR_S, network_time_ts

FLOOR = 1_767_225_600  # 2026-01-01T00:00Z


@pytest.mark.parametrize(
    ("line", "ts"),
    [
        ('+CCLK: "26/01/21,07:00:00+28"', 1_768_953_600),  # 07:00 WIB, UTC+7
        ('+CCLK: "26/01/21,00:00:00+00"', 1_768_953_600),
        ('+CCLK: "26/01/20,19:00:00-20"', 1_768_953_600),
        ('+CCLK:"2026/01/21,07:00:00+28"', 1_768_953_600),
        ("+CCLK: 26/01/21,07:00:00+28", 1_768_953_600),
        ('+CCLK: "28/02/29,12:00:00+28"', 1_835_413_200),  # a leap day
        ('+CCLK: "26/01/21,07:00:00"', None),  # local or UTC? nobody knows
        ('+CCLK: "80/01/06,00:00:00+00"', None),  # factory dates of modems that never heard a network
        ('+CCLK: "02/01/01,00:00:00+00"', None),
        ('+CCLK: "70/01/01,00:00:00+00"', None),
        ('+CCLK: "25/12/31,23:59:59+00"', None),  # before the floor
        ('+CCLK: "31/06/01,00:00:00+00"', None),  # too far beyond it
        ('+CCLK: "26/13/01,00:00:00+28"', None),
        ('+CCLK: "26/02/30,00:00:00+28"', None),
        ('+CCLK: "26/01/21,24:00:00+28"', None),
        ('+CCLK: "26/01/21,07:00:00+96"', None),
        ('+CCLK: ""', None),
        ("+CCLK: ", None),
    ],
)
def test_only_a_time_that_can_be_true_is_taken(line: str, ts: int | None) -> None:
    assert network_time_ts([line], floor_ts=FLOOR) == ts


def test_the_days_are_counted_as_the_calendar_does() -> None:
    for day in range(74 * 365):
        moment = time.gmtime(FLOOR + 86400 * day)
        line = time.strftime('+CCLK: "%y/%m/%d,%H:%M:%S+00"', moment)
        assert network_time_ts([line], floor_ts=FLOOR + 86400 * day) == FLOOR + 86400 * day


def test_the_last_answer_before_the_end_counts() -> None:
    lines = ['+CCLK: "26/01/21,07:00:00+28"', "+CREG: 1", '+CCLK: "26/01/21,07:00:05+28"', "RING"]
    assert network_time_ts(lines, floor_ts=FLOOR) == 1_768_953_605


@given(st.lists(st.text() | st.from_regex(r'\+CCLK: "[0-9/,:+-]{0,24}"', fullmatch=True), max_size=4))
def test_no_answer_gives_a_time_outside_what_can_be_true(lines: list[str]) -> None:
    ts = network_time_ts(lines, floor_ts=FLOOR)
    assert ts is None or FLOOR <= ts <= FLOOR + LATEST_AFTER_FLOOR_S
