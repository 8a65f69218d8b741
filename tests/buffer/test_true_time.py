"""Rows of a board without a clock: the true time reaches them later, whatever the wall clock showed."""

from pathlib import Path
from typing import Any

import pytest

from agent.buffer.store import Store
from agent.contract.catalogue import Row
from tests.buffer.conftest import OpenStore

JAN_2026 = 1_767_300_000


class Board:
    """Boots of one board: each has a boot id, starts at uptime 0 and takes rows under an unset clock."""

    def __init__(self, open_store: OpenStore, folder: Path) -> None:
        self._open_store = open_store
        self._boot_id = folder / "boot_id"
        self._boots = 0
        self.store: Store

    def boot(self, *uptimes_s: float, quality: str = "unset", ts: int = 60) -> None:
        """Boot and take a row at each uptime, stamped `ts` + uptime."""
        if self._boots:
            self.store.close()
        self._boots += 1
        self._boot_id.write_text(f"boot-{self._boots}\n")
        self.store = self._open_store(boot_id_file=self._boot_id)
        self.take(*uptimes_s, quality=quality, ts=ts)

    def take(self, *uptimes_s: float, quality: str = "unset", ts: int = 60) -> None:
        for uptime_s in uptimes_s:
            self.store.append({"ts": round(ts + uptime_s), "ts_quality": quality, "uptime_s": uptime_s})

    def unsent(self) -> list[tuple[Any, Any]]:
        rows: list[Row] = self.store.unsent_rows(newest=False, limit=999, leased=[])
        return [(row["ts"], row["ts_quality"]) for row in rows]


@pytest.fixture
def board(open_store: OpenStore, tmp_path: Path) -> Board:
    return Board(open_store, tmp_path)


def test_every_row_of_the_boot_is_given_out_with_its_true_time(board: Board) -> None:
    board.boot(10, 70, 130)
    assert board.unsent() == [(70, "unset"), (130, "unset"), (190, "unset")]
    board.store.note_true_time(JAN_2026, "ntp")
    board.take(190)
    assert board.unsent() == [(JAN_2026 + uptime, "ntp") for uptime in (10, 70, 130, 190)]
    assert board.store.counts().oldest_unsent_ts == JAN_2026 + 10


def test_the_true_time_of_a_boot_survives_the_next_ones(board: Board) -> None:
    board.boot(10, 70)
    board.store.note_true_time(JAN_2026, "modem")
    board.boot(10, ts=0)
    board.boot(10, ts=0)
    assert board.unsent()[:2] == [(JAN_2026 + 10, "modem"), (JAN_2026 + 70, "modem")]


def test_boots_that_never_knew_are_placed_between_their_neighbours(board: Board) -> None:
    board.boot(0, 100)
    board.store.note_true_time(JAN_2026, "ntp")
    board.boot(0, 50)
    board.boot(0, 150)
    board.boot(5)
    # From 100 to 900 no boot is known: 200 s of rows, and three equal pauses of 200 s.
    board.store.note_true_time(JAN_2026 + 900, "ntp")
    assert board.unsent() == [
        *((JAN_2026 + s, "ntp") for s in (0, 100)),
        *((JAN_2026 + s, "estimated") for s in (300, 350)),
        *((JAN_2026 + s, "estimated") for s in (550, 700)),
        (JAN_2026 + 905, "ntp"),
    ]


def test_a_boot_with_one_known_neighbour_stands_beside_it(board: Board) -> None:
    board.boot(0, 60)
    board.boot(10)
    board.store.note_true_time(JAN_2026, "ntp")
    board.boot(0, 60)
    board.boot(10)
    assert board.unsent() == [
        *((JAN_2026 + s, "estimated") for s in (-60, 0)),
        (JAN_2026 + 10, "ntp"),
        *((JAN_2026 + s, "estimated") for s in (10, 70)),
        (70, "unset"),  # this boot may still learn
    ]


def test_boots_that_overlap_by_a_wrong_estimate_keep_their_order(board: Board) -> None:
    board.boot(0, 100)
    board.store.note_true_time(JAN_2026, "ntp")
    board.boot(0, 500)
    board.boot(0)
    board.store.note_true_time(JAN_2026 + 200, "ntp")
    assert [ts for ts, _quality in board.unsent()][2] == JAN_2026 + 100


def test_a_better_clock_corrects_a_worse_one_and_never_the_other_way(board: Board) -> None:
    board.boot(10, quality="rtc", ts=JAN_2026 + 5000)
    assert board.unsent() == [(JAN_2026 + 5010, "rtc")]
    board.store.note_true_time(JAN_2026, "modem")
    assert board.unsent() == [(JAN_2026 + 10, "modem")]
    board.store.note_true_time(JAN_2026 + 99, "rtc")
    assert board.unsent() == [(JAN_2026 + 10, "modem")]
    board.store.note_true_time(JAN_2026 + 3, "ntp")
    assert board.unsent() == [(JAN_2026 + 13, "ntp")]


def test_a_row_stamped_by_a_true_clock_keeps_its_stamp(board: Board) -> None:
    board.boot(10, quality="ntp", ts=JAN_2026)
    board.store.note_true_time(JAN_2026 + 7, "ntp")
    assert board.unsent() == [(JAN_2026 + 10, "ntp")]


def test_a_row_stamped_by_a_clock_that_had_stepped_is_corrected_and_goes_out_again(board: Board) -> None:
    board.boot(10, 70, quality="ntp", ts=JAN_2026 + 86400)
    board.store.mark_sent(1, 2)
    assert board.store.note_true_time(JAN_2026, "ntp") == 2
    assert board.unsent() == [(JAN_2026 + 10, "ntp"), (JAN_2026 + 70, "ntp")]


def test_rows_that_went_out_without_true_time_go_out_again(board: Board) -> None:
    board.boot(0, 60)
    board.store.mark_sent(1, 1)
    board.boot(0, 60, 120)
    board.store.mark_sent(1, 3)
    assert board.store.note_true_time(JAN_2026, "ntp") == 3
    assert [ts for ts, _quality in board.unsent()] == [
        *(JAN_2026 - 60, JAN_2026),
        *(JAN_2026, JAN_2026 + 60, JAN_2026 + 120),
    ]
    assert board.store.note_true_time(JAN_2026 + 1, "ntp") == 0
    board.store.mark_sent(1, 5)
    board.boot(0)
    assert board.unsent() == [(60, "unset")]


def test_events_get_their_true_time_too(board: Board) -> None:
    board.boot(10)
    board.store.note_event("power", "lost", {}, quality="unset")
    board.store.commit()
    board.store.note_true_time(JAN_2026, "broker")
    (event,) = board.store.unsent_events(1)
    assert event.ts_quality == "broker"
    assert event.ts > JAN_2026


def test_the_newest_believable_time_is_found(board: Board) -> None:
    board.boot(10)
    assert board.store.newest_true_ts() is None
    board.store.note_true_time(JAN_2026, "ntp")
    board.take(70)
    board.boot(9999)
    assert board.store.newest_true_ts() == JAN_2026 + 70


def test_a_row_without_boot_or_uptime_stays_as_it_is(board: Board) -> None:
    board.boot()
    board.store.append({"ts": 5, "ts_quality": "unset"})
    board.store.note_true_time(JAN_2026, "ntp")
    assert board.unsent() == [(5, "unset")]
