"""The disk runs full under a whole gateway: it goes on sampling, says so, counts, and recovers alone."""

import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.faults.campaigns import quick_and_soak, say
from tests.faults.scene import Scene, scene
from tests.pipeline.whole_gateway import wait_until
from tests.support.programs import give_up, require

pytestmark = pytest.mark.needs_root

RING_READINGS = 120
RECOVERY_S = 60


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    require("mount", "umount", root=True)
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(folder)], check=False)
    if mounted.returncode:
        give_up("mounting a tmpfs is not allowed here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Take the last byte of the disk; return the file to remove."""
    filler = folder / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    return filler


def fill_and_free(at: Scene, folder: Path, *, overflow: bool) -> None:
    """Fill the disk until readings wait in memory, or do not fit there any more, and free it again."""
    filler = fill(folder)
    wait_until("the full disk told", lambda: "disk is full" in (at.gateway.shown()["store_problem"] or ""))
    taken, lost = at.gateway.shown()["taken"], at.gateway.shown()["lost"]
    if overflow:
        wait_until("readings without room", lambda: at.gateway.shown()["lost"] > lost + 3, 60)
    else:
        wait_until("sampling", lambda: at.gateway.shown()["taken"] > taken + 10, 60)
    assert at.gateway.shown()["waiting_in_memory"] > 0
    filler.unlink()
    wait_until("the recovery", lambda: at.gateway.shown()["store_problem"] is None, RECOVERY_S)


# The ring in memory overflows after twelve seconds: in the soak only.
@quick_and_soak("times", 1, 12)
def test_a_full_disk_loses_nothing_committed_and_counts_the_rest(
    times: int, small_disk: Path, tmp_path: Path
) -> None:
    with scene(tmp_path / "scene", state=small_disk, publish="batch_readings = 3\n") as at:
        at.gateway.start()
        at.wait_for_fresh()
        for time in range(times):
            fill_and_free(at, small_disk, overflow=time % 3 == 2)
            at.wait_for_fresh()
        verdict = at.judge_at_the_end(set())
        shown = at.gateway.shown()
        at.gateway.stop_anyhow()
    taken, lost = shown["taken"], shown["lost"]
    say(f"full disk: {times} times, {taken} taken, {lost} lost in RAM and counted, {verdict}")
    verdict.holds(interruptions=1, held_rows=60)
    assert (lost > 0) == (times > 2)
    assert shown["state"] == "stopped"
    assert verdict.committed == taken - lost, "a reading that is neither stored nor counted as lost"
