"""How fast 14 days of readings leave the database, beside paho alone with the same bytes."""

import random
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from agent.buffer.keeper import Keeper
from agent.contract.catalogue import Row
from agent.publish.mqtt import OUR_WINDOW
from agent.wire.columns import decode_batch, encode_batch
from tests.bench.line import Line
from tests.support.forwarding import GATEWAY_ID, forwarding, plain_broker, wait
from tests.support.listener import Listener
from tests.support.mosquitto import mosquitto
from tests.support.rows import EPOCH, sample_row

ROWS = 20_160
LIMIT_S = 10.0
LIMIT_RATIO = 0.5


def run() -> list[Line]:
    """Drain a real database to a real mosquitto; then let paho publish the messages that came.

    paho publishes them twice: as they came, and encoding their rows on the way.
    """
    with TemporaryDirectory() as name, mosquitto(Path(name) / "broker") as broker:
        keeper = _filled(Path(name) / "sinyal.db")
        try:
            with Listener(broker.port, f"desa/v1/{GATEWAY_ID}/readings") as listener:
                ours_s = _drain_s(keeper, broker.port)
                payloads = [heard.payload for heard in listener.heard()]
        finally:
            keeper.close()
        rows = [decode_batch(payload).rows for payload in payloads]
        if sum(map(len, rows)) != ROWS:
            raise RuntimeError(f"{sum(map(len, rows))} rows arrived")
        ready_s = _paho_alone_s(broker.port, iter(payloads))
        encoding_s = _paho_alone_s(broker.port, (encode_batch(EPOCH, batch, late=True) for batch in rows))
    ours = f"{ROWS / ours_s:,.0f} rows/s ({ours_s:.2f} s)"
    return [
        Line(
            f"{ROWS:,} rows from the database to mosquitto",
            ours,
            f"paho alone, {len(payloads)} ready messages: {ROWS / ready_s:,.0f} rows/s",
            f"{ready_s / ours_s:.2f} x",
            f"<= {LIMIT_S:.0f} s",
            ours_s > LIMIT_S,
        ),
        Line(
            "the same",
            ours,
            f"paho alone, encoding the rows too: {ROWS / encoding_s:,.0f} rows/s",
            f"{encoding_s / ours_s:.2f} x",
            f">= {LIMIT_RATIO} x",
            encoding_s / ours_s < LIMIT_RATIO,
        ),
    ]


def _reading(seq: int, chance: random.Random) -> Row:
    row = {name: value for name, value in sample_row(seq).items() if name != "seq"}
    return row | {
        "rsrp_dbm": -100 + round(chance.gauss(0, 4)),
        "rsrq_db": round(-10 + chance.gauss(0, 2), 1),
        "sinr_db": round(5 + chance.gauss(0, 4), 1),
        "rtt_ms": round(60 + chance.expovariate(0.02), 1),
        "jitter_ms": round(chance.expovariate(0.1), 1),
        "cpu_pct": chance.randrange(100),
        "mem_used_pct": 40 + chance.randrange(5),
        "wan_rx_bytes": chance.randrange(10_000_000),
        "wan_tx_bytes": chance.randrange(1_000_000),
    }


def _filled(path: Path) -> Keeper:
    chance = random.Random(1)
    keeper = Keeper(path, max_bytes=64 << 20, commit_interval_s=60, commit_readings=1000, keep_days=90)
    keeper.start()
    for seq in range(1, ROWS + 1):
        keeper.append(_reading(seq, chance))
    keeper.close()
    again = Keeper(path, max_bytes=64 << 20, commit_interval_s=60, commit_readings=10, keep_days=90)
    again.start()
    return again


def _drain_s(keeper: Keeper, port: int) -> float:
    began = time.monotonic()
    with forwarding(keeper, plain_broker(port), interval_s=3600):
        if not wait(lambda: keeper.counts().unsent == 0, 60):
            raise RuntimeError(f"{keeper.counts().unsent} rows were not sent within a minute")
        return time.monotonic() - began


def _paho_alone_s(port: int, payloads: Iterator[bytes]) -> float:
    sent = acknowledged = 0

    def on_publish(*_: Any) -> None:
        nonlocal acknowledged
        acknowledged += 1

    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="alone", protocol=paho.MQTTv5)
    client.on_publish = on_publish
    client.connect("127.0.0.1", port)
    while not client.is_connected():
        client.loop(1)
    began = time.monotonic()
    payload = next(payloads, None)
    while payload is not None or acknowledged < sent:
        while payload is not None and sent - acknowledged < OUR_WINDOW:
            client.publish(f"desa/v1/{GATEWAY_ID}/floor", payload, qos=1)
            sent += 1
            payload = next(payloads, None)
        client.loop(1)
    took_s = time.monotonic() - began
    client.disconnect()
    return took_s
