"""A real daemon with a box around it: lines are files (the mock adapter), the modem hangs on a pty."""

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.modem.simulator import Behaviour, SimulatedModem
from agent.modem.transcript import read_transcript
from agent.pipeline.control_client import ask_daemon
from tests.pipeline.whole_gateway import DEMO_TRANSCRIPT, Gateway, wait_until

NOWHERE = (
    '\n[link]\ntargets = ["198.51.100.1", "203.0.113.9"]\nsuspect_interval_s = 0.1\nprobe_interval_s = 1\n'
)
"""Addresses that answer nobody: the link is down."""

GPIO = (
    '\n[gpio]\nadapter = "mock"\nled_power = "1"\nled_modem = "2"\nrelay = "3"\nrelay_off_s = 3\n'
    'mains = "4"\ndebounce_s = 0.1\nbutton = "5"\nbuzzer = "6"\n'
)


class HangingModem(SimulatedModem):
    """Falls silent after its first reading, and comes to only by the command that restarts it."""

    is_hung = False
    restarts = 0

    def _answer(self, command: str) -> None:
        if command == "AT+CFUN=1,1":
            self.restarts += 1
            self.is_hung = False
        if not self.is_hung:
            super()._answer(command)


@pytest.fixture
def modem() -> Iterator[HangingModem]:
    with HangingModem(read_transcript(DEMO_TRANSCRIPT), Behaviour()) as simulated:
        yield simulated


def level(gateway: Gateway, line: str) -> str:
    file = gateway.folder / "run" / "gpio" / line
    return file.read_text() if file.exists() else ""


def drive(gateway: Gateway, line: str, active: str) -> None:
    folder = gateway.folder / "run" / "gpio"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / line).write_text(active)


def events(gateway: Gateway, type_: str) -> list[dict[str, Any]]:
    connection = sqlite3.connect(gateway.database)
    try:
        found = connection.execute(
            "SELECT what, evidence FROM events WHERE type = ? ORDER BY number", (type_,)
        ).fetchall()
    finally:
        connection.close()
    return [{"what": what, **json.loads(evidence)} for what, evidence in found]


def test_a_modem_that_hangs_is_revived_by_a_restart_and_the_centre_is_told(
    modem: HangingModem, tmp_path: Path
) -> None:
    gateway = Gateway(
        tmp_path, modem=str(modem.path), publish=NOWHERE + "\n[recovery]\nwait_s = 1\n", interval_s=0.5
    )
    gateway.start()
    try:
        wait_until("a reading", lambda: (gateway.shown().get("reading") or {}).get("modem_state") == "ok", 90)
        modem.is_hung = True
        wait_until("a restart of the modem", lambda: modem.restarts > 0, 100)
        wait_until("the news", lambda: "the modem works again" in gateway.log_text(), 90)
        gateway.terminate()
    finally:
        gateway.stop_anyhow()
    told = events(gateway, "modem")
    assert [(one["what"], one.get("rung"), one.get("trouble")) for one in told[:3]] == [
        ("recovery", "reopen", "hung"), ("recovery", "other_port", "hung"),
        ("recovery", "soft_reset", "hung"),
    ]  # fmt: skip
    # On a slow machine one more step may be due before the modem has answered.
    assert "revived" in [one["what"] for one in told[3:5]]


def test_mains_lights_button_and_relay_in_one_evening(modem: HangingModem, tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, modem=str(modem.path), publish=GPIO + NOWHERE, interval_s=30)
    drive(gateway, "4", "1")
    gateway.start()
    try:
        wait_until("a reading", lambda: bool(gateway.shown().get("reading")), 90)
        wait_until("steady light", lambda: level(gateway, "1") == "1", 60)
        assert gateway.shown()["reading"]["mains_present"] == 1

        # Mains goes: the reading that says so does not wait for its slot.
        drive(gateway, "4", "0")
        wait_until("a reading of it", lambda: gateway.shown()["reading"].get("mains_present") == 0, 25)

        # A technician asks through the socket; the relay cuts once, for its time, and not again at once.
        asked = ask_daemon(gateway.folder / "run", "gpio_try", role="relay", what="cut")
        assert asked["done"] is True
        assert level(gateway, "3") == "1"
        assert ask_daemon(gateway.folder / "run", "gpio_try", role="relay", what="cut")["done"] is False
        assert ask_daemon(gateway.folder / "run", "gpio_try", role="mains", what="read")["active"] is False
        wait_until("the power back", lambda: level(gateway, "3") == "0", 60)

        drive(gateway, "5", "1")
        time.sleep(0.3)  # the length of the press is what is meant
        drive(gateway, "5", "0")
        wait_until("beeps", lambda: " 6 1000" in (gateway.folder / "run/gpio/history").read_text(), 60)
        gateway.kill()  # as a power cut would
    finally:
        gateway.stop_anyhow()
    assert [one["what"] for one in events(gateway, "power")] == ["mains_lost"]
    rows = gateway.stored_rows()
    assert (rows[0]["mains_present"], rows[-1]["mains_present"]) == (1, 0)


def test_stopping_the_agent_in_the_middle_of_a_cut_gives_the_modem_its_power(
    modem: HangingModem, tmp_path: Path
) -> None:
    publish = GPIO.replace("relay_off_s = 3", "relay_off_s = 120")
    gateway = Gateway(tmp_path, modem=str(modem.path), publish=publish, interval_s=30)
    gateway.start()
    try:
        wait_until("a reading", lambda: bool(gateway.shown().get("reading")), 90)
        ask_daemon(gateway.folder / "run", "gpio_try", role="relay", what="cut")
        assert level(gateway, "3") == "1"
        code, _seconds = gateway.terminate()
    finally:
        gateway.stop_anyhow()
    assert (code, level(gateway, "3")) == (0, "0")


RUN_IN_A_HURRY = """
import pathlib, sys
from agent.config.load import load_config
from agent.pipeline import daemon, power_watch, start
power_watch.LOW_FOR_S = daemon.BACK_FOR_S = 0.0
daemon.LOOK_AFTER_S = 0.2
file = pathlib.Path(sys.argv[1])
sys.exit(start.run_daemon(load_config(file, {}).config, file=file))
"""


def test_an_agent_that_a_low_battery_stopped_stays_down_until_mains_is_back(tmp_path: Path) -> None:
    gateway = Gateway(
        tmp_path,
        modem=str(tmp_path / "none"),
        publish=GPIO + 'battery_low = "7"\n\n[power]\non_low_battery = "stop"\n' + NOWHERE,
        interval_s=30,
    )
    drive(gateway, "4", "1")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.setblocking(False)

        def told() -> str:
            lines = []
            with contextlib.suppress(BlockingIOError):
                while True:
                    lines.append(systemd.recv(4096).decode())
            return "\n".join(lines)

        running = subprocess.Popen(
            [sys.executable, "-c", RUN_IN_A_HURRY, str(gateway.config)],
            env={**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify")},
            stderr=subprocess.PIPE,
        )
        try:
            wait_until("a reading", lambda: bool(gateway.shown().get("reading")), 90)
            drive(gateway, "4", "0")
            drive(gateway, "7", "1")
            wait_until("the stop", lambda: gateway.shown().get("state") == "low_battery", 90)
            before = told()
            # The battery recovers without a load; that is no power.
            drive(gateway, "7", "0")
            wait_until("a sign of life", lambda: "waiting for power" in told(), 60)
            events_stored = [one["what"] for one in events(gateway, "power")]  # the database is free
            assert running.poll() is None
            drive(gateway, "4", "1")
            assert running.wait(60) == 0
        finally:
            running.kill()
        after = told()
        log = running.communicate()[1].decode()
    # systemd kills what has said that it stops.
    assert "STOPPING=1" not in before and "STOPPING=1" in after
    assert events_stored[-3:] == ["mains_lost", "battery_low", "stopping"]
    assert "listrik sudah kembali" in log
    assert "Traceback" not in log


LOOK_INSIDE = """
import sys
import agent.pipeline.a_lean_start
from agent.config.model import Config
from agent.pipeline.daemon import Daemon
from agent.pipeline.stop_signal import StopSignal
import dataclasses, pathlib, threading, os, signal
folder = pathlib.Path(sys.argv[1])
config = Config()
paths = dataclasses.replace(config.paths, state=folder, runtime=folder)
config = dataclasses.replace(config, paths=paths)
daemon = Daemon(config, folder, StopSignal())
threading.Timer(7.0, os.kill, (os.getpid(), signal.SIGTERM)).start()
daemon.run()
print([name for name in sys.modules if "gpio" in name or name.startswith(("firmware", "agent.recovery"))])
"""


def test_without_gpio_and_without_trouble_nothing_of_them_is_loaded(tmp_path: Path) -> None:
    shown = subprocess.run(
        [sys.executable, "-c", LOOK_INSIDE, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=110,
        check=True,
        env={**os.environ, "SINYAL_LANG": "en"},
    )
    assert shown.stdout.strip().splitlines()[-1] == "[]"


def test_pins_that_cannot_be_used_are_named_and_readings_go_on(modem: HangingModem, tmp_path: Path) -> None:
    publish = '\n[gpio]\nadapter = "kernel"\nled_power = "led:no-such-led"\n'
    gateway = Gateway(tmp_path, modem=str(modem.path), publish=publish, interval_s=0.2)
    gateway.start()
    try:
        wait_until("a reading", lambda: bool(gateway.shown().get("reading")), 90)
        gateway.signal(signal.SIGTERM)
        wait_until("the end", lambda: not gateway.is_running(), 60)
    finally:
        gateway.stop_anyhow()
    assert "there is no kernel LED no-such-led. Next step: see their names" in gateway.log_text()
