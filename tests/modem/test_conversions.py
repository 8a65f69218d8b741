"""Columns become values; what is not known or not readable becomes None."""

from collections.abc import Callable

import pytest

from agent.contract.catalogue import Value
from agent.modem import conversions as c

UNREADABLE = ["", "-", "--", "x", "NA", "1e5", "\u0661", "1_0", " 1", "-7.-50", "+", "9" * 40]


@pytest.mark.parametrize(
    "convert", [c.whole, c.decimal, c.CESQ_RSRP.value, c.csq_rssi_dbm, c.level_below_zero]
)
@pytest.mark.parametrize("text", UNREADABLE)
def test_unreadable_columns_are_not_known(convert: Callable[[str], Value], text: str) -> None:
    assert convert(text) is None


@pytest.mark.parametrize(
    ("convert", "text", "value"),
    [
        (c.whole, "-99", -99),
        (c.whole, "007", 7),
        (c.whole, "+5", 5),
        (c.decimal, "-17.4", -17.4),
        (c.decimal, "-3", -3),
        (c.hexadecimal, "939204254", 0x939204254),
        (c.hexadecimal, "E00", 0xE00),
        (c.hexadecimal, "0x00D5", 0xD5),
        (c.hexadecimal, "fffe", 0xFFFE),
        (c.hexadecimal, "XYZ", None),
        (c.hexadecimal, "0x", None),
        # Both ends of each coded scale, and the code for "not known".
        (c.csq_rssi_dbm, "0", -113),
        (c.csq_rssi_dbm, "31", -51),
        (c.csq_rssi_dbm, "99", None),
        (c.csq_rssi_dbm, "100", -116),
        (c.csq_rssi_dbm, "191", -25),
        (c.csq_rssi_dbm, "199", None),
        (c.CESQ_RXLEV.value, "63", -48),
        (c.CESQ_RXLEV.value, "99", None),
        (c.CESQ_RSCP.value, "0", -121),
        (c.CESQ_RSCP.value, "96", -25),
        (c.CESQ_RSCP.value, "255", None),
        (c.CESQ_ECNO.value, "49", 0),
        (c.CESQ_RSRQ.value, "0", -20),
        (c.CESQ_RSRQ.value, "34", -3),
        (c.CESQ_RSRP.value, "0", -141),
        (c.CESQ_RSRP.value, "97", -44),
        (c.CESQ_RSRP.value, "98", None),
        (c.CESQ_SS_RSRQ.value, "126", 19.5),
        (c.CESQ_SS_RSRP.value, "74", -83),
        (c.CESQ_SS_SINR.value, "127", 40),
        (c.level_below_zero, "52", -52),
        (c.level_below_zero, "-84", -84),
    ],
)
def test_columns_are_converted(convert: Callable[[str], Value], text: str, value: Value) -> None:
    assert convert(text) == value


@pytest.mark.parametrize(
    ("mcc", "mnc", "code"),
    [
        ("510", "10", "51010"),
        ("460", "00", "46000"),
        ("310", "260", "310260"),
        ("250", "1", "25001"),
        ("001", "01", "00101"),
        ("000", "00", None),
        ("FFF", "FF", None),
        ("51", "10", None),
        ("510", "", None),
        ("510", "1010", None),
    ],
)
def test_network_code_keeps_its_digits(mcc: str, mnc: str, code: str | None) -> None:
    assert c.plmn(mcc, mnc) == code


@pytest.mark.parametrize(
    ("letter", "text", "band"),
    [
        ("B", "LTE BAND 3", "B3"),
        ("n", "NR5G BAND 78", "n78"),
        ("B", "40", "B40"),
        ("B", "0", None),
        ("B", "-", None),
    ],
)
def test_band_label(letter: str, text: str, band: str | None) -> None:
    assert c.band_label(letter, text) == band


@pytest.mark.parametrize(
    ("convert", "sinr", "rsrq", "value"),
    [
        (c.sinr_in_fifths, "207", "-14", 21.4),
        (c.sinr_in_fifths, "165", "-6", 13.0),
        (c.sinr_in_fifths, "93", "-14", -1.4),
        (c.sinr_in_fifths, "14", "-11", 14.0),  # in fifths -17.2 dB, impossible beside this RSRQ
        (c.sinr_in_fifths, "20", "-20", -16.0),  # here it is possible
        (c.sinr_in_fifths, "14", "", -17.2),
        (c.sinr_in_whole_db, "16", "-13", 16.0),
        (c.sinr_in_whole_db, "0", "-13", 0.0),
        (c.sinr_in_whole_db, "-3", "-15", -3.0),
        (c.sinr_in_whole_db, "165", "-12", 13.0),
        (c.sinr_in_whole_db, "255", "-12", None),
        (c.sinr_in_whole_db, "-32768", "-12", None),
        (c.sinr_in_fifths, "-", "-12", None),
    ],
)
def test_sinr_unit_is_the_one_that_can_be_true(
    convert: Callable[[str, str], float | None], sinr: str, rsrq: str, value: float | None
) -> None:
    assert convert(sinr, rsrq) == pytest.approx(value)
