"""Outages in a real database: begun, ended, survived, told once."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.buffer.event_log import EventLog
from agent.errors import StoreUnusable
from agent.link.outage import DatedOutage
from agent.link.outage_book import TELL_EVERY_S, OutageBook, event_evidence
from tests.link.database import Board

TRUE_S = 1_790_000_000.0
DAY_S = 86400.0


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    made = Board(tmp_path)
    yield made
    made.keeper.close()


def book_of(board: Board, started_s: float) -> OutageBook:
    def tell(connection: sqlite3.Connection, one: DatedOutage) -> None:
        events = EventLog()
        events.hold("outage", one.outage.cause, event_evidence(one), seq=0, quality="unset")
        events.write(connection, boot=board.keeper.boot)

    book = OutageBook(board.keeper, corrector=board.correct, tell=tell, wall_ts=lambda: 5000.0)
    book.take_up(started_s)
    return book


def shown(board: Board) -> list[tuple[str, str, float | None, float | None]]:
    found = [one.outage for one in board.outages()]
    return [(one.kind, one.cause, one.start.uptime_s, one.end.uptime_s if one.end else None) for one in found]


def test_an_outage_is_stored_at_its_start_and_closed_at_its_end(board: Board) -> None:
    book = book_of(board, 10.0)
    book.begin("link", 100.0, precision_s=20.0, evidence={"trigger": "probes"})
    book.tick(120.0)
    assert shown(board) == [("link", "unknown", 100.0, None)]
    book.look_again("link", {"ip_address": True, "addresses_answer": False})
    book.end("link", 400.5, precision_s=10.0)
    book.tick(401.0)
    assert shown(board) == [("link", "backhaul", 100.0, 400.5)]
    (one,) = board.outages()
    assert one.duration_s() == 300.5
    assert one.outage.precision_s == 20.0
    assert one.document()["counts_for_a_link"] is True
    book.begin("link", 500.0, precision_s=20.0, evidence={"trigger": "probes"})
    book.tick(520.0)
    # Numbers without gaps: a missing one would look like a lost outage.
    assert [one.number for one in board.outages()] == [1, 2]


@pytest.mark.parametrize(("length_s", "counts"), [(299.9, False), (300.0, False), (300.1, True)])
def test_only_more_than_300_s_count(board: Board, length_s: float, counts: bool) -> None:
    book = book_of(board, 10.0)
    book.begin("link", 100.0, precision_s=None, evidence={})
    book.end("link", 100.0 + length_s)
    book.tick(101.0 + length_s)
    assert board.outages()[0].document()["counts_for_a_link"] is counts


def test_the_cause_found_most_often_wins_and_unknown_never_over_another(board: Board) -> None:
    book = book_of(board, 10.0)
    book.begin("link", 100.0, precision_s=None, evidence={})
    for evidence in (
        {"trigger": "probes", "sim_state": "absent"},
        {},
        {},
        {"trigger": "probes", "registration": "searching"},
        {"trigger": "probes", "sim_state": "absent"},
    ):
        book.look_again("link", evidence)
    book.end("link", 900.0)
    book.tick(900.0)
    assert shown(board) == [("link", "sim", 100.0, 900.0)]


def test_a_power_cut_in_an_outage_ends_it_at_the_last_reading_and_is_an_outage_itself(board: Board) -> None:
    board.know(TRUE_S)
    book = book_of(board, 10.0)
    board.readings(60, 600)
    book.begin("link", 300.0, precision_s=20.0, evidence={"trigger": "probes", "registration": "searching"})
    book.tick(320.0)
    board.boot(2, true_s=TRUE_S + 4000)

    book_of(board, 45.0)
    book_of(board, 45.0)  # killed and started again: nothing twice

    assert shown(board) == [("link", "no_service", 300.0, 600.0), ("gateway", "power", 600.0, 0.0)]
    link, power = board.outages()
    assert link.outage.evidence["end_seen"] is False
    assert power.outage.inferred is True
    assert (power.start_ts, power.end_ts) == (TRUE_S + 600, TRUE_S + 4000)
    assert power.duration_s() == 3400.0
    assert power.outage.precision_s == 60.0


def test_with_mains_input_the_cut_is_no_inference(board: Board) -> None:
    board.read(60.0, mains_present=0)
    board.boot(2)
    book_of(board, 40.0)
    assert [(one.outage.cause, one.outage.inferred) for one in board.outages()] == [("power", False)]


@pytest.mark.parametrize(
    ("told", "inferred"), [(["mains_lost"], False), (["mains_lost", "mains_returned"], True), ([], True)]
)
def test_mains_that_went_after_the_last_reading_was_written_down_and_counts(
    board: Board, told: list[str], inferred: bool
) -> None:
    board.read(60.0, mains_present=1)
    for what in told:
        board.keeper.note_event("power", what, {})
    board.keeper.commit()
    board.boot(2)
    book_of(board, 10.0)
    assert [(one.outage.cause, one.outage.inferred) for one in board.outages()] == [("power", inferred)]


def test_a_restart_in_good_order_is_no_power_cut(board: Board) -> None:
    board.readings(60, 600)
    book_of(board, 10.0).stop(630.0)
    board.boot(2)
    book_of(board, 40.0)
    assert shown(board) == [("gateway", "gateway", 630.0, 0.0)]


def test_a_stop_in_good_order_long_ago_excuses_no_later_cut(board: Board) -> None:
    board.readings(60, 120)
    book_of(board, 10.0).stop(130.0)
    board.readings(180, 600)
    board.boot(2)
    book_of(board, 40.0)
    assert shown(board)[-1] == ("gateway", "power", 600.0, 0.0)


@pytest.mark.parametrize(("started_s", "is_outage"), [(700.0, False), (780.0, False), (781.0, True)])
def test_an_agent_that_was_away_in_one_boot_is_the_gateways_outage(
    board: Board, started_s: float, is_outage: bool
) -> None:
    board.readings(60, 600)
    book_of(board, started_s)
    assert shown(board) == ([("gateway", "gateway", 600.0, started_s)] if is_outage else [])


def test_the_readings_of_this_agent_are_no_sign_of_the_one_before(board: Board) -> None:
    board.readings(60, 600)
    board.readings(2000, 2060)  # stored before the database let itself be asked
    book_of(board, 1990.0)
    assert shown(board) == [("gateway", "gateway", 600.0, 1990.0)]


def test_killed_for_a_moment_the_agent_goes_on_with_the_outage(board: Board) -> None:
    book = book_of(board, 10.0)
    board.readings(60, 600)
    book.begin("link", 300.0, precision_s=20.0, evidence={"trigger": "probes", "sim_state": "absent"})
    book.tick(310.0)

    book = book_of(board, 650.0)
    assert book.current("link") is not None
    book.end("link", 700.0, precision_s=10.0)
    book.tick(701.0)
    assert shown(board) == [("link", "sim", 300.0, 700.0)]


def test_a_disk_that_fails_is_offered_the_outage_again(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    book = book_of(board, 10.0)

    def fail(_work: object) -> None:
        raise StoreUnusable("full")

    with monkeypatch.context() as broken:
        broken.setattr(board.keeper, "write", fail)
        book.begin("link", 100.0, precision_s=None, evidence={})
        book.tick(110.0)
        book.end("link", 150.0)
        book.tick(160.0)
    assert shown(board) == []
    book.tick(170.0)
    assert shown(board) == [("link", "unknown", 100.0, 150.0)]


def test_an_outage_is_told_once_when_its_true_time_is_known_also_weeks_later(board: Board) -> None:
    book = book_of(board, 10.0)
    book.begin("link", 100.0, precision_s=20.0, evidence={"trigger": "probes", "sim_state": "absent"})
    book.end("link", 500.0)
    book.tick(500.0)
    assert board.events() == []

    board.know(TRUE_S)
    late_s = 500.0 + 21 * DAY_S
    book.tick(late_s)
    book.tick(late_s + TELL_EVERY_S + 1)
    (event,) = board.events()
    assert event["what"] == "sim"
    assert (event["start_ts"], event["end_ts"]) == (TRUE_S + 100, TRUE_S + 500)
    assert (event["sim_state"], event["duration_s"], event["inferred"]) == ("absent", 400.0, False)

    book_of(board, late_s + 100).tick(late_s + 200)
    assert len(board.events()) == 1


def two_cuts(board: Board) -> OutageBook:
    """Cut the power before and after a boot that never learns the time; return the book of the third boot."""
    board.know(TRUE_S)
    board.readings(60, 600)
    board.boot(2)
    board.readings(60, 600)
    book_of(board, 10.0).tick(61.0)
    board.boot(3)
    book = book_of(board, 10.0)
    book.tick(61.0)
    return book


def test_the_cut_of_a_boot_that_never_knew_the_time_is_told_by_its_neighbours(board: Board) -> None:
    book = two_cuts(board)
    assert board.events() == []
    board.know(TRUE_S + 10_000)
    book.tick(200.0)
    assert [event["what"] for event in board.events()] == ["power", "power"]
    assert [one.quality for one in board.outages()] == ["estimated", "estimated"]
    assert all(one.duration_s() for one in board.outages())
    assert {one.document()["precision_s"] for one in board.outages()} == {None}


def test_a_cut_before_a_boot_that_has_no_time_yet_has_no_length_either(board: Board) -> None:
    two_cuts(board)
    first, _second = board.outages()
    assert first.quality == "estimated"
    assert first.duration_s() is None
