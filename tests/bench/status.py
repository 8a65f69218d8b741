"""Wall time of `sinyal status` beside `python3 -c pass`, best of many, in turns so that noise hits both."""

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench.installed import with_bytecode
from tests.bench.line import Line
from tests.support.rows import sample_row

ROUNDS = 40
LIMIT = 4.0

CONFIG = '[gateway]\nid = "bench"\n[paths]\nstate = "."\nruntime = "."\n'
NOW_TS = 1768953600
SNAPSHOT = json.dumps(
    {
        "v": 1, "pid": 1, "version": "0.1.0", "state": "running", "ts": NOW_TS, "started_ts": NOW_TS - 3600,
        "interval_s": 60, "reading": sample_row(1), "modem": {"manufacturer": "Quectel", "model": "EC25"},
        "link": {"state": "connected", "last_ack_ts": NOW_TS, "connects": 3},
        "buffer": {"stored": 1, "unsent": 1, "oldest_unsent_ts": NOW_TS},
        "internet": {"outage": None}, "today": {"outages": 0, "down_s": 0, "power_outages": 0},
        "hour": {"field": "rsrp_dbm", "levels_dbm": [-97] * 60},
        "budget": {"used_bytes": 1, "max_bytes": 300_000_000, "stage": "all"},
    }
)  # fmt: skip


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
