import socket
from pathlib import Path
from typing import Any

import pytest

from agent.budget import speed_tester as speed_tester_module
from agent.budget.billing import billing_day, day_begins_ts
from agent.budget.desk import FAILED, RUNS_AT_MOST_S, Desk, OnPause, OverBudget, checked_result
from agent.budget.ledger import Ledger
from agent.budget.limits import Limits
from agent.budget.speed_size import LARGEST_BYTES, OOKLA_REFUSED, SMALLEST_BYTES
from agent.budget.speed_tester import SpeedTester
from agent.budget.speed_times import RETRIES, RETRY_S, WINDOWS, planned_ts, window_due
from agent.buffer.store import Store
from agent.config.model import ThroughputConfig
from agent.errors import SinyalError, UsageMistake
from agent.pipeline.budget_control import budget_answerers
from agent.pipeline.measuring import ASKS
from tests.support.forwarding import wait_until
from tests.support.speed_server import SpeedServer

DAY = billing_day(1_796_014_800)
EVENING_TS = day_begins_ts(DAY) + 21.5 * 3600

DONE: dict[str, Any] = {
    "state": "done",
    "server": "speed.example",
    "reason": None,
    "bytes": 300_000,
    "seconds": 4.2,
    "rtt_ms": 61.0,
    "down_kbit_s": 2000.0,
    "up_kbit_s": 700.0,
}


class Gateway:
    """A desk with a clock that can be set, and its tester."""

    def __init__(
        self, store: Store, folder: Path, *, url: str = "http://127.0.0.1:9/", cap: int = 300_000_000
    ):
        self.ts = EVENING_TS
        self.trusted = True
        self.uplink_bytes: int | None = 0
        self.online = True
        self.store = store
        self.ledger = Ledger(store, Limits(cap, 1, 25), lambda: (self.ts, self.trusted))
        self.ledger.load()
        self.desk = Desk(self.ledger, store, ThroughputConfig(url=url), "gw-1")
        self.tester = SpeedTester(
            self.desk,
            folder,
            lambda: (self.ts, self.trusted),
            lambda: self.uplink_bytes,
            lambda: self.online,
        )
        self.tester._started_ts = day_begins_ts(DAY)

    def used(self) -> int:
        return self.ledger.state().by_use["throughput"]

    def last(self) -> dict[str, Any]:
        tests = self.desk.history(1)
        return tests[0] if tests else {}


@pytest.fixture
def gateway(store: Store, tmp_path: Path) -> Gateway:
    return Gateway(store, tmp_path)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed_tester_module, "IDLE_FOR_S", 0.05)
    monkeypatch.setattr(speed_tester_module, "RETRY_S", 0.0)


def test_a_test_costs_its_most_until_it_ends_and_then_what_it_used(gateway: Gateway) -> None:
    begun = gateway.desk.begin("asked", "https", gateway.ts)
    assert gateway.used() == begun["request"]["cost_bytes"] > SMALLEST_BYTES

    gateway.desk.finish(begun["number"], DONE)

    assert gateway.used() == gateway.ledger.spent_bytes() == 300_000
    assert gateway.last()["down_kbit_s"] == 2000.0
    assert gateway.desk.size("https").down_bytes == 1_000_000


def test_a_test_that_never_came_back_stays_paid_in_full_and_does_not_block(gateway: Gateway) -> None:
    first = gateway.desk.begin("asked", "https", gateway.ts)
    with pytest.raises(SinyalError, match="running already"):
        gateway.desk.begin("asked", "https", gateway.ts + RUNS_AT_MOST_S - 1)

    gateway.desk.begin("asked", "https", gateway.ts + RUNS_AT_MOST_S)

    assert gateway.used() == 2 * first["request"]["cost_bytes"]
    with pytest.raises(UsageMistake):
        gateway.desk.finish(first["number"], DONE)
    assert gateway.desk.history(2)[1]["reason"] == "abandoned"


def test_a_test_that_used_more_than_was_held_is_charged_in_full(gateway: Gateway) -> None:
    begun = gateway.desk.begin("asked", "https", gateway.ts)
    gateway.desk.finish(begun["number"], {**DONE, "bytes": 900_000})

    assert gateway.used() == 900_000


def test_at_80_percent_planned_tests_stop_and_one_by_hand_still_fits(store: Store, tmp_path: Path) -> None:
    gateway = Gateway(store, tmp_path, cap=10_000_000)
    gateway.ledger.charge("mqtt", 7_900_000)
    with pytest.raises(OverBudget):
        gateway.desk.begin("evening", "https", gateway.ts)
    begun = gateway.desk.begin("asked", "https", gateway.ts)
    gateway.desk.finish(begun["number"], DONE)
    gateway.ledger.charge("mqtt", 1_700_000)
    with pytest.raises(OverBudget):
        gateway.desk.begin("asked", "https", gateway.ts)
    assert gateway.ledger.state().used <= 10_000_000


def ookla(store: Store, tmp_path: Path) -> Gateway:
    made = Gateway(store, tmp_path, url="")
    made.desk.config = ThroughputConfig(engine="speedtest-cli")
    return made


def test_ookla_that_refused_is_left_alone_for_a_day(store: Store, tmp_path: Path) -> None:
    gateway = ookla(store, tmp_path)
    begun = gateway.desk.begin("asked", "speedtest-cli", gateway.ts)
    refused = {**FAILED, "bytes": 9000, "reason": OOKLA_REFUSED, "servers": []}
    gateway.desk.finish(begun["number"], checked_result(refused))

    with pytest.raises(OnPause, match="asked again after"):
        gateway.desk.begin("asked", "speedtest-cli", gateway.ts + 86399)
    gateway.tester.tick()
    assert (gateway.last()["state"], gateway.last()["reason"]) == ("skipped", OOKLA_REFUSED)
    assert gateway.desk.begin("asked", "speedtest-cli", gateway.ts + 86400)["number"]
    assert gateway.used() == 9000 + gateway.desk.size("speedtest-cli").cost_bytes


def test_ooklas_servers_are_remembered_until_they_fail(store: Store, tmp_path: Path) -> None:
    gateway = ookla(store, tmp_path)
    near = {"url": "https://near.example/upload.php", "host": "near", "id": "7", "name": "Jambi"}

    def tested(result: dict[str, Any]) -> list[dict[str, Any]]:
        begun = gateway.desk.begin("asked", "speedtest-cli", gateway.ts)
        gateway.desk.finish(begun["number"], checked_result(result))
        known: list[dict[str, Any]] = begun["request"]["servers"]
        return known

    assert tested({**DONE, "servers": [{**near, "id": 7, "latency": 3}, "nonsense"]}) is None
    assert tested(DONE) == [{**near, "d": 0.0}]
    assert tested({**FAILED, "servers": []}) == [{**near, "d": 0.0}]
    assert tested({**DONE, "servers": [near]}) is None
    gateway.ts += 31 * 86400
    assert tested(DONE) is None


def test_it_says_why_no_test_comes_by_itself(gateway: Gateway) -> None:
    assert gateway.desk.planned() == "on"
    gateway.trusted = False
    assert gateway.desk.planned() == "clock"
    gateway.desk.config = ThroughputConfig()
    assert gateway.desk.planned() == "no_server"
    gateway.desk.config = ThroughputConfig(tests_per_day=0)
    assert gateway.desk.planned() == "off"


def test_without_a_server_there_is_no_test(store: Store, tmp_path: Path) -> None:
    gateway = Gateway(store, tmp_path, url="")
    with pytest.raises(UsageMistake, match="is empty"):
        gateway.desk.begin("asked", "https", gateway.ts)
    with pytest.raises(UsageMistake):
        gateway.desk.begin("asked", "carrier-pigeon", gateway.ts)
    assert gateway.desk.begin("asked", "speedtest-cli", gateway.ts)["request"]["url"] == ""


def test_the_passive_peak_is_the_busiest_five_minutes_of_the_readings(gateway: Gateway) -> None:
    assert gateway.desk.peak() is None
    assert gateway.desk.capacity_kbit_s() == 1000.0
    for minute in range(15):
        received = 7_500_000 if 5 <= minute < 10 else 100_000
        gateway.store.append(
            {"slot_s": 60, "uptime_s": minute * 60.0, "wan_rx_bytes": received, "wan_tx_bytes": 75_000}
        )
    # One short burst in minutes that are otherwise not covered says nothing.
    gateway.store.append({"slot_s": 60, "uptime_s": 9000.0, "wan_rx_bytes": 10**9, "wan_tx_bytes": 0})
    gateway.store.commit()

    assert gateway.desk.peak() == (1000.0, 10.0)
    assert gateway.desk.capacity_kbit_s() == 1000.0


@pytest.mark.parametrize(
    "result",
    [
        None,
        [],
        {},
        {"state": "running"},
        {"state": "done", "bytes": "many", "seconds": float("nan"), "down_kbit_s": -1, "reason": "\ud800"},
        {"state": "failed", "bytes": True, "rtt_ms": 1e300, "server": "x" * 5000},
    ],
)
def test_a_result_from_outside_is_checked(result: object, gateway: Gateway) -> None:
    begun = gateway.desk.begin("asked", "https", gateway.ts)
    try:
        kept = checked_result(result)
    except UsageMistake:
        return
    settled = gateway.desk.finish(begun["number"], kept)
    assert settled["bytes"] == begun["request"]["cost_bytes"]
    assert settled["down_kbit_s"] is None and settled["rtt_ms"] is None


def test_every_gateway_has_its_own_minute_and_they_fill_the_window() -> None:
    for window, (begins, ends) in WINDOWS.items():
        planned = [planned_ts(f"desa-{number}", DAY, window, 0.0) for number in range(400)]
        seconds = [at - day_begins_ts(DAY) for at in planned if at is not None]
        assert len(seconds) == 400
        assert min(seconds) >= begins and max(seconds) + RETRIES * RETRY_S < ends
        busiest = max(sum(second // 300 == slot for second in seconds) for slot in range(288))
        assert busiest < 40


def test_gateways_that_come_back_together_do_not_test_together() -> None:
    started = day_begins_ts(DAY) + WINDOWS["evening"][0] + 5400.0
    planned = {planned_ts(f"desa-{number}", DAY, "evening", started) for number in range(100)}
    assert len(planned) > 90
    late = day_begins_ts(DAY) + WINDOWS["evening"][1] - 600.0
    assert planned_ts("desa-1", DAY, "night", late) is None


@pytest.mark.parametrize(
    ("hour", "per_day", "window"),
    [
        (3.0, 2, None),
        (4.4, 2, "night"),
        (12.0, 2, None),
        (21.4, 2, "evening"),
        (4.4, 1, None),
        (21.4, 0, None),
    ],
)
def test_windows_of_a_day(hour: float, per_day: int, window: str | None) -> None:
    now_ts = day_begins_ts(DAY) + hour * 3600
    due = window_due("gw-1", now_ts, day_begins_ts(DAY), per_day)
    if hour == 3.0:  # inside the window: it depends on the gateway
        assert due in (None, (DAY, "night"))
        return
    assert due == (None if window is None else (DAY, window))


def test_a_planned_test_runs_once_in_a_child_and_is_paid(store: Store, tmp_path: Path) -> None:
    with SpeedServer() as server:
        gateway = Gateway(store, tmp_path, url=f"http://127.0.0.1:{server.port}/backend/")

        def ended() -> bool:
            gateway.tester.tick()
            return gateway.last().get("state") == "done"

        wait_until("the test has run", ended)
        asked = len(server.asked)
        for _ in range(20):
            gateway.tester.tick()

    test = gateway.last()
    assert test["why"] == "evening" and test["down_kbit_s"] > 0
    assert gateway.used() == test["bytes"] <= LARGEST_BYTES
    assert len(server.asked) == asked
    assert Gateway(store, tmp_path).tester._due() is None


def skipped(gateway: Gateway) -> str:
    def ended() -> bool:
        gateway.tester.tick()
        return gateway.last().get("state") == "skipped"

    wait_until("given up", ended)
    gateway.tester.tick()
    assert len(gateway.desk.history(5)) == 1
    assert gateway.used() == 0
    return str(gateway.last()["reason"])


def test_a_planned_test_is_given_up_when_users_stay_busy(gateway: Gateway) -> None:
    class Busy:
        calls = 0

        def __call__(self) -> int:
            self.calls += 1
            return self.calls * 1_000_000

    busy = Busy()
    gateway.tester._uplink_bytes = busy

    assert skipped(gateway) == "busy"
    assert busy.calls == 2 * (RETRIES + 1)


def test_a_planned_test_is_given_up_without_an_uplink(gateway: Gateway) -> None:
    gateway.online = False
    assert skipped(gateway) == "offline"


def test_a_planned_test_is_given_up_over_budget(store: Store, tmp_path: Path) -> None:
    assert skipped(Gateway(store, tmp_path, cap=400_000)) == "over_budget"


def test_without_a_true_clock_nothing_is_planned(gateway: Gateway) -> None:
    gateway.trusted = False
    for _ in range(3):
        gateway.tester.tick()
    assert gateway.desk.history(5) == []


def test_a_test_that_hangs_is_ended_with_the_agent_and_paid_in_full(store: Store, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        gateway = Gateway(store, tmp_path, url=f"http://127.0.0.1:{silent.getsockname()[1]}/")

        def started() -> bool:
            gateway.tester.tick()
            return gateway.last().get("state") == "running"

        wait_until("the test has begun", started)
        gateway.tester.close()

    assert gateway.last()["reason"] == "stopped"
    assert gateway.used() == gateway.last()["bytes"] > SMALLEST_BYTES


def test_failed_holds_every_column_of_a_result() -> None:
    assert {*FAILED, "reason"} == set(DONE)


def test_the_agent_names_every_question_it_can_answer(gateway: Gateway) -> None:
    assert set(ASKS) == set(budget_answerers(gateway.desk))
