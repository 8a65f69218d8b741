"""The three figures of a month, from a real database: WIB months, the 300 s rule, unknown time never up."""

import calendar
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from agent.buffer.true_time import TrueTimes
from agent.errors import UsageMistake
from agent.link import tables
from agent.link.availability import Availability, Month, availability, month_at, month_of
from agent.link.outage import Edge, Outage
from agent.pipeline.link_history import month_figures
from tests.link.database import Board

WIB = timezone(timedelta(hours=7))
MONTH = Month(2026, 9)
BEGINS = datetime(2026, 9, 1, tzinfo=WIB).timestamp()
CALENDAR_S = 30 * 86400.0
LATER = BEGINS + 90 * 86400


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    made = Board(tmp_path)
    made.keeper.write(tables.create)
    yield made
    made.keeper.close()


def lived(board: Board, from_s: float, to_s: float, *, known: bool = True) -> None:
    """Store a span without its thousand readings."""
    boot = board.keeper.boot
    board.keeper.write(
        lambda connection: connection.execute(
            "INSERT INTO link_spans VALUES (?, ?, ?, ?, 0)", (boot, from_s, to_s, int(known))
        )
    )


def failed(
    board: Board, from_s: float, to_s: float | None, *, kind: str = "link", cause: str = "sim"
) -> None:
    boot = board.keeper.boot
    end = None if to_s is None else Edge(boot, to_s)
    outage = Outage(kind, Edge(boot, from_s), end, cause)
    board.keeper.write(lambda connection: tables.save(connection, outage, boot=boot))


def figures(board: Board, month: Month = MONTH, now_ts: float = LATER) -> Availability:
    found = board.keeper.read(
        lambda connection: month_figures(
            connection, TrueTimes(connection, boot=board.keeper.boot).corrected, month, now_ts=now_ts
        )
    )
    assert found.calendar_s == pytest.approx(found.up_s + found.down_s + found.power_off_s + found.unknown_s)
    assert found.powered_s + found.power_off_s <= found.calendar_s + 0.001
    return found


def test_a_month_without_an_outage_is_whole(board: Board) -> None:
    board.know(BEGINS)
    lived(board, 0, CALENDAR_S)
    found = figures(board)
    assert (found.a_total, found.a_link, found.a_power, found.unknown_s) == (1, 1, 1, 0)


def test_a_gateway_that_never_ran_knows_nothing(board: Board) -> None:
    found = figures(board)
    assert (found.a_total, found.a_link, found.a_power) == (None, None, None)
    assert found.unknown_s == CALENDAR_S


@pytest.mark.parametrize(("length_s", "counted_s"), [(299.0, 0), (300.0, 0), (301.0, 301.0)])
def test_only_link_outages_over_300_s_lower_a_link_all_lower_a_total(
    board: Board, length_s: float, counted_s: float
) -> None:
    board.know(BEGINS)
    lived(board, 0, CALENDAR_S)
    failed(board, 1000, 1000 + length_s)
    found = figures(board)
    assert found.link_down_s == counted_s
    assert found.a_link == 1 - counted_s / CALENDAR_S
    assert found.a_total == pytest.approx(1 - length_s / CALENDAR_S)
    assert found.a_power == 1


def test_power_cuts_are_no_fault_of_the_link(board: Board) -> None:
    board.know(BEGINS)
    lived(board, 0, 10 * 86400)
    board.read(10 * 86400, link_up=1)
    board.boot(2, true_s=BEGINS + 15 * 86400)
    cut = Outage("gateway", Edge(1, 10 * 86400.0), Edge(2, 0.0), "power", inferred=True)
    board.keeper.write(lambda connection: tables.save(connection, cut, boot=2))
    lived(board, 0, 15 * 86400)
    failed(board, 1000, 1000 + 1.5 * 86400)
    found = figures(board)
    assert found.power_off_s == 5 * 86400
    assert found.a_power == pytest.approx(25 / 30)
    assert found.a_link == pytest.approx(1 - 1.5 / 25)
    assert found.a_total == pytest.approx(23.5 / 30)


def test_time_in_which_nothing_is_known_is_never_up(board: Board) -> None:
    board.know(BEGINS)
    lived(board, 0, 3 * 86400)
    lived(board, 3 * 86400, 6 * 86400, known=False)  # the agent lived, the link was not probed
    found = figures(board)
    assert found.up_s == 3 * 86400
    assert found.unknown_s == CALENDAR_S - 3 * 86400
    assert found.a_total == pytest.approx(3 / 30)
    assert found.a_link == 1
    assert found.a_power == pytest.approx(6 / 30)


def test_unknown_time_neither_shortens_nor_lengthens_what_a_link_is_told_of(board: Board) -> None:
    board.know(BEGINS)
    lived(board, 0, 3 * 86400)
    failed(board, 1000, 1000 + 86400)
    found = figures(board)
    assert found.unknown_s == 27 * 86400
    assert found.a_link == pytest.approx(1 - 1 / 30)


def test_a_boot_that_never_knew_the_time_is_unknown_until_it_does(board: Board) -> None:
    lived(board, 0, 86400)
    failed(board, 100, 5000)
    assert (figures(board).a_total, figures(board).undated_s) == (None, 86400)
    board.know(BEGINS + 86400)  # the clock is repaired, and the past moves to its place
    found = figures(board)
    assert (found.up_s, found.down_s, found.undated_s) == (86400 - 4900, 4900, 0)


def test_an_outage_over_the_end_of_a_month_counts_in_both_by_its_whole_length(board: Board) -> None:
    board.know(BEGINS - 1000)
    lived(board, 0, 10_000)
    failed(board, 800, 1200)
    before, after = figures(board, Month(2026, 8)), figures(board)
    assert (before.link_down_s, after.link_down_s) == (200, 200)
    assert before.outages == after.outages == 1


def test_months_begin_at_midnight_in_western_indonesia(board: Board) -> None:
    for year, month in ((2026, 1), (2026, 2), (2024, 2), (2026, 12), (2100, 2), (1972, 2)):
        begins, ends = Month(year, month).stretch()
        assert begins == datetime(year, month, 1, tzinfo=WIB).timestamp()
        assert ends - begins == calendar.monthrange(year, month)[1] * 86400
        assert month_at(begins) == month_at(ends - 1) == Month(year, month)
        assert month_at(begins - 1) != Month(year, month) != month_at(ends)


@pytest.mark.parametrize(
    "text", ["", "2026", "2026-13", "2026-00", "26-01", "2026-1", "2026-1x", "२०२६-01", "0000-01"]
)
def test_what_is_no_month_is_said(text: str) -> None:
    with pytest.raises(UsageMistake, match="no month"):
        month_of(text)


def test_a_month_that_runs_ends_now_and_an_outage_that_lasts_too(board: Board) -> None:
    board.know(BEGINS)
    lived(board, 0, 86400)
    failed(board, 80_000, None)
    found = figures(board, now_ts=BEGINS + 86400)
    assert found.calendar_s == 86400
    assert (found.up_s, found.down_s, found.link_down_s) == (80_000, 6400, 6400)


def test_a_month_to_come_is_empty(board: Board) -> None:
    assert figures(board, Month(2027, 5)).calendar_s == 0
    assert figures(board, Month(2027, 5)).a_total is None


def test_late_reports_are_no_outage_of_the_internet_a_used_up_package_is(board: Board) -> None:
    board.know(BEGINS)
    lived(board, 0, CALENDAR_S)
    for number, cause in enumerate(("broker", "clock", "dns")):
        failed(board, 10_000 * number, 10_000 * number + 5000, kind="report", cause=cause)
    assert figures(board).a_total == 1
    failed(board, 50_000, 51_000, kind="report", cause="quota")
    assert figures(board).link_down_s == 1000


def test_an_agent_that_stood_still_leaves_unknown_time_with_power(board: Board) -> None:
    board.know(BEGINS)
    lived(board, 0, 1000)
    failed(board, 1000, 5000, kind="gateway", cause="gateway")
    lived(board, 5000, CALENDAR_S)
    found = figures(board)
    assert found.unknown_s == 4000
    assert found.a_power == 1
    assert found.a_total == pytest.approx(1 - 4000 / CALENDAR_S)


def test_readings_become_spans_that_outlive_them(board: Board) -> None:
    board.know(BEGINS)
    board.readings(60, 3600)
    board.readings(3660, 7200, link_up=None)
    board.readings(10_000, 10_060)
    live = board.keeper.read(tables.spans)
    assert [(span.from_s, span.to_s, span.known) for span in live] == [
        (0, 3600, True), (3600, 7200, False), (9940, 10_060, True),
    ]  # fmt: skip
    board.keeper.write(tables.keep_spans)
    board.readings(10_120, 10_600)
    board.keeper.write(tables.keep_spans)
    board.keeper.write(lambda connection: connection.execute("DELETE FROM readings"))
    kept = board.keeper.read(tables.spans)
    assert [(span.from_s, span.to_s, span.known) for span in kept] == [
        (0, 3600, True), (3600, 7200, False), (9940, 10_600, True),
    ]  # fmt: skip


def test_spans_of_two_boots_do_not_join(board: Board) -> None:
    board.readings(60, 600)
    board.boot(2)
    board.readings(60, 600)
    assert [span.boot for span in board.keeper.read(tables.spans)] == [1, 2]


def test_stretches_of_any_shape_add_up() -> None:
    correct = lambda row: {"ts": int(BEGINS + row["uptime_s"]), "ts_quality": "ntp"}  # noqa: E731
    spans = [
        tables.Span(1, 0, 900, True, 1),
        tables.Span(1, 800, 2000, True, 2),
        tables.Span(1, 500, 700, False, 3),
    ]
    found = availability(MONTH, spans, [], correct, now_ts=BEGINS + 3000)
    assert (found.up_s, found.unknown_s) == (2000, 1000)
