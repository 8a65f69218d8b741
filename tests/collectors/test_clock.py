import time
from pathlib import Path

import pytest

from agent.collectors import clock


@pytest.mark.parametrize(
    ("synchronised", "chip", "now_ts", "quality"),
    [
        (True, False, 1_800_000_000, "ntp"),
        (True, True, 1_800_000_000, "ntp"),
        (False, True, 1_800_000_000, "rtc"),
        (False, False, 1_800_000_000, "unset"),
        (True, True, 86_400, "unset"),
    ],
)
def test_quality_says_how_far_the_wall_clock_can_be_believed(
    synchronised: bool, chip: bool, now_ts: int, quality: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if chip:
        (tmp_path / "rtc0").mkdir()
    collector = clock.ClockCollector(tmp_path)
    monkeypatch.setattr(collector, "_kernel_is_synchronised", lambda: synchronised)
    monkeypatch.setattr(time, "time", lambda: now_ts)

    assert collector.collect().ts_quality == quality


def test_real_clocks_are_read() -> None:
    reading = clock.ClockCollector().collect()

    assert abs(reading.ts - time.time()) < 5
    assert reading.uptime_s > 0
    assert reading.ts_quality in ("ntp", "rtc", "unset")
