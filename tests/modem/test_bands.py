"""Channel numbers and bands."""

import pytest

from agent.modem.bands import eutra_band, is_in_band


@pytest.mark.parametrize(
    ("earfcn", "band"),
    [
        (0, "B1"),
        (599, "B1"),
        (600, "B2"),
        (1850, "B3"),
        (3600, "B8"),
        (39092, "B40"),
        (70645, "B88"),
        (5000, None),  # between B11 and B12
        (65535, None),
        (-1, None),
        (None, None),
    ],
)
def test_an_earfcn_tells_the_band(earfcn: int | None, band: str | None) -> None:
    assert eutra_band(earfcn) == band


@pytest.mark.parametrize(
    ("band", "channel", "is_in"),
    [
        ("B3", 1650, True),
        ("B3", 0x1650, False),
        ("n40", 470310, True),
        ("n5", 176190, True),
        ("n40", None, False),
        ("n999", 470310, False),
        (None, 1650, False),
    ],
)
def test_a_channel_number_lies_in_a_band(band: str | None, channel: int | None, is_in: bool) -> None:
    assert is_in_band(band, channel) is is_in
