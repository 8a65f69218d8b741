"""Waits before reconnecting, the pace of the backlog, and the pause after a refusal."""

import random

import pytest

from agent.publish.backoff import REFUSAL_PAUSE_MAX_S, REFUSAL_PAUSE_S, Backoff, Pace, RefusalPause


def _connects_by_hour(backoff: Backoff, hours: int) -> list[int]:
    """Return how often a gateway that meets an outage tries, each try failing at once."""
    at, counts = 0.0, [0] * hours
    while at < hours * 3600:
        counts[int(at // 3600)] += 1
        at += backoff.next_s()
    return counts


def test_a_long_outage_costs_few_connects() -> None:
    for seed in range(300):
        first, *later = _connects_by_hour(Backoff(300, random.Random(seed)), 24)
        assert first <= 20
        assert max(later) <= 13


def test_waits_grow_are_spread_and_begin_again_after_success() -> None:
    firsts, thirds = [], []
    for seed in range(400):
        backoff = Backoff(300, random.Random(seed))
        waits = [backoff.next_s() for _try in range(12)]
        firsts.append(waits[0])
        thirds.append(waits[2])
        assert all(wait <= 300 for wait in waits)
        assert waits[-1] >= 285
        backoff.reset()
        assert backoff.next_s() <= 1
    assert min(firsts) < 0.1 and 0.9 < max(firsts) <= 1
    assert min(thirds) < 1 and 8 < max(thirds) <= 9


def test_a_district_that_lost_its_broker_does_not_return_at_once() -> None:
    """A thousand gateways fail in the same second; the broker returns after an hour."""
    returns = []
    for seed in range(1000):
        backoff, at = Backoff(300, random.Random(seed)), 0.0
        while at < 3600:
            at += backoff.next_s()
        returns.append(at)
    busiest = max(sum(start <= at < start + 1 for at in returns) for start in range(3600, 3900))
    assert busiest <= 25


def test_a_short_longest_wait_is_kept() -> None:
    backoff = Backoff(1, random.Random(1))
    assert all(0.95 <= backoff.next_s() <= 1 for _try in range(5))


def test_pace_spreads_bytes_and_nothing_waits_without_one() -> None:
    pace = Pace(1000)
    pace.spend(500, now=100)
    assert pace.free_at == pytest.approx(100.5)
    pace.spend(500, now=100.2)
    assert pace.free_at == pytest.approx(101.0)
    pace.spend(500, now=200)
    assert pace.free_at == pytest.approx(200.5), "time that was not used is not saved up"
    unlimited = Pace(0)
    unlimited.spend(1_000_000, now=100)
    assert unlimited.free_at <= 100


def test_the_pause_after_refusals_doubles_up_to_a_quarter_of_an_hour() -> None:
    pause = RefusalPause()
    now, lengths = 1000.0, []
    for _refusal in range(7):
        pause.begin(now)
        pause.begin(now + 1)
        lengths.append(pause.until - now)
        now = pause.until
    assert lengths == [60, 120, 240, 480, 900, 900, 900]
    assert (lengths[0], lengths[-1]) == (REFUSAL_PAUSE_S, REFUSAL_PAUSE_MAX_S)
    pause.end()
    assert not pause.refused
    pause.begin(now)
    assert pause.until - now == REFUSAL_PAUSE_S
