"""Answers that print labels: rows out of words, of two columns with tabs, and of parts."""

import re
import time

import pytest

from agent.modem.labels import PHRASES, WORDS, labelled


@pytest.mark.parametrize(
    ("line", "pairs"),
    [
        ("mcc:510,mnc:01", [("mcc", "510"), ("mnc", "01")]),
        ("channel:1650 pci:28", [("channel", "1650"), ("pci", "28")]),
        (
            "pcell: lte_band:3 lte_band_width:20.0MHz",
            [("pcell", ""), ("lte_band", "3"), ("lte_band_width", "20.0MHz")],
        ),
        ("ant:rx_diversity:1 (-84.4dBm,NA)", [("ant", ""), ("rx_diversity", "1")]),
        ("I TIM BSIC:23 ARFCN: 59 PWR: -80 dBm", [("BSIC", "23"), ("ARFCN", "59"), ("PWR", "-80")]),
        ("RSRP:-90.00 CINR:0.00", [("RSRP", "-90.00"), ("CINR", "0.00")]),
        ("no label here", []),
        (":::", []),
    ],
)
def test_words_are_paired(line: str, pairs: list[tuple[str, str]]) -> None:
    assert WORDS.findall(line) == pairs


@pytest.mark.parametrize(
    ("line", "pairs"),
    [
        ("Current Time:  18           Temperature: 36", [("Current Time", "18"), ("Temperature", "36")]),
        ("Current Time:  68882\t\tTemperature: 43", [("Current Time", "68882"), ("Temperature", "43")]),
        (
            "LTE SCC1 bw  : 20 MHz  \t\tLTE SCC1 Rx chan: 500",
            [("LTE SCC1 bw", "20 MHz"), ("LTE SCC1 Rx chan", "500")],
        ),
        ("Tx Power:      0     TAC:         D5AC (54700)", [("Tx Power", "0"), ("TAC", "D5AC (54700)")]),
        ("RSRQ (dB):     -17.4", [("RSRQ (dB)", "-17.4")]),
        ("RRC state:     RRC Connected  ", [("RRC state", "RRC Connected  ")]),
    ],
)
def test_phrases_are_paired(line: str, pairs: list[tuple[str, str]]) -> None:
    assert PHRASES.findall(line) == pairs


def test_each_line_is_a_row_unless_labels_start_them() -> None:
    assert list(labelled("b a", WORDS)(["a:1 b:2", "a:3 z:9"])) == [["2", "1"], ["", "3"]]


def test_a_label_starts_a_part_and_its_first_value_counts() -> None:
    split = labelled("part a cell", WORDS, starts=("cell",))
    assert list(split(["a:1", "a:2", "cell: 7", "a:3"])) == [["", "1", ""], ["cell", "3", "7"]]
    assert list(labelled("part a", WORDS, starts=())(["a:1", "a:2"])) == [["", "1"]]
    assert list(split([])) == [["", "", ""]]


def test_a_label_with_unit_becomes_a_column_name() -> None:
    split = labelled("part rsrp_dbm lte_scc1_rx_chan", PHRASES, starts=())
    assert list(split(["PCC RxD RSSI:  -74      RSRP (dBm):  -117", "LTE SCC1 Rx chan: 500"])) == [
        ["", "-117", "500"]
    ]


@pytest.mark.parametrize("pair", [WORDS, PHRASES])
@pytest.mark.parametrize(
    "noise", ["A" * 2048, "A " * 1024, "A  " * 680, "a:" + "A  " * 680, "-" * 2048, ":" * 2048]
)
def test_noise_is_passed_over_quickly(pair: re.Pattern[str], noise: str) -> None:
    began = time.perf_counter()
    list(labelled("part a", pair, starts=())([noise]))
    assert time.perf_counter() - began < 0.5
