"""A database with a past: readings taken while nobody could be reached."""

import random
import time
from contextlib import closing

from agent.buffer.store import Store
from agent.contract.catalogue import Row, catalogue
from tests.pipeline.whole_gateway import Gateway


def past_reading(number: int, count: int, *, interval_s: int = 60) -> Row:
    """Return the number-th of `count` readings that end now; its values follow from the number.

    Two of them are noise, as on a real link: without it a message would be unrealistically small.
    """
    noise = random.Random(number)
    return catalogue().clean(
        {
            "slot_s": interval_s,
            "ts": int(time.time()) - interval_s * (count - number),
            "ts_quality": "ntp",
            "uptime_s": interval_s * number,
            "modem_state": "ok",
            "registration": "home",
            "access_technology": "lte" if number % 97 else "umts",
            "operator_name": "TELKOMSEL",
            "operator_mccmnc": "51010",
            "rsrp_dbm": -100 - number * 7 % 23,
            "rsrq_db": -10.5 + number % 7 / 2,
            "sinr_db": 3.1 + number % 11,
            "band": "B3" if number % 300 < 200 else "B40",
            "cell_id": 4_711_000 + number // 500,
            "rtt_ms": round(noise.gauss(60, 20), 1),
            "wan_rx_bytes": noise.randrange(90_000),
            "cpu_pct": number % 40,
            "load1": number % 9 / 10,
        }
    )


def prefill(gateway: Gateway, count: int) -> None:
    """Put `count` unsent readings into the database of a gateway that does not run."""
    gateway.database.parent.mkdir(parents=True, exist_ok=True)
    with closing(
        Store(
            gateway.database, max_bytes=64 << 20, commit_interval_s=3600, commit_readings=5000, keep_days=90
        )
    ) as store:
        for number in range(1, count + 1):
            store.append(past_reading(number, count))
