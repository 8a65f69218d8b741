"""Links that refuse, go silent, reset, swallow acknowledgements, crawl and flap, again and again."""

import random
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from tests.faults.campaigns import quick_and_soak, say
from tests.faults.oracle import Verdict
from tests.faults.scene import Scene, scene
from tests.support.proxy import Mode

LANES: dict[str, tuple[Mode, ...]] = {
    "refused": ("refuse",),
    "half-open": ("stall",),
    "reset": ("reset",),
    # The reset spares the thirty seconds after which the agent itself gives such a link up.
    "acknowledgements lost": ("drop_answers", "reset"),
    "slow": ("slow", "slow", "slow", "slow"),
    "flapping": ("stall", "pass", "reset", "pass", "refuse", "pass", "drop_answers", "refuse"),
}


def suffer(at: Scene, modes: tuple[Mode, ...], rounds: int, seed: int) -> Verdict:
    chance = random.Random(seed)
    at.gateway.start()
    for _round in range(rounds):
        at.wait_for_fresh()
        for mode in modes:
            at.proxy.mode = mode
            time.sleep(chance.uniform(0.2, 1.2) / len(modes) ** 0.5)
        at.proxy.mode = "pass"
    at.wait_for_fresh()
    assert at.gateway.is_running()
    return at.after_the_faults()


@quick_and_soak("rounds", 2, 20)
def test_bad_links_lose_and_double_nothing(rounds: int, tmp_path: Path) -> None:
    with ExitStack() as stack:
        scenes = [
            stack.enter_context(scene(tmp_path / lane, publish="batch_readings = 2\n")) for lane in LANES
        ]
        with ThreadPoolExecutor(len(scenes)) as side_by_side:
            running = [
                side_by_side.submit(suffer, at, modes, rounds, seed)
                for seed, (at, modes) in enumerate(zip(scenes, LANES.values(), strict=True))
            ]
            verdicts = [lane.result() for lane in running]
        connects = [at.proxy.accepted for at in scenes]
    for lane, verdict, connections in zip(LANES, verdicts, connects, strict=True):
        say(f"link {lane}: {rounds} times, {connections} connections, {verdict}")
        verdict.holds(interruptions=connections, held_rows=2)
