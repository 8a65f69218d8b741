from collections.abc import Iterator

import pytest

from agent import language, screen
from agent.contract.catalogue import catalogue


@pytest.fixture(autouse=True)
def _english_again() -> Iterator[None]:
    language.use_language("en")
    yield
    language.use_language("id")


def test_times_are_wib_in_both_languages() -> None:
    assert screen.wib(1768953600) == "21 Jan 2026 07:00 WIB"
    language.use_language("id")
    assert screen.wib(1768953600 + 121 * 86400, seconds=True) == "22 Mei 2026 07.00.00 WIB"
    assert screen.wib_clock(1768953599) == "06.59.59"


def test_the_decimal_sign_follows_the_language() -> None:
    assert screen.number(28.13, 1) == "28.1"
    language.use_language("id")
    assert screen.number(28.13, 1) == "28,1"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 seconds"),
        (1, "1 second"),
        (59, "59 seconds"),
        (60, "1 minute"),
        (7199, "1 hour"),
        (172800, "2 days"),
    ],
)
def test_a_span_is_told_in_its_largest_whole_unit(seconds: float, text: str) -> None:
    assert screen.span(seconds) == text


@pytest.mark.parametrize(
    ("share", "bar"),
    [(-1, "----------"), (0, "----------"), (0.5, "#####-----"), (1, "##########"), (9, "##########")],
)
def test_a_bar_stays_within_its_width(share: float, bar: str) -> None:
    assert screen.bar(share, 10) == bar


def test_the_bar_shows_the_level_of_the_technology_in_use() -> None:
    assert screen.level_bar({"rsrp_dbm": -75, "rssi_dbm": -110}, 4) == ("-75 dBm", "####")
    assert screen.level_bar({"rssi_dbm": -110}, 4) == ("-110 dBm", "----")
    assert screen.level_bar({"modem_state": "hung"}, 4) is None


@pytest.mark.parametrize("field", screen.WORDS)
def test_every_state_of_the_catalogue_has_a_word(field: str) -> None:
    assert set(screen.WORDS[field]) == set(catalogue()[field].values)


def test_technologies_of_the_catalogue_are_named() -> None:
    assert set(screen.TECHNOLOGIES) | {"none"} == set(catalogue()["access_technology"].values)


def test_a_line_never_gets_longer_than_the_screen() -> None:
    assert screen.fit(("a" * 50, "", "b" * 50)) == "a" * 50 + " · " + "b" * 26 + "…"
    assert len(screen.fit(("x" * 200,), 10)) == 10


def test_a_long_text_is_broken_between_words() -> None:
    lines = screen.broken("satu dua tiga empat lima enam", 10).split("\n")
    assert lines == ["satu dua", "tiga empat", "lima enam"]
    assert screen.broken("x" * 30, 10) == "x" * 30
