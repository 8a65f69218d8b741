"""The acceptance test as a technician does it: typed at a terminal, over a pulled plug and a reboot."""

import json
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest

from agent.acceptance.record import Record
from agent.cli.accept_gateway import GatewayAtWork
from agent.cli.accept_parts import in_words, learn_how_long_it_was_off
from agent.modem.simulator import Behaviour, SimulatedModem
from agent.modem.transcript import read_transcript
from tests.cli.terminal import Terminal
from tests.cli.test_main import sinyal
from tests.pipeline.whole_gateway import DEMO_TRANSCRIPT, Gateway, wait_until
from tests.support.mosquitto import Mosquitto
from tests.support.speed_server import SpeedServer


@pytest.fixture
def gateway(tmp_path: Path, broker: Mosquitto) -> Iterator[Gateway]:
    """Give a gateway at work that knows its village and reaches its broker."""
    with SimulatedModem(read_transcript(DEMO_TRANSCRIPT), Behaviour()) as modem, SpeedServer() as server:
        running = Gateway(
            tmp_path / "gw", modem=str(modem.path), broker=f'host = "127.0.0.1"\nport = {broker.port}'
        )
        text = running.config.read_text()
        text = text.replace('id = "gw-test"', 'id = "gw-test"\nkode_desa = "15.02.01.2001"')
        running.config.write_text(f'{text}[throughput]\nurl = "http://127.0.0.1:{server.port}/x/"\n')
        running.start()
        try:
            wait_for_a_reading(running)
            yield running
        finally:
            running.stop_anyhow()


def wait_for_a_reading(gateway: Gateway) -> None:
    wait_until("a reading", lambda: gateway.is_running() and bool(gateway.shown().get("buffer")), 60)


def boot_again(gateway: Gateway, how: int) -> None:
    """End the agent and start it as after a boot: the database was last open in another one."""
    gateway.signal(how)
    wait_until("the agent's end", lambda: not gateway.is_running(), 60)
    with closing(sqlite3.connect(gateway.database)) as database:
        database.execute("UPDATE boots SET boot_id = 'another boot'")
        database.commit()
    (gateway.folder / "run" / "status.json").unlink()
    gateway.start()
    wait_for_a_reading(gateway)


def accept(gateway: Gateway, *more: str) -> Terminal:
    options = ("--config", str(gateway.config), "--lang", "en", "--signal-minutes", "0.01", *more)
    return Terminal(["accept", *options], gateway.folder)


def test_an_acceptance_goes_on_over_a_pulled_plug_and_a_reboot(gateway: Gateway) -> None:
    with accept(gateway) as screen:
        screen.answer("Code of this village", "15.02.01.2002")
        screen.answer("not set up for", "1502012001")
        screen.answer("Your name", "Andi")
        screen.wait_for("Signal")
        screen.answer("Three speed tests use up to", "y")
        screen.wait_for("acknowledge")
        screen.answer("Ready?", "y")
        screen.wait_for("Pull the plug now")
    # The power goes: the command and the agent die at once.
    boot_again(gateway, signal.SIGKILL)

    with accept(gateway) as screen:
        screen.wait_for("The gateway is back")
        screen.wait_for("nothing lost")
        # On this machine nothing is restarted: the person says no, and the part stays open.
        screen.answer("Restart now?", "n")
        assert screen.end() == 1, screen.seen

    found = json.loads((gateway.folder / "state/acceptance.json").read_text())
    power = found["parts"]["power"]
    assert (power["has_gone_off"], power["rows_lost"]) == (True, 0)
    assert power["rows_before"] > 0
    assert power["cause"] == "power"
    assert found["parts"]["signal"]["median_dbm"] is not None
    assert found["parts"]["broker"]["rows"] > 0
    assert [run["state"] for run in found["parts"]["throughput"]["runs"]] == ["done"] * 3
    (page,) = gateway.folder.glob("berita-acara-gw-test-*.html")
    text = page.read_text()
    for told in ("BERITA ACARA UJI TERIMA", "15.02.01.2001", "Andi", "median RSRP", "belum diukur"):
        assert told in text
    for secret in ("352", "510"):
        assert f">{secret}" not in text


def test_a_reboot_is_judged_when_the_gateway_is_back(gateway: Gateway) -> None:
    state = gateway.folder / "state"
    shown = gateway.shown()
    done: dict[str, object] = {
        "v": 1,
        "started_ts": 1,
        "gateway": {"id": "gw-test", "kode_desa": "15.02.01.2001"},
    }
    done["parts"] = {
        part: BROKER_SILENT if part == "broker" else SIGNAL_SILENT for part in ("signal", "broker")
    }
    done["parts"] |= {"throughput": {"runs": [], "problem": None}, "power": NOT_OFF}  # type: ignore[operator]
    last_seq = shown["buffer"]["last_seq"]
    done["pending"] = {"part": "reboot", "boot": shown["boot"], "last_seq": last_seq, "stored": last_seq}
    (state / "acceptance.json").write_text(json.dumps(done))
    boot_again(gateway, signal.SIGTERM)

    with accept(gateway) as screen:
        screen.wait_for("back; nothing lost")
        assert screen.end() == 0, screen.seen

    reboot = json.loads((state / "acceptance.json").read_text())["parts"]["reboot"]
    assert reboot["has_rebooted"] is True
    assert reboot["first_reading_uptime_s"] is not None


SIGNAL_SILENT = {
    "seconds": 60, "readings": 1, "readings_without": 1, "field": None, "median_dbm": None,
    "lowest_dbm": None, "highest_dbm": None, "median_sinr_db": None, "cells": 0, "signal_class": None,
}  # fmt: skip
BROKER_SILENT = {"acknowledged_ts": None, "rows": 0, "waiting": 1, "problem": "refused"}
NOT_OFF = {
    "has_gone_off": False, "cause": None, "inferred": False, "duration_s": None, "start_ts": None,
    "rows_before": 1, "rows_lost": 0,
}  # fmt: skip


class ClockThatCameRight:
    """A gateway that has learnt since how long it was off."""

    def outages(self, after: int) -> list[dict[str, object]]:
        return [{"number": after + 1, "duration_s": 312, "start_ts": 1767225600}]


def test_how_long_the_plug_was_out_is_filled_in_when_the_clock_came_right(tmp_path: Path) -> None:
    record = Record(tmp_path)
    record.begin({"id": "gw-test"}, 1767225000)
    record.keep("power", {**NOT_OFF, "cause": "power", "outage": 4})
    assert "None" not in in_words("power", record.finding("power") or {})

    learn_how_long_it_was_off(record, cast(GatewayAtWork, ClockThatCameRight()))

    found = Record(tmp_path).finding("power") or {}
    assert (found["duration_s"], found["start_ts"], found["outage"]) == (312, 1767225600, 4)


def test_a_wrong_village_code_measures_nothing(gateway: Gateway) -> None:
    with accept(gateway) as screen:
        for _try in range(3):
            screen.answer("ode", "15.02.01.9999")
        screen.wait_for("does not match")
        assert screen.end() == 1

    assert not (gateway.folder / "state/acceptance.json").exists()


def test_without_an_agent_or_a_terminal_there_is_nothing_to_accept(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, modem="auto")

    scripted = sinyal("accept", "--config", str(gateway.config), "--lang", "en")
    with accept(gateway) as screen:
        screen.wait_for("does not run")
        assert screen.end() == 1

    assert scripted.returncode == 2
    assert [path.name for path in tmp_path.iterdir()] == ["sinyal.toml"]
