"""Wall time of `sinyal status` beside `python3 -c pass`, best of many, in turns so that noise hits both."""

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench.installed import with_bytecode
from tests.bench.line import Line

ROUNDS = 40
LIMIT = 4.0

CONFIG = '[gateway]\nid = "bench"\n[paths]\nstate = "."\nruntime = "."\n'
SNAPSHOT = (
    '{"v":1,"state":"running","ts":1768953600,"started_ts":1768950000,"interval_s":60,'
    '"reading":{"seq":1,"ts":1768953600,"modem_state":"ok","rsrp_dbm":-97,"signal_class":"fair"},'
    '"buffer":{"stored":1,"unsent":1,"oldest_unsent_ts":1768953600}}'
)


def _wall_ms(command: Sequence[str], environment: Mapping[str, str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False)
    return (time.perf_counter() - began) * 1000


def run() -> list[Line]:
    """Measure the status of a gateway whose daemon left a snapshot, and of one that never ran."""
    lines = []
    floor = [sys.executable, "-c", "pass"]
    status = [str(Path(sys.executable).with_name("sinyal")), "status"]
    with TemporaryDirectory() as folder:
        config, snapshot = Path(folder, "sinyal.toml"), Path(folder, "status.json")
        config.write_text(CONFIG)
        environment = {**with_bytecode(Path(folder)), "SINYAL_CONFIG": str(config)}
        for what, left in (("with a snapshot", SNAPSHOT), ("never ran", None)):
            if left is None:
                snapshot.unlink()
            else:
                snapshot.write_text(left)
            for command in (floor, status):
                _wall_ms(command, environment)
            turns = [
                (_wall_ms(floor, environment), _wall_ms(status, environment)) for _round in range(ROUNDS)
            ]
            floor_ms, status_ms = (min(column) for column in zip(*turns, strict=True))
            ratio = status_ms / floor_ms
            lines.append(
                Line(
                    f"sinyal status, {what}",
                    f"{status_ms:.1f} ms",
                    f"python3 -c pass {floor_ms:.1f} ms",
                    f"{ratio:.2f} x",
                    f"<= {LIMIT:.0f} x",
                    ratio > LIMIT,
                )
            )
    return lines
