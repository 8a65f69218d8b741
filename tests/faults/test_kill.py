"""kill -9 of the whole agent at random moments, half of them with the link a black hole.

Every second life is counted from its first reading, the others from the start of the process, which a kill
may hit too. With the sixty kills of the store alone (tests/buffer/test_kill.py) `make test` has a hundred.
"""

import random
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from tests.faults.campaigns import quick_and_soak, say
from tests.faults.oracle import Verdict
from tests.faults.scene import Scene, scene

COMMIT_READINGS = 3


def kill_again_and_again(at: Scene, kills: int, *, black_hole: bool, seed: int) -> Verdict:
    chance = random.Random(seed)
    for kill in range(kills):
        at.gateway.start()
        if kill % 2:
            at.wait_for_a_life()
        life_s = chance.uniform(0.0, 0.5)
        good_s = chance.uniform(0.0, life_s) if black_hole else life_s
        time.sleep(good_s)
        if black_hole:
            at.proxy.mode = "stall"
            time.sleep(life_s - good_s)
        at.kill()
        # Like a NAT that forgot: what was swallowed is gone, the next life finds a good link.
        at.proxy.mode = "pass"
    return at.after_the_faults()


@quick_and_soak("kills", 40, 1000)
def test_kill_9_of_the_whole_agent_loses_and_doubles_nothing(kills: int, tmp_path: Path) -> None:
    with ExitStack() as stack:
        lanes = [
            stack.enter_context(
                scene(
                    tmp_path / name,
                    publish=f"batch_readings = 3\n[buffer]\ncommit_readings = {COMMIT_READINGS}\n",
                )
            )
            for name in ("good", "hole")
        ]
        with ThreadPoolExecutor(len(lanes)) as side_by_side:
            running = [
                side_by_side.submit(kill_again_and_again, lane, kills // 2, black_hole=hole, seed=20 + hole)
                for lane, hole in zip(lanes, (False, True), strict=True)
            ]
            verdicts = [lane.result() for lane in running]
    for link, verdict in zip(("good link", "black hole"), verdicts, strict=True):
        say(f"kill -9, {link}: {kills // 2} kills, {verdict}")
        verdict.holds(interruptions=kills // 2, held_rows=COMMIT_READINGS)
        assert verdict.committed >= kills // 4
