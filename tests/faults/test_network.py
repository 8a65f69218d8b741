"""A real network that loses packets, swallows all, rejects, crawls or is unplugged (needs root)."""

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.campaigns import quick_and_soak, say
from tests.faults.oracle import Verdict
from tests.faults.scene import Scene, scene
from tests.faults.two_sites import CENTRE, Cable, at_two_sites
from tests.support.mosquitto import free_port

pytestmark = pytest.mark.needs_root

LOSS = "numgen random mod 100 < 30 drop"

FAULTS: dict[str, Callable[[Cable], None]] = {
    "30 % loss": lambda cable: cable.spoil(LOSS),
    "black hole": lambda cable: cable.spoil("drop"),
    "rejected": lambda cable: cable.spoil("meta l4proto tcp reject with tcp reset"),
    "unplugged": Cable.pull,
    "16 kbit/s": lambda cable: cable.crawl("16kbit"),
}


def _suffer(at: Scene, cable: Cable, rounds: int) -> Verdict:
    chance = random.Random(33)
    at.gateway.command_before = cable.in_the_village
    at.gateway.start()
    for number in range(rounds):
        for fault, begin in FAULTS.items():
            at.wait_for_fresh(60)
            begin(cable)
            if fault == "30 % loss":
                # TCP must bring readings through this one.
                for _reading in range(3):
                    at.wait_for_fresh(60)
            time.sleep(chance.uniform(0.3, 1.5))
            if number % 2:
                at.kill()
                at.gateway.start()
            cable.plug()
            cable.mend()
    at.wait_for_fresh(60)
    return at.after_the_faults()


@quick_and_soak("rounds", 1, 10)
def test_a_bad_network_loses_and_doubles_nothing(rounds: int, tmp_path: Path) -> None:
    def campaign(cable: Cable) -> Verdict:
        port = free_port()
        with scene(
            tmp_path, publish="batch_readings = 2\n", broker_extra=f"listener {port} {CENTRE}\n"
        ) as at:
            text = at.gateway.config.read_text()
            near = f'host = "127.0.0.1"\nport = {at.proxy.port}'
            assert near in text
            at.gateway.config.write_text(text.replace(near, f'host = "{CENTRE}"\nport = {port}'))
            return _suffer(at, cable, rounds)

    verdict = at_two_sites(campaign)
    say(f"network ({', '.join(FAULTS)}): {rounds * len(FAULTS)} faults, {verdict}")
    # A fault may end several connections one after the other, two a second at most.
    verdict.holds(interruptions=rounds * len(FAULTS) * 6, held_rows=2)
