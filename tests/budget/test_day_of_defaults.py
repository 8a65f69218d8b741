"""A day of the default settings in compressed time, beside what is promised for it; `-s` shows the table."""

import contextlib
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from agent.budget import speed_tester as speed_tester_module
from agent.budget.billing import billing_day, day_begins_ts
from agent.budget.desk import FAILED, Desk
from agent.budget.ledger import Ledger
from agent.budget.limits import Use, limits_of
from agent.budget.speed_tester import SpeedTester
from agent.buffer.keeper import Keeper
from agent.config.model import BudgetConfig, ThroughputConfig
from agent.publish.forwarder import Forwarder
from tests.support.forwarding import GATEWAY_ID, forwarding, tls_broker, wait_until
from tests.support.mosquitto import Mosquitto, mosquitto
from tests.support.rows import RecordingRows
from tests.support.speed_server import SpeedServer
from tests.wire import reference_week

DAY = billing_day(1_796_014_800)
DAYS_A_MONTH = 30

RECONNECTS = 20
ECHO_BYTES = 2 * (56 + 8 + 20)
"""An ICMP echo of 56 bytes and its answer, with their headers."""

PROMISED_MB_A_MONTH: dict[Use, float] = {
    "mqtt": 2 + 3 + 0.9 + 3.6,
    "probes": 7.3,
    "throughput": 180,
    "other": 0.1,
}
"""Readings, events, keepalive and reconnects; one echo a minute; two full tests a day."""


class Day:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.hour = 0

    def __call__(self) -> tuple[float, bool]:
        return day_begins_ts(DAY) + self.hour * 3600 + 3599.0, True


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with mosquitto(tmp_path / "broker", tls=True, gateway_id=GATEWAY_ID) as running:
        yield running


@pytest.fixture
def rows() -> RecordingRows:
    """Readings of the contract's 38 fields where the reference week lies beside the project."""
    if not reference_week.FILE.exists():
        return RecordingRows()
    week = reference_week.rows()

    class Week(RecordingRows):
        def add(self, count: int = 1) -> None:
            super().add(count)
            for seq in range(len(self._rows) - count + 1, len(self._rows) + 1):
                known = {name: value for name, value in week[seq].items() if value is not None}
                self._rows[seq] = {**known, "seq": seq}
                self._rows[seq].pop("epoch", None)

    return Week()


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[Keeper]:
    opened = Keeper(
        tmp_path / "sinyal.db", max_bytes=8 << 20, commit_interval_s=60, commit_readings=10, keep_days=90
    )
    opened.start()
    yield opened
    opened.close()


def make_the_link_fast(desk: Desk, now_ts: float) -> None:
    """Leave a result after which every test is as large as it gets."""
    begun = desk.begin("asked", "https", now_ts)
    rates = {"down_kbit_s": 1e6, "up_kbit_s": 1e6}
    desk.finish(begun["number"], {**FAILED, **rates, "state": "done", "reason": None, "bytes": 0})


def live_through(
    day: Day, ledger: Ledger, broker: Mosquitto, rows: RecordingRows, tester: SpeedTester
) -> None:
    """Send a batch each hour over RECONNECTS connections, an echo each minute, and what tests are planned."""
    assert broker.tls is not None
    with contextlib.ExitStack() as link:
        for hour in range(24):
            day.hour = hour
            if hour < RECONNECTS:
                link.close()
                forwarder = link.enter_context(
                    forwarding(
                        rows,
                        tls_broker(broker.port, broker.tls),
                        may_send_readings=ledger.may_send_readings,
                    )
                )
                ledger.watch("mqtt", partial(wire_bytes, forwarder))
            rows.add(60)
            forwarder.wake()
            wait_until("the batch is acknowledged", lambda: not rows.unsent_seqs())
            for _minute in range(60):
                ledger.charge("probes", ECHO_BYTES)
            for _tick in range(3):
                tester.tick()
            wait_until("no test is running", lambda: is_idle(tester))


def wire_bytes(forwarder: Forwarder) -> int:
    return forwarder.health().wire_bytes


def is_idle(tester: SpeedTester) -> bool:
    tester.tick()
    return tester._attempt is None


def test_a_day_of_default_settings_uses_what_is_promised(
    keeper: Keeper, broker: Mosquitto, rows: RecordingRows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speed_tester_module, "IDLE_FOR_S", 0.0)
    day = Day()
    ledger = Ledger(keeper, limits_of(BudgetConfig()), day)
    ledger.load()
    with SpeedServer() as server:
        settings = ThroughputConfig(url=f"http://127.0.0.1:{server.port}/backend/")
        desk = Desk(ledger, keeper, settings, GATEWAY_ID)
        make_the_link_fast(desk, day()[0] - 86400)
        tester = SpeedTester(desk, tmp_path, day, lambda: 0, lambda: True)
        tester._started_ts = day_begins_ts(DAY)
        live_through(day, ledger, broker, rows, tester)

    used = ledger.state().today
    print(f"\n{'a day of defaults':<18}{'used':>10}{'promised':>12}", file=sys.stderr)
    for use, promised_mb in PROMISED_MB_A_MONTH.items():
        promised = promised_mb * 1e6 / DAYS_A_MONTH
        print(f"  {use:<16}{used[use] / 1e3:>7.1f} kB{promised / 1e3:>9.1f} kB", file=sys.stderr)
        assert used[use] <= promised
    assert used["throughput"] > 5_000_000 and used["mqtt"] > 50_000
    assert [test["why"] for test in desk.history(5)] == ["evening", "night", "asked"]
    assert sum(used.values()) <= 300e6 / DAYS_A_MONTH
