"""Real faults in real networks, one each: the agent names that cause and no other."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.cli.outages import ask
from agent.errors import SinyalError
from agent.modem.simulator import Behaviour, SimulatedModem
from agent.modem.transcript import read_transcript
from tests.link.namespaces import Village, connect, link_section, village
from tests.pipeline.whole_gateway import DEMO_TRANSCRIPT, Gateway, wait_until

UNREACHABLE = "reject with icmp type host-unreachable"
"""Fails at once, so that a test need not wait for silence."""

TRANSCRIPTS = Path(__file__).parents[1] / "transcripts"

pytestmark = [pytest.mark.needs_root, pytest.mark.timeout(180)]


@pytest.fixture
def here() -> Iterator[Village]:
    with village() as made:
        yield made


class VillageGateway(Gateway):
    """A gateway whose network is the village's."""

    def __init__(self, folder: Path, here: Village, modem: str, *, page: bool = False) -> None:
        super().__init__(folder, modem=modem, publish=link_section(page=page))
        self.here = here

    def start(self) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SINYAL_")}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self.here.prefix, sys.executable, "-m", "agent", "run", "--config", str(self.config)],
                stderr=log,
                env=environment,
            )

    def outages(self) -> list[dict[str, Any]]:
        done = subprocess.run(
            [sys.executable, "-m", "agent", "outages", "--json", "--config", str(self.config)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        found: list[dict[str, Any]] = json.loads(done.stdout)["outages"] if done.stdout else []
        return found

    def told_outages(self) -> list[dict[str, Any]]:
        """As the running agent tells them: for waiting, at a hundredth of what the command takes."""
        with contextlib.suppress(SinyalError):
            return ask(self.folder / "run", None, None)
        return []


def outage_between(
    gateway: VillageGateway, fault: Callable[[], object], repair: Callable[[], object]
) -> dict[str, Any]:
    """Let a fault last for some seconds on a gateway that was well, and return the one outage it made."""
    gateway.start()
    try:
        wait_until("a reading of a good link", lambda: '"link_up": 1' in snapshot(gateway))
        fault()
        wait_until("a cause", lambda: any(one["cause"] != "unknown" for one in gateway.told_outages()), 60)
        repair()
        wait_until("the end", lambda: [one["is_over"] for one in gateway.told_outages()] == [True], 60)
    finally:
        log = gateway.log_text()
        gateway.stop_anyhow()
    (one,) = gateway.outages()
    assert one["kind"] == "link", log
    return one


def snapshot(gateway: VillageGateway) -> str:
    try:
        return (gateway.folder / "run" / "status.json").read_text()
    except OSError:
        return ""


def nothing() -> None:
    return


Network = tuple[str, bool, Callable[[Village], None], Callable[[Village], None]]

NETWORK_FAULTS: list[Any] = [
    pytest.param("backhaul", False, lambda at: at.rules("drop"), lambda at: at.rules(""), id="silence"),
    pytest.param(
        "bearer", False, lambda at: at.inside("ip", "address", "flush", "dev", "wwan0"), connect,
        id="no address",
    ),
    pytest.param(
        "bearer", False, lambda at: at.inside("ip", "route", "delete", "default"), connect, id="no route"
    ),
    pytest.param(
        "bearer", False, lambda at: at.inside("ip", "link", "set", "wwan0", "down"), connect, id="down"
    ),
    pytest.param(
        "quota", True, lambda at: at.rules("reject with icmp type admin-prohibited"), lambda at: at.rules(""),
        id="refused",
    ),
    pytest.param("quota", True, lambda at: at.used_up(), lambda at: at.rules(""), id="redirected"),
]  # fmt: skip


@pytest.mark.parametrize(("cause", "inferred", "fault", "repair"), NETWORK_FAULTS)
def test_a_fault_of_the_network(
    tmp_path: Path,
    here: Village,
    cause: str,
    inferred: bool,
    fault: Callable[[Village], None],
    repair: Callable[[Village], None],
) -> None:
    with SimulatedModem(read_transcript(DEMO_TRANSCRIPT), Behaviour()) as modem:
        gateway = VillageGateway(tmp_path, here, str(modem.path), page=True)
        one = outage_between(gateway, lambda: fault(here), lambda: repair(here))
    assert (one["cause"], one["inferred"]) == (cause, inferred), one


@pytest.mark.parametrize(
    ("cause", "transcript"),
    [
        ("sim", "quectel_ec2x/no_sim"),
        ("sim", "generic/sim_pin"),
        ("no_service", "quectel_ec2x/searching"),
        ("no_service", "generic/denied"),
        ("weak_signal", "quectel_ec2x/weak_cell"),
    ],
)
def test_a_fault_that_the_modem_tells_of(tmp_path: Path, here: Village, cause: str, transcript: str) -> None:
    conversation = read_transcript(TRANSCRIPTS / transcript / "conversation.txt")
    with SimulatedModem(conversation, Behaviour()) as modem:
        gateway = VillageGateway(tmp_path, here, str(modem.path))
        one = outage_between(gateway, lambda: here.rules(UNREACHABLE), lambda: here.rules(""))
    assert one["cause"] == cause, one
    assert one["inferred"] is False


def test_a_modem_that_is_pulled_out(tmp_path: Path, here: Village) -> None:
    with SimulatedModem(read_transcript(DEMO_TRANSCRIPT), Behaviour(), link=tmp_path / "port") as modem:
        gateway = VillageGateway(tmp_path / "box", here, str(tmp_path / "port"))

        def pull() -> None:
            modem.__exit__(None, None, None)
            here.rules(UNREACHABLE)

        one = outage_between(gateway, pull, lambda: here.rules(""))
    assert one["cause"] == "modem", one


def test_the_edges_are_exact_to_a_probe_and_nothing_is_lost_by_kill_9(tmp_path: Path, here: Village) -> None:
    with SimulatedModem(read_transcript(DEMO_TRANSCRIPT), Behaviour()) as modem:
        gateway = VillageGateway(tmp_path, here, str(modem.path))
        gateway.start()
        try:
            wait_until("a reading of a good link", lambda: '"link_up": 1' in snapshot(gateway))
            time.sleep(1)
            here.rules("drop")
            broken_ts = time.time()
            wait_until("an outage", lambda: bool(gateway.told_outages()), 30)
            gateway.kill()
            assert [one["is_over"] for one in gateway.outages()] == [False]
            gateway.start()
            wait_until("the agent", lambda: gateway.is_running() and "boot" in snapshot(gateway))
            time.sleep(1)
            here.rules("")
            repaired_ts = time.time()
            wait_until(
                "the end",
                lambda: any(one["is_over"] and one["kind"] == "link" for one in gateway.told_outages()),
                30,
            )
        finally:
            gateway.stop_anyhow()
        (one,) = [one for one in gateway.outages() if one["kind"] == "link"]
    length_s = repaired_ts - broken_ts
    # A probe waits up to three seconds for its answer, and the killed agent was away for a moment.
    assert one["duration_s"] == pytest.approx(length_s, abs=4.0)
