"""End to end: the real `sinyal-event`, a real agent, mosquitto, a modem on a pty, a clock that is set.

The agent takes one reading an hour and its pauses last an hour: what happens soon happens for the event.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.modem.simulator import Behaviour, SimulatedModem
from agent.modem.transcript import read_transcript
from tests.faults.test_clock import SHIM, off_by, set_clock
from tests.firmware_hooks.shells import EVENT
from tests.pipeline.whole_gateway import DEMO_TRANSCRIPT, Gateway, wait_until
from tests.support.listener import Listener
from tests.support.mosquitto import Mosquitto
from tests.support.programs import require

SOON_S = 90.0
"""Far less than the hour, and enough for a busy machine."""


class SleepyGateway(Gateway):
    """A gateway that does nothing for an hour unless it is told to."""

    def __init__(self, folder: Path, broker: Mosquitto, *, modem: Path) -> None:
        address = f'host = "127.0.0.1"\nport = {broker.port}\n'
        super().__init__(folder, modem=str(modem), broker=address, interval_s=3600)
        self.config.write_text(
            self.config.read_text().replace("reconnect_max_s = 1", "reconnect_max_s = 3600")
            + f'[link]\nprobe_interval_s = 3600\ntargets = ["127.0.0.1:{broker.port}", "127.0.0.2:9"]\n'
        )
        self.clock = folder / "clock"
        set_clock(self.clock, off_by(0))
        library = folder / "clock_shim.so"
        subprocess.run(["gcc", "-Wall", "-shared", "-fPIC", "-o", str(library), str(SHIM)], check=True)
        self.environment = {"LD_PRELOAD": str(library), "CLOCK_SHIM_FILE": str(self.clock)}

    def start(self) -> None:
        """Start the agent with its hour-long pauses."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.firmware_hooks.patient_agent", str(self.config)],
                stderr=log,
                env={**os.environ, **self.environment},
            )

    def tell(self, *words: str) -> None:
        """Let the system tell of an event, as a hook does."""
        environment = {**os.environ, "SINYAL_RUNTIME": str(self.folder / "run")}
        subprocess.run([str(EVENT), *words], env=environment, check=True, timeout=60)

    def waits_for_log(self, text: str, times: int = 1) -> None:
        """Wait until it has logged this so often."""
        wait_until(text, lambda: self.log_text().count(text) >= times, SOON_S)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """Return a broker that has not been started."""
    made = Mosquitto(tmp_path / "broker")
    yield made
    made.kill()


@pytest.fixture
def sleepy(tmp_path: Path, broker: Mosquitto) -> Iterator[SleepyGateway]:
    require("gcc")
    gateway = SleepyGateway(tmp_path / "gw", broker, modem=tmp_path / "modem-at")
    gateway.start()
    yield gateway
    gateway.stop_anyhow()


def test_uplink_modem_and_time_are_worked_on_when_they_come_and_not_when_they_are_due(
    sleepy: SleepyGateway, broker: Mosquitto, tmp_path: Path
) -> None:
    wait_until("the first reading", lambda: sleepy.shown().get("taken") == 1, SOON_S)
    sleepy.waits_for_log("the agent goes on trying")

    broker.start()
    with Listener(broker.listen_port) as listener:
        sleepy.tell("uplink-up", "wan")
        listener.wait_for(
            "the reading", lambda heard: any(one.topic.endswith("/readings") for one in heard), SOON_S
        )
        assert sleepy.log_text().count("connected to the broker") == 1

        with SimulatedModem(read_transcript(DEMO_TRANSCRIPT), Behaviour()) as modem:
            (tmp_path / "modem-at").symlink_to(modem.path)
            sleepy.tell("modem-added", "ttyUSB2")
            sleepy.waits_for_log("modem answers at")
        (tmp_path / "modem-at").unlink()
        sleepy.tell("modem-removed", "ttyUSB2")
        sleepy.waits_for_log("modem missing", 2)

        set_clock(sleepy.clock, off_by(-86_400))
        sleepy.tell("time-synced", "step")
        sleepy.waits_for_log("the system clock stepped by -86400")
        listener.wait_for("the event", lambda heard: any(b"stepped" in one.payload for one in heard), SOON_S)

    sleepy.tell("no-such-event")
    sleepy.tell("uplink-up", "$(reboot)\n\x1b[2J")
    sleepy.waits_for_log("uplink-up reboot2J")
    assert sleepy.shown()["taken"] == 1
    assert sleepy.terminate()[0] == 0
    assert "Traceback" not in sleepy.log_text()
