"""The class of a signal, at each bound of its scale."""

import pytest

from agent.contract.catalogue import Value
from agent.modem.signal_class import signal_class

LTE = {"access_technology": "lte", "registration": "home"}
UMTS = {"access_technology": "hspa", "registration": "home"}
GSM = {"access_technology": "edge", "registration": "home"}


@pytest.mark.parametrize(
    ("base", "field", "bounds"),
    [
        (LTE, "rsrp_dbm", {-84: "excellent", -85: "good", -95: "good", -96: "fair", -105: "fair"}),
        (LTE, "rsrp_dbm", {-106: "poor", -115: "poor", -116: "very_poor"}),
        (UMTS, "rscp_dbm", {-79: "excellent", -80: "good", -90: "good", -91: "fair", -100: "fair"}),
        (UMTS, "rscp_dbm", {-101: "poor", -105: "poor", -106: "very_poor"}),
        (GSM, "rssi_dbm", {-79: "excellent", -80: "good", -89: "good", -90: "fair", -98: "fair"}),
        (GSM, "rssi_dbm", {-99: "poor", -103: "poor", -104: "very_poor"}),
    ],
)
def test_level_classes(base: dict[str, Value], field: str, bounds: dict[int, str]) -> None:
    assert {level: signal_class({**base, field: level}) for level in bounds} == bounds


@pytest.mark.parametrize(
    ("sinr_db", "word"),
    [(13.0, "excellent"), (12.9, "good"), (4.5, "good"), (4.4, "fair"), (1.0, "fair"), (0.9, "poor")],
)
def test_quality_pulls_a_strong_signal_down(sinr_db: float, word: str) -> None:
    assert signal_class({**LTE, "rsrp_dbm": -70, "sinr_db": sinr_db}) == word


@pytest.mark.parametrize(("sinr_db", "word"), [(-3.0, "poor"), (-3.1, "very_poor")])
def test_bad_quality_classes(sinr_db: float, word: str) -> None:
    assert signal_class({**LTE, "rsrp_dbm": -70, "sinr_db": sinr_db}) == word


def test_good_quality_does_not_lift_a_weak_level() -> None:
    assert signal_class({**LTE, "rsrp_dbm": -110, "sinr_db": 30.0}) == "poor"


@pytest.mark.parametrize(
    ("reading", "word"),
    [
        ({"registration": "searching"}, "none"),
        ({"registration": "not_registered", "access_technology": "none"}, "none"),
        ({"registration": "denied", "rssi_dbm": -85}, None),
        ({"registration": "home"}, None),
        ({}, None),
        ({**LTE, "rssi_dbm": -70}, None),
        ({**LTE, "sinr_db": 20.0}, None),
        ({"rsrp_dbm": -90}, "good"),
        ({"access_technology": "nr5g-nsa", "rsrp_dbm": -90, "nr_rsrp_dbm": -120}, "good"),
    ],
)
def test_unknown_is_not_bad_and_no_service_is_none(reading: dict[str, Value], word: str | None) -> None:
    assert signal_class(reading) == word
