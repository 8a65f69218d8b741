"""kill -9 at any moment: nothing committed is missing, and no offered seq ever means another row."""

import random
import signal
import subprocess
import sys
from pathlib import Path

from tests.buffer.files import query, seq_of_number

KILLS = 60


def test_60_kills_lose_nothing_and_reuse_no_seq(path: Path) -> None:
    dice = random.Random(20)
    stored: dict[int, int] = {}
    offered: dict[int, int] = {}
    epochs = set()
    for kill in range(KILLS):
        # Half of them commit each row, half hold up to three rows in RAM.
        commit_readings = 1 if kill % 2 else 3
        with subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.buffer.appender",
                str(path),
                f"{kill}00000",
                "99999",
                str(commit_readings),
            ],
            stdout=subprocess.PIPE,
            text=True,
        ) as child:
            assert child.stdout is not None
            lines = [child.stdout.readline()]
            try:
                child.wait(dice.uniform(0.0, 0.08))
            except subprocess.TimeoutExpired:
                child.send_signal(signal.SIGKILL)
            lines += child.stdout.read().splitlines()
        for line in lines:
            kind, *words = line.split()
            assert kind in "SO", line
            if kind == "S" and commit_readings == 1:
                stored[int(words[0])] = int(words[1])
            elif kind == "O":
                epochs.add(words[0])
                assert offered.setdefault(int(words[1]), int(words[2])) == int(words[2])
    kept = dict(seq_of_number(path))
    assert len(stored) > KILLS
    assert {seq: kept.get(seq) for seq in stored} == stored
    assert {seq: kept.get(seq) for seq in offered} == offered
    assert len(set(kept.values())) == len(kept)
    assert {epoch for (epoch,) in query(path, "SELECT value FROM meta")} == epochs
