"""Sending now, pausing, and what the control socket offers, on a whole gateway with a real broker."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent.errors import UsageMistake
from agent.language import use_language
from agent.pipeline.control_client import ask_daemon
from agent.pipeline.sending_control import Pause
from tests.pipeline.whole_gateway import Gateway, wait_until
from tests.support.listener import Listener
from tests.support.mosquitto import Mosquitto, free_port

PAGE = Path(__file__).parents[2] / "docs" / "control-socket.md"


def sinyal(gateway: Gateway, *arguments: str) -> "subprocess.CompletedProcess[str]":
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SINYAL_")}
    return subprocess.run(
        [sys.executable, "-m", "agent", *arguments, "--config", str(gateway.config)],
        env=clean,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_readings_go_when_a_person_says_so_and_wait_while_paused(tmp_path: Path, broker: Mosquitto) -> None:
    use_language("en")
    gateway = Gateway(
        tmp_path / "gateway", modem="/dev/no-modem", broker=f'host = "127.0.0.1"\nport = {broker.port}\n'
    )
    text = gateway.config.read_text().replace("[publish]\ninterval_s = 0\n", "[publish]\ninterval_s = 3600\n")
    gateway.config.write_text(text + "batch_readings = 1000\n")
    runtime = gateway.folder / "run"
    with Listener(broker.port) as listener:
        gateway.start()
        try:
            wait_until("the first batch", lambda: bool(batches(listener)))
            wait_until(
                "readings that wait", lambda: (gateway.shown().get("buffer") or {}).get("unsent", 0) > 5
            )
            before = len(batches(listener))

            assert ask_daemon(runtime, "pause", minutes=5)["paused_until_ts"] is not None
            refused = sinyal(gateway, "send")
            assert refused.returncode == 1 and "pause off" in refused.stderr
            shown = sinyal(gateway, "status")
            assert "paused until" in shown.stdout
            assert len(batches(listener)) == before

            assert sinyal(gateway, "pause", "off").stdout == "Readings are sent again.\n"
            sent = json.loads(sinyal(gateway, "send", "--json").stdout)
            assert sent["sent"] > 5 and sent["state"] == "connected"
            assert len(batches(listener)) > before

            live = ask_daemon(runtime, "live")
            assert live["reading"]["seq"] >= 1 and live["age_s"] < 60
            status = ask_daemon(runtime, "status")["status"]
            assert status["state"] == "running" and status["paused_until_ts"] is None
            offered = ask_daemon(runtime, "alive")["asks"]
        finally:
            gateway.stop_anyhow()
    page = PAGE.read_text(encoding="utf-8")
    assert [ask for ask in offered if f"`{ask}`" not in page] == []


def test_without_its_broker_sending_is_tried_at_once_and_soon_given_up(tmp_path: Path) -> None:
    use_language("en")
    gateway = Gateway(
        tmp_path / "gateway", modem="/dev/no-modem", broker=f'host = "127.0.0.1"\nport = {free_port()}\n'
    )
    gateway.config.write_text(
        gateway.config.read_text().replace("reconnect_max_s = 1\n", "reconnect_max_s = 3600\n")
    )
    gateway.start()
    try:
        wait_until("readings", lambda: (gateway.shown().get("buffer") or {}).get("unsent", 0) > 1)
        tried = gateway.shown()["link"]["attempts"]
        shown = sinyal(gateway, "send")
        assert shown.returncode == 5 and shown.stdout == ""
        assert "refuses" in shown.stderr and "sinyal doctor" in shown.stderr
        assert gateway.shown()["link"]["attempts"] > tried
    finally:
        gateway.stop_anyhow()


def batches(listener: Listener) -> list[object]:
    return list(listener.heard("/readings"))


@pytest.mark.parametrize("command", [("send",), ("pause", "30"), ("pause", "off")])
def test_without_an_agent_these_commands_say_how_to_start_it(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    shown = sinyal(Gateway(tmp_path, modem="/dev/x"), *command)

    assert shown.returncode == 1 and shown.stdout == ""
    assert "sinyal start" in shown.stderr and len(shown.stderr.splitlines()) == 1


@pytest.mark.parametrize("minutes", ["0", "1441", "-1", "1.5", "soon", "", "9" * 5000])
def test_a_pause_of_no_sensible_length_is_refused(minutes: str, tmp_path: Path) -> None:
    from agent.cli.pause import _number

    with pytest.raises(UsageMistake):
        _number(minutes)


def test_a_pause_ends_by_itself_and_says_so_once() -> None:
    pause = Pause()
    assert not pause.is_on() and pause.until_ts() is None and not pause.has_just_ended()

    pause.begin(1000)
    assert pause.is_on() and pause.until_ts() is not None and not pause.has_just_ended()

    pause.begin(0)
    assert not pause.is_on() and [pause.has_just_ended() for _ in range(2)] == [True, False]
