"""Fourteen days offline, in compressed time: all of it arrives, and a fresh reading does not wait for it."""

import time
from pathlib import Path

import pytest

from tests.faults.campaigns import say
from tests.faults.prefill import prefill
from tests.faults.scene import scene
from tests.pipeline.whole_gateway import wait_until

FORTNIGHT_READINGS = 14 * 24 * 60
FRESH_WITHIN_S = 10


@pytest.mark.parametrize("kills", [0, pytest.param(20, marks=pytest.mark.soak)])
def test_after_fourteen_days_offline_the_freshest_comes_first_and_all_the_rest(
    kills: int, tmp_path: Path
) -> None:
    with scene(tmp_path) as at:
        prefill(at.gateway, FORTNIGHT_READINGS)
        at.note()
        at.proxy.mode = "refuse"
        at.gateway.start()
        wait_until("a reading of today", lambda: at.gateway.shown().get("taken", 0) > 3)
        linked_at = time.monotonic()
        at.proxy.mode = "pass"
        at.wait_for("a fresh reading", lambda arrivals: arrivals.newest_seq() > FORTNIGHT_READINGS)
        fresh_s = time.monotonic() - linked_at
        for _kill in range(kills):
            time.sleep(0.3)
            at.kill()
            at.gateway.start()
        at.wait_for_due(set(at.ledger.rows), 60)
        all_s = time.monotonic() - linked_at
        verdict = at.after_the_faults()
    say(f"14 days offline, {kills} kills: fresh after {fresh_s:.1f} s, all after {all_s:.1f} s, {verdict}")
    verdict.holds(interruptions=kills + 1, held_rows=60)
    assert fresh_s <= FRESH_WITHIN_S
