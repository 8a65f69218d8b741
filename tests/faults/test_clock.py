"""A wall clock that starts in 1970, steps and runs backwards under the whole agent (an LD_PRELOAD shim)."""

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import pytest

from tests.faults.campaigns import quick_and_soak, say
from tests.faults.oracle import Verdict
from tests.faults.scene import Scene, scene
from tests.support.programs import require

SHIM = Path(__file__).parent / "clock_shim.c"
DAY_S = 86_400
SYNCHRONISED, NOT_SYNCHRONISED = 0, 5

Step = tuple[Callable[[float], float], int]
"""The wall clock as a function of the true time, and what the kernel says of it."""


def off_by(seconds: float, state: int = SYNCHRONISED) -> Step:
    return (lambda now: now + seconds), state


def at_least(begin: float) -> Step:
    return (lambda now: begin + now % 100), NOT_SYNCHRONISED


CASES: dict[str, tuple[Step, ...]] = {
    "1970, then true": (at_least(0), off_by(0)),
    "1970 twice, then true": (at_least(0), at_least(0), off_by(0)),
    "a day ahead and back": (off_by(0), off_by(DAY_S), off_by(0)),
    "a day behind and back": (off_by(0), off_by(-DAY_S), off_by(0)),
    "400 days ahead": (off_by(0), off_by(400 * DAY_S, NOT_SYNCHRONISED), off_by(0)),
    "backwards": tuple(off_by(-3600 * step) for step in range(5)),
    "beyond 2038": (at_least(2**31 + 100), off_by(0)),
}


@pytest.fixture
def shim(tmp_path: Path) -> Path:
    require("gcc")
    library = tmp_path / "clock_shim.so"
    subprocess.run(["gcc", "-Wall", "-shared", "-fPIC", "-o", str(library), str(SHIM)], check=True)
    return library


def set_clock(file: Path, step: Step) -> None:
    wall, state = step
    now = time.time()
    fresh = file.with_suffix(".new")
    fresh.write_text(f"{wall(now) - now:.0f} {state}\n")
    fresh.replace(file)


def live_through(at: Scene, clock: Path, steps: tuple[Step, ...], rounds: int) -> Verdict:
    lives = 0
    for turn in range(rounds):
        for number, step in enumerate(steps):
            set_clock(clock, step)
            if not at.gateway.is_running():
                at.gateway.start()
                lives += 1
            at.wait_for_fresh()
            time.sleep(0.4)
            if (turn + number) % 2:
                at.kill()
    verdict = at.after_the_faults()
    assert_steady(at, lives + 1)
    return verdict


def assert_steady(at: Scene, lives: int) -> None:
    """Check that the readings are in the order they were taken, at the pace of the monotonic clock."""
    uptimes = [int(at.ledger.rows[identity]["uptime_s"]) for identity in sorted(at.ledger.rows)]
    assert uptimes == sorted(uptimes), "readings were reordered"
    assert max(Counter(uptimes).values()) <= 10 + 2 * 2, "more readings in a second than slots"
    gaps = [later - earlier for earlier, later in pairwise(uptimes)]
    assert sum(gap > 2 for gap in gaps) <= lives, "slots were skipped while the agent lived"


def test_the_shim_bends_the_wall_clock_and_nothing_else(shim: Path, tmp_path: Path) -> None:
    clock = tmp_path / "clock"
    set_clock(clock, off_by(400 * DAY_S, NOT_SYNCHRONISED))
    asked = (
        "import time, ctypes; t = time; print(t.time(), t.monotonic(), t.clock_gettime(t.CLOCK_BOOTTIME),"
        " ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512)));"
        " t.clock_settime(t.CLOCK_REALTIME, 1000.0); print(t.time())"
    )
    environment = {"LD_PRELOAD": str(shim), "CLOCK_SHIM_FILE": str(clock)}
    said = subprocess.run(
        [sys.executable, "-c", asked], env=environment, capture_output=True, text=True, check=True
    )
    wall, monotonic, boottime, state, after_setting = map(float, said.stdout.split())
    assert abs(wall - time.time() - 400 * DAY_S) < 60
    assert abs(monotonic - time.monotonic()) < 60
    assert abs(boottime - time.clock_gettime(time.CLOCK_BOOTTIME)) < 60
    assert state == NOT_SYNCHRONISED
    assert 1000 <= after_setting < 1060


@quick_and_soak("rounds", 1, 10)
def test_a_wall_clock_that_lies_loses_doubles_and_reorders_nothing(
    rounds: int, shim: Path, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        lanes: list[tuple[Scene, Path]] = []
        for number in range(len(CASES)):
            at = stack.enter_context(scene(tmp_path / f"{number}", publish="batch_readings = 2\n"))
            clock = tmp_path / f"clock-{number}"
            at.gateway.environment = {"LD_PRELOAD": str(shim), "CLOCK_SHIM_FILE": str(clock)}
            lanes.append((at, clock))
        with ThreadPoolExecutor(len(lanes)) as side_by_side:
            running = [
                side_by_side.submit(live_through, at, clock, steps, rounds)
                for (at, clock), steps in zip(lanes, CASES.values(), strict=True)
            ]
            verdicts = [lane.result() for lane in running]
    for case, verdict in zip(CASES, verdicts, strict=True):
        say(f"clock {case}: {rounds} times, {verdict}")
        verdict.holds(interruptions=rounds * len(CASES[case]) + 1, held_rows=2)
