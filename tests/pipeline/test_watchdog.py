"""A worker that hangs ends the process; one that only works long does not. Real processes, really hanging."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.buffer.store import Store
from agent.modem.simulator import Behaviour, SimulatedModem
from agent.modem.transcript import read_transcript
from agent.pipeline.watchdog import Supervisor
from agent.pulse import Pulse
from tests.pipeline.hanging_agent import STEPS, WORK_LIMIT_S
from tests.pipeline.whole_gateway import DEMO_TRANSCRIPT, Gateway
from tests.support.mosquitto import Mosquitto


class HastyGateway(Gateway):
    """A gateway whose agent hangs in one place, under a supervisor that listens like systemd."""

    def __init__(self, folder: Path, broker: Mosquitto, *, modem: str) -> None:
        address = f'host = "127.0.0.1"\nport = {broker.port}\n'
        super().__init__(folder, modem=modem, broker=address, interval_s=0.5)
        self.config.write_text(
            self.config.read_text()
            + '[link]\ntargets = ["127.0.0.1:9", "127.0.0.2:9"]\nprobe_interval_s = 1\n'
        )
        self._told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._told.bind(str(folder / "notify"))
        self._told.setblocking(False)
        self.heard: list[str] = []

    def start_hanging(self, worker: str) -> None:
        """Start the agent with a worker that will hang."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.pipeline.hanging_agent", worker, str(self.config)],
                stderr=log,
                env={**os.environ, "NOTIFY_SOCKET": str(self.folder / "notify")},
            )

    def hear(self) -> list[str]:
        """Return everything that the supervisor has been told."""
        while True:
            try:
                self.heard += self._told.recv(4096).decode().splitlines()
            except BlockingIOError:
                return self.heard

    def exit_code(self) -> int:
        """Wait for the process to end by itself."""
        assert self._process is not None
        return self._process.wait(90)

    def close(self) -> None:
        """Leave nothing behind."""
        self.stop_anyhow()
        self._told.close()


SAYS = {
    "sampler": "the worker sampler hangs",
    "prober": "the worker prober hangs",
    "keeper": "the worker keeper hangs",
    "forwarder": "sending hangs again and again",
    "main": "hanging_agent.py",
    "start": "memory.py",
}


@pytest.fixture
def modem() -> Iterator[SimulatedModem]:
    with SimulatedModem(read_transcript(DEMO_TRANSCRIPT), Behaviour()) as simulated:
        yield simulated


def test_every_hanging_worker_is_named_and_ends_the_process_while_a_healthy_agent_goes_on(
    modem: SimulatedModem, broker: Mosquitto, tmp_path: Path
) -> None:
    # All at once: each of them waits most of the time.
    gateways = {
        worker: HastyGateway(
            tmp_path / worker, broker, modem=str(modem.path) if worker == "none" else "/dev/none"
        )
        for worker in (*SAYS, "none")
    }
    state = gateways["start"].folder / "state"
    state.mkdir()
    os.mkfifo(state / "modem.json")  # to open it waits for a writer, for ever
    healthy = gateways["none"]
    try:
        began = time.monotonic()
        for worker, gateway in gateways.items():
            gateway.start_hanging(worker)
        for worker, said in SAYS.items():
            while gateways[worker].is_running() and time.monotonic() < began + 90:
                healthy.hear()  # or the next words would find no room
                time.sleep(0.05)
            wanted = -signal.SIGALRM if worker in ("main", "start") else 1
            assert gateways[worker].exit_code() == wanted, worker
            assert said in gateways[worker].log_text(), worker
            # Where it stands: the proof that it was this one, and what its author needs.
            assert worker not in STEPS or 'hanging_agent.py", line' in gateways[worker].log_text()
        while time.monotonic() < began + 2 * WORK_LIMIT_S:
            healthy.hear()
            time.sleep(0.05)
        assert healthy.is_running()
        assert healthy.terminate()[0] == 0
        heard = healthy.hear()
    finally:
        for gateway in gateways.values():
            gateway.close()
    assert heard[0] == "READY=1"
    assert heard[-1] == "STOPPING=1"
    assert set(heard[1:-1]) == {"WATCHDOG=1"}


def test_a_supervisor_with_an_abstract_address_is_told_and_its_variable_is_taken_from_children() -> None:
    name = f"sinyal-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("\0" + name)
        environment = {"NOTIFY_SOCKET": "@" + name, "HOME": "/"}
        Supervisor(environment).tell("READY=1", "STATUS=fine")
        assert listening.recv(100) == b"READY=1\nSTATUS=fine"
    assert environment == {"HOME": "/"}


def test_a_supervisor_that_is_gone_or_was_never_there_harms_nobody(tmp_path: Path) -> None:
    Supervisor({"NOTIFY_SOCKET": str(tmp_path / "gone")}).tell("WATCHDOG=1")
    Supervisor({}).tell("WATCHDOG=1")


def test_long_work_in_the_database_shows_that_it_gets_on(tmp_path: Path) -> None:
    store = Store(
        tmp_path / "sinyal.db",
        max_bytes=1 << 24,
        commit_interval_s=0,
        commit_readings=1,
        keep_days=1,
    )
    store.open()
    store.pulse.begins(0.0)
    late = store.pulse.due_monotonic
    # Half a million steps in one question, as in the VACUUM or the search of a large file.
    long_work = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000) SELECT sum(i) FROM n"
    )
    assert store.read(lambda connection: connection.execute(long_work).fetchone()) == (1250025000,)
    assert store.pulse.due_monotonic > late
    store.close()


def test_a_pulse_that_has_more_time_does_not_lose_it_by_getting_on() -> None:
    pulse = Pulse()
    pulse.goes_on()
    assert pulse.due_monotonic == float("inf")
    pulse.begins(1000.0)
    due = pulse.due_monotonic
    pulse.goes_on()
    assert pulse.due_monotonic == due
    pulse.rests(0.0)
    assert pulse.due_monotonic < due
