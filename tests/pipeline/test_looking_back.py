from pathlib import Path

from agent.link.outage import Edge, Outage
from agent.link.tables import create, save
from agent.pipeline.looking_back import LookingBack, past_of
from tests.link.database import Board

BOOT_TS = 1_795_900_000
"""29 Nov 2026 04:06:40 WIB."""


def board_with(folder: Path, *outages: Outage) -> Board:
    board = Board(folder)
    board.boot(2, true_s=BOOT_TS)
    board.keeper.write(create)
    for each in outages:
        board.keeper.write(lambda connection, one=each: save(connection, one, boot=2))  # type: ignore[misc]
    return board


def past(board: Board, now_s: float) -> dict[str, object]:
    found = board.keeper.read(
        lambda connection: past_of(connection, board.correct(connection), BOOT_TS + now_s)
    )
    board.keeper.close()
    return found


def test_the_outages_of_today_begin_at_midnight_in_wib(tmp_path: Path) -> None:
    midnight_s = -4 * 3600 - 400
    board = board_with(
        tmp_path,
        Outage("gateway", Edge(2, midnight_s - 600), Edge(2, midnight_s + 900), "power"),
        Outage("link", Edge(2, 100), Edge(2, 400), "backhaul"),
        Outage("report", Edge(2, 500), Edge(2, 700), "broker"),
        Outage("gateway", Edge(2, 800), Edge(2, 850), "gateway"),
        Outage("link", Edge(2, 1000), None, "quota"),
    )

    today = past(board, 1060)["today"]

    assert today == {"outages": 3, "down_s": 900 + 300 + 60, "power_outages": 1, "last_end_ts": BOOT_TS + 850}


def test_the_hour_is_of_the_level_that_is_known_and_of_this_boot(tmp_path: Path) -> None:
    board = board_with(tmp_path)
    for minute, levels in enumerate(
        ({"rsrp_dbm": -99}, {}, {"rsrp_dbm": -98, "rssi_dbm": -70}, {"rssi_dbm": -71})
    ):
        board.read(60.0 * minute, **levels)
    board.read(210, rssi_dbm=-73)

    hour = past(board, 240)["hour"]

    assert hour == {"field": "rssi_dbm", "levels_dbm": [None] * 58 + [-70, -72]}


def test_a_database_without_anything_has_no_past(tmp_path: Path) -> None:
    board = Board(tmp_path)

    assert past(board, 0) == {
        "today": {"outages": 0, "down_s": 0, "power_outages": 0, "last_end_ts": None},
        "hour": {"field": None, "levels_dbm": [None] * 60},
    }


def test_a_damaged_row_leaves_the_screen_as_it_was(tmp_path: Path) -> None:
    board = board_with(tmp_path, Outage("link", Edge(2, 100), Edge(2, 400), "backhaul"))
    looking = LookingBack(board.keeper, board.correct)
    first = looking.shown(None)

    def spoil(connection: object) -> None:
        connection.execute("UPDATE outages SET evidence = 'x'")  # type: ignore[attr-defined]

    board.keeper.write(spoil)

    assert first["today"]["last_end_ts"] == BOOT_TS + 400
    assert looking.shown(("link", "power")) == first
    board.keeper.close()
