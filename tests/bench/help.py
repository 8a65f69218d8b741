"""Wall time of `--help` beside `python3 -c pass`, best of many, in turns so that noise hits both."""

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench.installed import with_bytecode
from tests.bench.line import Line

ROUNDS = 40
LIMIT = 6.0
"""Ours, not the contract's: help makes parsers and texts that the commands themselves are spared."""


def _wall_ms(command: Sequence[str], environment: Mapping[str, str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False)
    return (time.perf_counter() - began) * 1000


def run() -> list[Line]:
    """Measure the list of commands, and the help of one of them."""
    lines = []
    floor = [sys.executable, "-c", "pass"]
    sinyal = str(Path(sys.executable).with_name("sinyal"))
    with TemporaryDirectory() as folder:
        environment = with_bytecode(Path(folder))
        for words in ((), ("status",), ("modem", "read")):
            asked = [sinyal, *words, "--help"]
            for command in (floor, asked):
                _wall_ms(command, environment)
            turns = [(_wall_ms(floor, environment), _wall_ms(asked, environment)) for _round in range(ROUNDS)]
            floor_ms, asked_ms = (min(column) for column in zip(*turns, strict=True))
            ratio = asked_ms / floor_ms
            lines.append(
                Line(
                    " ".join(("sinyal", *words, "--help")),
                    f"{asked_ms:.1f} ms",
                    f"python3 -c pass {floor_ms:.1f} ms",
                    f"{ratio:.2f} x",
                    f"<= {LIMIT:.0f} x",
                    ratio > LIMIT,
                )
            )
    return lines
