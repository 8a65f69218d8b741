"""What a gateway costs an unreachable broker: few connects, and a half-open link that is left in time."""

import random
import time

import pytest

from agent.publish import forwarder
from agent.publish.backoff import Backoff
from agent.publish.mqtt import ACK_TIMEOUT_S
from tests.faults.campaigns import quick_and_soak, say
from tests.support.forwarding import forwarding, plain_broker, wait_until
from tests.support.mosquitto import Mosquitto
from tests.support.proxy import Mode, Proxy
from tests.support.rows import RecordingRows

HOURS = 4
FASTER = 20_000
"""Four hours pass in less than a second."""

FIRST_HOUR_CONNECTS = 20
LATER_HOUR_CONNECTS = 13


class CompressedBackoff:
    """The agent's own waits, passed FASTER; counts when each try falls in the outage's own time."""

    def __init__(self, seed: int) -> None:
        self._waits = Backoff(300, random.Random(seed))
        self.at_s = 0.0
        self.by_hour = [1] + [0] * (HOURS - 1)  # the first try opens the outage

    def next_s(self) -> float:
        wait_s = self._waits.next_s()
        self.at_s += wait_s
        hour = int(self.at_s // 3600)
        if hour >= HOURS:
            return 3600.0
        self.by_hour[hour] += 1
        return wait_s / FASTER

    def reset(self) -> None:
        raise AssertionError("a connection that failed at once must not make the waits small again")


def connects_by_hour(seed: int, mode: Mode, broker: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let a gateway meet an outage of HOURS; return how often it connected in each."""
    waits = CompressedBackoff(seed)
    monkeypatch.setattr(forwarder, "Backoff", lambda _longest_s: waits)
    with Proxy(broker.port) as proxy:
        proxy.mode = mode
        with forwarding(RecordingRows(10), plain_broker(proxy.port)):
            wait_until("the end of the outage", lambda: waits.at_s >= HOURS * 3600, 30)
        assert proxy.accepted == sum(waits.by_hour), "each try is one connect"
    return waits.by_hour


@pytest.mark.parametrize("mode", ["reset", "stall"])
@quick_and_soak("gateways", 2, 30)
def test_an_outage_costs_few_connects(
    gateways: int, mode: Mode, broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.publish.mqtt.CONNECT_TIMEOUT_S", 0.02)
    hours = [connects_by_hour(seed, mode, broker, monkeypatch) for seed in range(gateways)]
    first = max(by_hour[0] for by_hour in hours)
    later = max(max(by_hour[1:]) for by_hour in hours)
    say(f"connects of an outage ({mode}): {gateways} gateways, {first} in hour 1, {later} in one after")
    assert first <= FIRST_HOUR_CONNECTS
    assert later <= LATER_HOUR_CONNECTS


@pytest.mark.parametrize("ack_timeout_s", [1.0, pytest.param(ACK_TIMEOUT_S, marks=pytest.mark.soak)])
def test_a_half_open_link_is_closed_after_an_unanswered_publish(
    ack_timeout_s: float, broker: Mosquitto
) -> None:
    rows = RecordingRows(3)
    with (
        Proxy(broker.port) as proxy,
        forwarding(rows, plain_broker(proxy.port), ack_timeout_s=ack_timeout_s) as sending,
    ):
        wait_until("the first rows", lambda: not rows.unsent_seqs())
        proxy.mode = "stall"
        carried = proxy.up_bytes
        rows.add()
        sending.wake()
        wait_until("a publish nobody answers", lambda: proxy.up_bytes > carried)
        began = time.monotonic()
        wait_until("the end of the connection", lambda: sending.health().state != "connected", 60)
        took_s = time.monotonic() - began
    say(f"half-open link closed {took_s:.1f} s after an unanswered publish (allowed: {ack_timeout_s:.0f})")
    assert ACK_TIMEOUT_S <= 30
    assert took_s < ack_timeout_s + 1
