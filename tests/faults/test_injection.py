"""Writes, syncs and opens that fail at every n-th call, the start-up included (strace injects the errors)."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from tests.buffer.files import seq_of_number
from tests.faults.campaigns import quick_and_soak, say
from tests.faults.oracle import Verdict
from tests.faults.scene import scene
from tests.pipeline.whole_gateway import wait_until
from tests.support.programs import give_up, require

ROWS = 12

KINDS = [
    ("pwrite64", "EIO"),
    ("pwrite64", "ENOSPC"),
    ("pwrite64", "EROFS"),
    ("fdatasync", "EIO"),
    ("fdatasync", "ENOSPC"),
    ("openat", "EIO"),
    ("openat", "ENOSPC"),
    ("openat", "EROFS"),
    ("fsync", "EIO"),
    ("ftruncate", "EIO"),
    ("unlink", "EIO"),
]
"""System calls that touch the database, and what they may answer."""


@dataclass(frozen=True)
class Injection:
    """The nth call and `burst` - 1 after it fail; commit_readings rows make a commit."""

    call: str
    error: str
    nth: int
    burst: int
    commit_readings: int


def strace(database: Path, call: str, inject: str = "") -> list[str]:
    """Return the command that traces `call` at the database, its log and its folder."""
    command = ["strace", "-D", "-f", "-qq", "-o", f"{database}.trace", "-e", f"trace={call}"]
    for path in (str(database), f"{database}-wal", str(database.parent)):
        command += ["-P", path]
    return [*command, "-e", f"inject={call}:{inject}"] if inject else command


def append(database: Path, before: Sequence[str], commit_readings: int) -> list[str]:
    """Append ROWS readings and give what the appender says of it."""
    appender = [sys.executable, "-m", "tests.buffer.appender", str(database)]
    child = subprocess.run(
        [*before, *appender, "1", str(ROWS), str(commit_readings)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    if "Operation not permitted" in child.stderr:
        give_up(f"strace may not trace here: {child.stderr}")
    return child.stdout.splitlines()


def calls_of_a_good_run(folder: Path) -> Counter[str]:
    """Count the system calls that a run without faults makes, to know which ones can fail."""
    folder.mkdir()
    database = folder / "sinyal.db"
    calls = sorted({call for call, _error in KINDS})
    append(database, strace(database, ",".join(calls)), 1)
    words = [line.split(maxsplit=1)[-1] for line in traced(database)]
    return Counter(call for call in calls for word in words if word.startswith(f"{call}("))


def traced(database: Path) -> list[str]:
    """Return what strace wrote; it ends a little after the process it watched."""
    trace, known = Path(f"{database}.trace"), -1
    while known != trace.stat().st_size:
        known = trace.stat().st_size
        time.sleep(0.02)
    return trace.read_text().splitlines()


def spread(count: int, calls: Counter[str]) -> list[Injection]:
    """Return `count` different injections, evenly over the kinds and over the calls of a run."""
    kinds = [kind for kind in KINDS if calls[kind[0]]]
    found: dict[Injection, None] = {}
    share = -(-count // len(kinds))
    for step in range(share * 4):
        for call, error in kinds:
            nth = 1 + step * calls[call] // share % calls[call]
            burst = (1, 3, 2, 6)[(step + step // calls[call]) % 4]
            found.setdefault(Injection(call, error, nth, burst, 1 + 2 * (step % 2)))
    assert len(found) >= count
    return list(found)[:count]


def inject(at: Injection, work: Path) -> tuple[bool, str]:
    """Run one injection; return whether it hit, and what was wrong after it ("" for nothing)."""
    with tempfile.TemporaryDirectory(dir=work) as folder:
        database = Path(folder) / "sinyal.db"
        how = f"error={at.error}:when={at.nth}..{at.nth + at.burst - 1}"
        said = append(database, strace(database, at.call, how), at.commit_readings)
        hit = any("(INJECTED)" in line for line in traced(database))
        accepted = {int(line.split()[1]): int(line.split()[2]) for line in said if line.startswith("S")}
        kept = dict(seq_of_number(database))
        moved = [file.name for file in Path(folder).glob("*.damaged-*")]
    if kept != accepted or len(accepted) != ROWS or moved or said[-1] != "E":
        return hit, f"{at}: accepted {accepted}, kept {kept}, moved {moved}, said {said[-3:]}"
    return hit, ""


@quick_and_soak("count", 60, 400)
def test_injected_errors_cost_no_accepted_reading_and_double_none(count: int, tmp_path: Path) -> None:
    require("strace")
    injections = spread(count, calls_of_a_good_run(tmp_path / "good"))
    with ThreadPoolExecutor(os.cpu_count()) as side_by_side:
        results = list(side_by_side.map(lambda at: inject(at, tmp_path), injections))
    hits = Counter(
        f"{at.call} {at.error}" for at, (hit, _wrong) in zip(injections, results, strict=True) if hit
    )
    wrong = [text for _hit, text in results if text]
    told = ", ".join(f"{kind} {times}" for kind, times in hits.items())
    say(f"injection, store alone: {len(results)} runs, {hits.total()} hit ({told}), {len(wrong)} went wrong")
    assert wrong == []
    # With rows held for a commit of three, a run makes fewer calls than the one that was counted.
    assert hits.total() > 0.6 * count


# ---- the whole agent ----

WHOLE = [
    ("pwrite64", "EIO", 1, 1),
    ("pwrite64", "ENOSPC", 30, 3),
    ("fdatasync", "EIO", 3, 1),
    ("openat", "EIO", 1, 2),
    ("openat", "EROFS", 2, 1),
    ("fdatasync", "ENOSPC", 12, 3),
]


def inject_into_the_agent(work: Path, call: str, error: str, nth: int, burst: int) -> Verdict:
    with scene(work, publish="batch_readings = 3\n") as at:
        at.gateway.database.parent.mkdir(parents=True)
        how = f"error={error}:when={nth}..{nth + burst - 1}"
        at.gateway.command_before = strace(at.gateway.database, call, how)
        at.gateway.start()
        trace = Path(f"{at.gateway.database}.trace")
        wait_until("the fault", lambda: trace.exists() and "(INJECTED)" in trace.read_text())
        wait_until("a store that works", lambda: at.gateway.shown().get("store_problem", "?") is None)
        at.wait_for("readings", lambda arrivals: len(arrivals.rows) > 10)
        shown = at.gateway.shown()
        # On a slow machine the memory of readings may not last: then it must say so.
        assert shown["lost"] == shown["buffer"]["dropped"], json.dumps(shown)
        at.kill()
        at.gateway.command_before = []
        uptimes = [row["uptime_s"] for row in at.ledger.rows.values()]
        gaps = [later - earlier for earlier, later in pairwise(uptimes)]
        assert max(gaps) < 4, "readings of the time when the disk failed are missing"
        return at.after_the_faults()


@pytest.mark.parametrize("times", [1, pytest.param(8, marks=pytest.mark.soak)])
def test_a_whole_agent_on_a_failing_disk_goes_on_sampling_and_recovers(times: int, tmp_path: Path) -> None:
    require("strace")
    with ThreadPoolExecutor(len(WHOLE)) as side_by_side:
        running = [
            side_by_side.submit(
                inject_into_the_agent, tmp_path / f"{turn}-{number}", call, error, nth + 5 * turn, burst
            )
            for turn in range(times)
            for number, (call, error, nth, burst) in enumerate(WHOLE)
            if not (call == "openat" and turn)  # the database is opened once only
        ]
        verdicts = [each.result() for each in running]
    for verdict in verdicts:
        verdict.holds(interruptions=2, held_rows=60)
    committed = sum(verdict.committed for verdict in verdicts)
    say(f"injection, whole agent: {len(verdicts)} faults, {committed} committed, 0 lost")
