"""Neighbours and aggregated carriers: asked on demand, and never taken for the serving cell."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import SinyalError
from agent.modem.cells import MAX_CELLS, Cell, merge_cells, read_cells
from agent.modem.dialect import Query, constant, layout, query, whole_number
from agent.modem.dialects import FAMILIES, load_dialect
from agent.modem.poll import ModemPoller
from agent.modem.ranges import is_possible
from agent.modem.reading import Reading
from agent.modem.simulator import SimulatedModem
from agent.modem.transcript import read_transcript

TRANSCRIPTS = Path(__file__).parents[1] / "transcripts"
CELL_QUERIES = [one for family in FAMILIES for one in load_dialect(family).cell_queries]
NEIGHBOURS = query(
    "AT+X",
    "+X:",
    layout(
        "rat earfcn pci rsrp",
        marks={"rat": ("LTE",)},
        fields={
            "role": constant("neighbour"),
            "access_technology": constant("lte"),
            "earfcn": whole_number("earfcn"),
            "pci": whole_number("pci"),
            "rsrp_dbm": whole_number("rsrp"),
        },
    ),
)
LTE = Reading(
    {"access_technology": "lte", "pci": 11, "band": "B3", "rsrp_dbm": -90, "operator_name": "X"},
    {"access_technology": "AT+A", "pci": "AT+A", "band": "AT+A", "rsrp_dbm": "AT+A"},
)


@contextmanager
def poller(situation: str) -> Iterator[tuple[ModemPoller, SimulatedModem]]:
    with SimulatedModem(read_transcript(TRANSCRIPTS / situation / "conversation.txt")) as modem:
        poller = ModemPoller(str(modem.path), sim_pin="", memory_file=None)
        yield poller, modem
        poller.close()


def test_a_line_is_a_cell_and_impossible_values_are_left_out() -> None:
    assert read_cells(NEIGHBOURS, ["LTE,1300,7,-101", "LTE,4294967295,504,-20", "GSM,1,2,3"], "lte") == [
        Cell("neighbour", "AT+X", "lte", earfcn=1300, pci=7, rsrp_dbm=-101)
    ]


def test_a_flood_of_cells_is_cut_off() -> None:
    lines = [f"LTE,1300,{turn},-101" for turn in range(500)]
    assert len(read_cells(NEIGHBOURS, lines, "lte")) == MAX_CELLS


def test_the_serving_cell_comes_first_and_is_only_completed() -> None:
    heard = [
        Cell("neighbour", "AT+N", "lte", pci=12),
        Cell("serving", "AT+C", "lte", band="B7", bandwidth_mhz=20.0),
        Cell("secondary", "AT+C", "lte", band="B1"),
    ]
    assert merge_cells(LTE, heard) == [
        Cell("serving", "AT+A", "lte", band="B3", bandwidth_mhz=20.0, pci=11, rsrp_dbm=-90),
        heard[2],
        heard[0],
    ]


def test_the_nr_leg_of_a_reading_is_a_secondary_cell_named_once() -> None:
    reading = Reading(
        {**LTE.fields, "access_technology": "nr5g-nsa", "nr_band": "n40", "nr_rsrp_dbm": -80},
        {**LTE.sources, "nr_band": "AT+A", "nr_rsrp_dbm": "AT+A"},
    )
    leg = Cell("secondary", "AT+C", "nr5g", band="n40", arfcn=470000, pci=700)
    serving, secondary = merge_cells(reading, [leg])
    assert serving.access_technology == "lte"
    assert (secondary.pci, secondary.rsrp_dbm, secondary.band) == (700, -80, "n40")
    assert len(merge_cells(reading, [])) == 2


def test_a_modem_without_service_has_no_serving_cell() -> None:
    assert merge_cells(Reading({"access_technology": "none"}, {}), []) == []


@pytest.mark.parametrize(
    ("situation", "roles"),
    [
        ("huawei/lte_home", ["serving", "secondary", "neighbour", "neighbour"]),
        ("sierra/nsa", ["serving", "secondary", "secondary"]),
        ("sierra/lte_home", ["serving", "neighbour", "neighbour"]),
        ("foxconn/nsa", ["serving", "secondary", "secondary"]),
        ("meig/nsa", ["serving", "secondary", "secondary"]),
        ("asr/lte_home", ["serving", "neighbour"]),
        ("cinterion/lte_home", ["serving"]),
    ],
)
def test_cells_of_a_modem(situation: str, roles: list[str]) -> None:
    with poller(situation) as (modem, _line):
        cells = modem.read_cells()
        values = modem.collect()
    assert [cell.role for cell in cells] == roles
    assert cells[0].pci == values.get("pci")
    assert cells[0].rsrp_dbm == values.get("rsrp_dbm")


def test_cells_are_not_asked_for_in_a_reading() -> None:
    with poller("huawei/lte_home") as (modem, line):
        modem.collect()
        assert "AT^MONNC" not in line.heard
        modem.read_cells()
        assert "AT^MONNC" in line.heard


def test_a_missing_modem_is_told() -> None:
    poller = ModemPoller("/dev/does-not-exist", sim_pin="", memory_file=None)
    with pytest.raises(SinyalError):
        poller.read_cells()
    poller.close()


_TEXTS = st.one_of(
    st.integers(-40000, 2**36).map(str),
    st.sampled_from(("LTE", "NR", "WCDMA", "GSM", "SCC", "6", "7", "-", "", "FFFFFFF", "255", "-85")),
    st.text(max_size=6),
)
_LINES = st.lists(st.lists(_TEXTS, max_size=20).map(",".join), max_size=5)


@given(
    asked=st.sampled_from(CELL_QUERIES),
    lines=_LINES,
    technology=st.sampled_from((None, "lte", "nr5g-nsa", "nr5g-sa")),
)
def test_no_answer_gives_an_impossible_cell(asked: Query, lines: list[str], technology: str | None) -> None:
    for cell in read_cells(asked, lines, technology):
        physics = "nr5g-sa" if cell.access_technology == "nr5g" else cell.access_technology
        assert cell.role in ("serving", "secondary", "neighbour")
        for name in ("pci", "earfcn", "arfcn", "rsrp_dbm", "rsrq_db", "cell_id"):
            value = getattr(cell, name)
            assert value is None or is_possible(physics, name, value)
