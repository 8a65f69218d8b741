"""Single lines of the families: scales, number bases and placeholders that the transcripts do not show."""

from typing import Any

import pytest

from agent.contract.catalogue import Value
from agent.modem.cells import read_cells
from agent.modem.dialect import Dialect, Query, read_answer
from agent.modem.dialects import fibocom, fibocom_fm350, fibocom_xmm, quectel, simcom, ublox, zte


def _query(dialects: tuple[Dialect, ...], command: str, of: str = "queries") -> Query:
    queries: tuple[Query, ...] = getattr(dialects[-1], of)
    return next(one for one in queries if one.command == command)


def _read(
    dialects: tuple[Dialect, ...], command: str, lines: list[str], technology: str | None
) -> dict[str, Value]:
    return read_answer(_query(dialects, command), lines, technology)


_LTE = "LTE,Online,510-10,0x0830,110132496,22,EUTRAN-BAND40,39092,3,3"
_SA = "Online,510-10,0x1F4,68719477,301"


@pytest.mark.parametrize(
    ("line", "levels"),
    [
        (f"{_LTE},-150,-1057,-725,9", {"rsrp_dbm": -105.7, "rsrq_db": -15, "rssi_dbm": -72.5, "sinr_db": -2}),
        (f"{_LTE},-15,-106,-72,9", {"rsrp_dbm": -106, "rsrq_db": -15, "rssi_dbm": -72}),
        (f"{_LTE},10,35,40,-3", {"rsrp_dbm": -106, "rsrq_db": -15, "rssi_dbm": -70, "sinr_db": -3}),
        (f"{_LTE},0,35,40,-3", {"rsrp_dbm": -106, "rsrq_db": -20, "rssi_dbm": -70, "sinr_db": -3}),
        (f"{_LTE},10,255,255,255", {"rsrq_db": -15}),
        (f"{_LTE},255,255,255,255", {}),
        (f"{_LTE},0,0,0,0", {}),
        (f"{_LTE},-32768,-32768,-32768,-32768", {}),
        (f"{_LTE},-150,-,-725,9", {}),
    ],
)
def test_the_rsrp_of_a_simcom_tells_the_scale_of_its_line(line: str, levels: dict[str, float]) -> None:
    place = {
        "access_technology": "lte",
        "operator_mccmnc": "51010",
        "tac": 0x830,
        "cell_id": 110132496,
        "pci": 22,
        "band": "B40",
        "earfcn": 39092,
    }
    assert _read(simcom.DIALECTS, "AT+CPSI?", [line], None) == {**place, **levels}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (f"NR5G_SA,{_SA},NR5G_BAND40,470310,-884,-108,178", (-88.4, -10.8, 17.8)),
        (f"NR5G,{_SA},470310,-88,-11,15", (-88, -11, 15)),
        (f"NR5G_SA,{_SA},NR5G_BAND40,470310,-88,-11,8.5", (-88, -11, 8.5)),
        # 40 beside levels in tenths may be 4 dB or 40 dB.
        (f"NR5G_SA,{_SA},NR5G_BAND40,470310,-884,-108,40", (-88.4, -10.8, None)),
        (f"NR5G_SA,{_SA},NR5G_BAND40,470310,-32768,-32768,-32768", (None, None, None)),
        (f"NR5G_SA,{_SA},NR5G_BAND40,470310,,,", (None, None, None)),
    ],
)
def test_nr_levels_of_a_simcom_come_in_two_scales(line: str, expected: tuple[float | None, ...]) -> None:
    found = _read(simcom.DIALECTS, "AT+CPSI?", [line], None)
    assert found["access_technology"] == "nr5g-sa"
    assert (found["pci"], found["arfcn"], found["tac"]) == (301, 470310, 500)
    assert tuple(found.get(name) for name in ("rsrp_dbm", "rsrq_db", "sinr_db")) == expected


def test_a_simcom_names_its_mode_where_it_has_no_cpsi() -> None:
    assert _read(simcom.DIALECTS, "AT+CNSMOD?", ["0,7"], None) == {"access_technology": "hspa"}
    assert _read(simcom.DIALECTS, "AT+CNSMOD?", ["0,0"], None) == {}


_PLACED = "1,4,510,10,4AA3,3359A01"


@pytest.mark.parametrize(
    ("line", "earfcn", "pci", "band"),
    [
        (f"{_PLACED},6BD,12D,103,100,16,43,43,24", 1725, 301, "B3"),
        (f"{_PLACED},1725,301,103,100,16,43,43,24", 1725, 301, "B3"),
        (f"{_PLACED},9826,43,40,5,28,58,58,23", 38950, 67, "B40"),
        (f"{_PLACED},38950,67,140,5,28,58,58,23", 38950, 67, "B40"),
        (f"{_PLACED},1725,301,,,16,43,43,24", 5925, 0x301, None),
        (f"{_PLACED},6BD,3FF,103,100,16,43,43,24", 1725, None, "B3"),
        (f"{_PLACED},,,103,100,16,43,43,24", None, None, "B3"),
    ],
)
def test_the_band_tells_the_base_of_fibocoms_channel_numbers(
    line: str, earfcn: int | None, pci: int | None, band: str | None
) -> None:
    found = _read(fibocom.DIALECTS, "AT+GTCCINFO?", [line], None)
    pci = pci if pci is not None and pci <= 503 else None
    assert (found.get("earfcn"), found.get("pci"), found.get("band")) == (earfcn, pci, band)


def test_a_torn_line_is_not_read_because_its_last_column_may_be_torn_too() -> None:
    assert _read(simcom.DIALECTS, "AT+CPSI?", [f"{_LTE},-150,-10"], None) == {}
    assert _read(fibocom.DIALECTS, "AT+GTCCINFO?", [f"{_PLACED},6BD,12D,103,100,16,43,4"], None) == {}


@pytest.mark.parametrize(
    ("line", "sinr_db"),
    [
        (f"{_PLACED},1725,301,103,100,-4,43,43,24", -4),
        (f"{_PLACED},1725,301,103,100,0,43,43,24", 0),
        (f"{_PLACED},1725,301,103,100,255,43,43,24", None),
    ],
)
def test_an_fm350_prints_sinr_in_whole_db(line: str, sinr_db: float | None) -> None:
    assert _read(fibocom_fm350.DIALECTS, "AT+GTCCINFO?", [line], None).get("sinr_db") == sinr_db


def test_an_nr_line_without_a_level_is_no_leg() -> None:
    lines = [
        f"{_PLACED},1725,301,103,100,9,52,52,20",
        "1,9,,,FFFFFFF,00FFFFFFF,470310,644,5040,250,255,255,255,255",
    ]
    found = _read(fibocom_fm350.DIALECTS, "AT+GTCCINFO?", lines, None)
    assert found["access_technology"] == "lte"
    assert not any(name.startswith("nr_") for name in found)


def test_xmm_levels_of_an_unknown_technology_are_told_apart_by_what_is_there() -> None:
    assert _read(fibocom_xmm.DIALECTS, "AT+XCESQ?", ["0,99,99,30,38,255,255,255"], None) == {
        "rscp_dbm": -91,
        "ecio_db": -5.5,
    }
    assert _read(fibocom_xmm.DIALECTS, "AT+XCESQ?", ["0,24,0,255,255,255,255,255"], "lte") == {}


def test_an_xmm_line_broken_behind_a_comma_gives_what_is_there() -> None:
    torn = '4,510,11,"0xCF71","0x0809670A","0x01F6","0x00000708","0x00004D58",'
    assert _read(fibocom_xmm.DIALECTS, "AT+XMCI=1", [torn], None) == {
        "access_technology": "lte",
        "operator_mccmnc": "51011",
        "tac": 53105,
        "cell_id": 134833930,
        "pci": 502,
        "earfcn": 1800,
        "band": "B3",
    }


@pytest.mark.parametrize(
    ("line", "technology", "found"),
    [
        ("-97,-10.5,-67,7.2", None, {"rsrp_dbm": -97, "rsrq_db": -10.5, "rssi_dbm": -67, "sinr_db": 7.2}),
        ("79,15,171", None, {"rssi_dbm": -79, "ecio_db": -7.5, "rscp_dbm": -85.5}),
        ("79,1000,1000", None, {"rssi_dbm": -79}),
        ("-91,-6.5", "umts", {"rscp_dbm": -91, "ecio_db": -6.5}),
        ("-91,-6.5", None, {}),
        ("-97,-10.5,-67,7.2", "umts", {"rssi_dbm": -67}),
        ("0,0,0,0", "lte", {}),
    ],
)
def test_zte_signal_lines_are_told_apart_by_sign_and_count(
    line: str, technology: str | None, found: dict[str, float]
) -> None:
    assert _read(zte.DIALECTS, "AT+ZRSSI", [line], technology) == found


def test_zte_cells_without_a_known_base_give_band_and_channel_only() -> None:
    assert _read(zte.DIALECTS, "AT+ZCELLINFO?", ["86213377,301,LTE B1,325"], None) == {
        "access_technology": "lte",
        "band": "B1",
        "earfcn": 325,
    }


@pytest.mark.parametrize("arfcn", ["85", "2", "4"])
def test_a_ublox_cell_is_not_taken_for_the_line_before_it(arfcn: str) -> None:
    lines = ["2", "2,510,10", f"{arfcn},0,4ed1,22,3a5f,01,27,-1,20,20,1,1"]
    found = _read(ublox.DIALECTS, "AT+UCGED?", lines, None)
    assert (found["access_technology"], found["arfcn"], found["lac"]) == ("gsm", int(arfcn), 14943)


@pytest.mark.parametrize("header", ["7,4,510,10", "6,1,fff,fff", "6,fff,fff", "9,510,10"])
def test_a_ublox_cell_of_unknown_technology_is_not_read(header: str) -> None:
    cell = "3725,8,50,50,1f40,0d05102,88,d60814d1,8001,01,47,24,7.25,3,1,10,47,-50,-6,0,255,255,0,0"
    assert _read(ublox.DIALECTS, "AT+UCGED?", ["2", header, cell], None) == {}


def _cells(dialects: tuple[Dialect, ...], command: str, lines: list[str]) -> list[tuple[Any, ...]]:
    heard = read_cells(_query(dialects, command, "cell_queries"), lines, "lte")
    return [
        (
            cell.role,
            cell.access_technology,
            cell.band,
            cell.bandwidth_mhz,
            cell.earfcn or cell.arfcn,
            cell.pci,
            cell.rsrp_dbm,
        )
        for cell in heard
    ]


def test_quectel_tells_carriers_and_neighbours() -> None:
    assert _cells(
        quectel.DIALECTS,
        "AT+QCAINFO",
        [
            '"PCC",1850,100,"LTE BAND 3",1,301,-89,-13,-58,16',
            '"SCC",3600,25,"LTE BAND 8",2,77,-94,-11,-66,9',
            '"SCC",470310,6,"NR5G BAND 40",644',
            '"SCC",528030,12,"NR5G BAND 41",1,12,0,-,-',
        ],
    ) == [
        ("serving", "lte", "B3", 20, 1850, 301, -89),
        ("secondary", "lte", "B8", 5, 3600, 77, -94),
        ("secondary", "nr5g", "n40", 40, 470310, 644, None),
        ("secondary", "nr5g", "n41", 100, 528030, 12, None),
    ]
    assert _cells(
        quectel.DIALECTS,
        'AT+QENG="neighbourcell"',
        [
            '"neighbourcell intra","LTE",1850,77,-14,-101,-71,0,-,-,-,-,-',
            '"neighbourcell inter","LTE",3600,0,-,-,-,-,-,-,-,-',
            '"neighbourcell","WCDMA",3013,0,6,100,411,-91,-90,-',
        ],
    ) == [
        ("neighbour", "lte", None, None, 1850, 77, -101),
        ("neighbour", "lte", None, None, 3600, 0, None),
    ]


def test_fibocom_tells_carriers_and_neighbours() -> None:
    assert _cells(
        fibocom_fm350.DIALECTS,
        "AT+GTCAINFO?",
        ["2,0,138,18,38100,100,255,0,255,0,255,-102", "2,1,5040,130,470310,200,200,2,1,1,3,-107"],
    ) == [
        ("secondary", "lte", "B38", 20, 38100, 18, None),
        ("secondary", "nr5g", "n40", 40, 470310, 130, None),
    ]
    assert _cells(
        fibocom_fm350.DIALECTS,
        "AT+GTCCINFO?",
        ["2,4,,,FFFF,00FFFFFFF,9460,71,,43,43,10", "2,9,,,FFFFFFF,00FFFFFFF,470310,525,,47,47,59"],
    ) == [
        ("neighbour", "lte", None, None, 9460, 71, -98),
        ("neighbour", "nr5g", None, None, 470310, 525, -110),
    ]
    assert _cells(fibocom.DIALECTS, "AT+GTCCINFO?", ["2,4,,,,,6BD,7C,,38,38,0"]) == [
        ("neighbour", "lte", None, None, 1725, 124, -103)
    ]


def test_xmm_tells_neighbours() -> None:
    line = '5,000,000,"0xFFFE","0xFFFFFFFF","0x0184","0x00000708","0xFFFFFFFF","0xFFFFFFFF",31,15,255,"0","0"'
    assert _cells(fibocom_xmm.DIALECTS, "AT+XMCI=1", [line]) == [
        ("neighbour", "lte", "B3", None, 1800, 388, -110)
    ]
