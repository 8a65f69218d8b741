"""Enough or not enough for a video meeting, and which input decided."""

from typing import Any

import pytest

from agent.link.meeting import Thresholds, readiness

THRESHOLDS = Thresholds(300, 50, 0.02, 1000, 600)
GOOD = {"link_up": 1, "rtt_ms": 100, "jitter_ms": 10, "loss_ratio": 0.0}


@pytest.mark.parametrize(
    ("changes", "enough", "decided_by"),
    [
        ({}, True, "rtt_ms"),
        ({"jitter_ms": 40}, True, "jitter_ms"),
        ({"rtt_ms": 300}, True, "rtt_ms"),
        ({"rtt_ms": 300.1}, False, "rtt_ms"),
        ({"jitter_ms": 50.1}, False, "jitter_ms"),
        ({"loss_ratio": 0.02}, True, "loss_ratio"),
        ({"loss_ratio": 0.021}, False, "loss_ratio"),
        ({"down_kbit_s": 1000, "up_kbit_s": 5000}, True, "down_kbit_s"),
        ({"down_kbit_s": 999}, False, "down_kbit_s"),
        ({"down_kbit_s": 0}, False, "down_kbit_s"),
        ({"up_kbit_s": 599}, False, "up_kbit_s"),
        ({"rtt_ms": 900, "up_kbit_s": 1}, False, "rtt_ms"),
        ({"link_up": 0, "rtt_ms": None}, False, "link_up"),
        ({"link_up": 0}, False, "link_up"),
        ({"jitter_ms": None}, True, "rtt_ms"),
        ({"rtt_ms": None}, None, None),
        ({"link_up": None}, None, None),
        ({"rtt_ms": None, "jitter_ms": 99}, False, "jitter_ms"),
    ],
)
def test_the_input_that_decides(changes: dict[str, Any], enough: bool | None, decided_by: str | None) -> None:
    verdict = readiness(THRESHOLDS, **{**GOOD, **changes})
    assert (verdict.enough, verdict.decided_by) == (enough, decided_by)


def test_a_speed_never_measured_is_named_and_decides_nothing() -> None:
    verdict = readiness(THRESHOLDS, **GOOD)
    assert verdict.document() == {
        "enough": True, "decided_by": "rtt_ms", "value": 100, "limit": 300,
        "missing": ["down_kbit_s", "up_kbit_s"],
    }  # fmt: skip


def test_a_threshold_of_no_loss_can_be_met() -> None:
    strict = THRESHOLDS._replace(max_loss_ratio=0)
    assert readiness(strict, **GOOD).enough is True
    assert readiness(strict, **{**GOOD, "loss_ratio": 0.001}).decided_by == "loss_ratio"
