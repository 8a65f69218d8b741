"""The power fails: what the flash holds then is a whole database with every committed reading."""

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agent.buffer.store import Store
from tests.buffer.files import query, seq_of_number
from tests.faults.campaigns import quick_and_soak, say
from tests.faults.cut_disk import CutDisk, cut_disk
from tests.faults.scene import scene

pytestmark = pytest.mark.needs_root

COMMIT_READINGS = 3
CUTS_BEFORE_A_RESTART = 25


# ---- the whole gateway: what the broker has must still be in the database ----


@quick_and_soak("cuts", 8, 120)
def test_power_cuts_of_a_whole_gateway_lose_and_double_nothing(cuts: int, tmp_path: Path) -> None:
    chance = random.Random(31)
    publish = f"batch_readings = 3\n[buffer]\ncommit_readings = {COMMIT_READINGS}\n"
    with cut_disk(tmp_path) as disk, scene(tmp_path / "scene", state=disk.folder, publish=publish) as at:
        for cut in range(cuts):
            at.gateway.start()
            at.wait_for_a_life()
            time.sleep(chance.uniform(0.2, 0.7))
            if cut % 2:
                at.proxy.mode = "stall"
                time.sleep(chance.uniform(0.0, 0.3))
            # Stopped first: what it would send between the copy and its end belongs to no real power cut.
            at.gateway.freeze()
            copy = disk.cut()
            at.gateway.kill()
            disk.go_back_to(copy)
            at.note()
            at.proxy.mode = "pass"
        verdict = at.after_the_faults()
        # The disk is taken away before the scene is: nobody may use it then.
        at.gateway.stop_anyhow()
    say(f"power cut, whole gateway: {cuts} cuts, {verdict}")
    # What was sent before a cut and is not in the database after it would be told as invented.
    verdict.holds(interruptions=cuts, held_rows=COMMIT_READINGS)


# ---- the store alone, many cuts a second ----


@dataclass
class Promises:
    """What an appender has said so far: stored and offered rows, by seq."""

    stored: dict[int, int] = field(default_factory=dict)
    offered: dict[int, int] = field(default_factory=dict)
    epochs: set[str] = field(default_factory=set)
    _rest: bytes = b""

    def listen(self, pipe: int) -> None:
        """Take what was said until now."""
        while True:
            try:
                said = os.read(pipe, 1 << 16)
            except BlockingIOError:
                return
            if not said:
                return
            *lines, self._rest = (self._rest + said).split(b"\n")
            for line in lines:
                self._take(line.decode())

    def _take(self, line: str) -> None:
        kind, *words = line.split()
        assert kind in "SO", line
        if kind == "S":
            self.stored[int(words[0])] = int(words[1])
        else:
            self.epochs.add(words[0])
            self.offered[int(words[1])] = int(words[2])


@contextmanager
def appending(database: Path, first: int, *, weak: bool) -> Iterator[int]:
    """Append readings as fast as the disk goes, one a commit; give the pipe that tells of them."""
    appender = [sys.executable, "-m", "tests.buffer.appender", str(database), str(first), "999999", "1"]
    if weak:
        appender[1:3] = ["-c", WEAK_APPENDER]
    with subprocess.Popen(appender, stdout=subprocess.PIPE, bufsize=0) as child:
        assert child.stdout is not None
        os.set_blocking(child.stdout.fileno(), False)
        try:
            yield child.stdout.fileno()
        finally:
            child.kill()


WEAK_APPENDER = """
from agent.buffer import schema
schema.PRAGMAS = tuple(pragma.replace("FULL", "NORMAL") for pragma in schema.PRAGMAS)
from tests.buffer.appender import main
main()
"""


def cut_again_and_again(disk: CutDisk, cuts: int, *, weak: bool = False) -> tuple[int, int, int]:
    """Cut the power under a busy store; return (promised rows, lost ones, files SQLite finds damaged)."""
    chance = random.Random(32)
    promises, promised, lost, damaged = Promises(), 0, 0, 0
    first = 1
    for begun in range(0, cuts, CUTS_BEFORE_A_RESTART):
        database = disk.folder / f"{begun}.db"
        promises = Promises()
        with appending(database, first, weak=weak) as pipe:
            for number in range(min(CUTS_BEFORE_A_RESTART, cuts - begun)):
                time.sleep(chance.uniform(0.01, 0.05) + 0.3 * (number == 0))
                promises.listen(pipe)
                must, offered = dict(promises.stored), dict(promises.offered)
                copy = disk.cut(number)
                with disk.mounted(copy) as folder:
                    found = found_after_the_cut(folder / database.name)
                damaged += found is None
                kept = found or {}
                promised += len(must)
                lost += sum(kept.get(seq) != number for seq, number in {**must, **offered}.items())
        first += 1_000_000
        for file in disk.folder.glob(f"{begun}.db*"):
            file.unlink()
    return promised, lost, damaged


def found_after_the_cut(database: Path) -> dict[int, int] | None:
    """Open as the agent does at its next start; return number by seq, None when the file was damaged."""
    with closing(
        Store(database, max_bytes=8 << 20, commit_interval_s=0, commit_readings=1, keep_days=90)
    ) as store:
        if not database.exists():
            return {}
        store.open()
        if store.file.damaged_file is not None:
            return None
    assert query(database, "SELECT count(*) FROM meta") == [(1,)]
    return dict(seq_of_number(database))


@quick_and_soak("cuts", 20, 500)
def test_power_cuts_of_a_busy_store_lose_no_committed_reading(cuts: int, tmp_path: Path) -> None:
    with cut_disk(tmp_path) as disk:
        promised, lost, damaged = cut_again_and_again(disk, cuts)
    say(
        f"power cut, store alone: {cuts} cuts, {promised} promised rows, {lost} lost, {damaged} files damaged"
    )
    assert (lost, damaged) == (0, 0)
    assert promised > cuts


def test_the_power_cuts_would_show_a_store_that_syncs_less(tmp_path: Path) -> None:
    with cut_disk(tmp_path) as disk:
        promised, lost, damaged = cut_again_and_again(disk, 5, weak=True)
    say(
        f"power cut, counter-check with synchronous=NORMAL: 5 cuts, {promised} promised rows, {lost} lost, "
        f"{damaged} files damaged"
    )
    assert lost
