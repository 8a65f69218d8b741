"""Bytes on the wire in a day, hourly and all in, counted below IP; the day passes in seconds.

A real store and forwarder, TLS with a client certificate, a real mosquitto. Each "hour" brings sixty readings
that leave as one message, as with publish.interval_s = 3600; the pause between them is long enough for TCP's
delayed acknowledgements, so that each packet of a real hour is sent. The keepalive lies above the publish
interval: an hourly gateway never pings, which is checked and not measured.
"""

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from agent.buffer.keeper import Keeper
from agent.config.model import PublishConfig
from agent.contract.catalogue import Row
from tests.bench import week
from tests.bench.line import Line
from tests.bench.own_network import carried_bytes, in_own_network
from tests.support.forwarding import GATEWAY_ID, forwarding, tls_broker, wait
from tests.support.mosquitto import Mosquitto, TlsFiles, mosquitto

HOURS = 24
READINGS_AN_HOUR = 60
PEER_MESSAGES = 120
DELAYED_ACK_S = 0.06
LIMIT_BYTES = 55_000

HOURLY = PublishConfig(interval_s=3600, batch_readings=READINGS_AN_HOUR, startup_delay_max_s=0)

INVENTORY = {
    "kode_desa": "73.06.04.2007",
    "kode_edisi": "2024",
    "site_name": "Kantor Desa Bontosunggu",
    "role": "office",
    "modem_manufacturer": "Quectel",
    "modem_model": "EC25",
    "modem_firmware": "EC25EFAR06A06M4G",
    "operator_name": "TELKOMSEL",
    "operator_mccmnc": "51010",
    "catalogue": "9f2c01ab",
}


@dataclass(frozen=True)
class Counted:
    """Bytes at IP level; by_socket is what the agent itself counted, hence all there is without root."""

    connected: int
    day: int
    by_socket: int
    json_day: int


def run() -> list[Line]:
    """Count a day of ours and of the simplest client there is."""
    if HOURLY.effective_keepalive_s() <= HOURLY.interval_s:
        raise RuntimeError("a gateway that publishes hourly would ping; count the pings")
    try:
        counted = in_own_network(lambda: _count(carried_bytes))
        how = "in a network of its own"
    except OSError as reason:
        counted = _count(None)
        how = f"by TCP_INFO of the kernel ({reason})"
    what = f"wire in a day, hourly, all in ({week.source()})"
    beside = f"JSON a minute {counted.json_day / 1000:,.0f} kB" if counted.json_day else ""
    ratio = f"1/{counted.json_day / counted.day:.1f}" if counted.json_day else ""
    lines = [
        Line(
            what,
            f"{counted.day / 1000:.1f} kB",
            beside,
            ratio,
            f"<= {LIMIT_BYTES // 1000} kB",
            counted.day > LIMIT_BYTES,
        )
    ]
    split = f"connecting {counted.connected:,} B, each hour {(counted.day - counted.connected) // HOURS:,} B"
    lines.append(Line(f"the same, counted {how}", f"agent_bytes say {counted.by_socket:,} B", split))
    return lines


def _count(carried: Callable[[], int] | None) -> Counted:
    with (
        TemporaryDirectory() as name,
        mosquitto(Path(name) / "broker", tls=True, gateway_id=GATEWAY_ID) as at,
    ):
        assert at.tls is not None
        connected, day, by_socket = _ours(Path(name) / "sinyal.db", at, at.tls, carried)
        json_day = _json_a_minute(at, at.tls, carried) if carried else 0
    return Counted(connected, day, by_socket, json_day)


def _ours(
    path: Path, broker: Mosquitto, tls: TlsFiles, carried: Callable[[], int] | None
) -> tuple[int, int, int]:
    readings = week.readings(int(time.time()) - 86_400)
    keeper = Keeper(path, max_bytes=64 << 20, commit_interval_s=0, commit_readings=1, keep_days=90)
    keeper.start()
    # The daemon has taken its first reading when it connects: that one goes out at once.
    keeper.append(next(readings))
    began = carried() if carried else 0
    connected = 0
    try:
        with forwarding(
            keeper, tls_broker(broker.port, tls), HOURLY, inventory=lambda: INVENTORY
        ) as forwarder:

            def count() -> int:
                return carried() - began if carried else forwarder.health().wire_bytes

            _settle("the first reading", lambda: keeper.counts().unsent == 0)
            connected = count()
            for _hour in range(HOURS):
                for reading in itertools.islice(readings, READINGS_AN_HOUR):
                    keeper.append(reading)
                    forwarder.wake()
                _settle("an hour", lambda: keeper.counts().unsent == 0)
            day = count()
            time.sleep(0.1)
            by_socket = _shown_bytes(forwarder.wake, lambda: forwarder.health().wire_bytes)
    finally:
        keeper.close()
    return connected, day, by_socket


def _shown_bytes(wake: Callable[[], None], shown: Callable[[], int]) -> int:
    """Return what the forwarder shows when it has turned once more."""
    wake()
    time.sleep(0.3)
    return shown()


def _settle(what: str, condition: Callable[[], bool]) -> None:
    if not wait(condition, 20):
        raise RuntimeError(f"{what} did not get through")
    time.sleep(DELAYED_ACK_S)


def _json_a_minute(broker: Mosquitto, tls: TlsFiles, carried: Callable[[], int]) -> int:
    """Return the bytes of a day of one JSON object a minute, pings left out; two hours are measured."""
    acknowledged = threading.Semaphore(0)
    client = paho.Client(
        CallbackAPIVersion.VERSION2, client_id=GATEWAY_ID, protocol=paho.MQTTv5, userdata=None
    )
    client.tls_set(str(tls.ca), str(tls.client_cert), str(tls.client_key))
    client.on_publish = lambda *_: acknowledged.release()
    began = carried()
    client.connect("localhost", broker.port, keepalive=3600)
    client.loop_start()
    if not wait(client.is_connected):
        raise RuntimeError("paho alone did not connect")
    time.sleep(DELAYED_ACK_S)
    connected = carried() - began
    for payload in itertools.islice(_objects(), PEER_MESSAGES):
        client.publish(f"desa/v1/{GATEWAY_ID}/readings/json", payload, qos=1)
        if not acknowledged.acquire(timeout=20):
            raise RuntimeError("the broker did not answer paho alone")
        time.sleep(DELAYED_ACK_S)
    messages = carried() - began - connected
    client.disconnect()
    client.loop_stop()
    return connected + messages * HOURS * READINGS_AN_HOUR // PEER_MESSAGES


def _objects() -> Iterator[str]:
    rows: Iterator[Row] = week.readings(int(time.time()))
    for seq, row in enumerate(rows, 1):
        known = {name: value for name, value in row.items() if value is not None}
        yield json.dumps({"epoch": "9f2c01ab", "seq": seq, **known}, separators=(",", ":"))
