"""Power cuts, reboots and restarts of a whole gateway: each becomes an outage with its cause, once."""

import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_main import sinyal
from tests.pipeline.whole_gateway import Gateway, wait_until
from tests.support.mosquitto import Mosquitto

LINK = """
[link]
targets = ["127.0.0.1", "127.0.0.2"]
probe_interval_s = 1
suspect_interval_s = 0.2
page_url = ""
"""
INTERVAL_S = 0.3


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    made = Gateway(tmp_path, modem=str(tmp_path / "none"), publish=LINK, interval_s=INTERVAL_S)
    yield made
    made.stop_anyhow()


def live(gateway: Gateway) -> None:
    """Let the agent run until some readings of it are stored."""
    gateway.start()
    wait_until("readings", lambda: (taken(gateway) or 0) >= 4)


def taken(gateway: Gateway) -> int | None:
    try:
        shown = json.loads((gateway.folder / "run" / "status.json").read_text())
    except (OSError, ValueError):
        return None
    return int(shown["taken"]) if shown.get("state") == "running" else None


def forget(gateway: Gateway) -> None:
    (gateway.folder / "run" / "status.json").unlink()


def reboot(gateway: Gateway) -> None:
    """Make the database believe that its last boot was another one."""
    with sqlite3.connect(gateway.database) as connection:
        connection.execute("UPDATE boots SET boot_id = 'before ' || boot")
    connection.close()
    forget(gateway)


def outages(gateway: Gateway) -> list[dict[str, Any]]:
    done = sinyal("outages", "--json", "--config", str(gateway.config))
    found: list[dict[str, Any]] = json.loads(done.stdout)["outages"]
    return found


def test_power_that_fails_twice_makes_two_outages(gateway: Gateway) -> None:
    for _cut in range(2):
        live(gateway)
        gateway.kill()
        reboot(gateway)
    live(gateway)
    gateway.kill()
    found = outages(gateway)
    assert [(one["kind"], one["cause"], one["inferred"]) for one in found] == [("gateway", "power", True)] * 2
    assert all(one["is_over"] and one["evidence"]["boot_changed"] for one in found)


def test_a_reboot_in_good_order_is_none_of_the_power(gateway: Gateway) -> None:
    live(gateway)
    code, _took = gateway.terminate()
    assert code == 0
    reboot(gateway)
    live(gateway)
    gateway.kill()
    (one,) = outages(gateway)
    assert (one["cause"], one["evidence"]["clean_stop"]) == ("gateway", True)


def test_an_agent_that_was_away_within_one_boot(gateway: Gateway) -> None:
    live(gateway)
    gateway.kill()
    forget(gateway)
    time.sleep(5)
    live(gateway)
    gateway.kill()
    (one,) = outages(gateway)
    assert (one["cause"], one["inferred"]) == ("gateway", False)
    assert 4 < one["duration_s"] < 15


def test_a_broker_that_is_stopped_is_told_of_when_it_is_back(tmp_path: Path, broker: Mosquitto) -> None:
    gateway = Gateway(
        tmp_path / "box", modem=str(tmp_path / "none"), publish=LINK, interval_s=INTERVAL_S,
        broker=f'host = "127.0.0.1"\nport = {broker.port}',
    )  # fmt: skip
    gateway.start()
    try:
        wait_until("a connection", lambda: "connected" in gateway.log_text())
        broker.kill()
        wait_until("the cause", lambda: [one["cause"] for one in outages(gateway)] == ["broker"], 60)
        status = sinyal("status", "--config", str(gateway.config), "--lang", "en").stdout
        assert "reports to the centre are late" in status
        broker.start()
        wait_until("the end", lambda: all(one["is_over"] for one in outages(gateway)), 60)
    finally:
        gateway.stop_anyhow()
    (one,) = outages(gateway)
    assert (one["kind"], one["cause"], one["counts_as_down"]) == ("report", "broker", False)


def test_the_event_of_a_power_cut_is_made_once_its_time_is_known(gateway: Gateway) -> None:
    def events() -> list[dict[str, Any]]:
        with sqlite3.connect(gateway.database) as connection:
            found = connection.execute("SELECT what, evidence FROM events WHERE type = 'outage'").fetchall()
        connection.close()
        return [{"what": what, **json.loads(evidence)} for what, evidence in found]

    live(gateway)
    gateway.kill()
    reboot(gateway)
    live(gateway)
    gateway.kill()
    assert events() == []
    with sqlite3.connect(gateway.database) as connection:
        connection.execute("UPDATE clocks SET true_s = 1700000000 + 10000000 * boot, quality = 'ntp'")
    connection.close()
    for _start in range(2):
        forget(gateway)
        live(gateway)
        gateway.kill()
        (event,) = events()
    assert (event["what"], event["kind"], event["inferred"]) == ("power", "gateway", True)
    assert event["end_ts"] == 1720000000
    assert 1710000000 < event["start_ts"] < 1720000000
    assert event["duration_s"] == event["end_ts"] - event["start_ts"]
