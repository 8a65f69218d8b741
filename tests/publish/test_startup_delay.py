"""After a blackout a whole district boots at once: then alone the first connection waits a random time."""

import time

import pytest

from agent.publish import forwarder as forwarder_module
from agent.publish.backoff import uniform_s
from tests.support.fake_broker import FakeBroker
from tests.support.forwarding import forwarding, plain_broker, wait_until
from tests.support.rows import RecordingRows


class _Least:
    def uniform(self, a: float, _b: float) -> float:
        return a


def test_the_time_is_anything_from_nothing_to_the_most() -> None:
    drawn = [uniform_s(120) for _time in range(2000)]
    assert 0 <= min(drawn) < 5 and 115 < max(drawn) <= 120
    assert uniform_s(120, _Least()) == 0


@pytest.mark.parametrize(("uptime_s", "longest_s"), [(601.0, 120), (5.0, 0)])
def test_a_restart_of_the_agent_alone_waits_nothing(
    uptime_s: float, longest_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forwarder_module, "uniform_s", lambda longest: longest)
    rows = RecordingRows(3)
    with (
        FakeBroker() as broker,
        forwarding(rows, plain_broker(broker.port), startup_delay_max_s=longest_s, uptime_s=lambda: uptime_s),
    ):
        wait_until("all rows marked sent", lambda: not rows.unsent_seqs(), 5)


def test_a_fresh_boot_waits_and_no_nudge_shortens_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "sinyal.publish")
    monkeypatch.setattr(forwarder_module, "uniform_s", lambda longest: longest)
    rows = RecordingRows(3)
    with (
        FakeBroker() as broker,
        forwarding(
            rows, plain_broker(broker.port), startup_delay_max_s=1.5, uptime_s=lambda: 30.0
        ) as sending,
    ):
        began = time.monotonic()
        while broker.record.connects == 0 and time.monotonic() - began < 1:
            sending.wake()
            sending.wake(urgent=True)
            time.sleep(0.05)
        assert broker.record.connects == 0
        wait_until("all rows marked sent", lambda: not rows.unsent_seqs(), 5)
    assert "the board has just booted; connecting begins in 2 s" in caplog.messages


def test_stop_does_not_wait_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarder_module, "uniform_s", lambda longest: longest)
    rows = RecordingRows(3)
    with (
        FakeBroker() as broker,
        forwarding(rows, plain_broker(broker.port), startup_delay_max_s=120, uptime_s=lambda: 1.0) as sending,
    ):
        time.sleep(0.1)
        sending.stop(2)
        assert not sending.is_alive()
        assert broker.record.connects == 0
