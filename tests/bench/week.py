"""Readings with all the fields a gateway has: the synthetic week beside the project, else made-up ones."""

import random
from collections.abc import Iterator, Mapping
from typing import Any

from agent.contract.catalogue import Row, catalogue
from tests.bench.buffer import reading
from tests.wire import reference_week

OF_THE_STORE = ("seq", "epoch", "boot", "seq_first")


def source() -> str:
    """Return what the readings are, for the table."""
    return "38 fields" if reference_week.FILE.exists() else "32 fields, made up"


def readings(first_ts: int, interval_s: int = 60) -> Iterator[Row]:
    """Return readings without end as a sampler gives them, one each interval_s from first_ts (UTC s)."""
    number = 0
    while True:
        for values in _values():
            times = {"ts": first_ts + interval_s * number, "uptime_s": 60 + interval_s * number}
            yield catalogue().clean({**values, **times, "ts_quality": "ntp"})
            number += 1


def _values() -> Iterator[Mapping[str, Any]]:
    if reference_week.FILE.exists():
        for row in reference_week.rows():
            yield {name: value for name, value in row.items() if name not in OF_THE_STORE}
        return
    chance = random.Random(7)
    for number in range(10_080):
        noise = {"rsrp_dbm": round(chance.gauss(-100, 4)), "sinr_db": round(chance.gauss(5, 4), 1)}
        noise["wan_rx_bytes"] = chance.randrange(900_000)
        yield {**reading(number), **noise}
