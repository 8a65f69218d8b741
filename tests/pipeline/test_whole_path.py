"""The main job end to end: a modem on a pty, `sinyal run`, a real mosquitto, an independent decoder."""

import json
import random
import re
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.modem.simulator import Behaviour, SimulatedModem
from agent.modem.transcript import read_transcript
from tests.buffer.files import query
from tests.pipeline.whole_gateway import DEMO_TRANSCRIPT, Gateway, Row, wait_until
from tests.support.listener import Heard, Listener
from tests.support.mosquitto import Mosquitto, free_port, mosquitto
from tests.wire.independent_decoder import decode


@pytest.fixture
def modem() -> Iterator[SimulatedModem]:
    with SimulatedModem(read_transcript(DEMO_TRANSCRIPT), Behaviour()) as simulated:
        yield simulated


def plain(broker: Mosquitto) -> str:
    return f'host = "127.0.0.1"\nport = {broker.port}\n'


def tls(broker: Mosquitto) -> str:
    assert broker.tls is not None
    return (
        f'host = "localhost"\nport = {broker.port}\ntls = true\nca_file = "{broker.tls.ca}"\n'
        f'cert_file = "{broker.tls.client_cert}"\nkey_file = "{broker.tls.client_key}"\n'
    )


def received(heard: list[Heard]) -> list[Row]:
    """Return the rows of all batches that came, in order of arrival."""
    return [
        row for message in heard if message.topic.endswith("/readings") for row in decode(message.payload)
    ]


def without_duplicates(rows: list[Row]) -> dict[tuple[str, int], Row]:
    """Return the rows by identity; a row that came twice must be the same row."""
    known: dict[tuple[str, int], Row] = {}
    for row in rows:
        identity = (row["epoch"], row["seq"])
        known_row = {name: value for name, value in row.items() if value is not None}
        assert known.setdefault(identity, known_row) == known_row
    return known


def test_what_the_broker_received_over_tls_is_what_the_database_holds(
    modem: SimulatedModem, tmp_path: Path
) -> None:
    with mosquitto(tmp_path / "broker", tls=True) as broker, Listener(broker.listen_port) as listener:
        gateway = Gateway(tmp_path / "gw", modem=str(modem.path), broker=tls(broker))
        gateway.start()
        try:
            listener.wait_for("25 rows", lambda heard: len(received(heard)) >= 25)
            code, seconds = gateway.terminate()
        finally:
            gateway.stop_anyhow()
        listener.wait_for("the goodbye", lambda heard: states(heard)[-1:] == ["offline"])
        rows = without_duplicates(received(listener.heard()))

    assert code == 0
    assert seconds < 5
    stored = gateway.stored_rows()
    assert {(row["epoch"], row["seq"]): row for row in stored} == rows
    assert {row["modem_state"] for row in stored} == {"ok"}
    assert all("rsrp_dbm" in row or row["access_technology"] != "lte" for row in stored)
    assert states(listener.heard()) == ["online", "offline"]
    inventories = [json.loads(m.payload) for m in listener.heard("/inventory")]
    assert inventories[-1]["modem_manufacturer"] == "Quectel"
    assert inventories[-1]["operator_mccmnc"] == "51010"
    everything = b"".join(message.payload for message in listener.heard())
    assert not re.search(rb"imei|imsi|iccid", everything)
    assert all(len(message.payload) <= 8192 for message in listener.heard())


def states(heard: list[Heard]) -> list[str]:
    return [json.loads(message.payload)["state"] for message in heard if message.topic.endswith("/status")]


def test_a_state_folder_deleted_under_the_agent_is_written_anew_before_a_kill(
    modem: SimulatedModem, tmp_path: Path
) -> None:
    with mosquitto(tmp_path / "broker") as broker:
        gateway = Gateway(tmp_path / "gw", modem=str(modem.path), broker=plain(broker), interval_s=0.5)
        gateway.start()
        try:
            wait_until("some rows", lambda: gateway.shown().get("buffer", {}).get("stored", 0) >= 5)
            shutil.rmtree(gateway.database.parent)
            wait_until("the folder", lambda: "is whole again" in gateway.log_text(), 60)
            kept = gateway.shown()["buffer"]["stored"]
            gateway.kill()
            shutil.copytree(gateway.database.parent, tmp_path / "killed")  # to look at it folds in its log
            killed = query(
                tmp_path / "killed" / "sinyal.db", "SELECT seq, uptime_s FROM readings ORDER BY seq"
            )
            gateway.start()
            wait_until("new rows", lambda: gateway.shown().get("buffer", {}).get("stored", 0) > len(killed))
            gateway.terminate()
        finally:
            gateway.stop_anyhow()
        rows = gateway.stored_rows()
    assert len(killed) >= kept
    assert [(row["seq"], row["uptime_s"]) for row in rows][: len(killed)] == killed
    assert len({row["epoch"] for row in rows}) == 1
    assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1))
    assert "Traceback" not in gateway.log_text()


def test_nothing_committed_is_missing_after_kills_at_any_moment(
    modem: SimulatedModem, tmp_path: Path
) -> None:
    chance = random.Random(20261121)
    with mosquitto(tmp_path / "broker", persistence=True) as broker, Listener(broker.port) as listener:
        gateway = Gateway(
            tmp_path / "gw",
            modem=str(modem.path),
            broker=plain(broker),
            publish="batch_readings = 3",
            interval_s=0.1,
        )
        try:
            for _kill in range(6):
                gateway.start()
                time.sleep(chance.uniform(0.4, 2.0))
                gateway.kill()
            gateway.start()
            wait_until("rows", lambda: (gateway.shown().get("buffer") or {}).get("stored", 0) > 10)
            wait_until("a quiet queue", lambda: shown_unsent(gateway) in (0, 1, 2, 3))
            gateway.terminate()
        finally:
            gateway.stop_anyhow()
        stored = {(row["epoch"], row["seq"]): row for row in gateway.stored_rows()}
        unsent = gateway.unsent_seqs()
        wait_until(
            "every row that counts as sent",
            lambda: (
                {seq for _epoch, seq in set(stored) - set(without_duplicates(received(listener.heard())))}
                <= unsent
            ),
        )
        rows = without_duplicates(received(listener.heard()))

    assert len(stored) > 10
    assert len(unsent) <= 3
    assert rows == {identity: row for identity, row in stored.items() if identity in rows}
    assert len({epoch for epoch, _seq in stored}) == 1


def shown_unsent(gateway: Gateway) -> Any:
    try:
        shown = json.loads((gateway.folder / "run" / "status.json").read_text())
    except (OSError, ValueError):
        return None
    return (shown.get("buffer") or {}).get("unsent")


def test_broker_and_modem_may_be_absent_and_come_later(tmp_path: Path) -> None:
    port = tmp_path / "ttyUSB2"
    with mosquitto(tmp_path / "broker") as broker:
        broker.kill()
        gateway = Gateway(tmp_path / "gw", modem=str(port), broker=plain(broker))
        gateway.start()
        try:
            wait_until("readings without a modem", lambda: (shown_unsent(gateway) or 0) >= 5)
            with SimulatedModem(read_transcript(DEMO_TRANSCRIPT), Behaviour(), link=port):
                time.sleep(1.5)
                broker.start()
                with Listener(broker.port) as listener:
                    listener.wait_for(
                        "a reading with a signal",
                        lambda heard: any(row.get("rsrp_dbm") for row in received(heard)),
                        30,
                    )
                    wait_until("a quiet queue", lambda: shown_unsent(gateway) in (0, 1), 30)
                    shown = json.loads((gateway.folder / "run" / "status.json").read_text())
                    assert shown["today"].keys() == {"outages", "down_s", "power_outages", "last_end_ts"}
                    assert len(shown["hour"]["levels_dbm"]) == 60
                    assert shown["budget"]["used_bytes"] > 0
                    gateway.terminate()
        finally:
            gateway.stop_anyhow()

    stored = gateway.stored_rows()
    assert stored[0]["modem_state"] == "missing"
    assert stored[-1]["modem_state"] == "ok"
    log = gateway.log_text()
    # Said once, not every slot: about thirty slots passed without a modem and without a broker.
    assert log.count("ttyUSB2") <= 3
    assert log.count("refuses connections") == 1
    assert "Traceback" not in log


def test_a_gateway_without_modem_and_broker_keeps_reading(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, modem="/dev/ttyNONE", broker=f'host = "127.0.0.1"\nport = {free_port()}')
    gateway.start()
    try:
        wait_until("readings", lambda: (shown_unsent(gateway) or 0) >= 10)
        assert gateway.is_running()
        code, seconds = gateway.terminate()
    finally:
        gateway.stop_anyhow()

    assert code == 0
    assert seconds < 5
    assert {row["modem_state"] for row in gateway.stored_rows()} == {"missing"}


@pytest.mark.parametrize("after_s", [0.0, 0.15, 0.4, 0.8])
def test_sigterm_during_the_start_ends_cleanly(after_s: float, modem: SimulatedModem, tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, modem=str(modem.path), broker='host = "192.0.2.1"')
    gateway.start()
    try:
        # The interpreter itself needs a moment before it can catch a signal.
        wait_until("the first line of the log", lambda: gateway.log_text() != "")
        time.sleep(after_s)
        code, seconds = gateway.terminate()
    finally:
        gateway.stop_anyhow()

    assert code == 0, gateway.log_text()
    assert seconds < 5
    assert "Traceback" not in gateway.log_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_that_come_in_a_burst_end_it_once_and_cleanly(number: signal.Signals, tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, modem="/dev/ttyNONE")
    gateway.start()
    try:
        wait_until("the first reading", lambda: shown_unsent(gateway) is not None)
        for _burst in range(20):
            gateway.signal(number)
        code, seconds = gateway.terminate()
    finally:
        gateway.stop_anyhow()

    assert code == 0
    assert seconds < 5


def test_a_second_agent_in_the_same_folders_is_refused_with_the_first_ones_number(
    modem: SimulatedModem, tmp_path: Path
) -> None:
    gateway = Gateway(tmp_path, modem=str(modem.path))
    gateway.start()
    second = Gateway(tmp_path, modem=str(modem.path))
    try:
        wait_until("the first reading", lambda: shown_unsent(gateway) is not None)
        second.log = tmp_path / "second.log"
        second.start()
        wait_until("the refusal", lambda: not second.is_running())
        gateway.terminate()
    finally:
        gateway.stop_anyhow()
        second.stop_anyhow()

    assert "already runs here" in second.log_text()
    assert len(second.log_text().splitlines()) == 1
