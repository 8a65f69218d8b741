"""Means, peak hold, trend, change of cell and marks, on looks with times of their own."""

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agent.aim.aiming import Aiming
from agent.aim.cell_level import cell_level
from agent.aim.sessions import session_document
from agent.modem.poll import ModemPoller
from agent.modem.simulator import SimulatedModem
from agent.modem.transcript import read_transcript
from tests.support.turned_antenna import GOOD_BEARING, TurnedAntenna

CELL = {"access_technology": "lte", "cell_id": 7, "pci": 3, "earfcn": 1850, "band": "B3"}


def aimed(levels: Iterable[float], every_s: float = 0.5, **fields: object) -> Aiming:
    aiming = Aiming()
    for number, level in enumerate(levels):
        aiming.add(number * every_s, {**CELL, **fields, "rsrp_dbm": level})
    return aiming


@pytest.mark.parametrize(
    ("fields", "level", "quality"),
    [
        ({"access_technology": "lte", "rsrp_dbm": -97, "sinr_db": 7.0, "rsrq_db": -9}, "rsrp_dbm", "sinr_db"),
        ({"access_technology": "lte", "rsrp_dbm": -97, "rsrq_db": -9.5}, "rsrp_dbm", "rsrq_db"),
        ({"access_technology": "nr5g-sa", "rsrp_dbm": -97, "sinr_db": 0.0}, "rsrp_dbm", "sinr_db"),
        (
            {"access_technology": "hspa", "rscp_dbm": -80, "ecio_db": -7, "rssi_dbm": -70},
            "rscp_dbm",
            "ecio_db",
        ),
        ({"access_technology": "edge", "rssi_dbm": -71, "rsrp_dbm": -90}, "rssi_dbm", ""),
        ({"rssi_dbm": -71}, "rssi_dbm", ""),
    ],
)
def test_each_radio_is_aimed_by_its_own_quantity(fields: dict[str, object], level: str, quality: str) -> None:
    told = cell_level(fields)

    assert told is not None
    assert (told.cell.level, told.quality) == (level, quality)
    assert told.level_dbm == fields[level]


@pytest.mark.parametrize("fields", [{}, {"access_technology": "lte"}, {"rsrp_dbm": None}, {"rsrp_dbm": True}])
def test_without_a_level_there_is_nothing_to_aim_by(fields: dict[str, object]) -> None:
    aiming = Aiming()

    assert not aiming.add(0, fields)
    assert aiming.view(0) is None and aiming.moment(0) is None and aiming.best() == []


def test_the_level_is_a_mean_and_one_look_alone_is_no_best() -> None:
    aiming = aimed([-90])
    seen = aiming.view(0)
    assert seen is not None and seen.best_dbm is None

    aiming.add(0.5, {**CELL, "rsrp_dbm": -100})
    seen = aiming.view(0.5)

    assert seen is not None and (seen.level_dbm, seen.best_dbm) == (-95, -95)


def test_the_best_is_held_and_the_difference_follows_the_level() -> None:
    seen = aimed([*[-100] * 8, *[-90] * 8, *[-97] * 8]).view(12)

    assert seen is not None and (seen.level_dbm, seen.best_dbm) == (-97, -90)


@pytest.mark.parametrize(
    ("levels", "trend"),
    [
        ([-100] * 30, "steady"),
        ([*[-100] * 12, *[-97] * 8], "better"),
        ([*[-97] * 12, *[-100] * 8], "worse"),
        ([-100] * 4, "unknown"),
    ],
)
def test_the_trend_compares_with_five_seconds_ago(levels: list[float], trend: str) -> None:
    seen = aimed(levels).view(len(levels) / 2)

    assert seen is not None and seen.trend == trend


def test_another_cell_is_named_and_has_a_best_of_its_own() -> None:
    aiming = aimed([-80] * 10)
    for at in range(10, 20):
        aiming.add(at / 2, {**CELL, "cell_id": 8, "pci": 4, "rsrp_dbm": -100})
    seen = aiming.view(10)

    assert seen is not None and seen.came_from is not None
    assert (seen.came_from.cell_id, seen.cell.cell_id, seen.best_dbm) == (7, 8, -100)
    assert aiming.cell_changes == 1
    assert aiming.view(60).came_from is None  # type: ignore[union-attr]

    for at in range(130, 140):
        aiming.add(at / 2, {**CELL, "rsrp_dbm": -95})
    seen = aiming.view(70)
    assert seen is not None and seen.best_dbm == -80


@pytest.mark.parametrize("missing", ["cell_id", "pci", "earfcn", "band", "access_technology"])
def test_a_look_that_leaves_part_of_the_cell_out_is_no_other_cell(missing: str) -> None:
    aiming = aimed([-90] * 3)
    aiming.add(2, {**{name: value for name, value in CELL.items() if name != missing}, "rsrp_dbm": -90})

    assert aiming.cell_changes == 0
    seen = aiming.view(2)
    assert seen is not None and seen.cell.cell_id == 7 and seen.cell.band == "B3"


def test_a_lost_line_does_not_put_rssi_in_the_place_of_rsrp() -> None:
    aiming = aimed([-90] * 3)

    assert not aiming.add(2, {**CELL, "rssi_dbm": -60})
    assert aiming.cell_changes == 0


def test_the_best_three_marks_are_kept_and_a_direction_marked_again_is_replaced() -> None:
    aiming = Aiming()
    for number, (azimuth, level) in enumerate(((10, -99), (20, -90), (30, -95), (40, -97), (20, -93))):
        at = number * 10.0
        for look in range(8):
            aiming.add(at + look / 2, {**CELL, "rsrp_dbm": level})
        moment = aiming.moment(at + 4)
        assert moment is not None
        aiming.mark(moment, azimuth)

    assert [(mark.azimuth_deg, mark.level_dbm) for mark in aiming.best()] == [(20, -93), (30, -95), (40, -97)]
    document = session_document(aiming, 50)
    assert document["peak_dbm"] == -90 and document["best"][0]["azimuth_deg"] == 20


def turned(
    bearings: Iterable[float], antenna: TurnedAntenna, modem: ModemPoller
) -> Iterator[tuple[float, Aiming]]:
    """Turn the antenna step by step, eight looks at each, on a clock of its own."""
    aiming, at = Aiming(), 0.0
    for bearing in bearings:
        antenna.bearing = bearing
        for _look in range(8):
            at += 0.5
            aiming.add(at, modem.glance())
        moment = aiming.moment(at)
        assert moment is not None
        aiming.mark(moment, bearing)
        yield bearing, aiming


def test_peak_hold_finds_the_bearing_of_a_turned_antenna() -> None:
    with TurnedAntenna() as antenna:
        modem = ModemPoller(str(antenna.path), sim_pin="", memory_file=None)
        try:
            seen_at, highest = -1.0, -200.0
            for bearing, aiming in turned(range(0, 360, 15), antenna, modem):
                seen = aiming.view(0)
                assert seen is not None and seen.best_dbm is not None
                if seen.best_dbm > highest:
                    seen_at, highest = bearing, seen.best_dbm
            assert seen_at == GOOD_BEARING
            assert aiming.best()[0].azimuth_deg == GOOD_BEARING
            assert {mark.azimuth_deg for mark in aiming.best()} == {120, 135, 150}
        finally:
            modem.close()


def test_a_glance_asks_one_or_two_questions_and_leaves_the_readings_as_they_are() -> None:
    with TurnedAntenna() as antenna:
        modem = ModemPoller(str(antenna.path), sim_pin="", memory_file=None)
        try:
            whole = modem.collect()
            asked = len(antenna.heard)
            glanced = [modem.glance() for _turn in range(5)]
            questions = len(antenna.heard) - asked
            assert modem.collect() == whole
        finally:
            modem.close()

    assert questions <= 10
    for fields in glanced:
        assert fields["rsrp_dbm"] == whole["rsrp_dbm"] and fields["cell_id"] == whole["cell_id"]


def look_twice(file: Path) -> tuple[Mapping[str, object], Mapping[str, object]]:
    with SimulatedModem(read_transcript(file)) as simulated:
        modem = ModemPoller(str(simulated.path), sim_pin="", memory_file=None)
        try:
            return modem.collect(), modem.glance()
        finally:
            modem.close()


def test_a_glance_tells_the_level_of_every_known_modem_as_a_reading_does() -> None:
    files = sorted((Path(__file__).parents[1] / "transcripts").glob("*/*/conversation.txt"))
    with ThreadPoolExecutor(len(files)) as pool:  # they mostly wait
        looks = list(pool.map(look_twice, files))

    for file, (whole, quick) in zip(files, looks, strict=True):
        for name in ("sinr_db", "cell_id", "pci", "band"):
            assert quick.get(name) in (whole.get(name), None), (file.parent, name)
        for name in ("rsrp_dbm", "rscp_dbm"):
            assert quick.get(name) == whole.get(name), (file.parent, name)
