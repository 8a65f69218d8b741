"""The judge itself: it must see each kind of wrong, and take no lawful difference for one."""

import json

import pytest

from tests.faults.oracle import Arrivals, Ledger, Row, Verdict, judge
from tests.support.listener import Heard


def row(seq: int, **values: object) -> Row:
    return {"epoch": "9f2c01ab", "seq": seq, "ts": 1000 + seq, "ts_quality": "ntp", "rsrp_dbm": -seq} | values


def judged(committed: list[Row], *batches: list[Row]) -> Verdict:
    ledger = Ledger()
    ledger.rows = {(each["epoch"], each["seq"]): each for each in committed}
    heard = [
        Heard("desa/v1/gw/readings/json", json.dumps(batch).encode(), retained=False) for batch in batches
    ]
    return judge(ledger, Arrivals(lambda: heard))


FIVE = [row(seq) for seq in range(1, 6)]


def test_all_that_was_committed_and_nothing_else_holds() -> None:
    verdict = judged(FIVE, FIVE[:3], FIVE[3:]).holds(interruptions=0)
    assert (verdict.committed, verdict.arrived, verdict.repeats) == (5, 5, 0)


@pytest.mark.parametrize(
    ("batches", "what"),
    [
        ([FIVE[:2], FIVE[3:]], "lost: [('9f2c01ab', 3)]"),
        ([FIVE, [row(6)]], "invented: [('9f2c01ab', 6)]"),
        ([FIVE, [row(1, epoch="00000000")]], "invented: [('00000000', 1)]"),
        ([FIVE[1:], [row(1, rsrp_dbm=-7)]], "different: [('9f2c01ab', 1)]"),
        ([FIVE[1:], [row(1, ts=1008)]], "different: [('9f2c01ab', 1)]"),
        ([FIVE, [row(1, rsrp_dbm=None)]], "different: [('9f2c01ab', 1)]"),
    ],
    ids=["lost", "invented", "other epoch", "other value", "other true time", "value gone at the repeat"],
)
def test_each_kind_of_wrong_is_seen(batches: list[list[Row]], what: str) -> None:
    verdict = judged(FIVE, *batches)
    assert what in str(verdict)
    with pytest.raises(AssertionError):
        verdict.holds(interruptions=9)


def test_a_corrected_time_is_no_difference() -> None:
    unset = [row(1, ts=5, ts_quality="unset"), row(2, ts=6, ts_quality="unset")]
    corrected = [row(1), row(2, ts=900, ts_quality="estimated")]
    judged(unset, unset, corrected).holds(interruptions=1)


def test_a_rollup_speaks_for_the_rows_that_were_folded_into_it() -> None:
    rollup = row(5, seq_first=2, slot_s=300, rsrp_dbm=-3.5)
    judged(FIVE, [row(1)], [rollup]).holds(interruptions=0)
    assert judged(FIVE, [row(1)], [row(5, seq_first=3)]).lost == [("9f2c01ab", 2)]


def test_more_repeats_than_a_window_for_each_interruption_are_too_many() -> None:
    verdict = judged(FIVE, FIVE, FIVE, FIVE)
    assert (verdict.repeats, verdict.most_rows) == (10, 5)
    verdict.holds(interruptions=1)
    with pytest.raises(AssertionError, match="at most 0 repeats"):
        verdict.holds(interruptions=0)


def test_a_committed_row_stays_an_obligation_when_the_file_no_longer_has_it() -> None:
    ledger = Ledger()
    ledger.rows = {("9f2c01ab", 1): row(1)}
    assert judge(ledger, Arrivals(list)).lost == [("9f2c01ab", 1)]
