"""What an unreachable broker costs: connects an hour, and how long a half-open link is believed.

The connects follow from the agent's own waits, drawn for many gateways; tests/faults/test_connects.py holds
that each wait is one connect. The half-open link is a real forwarder whose publish nobody answers.
"""

import random
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from agent.config.keys import DEFAULTS
from agent.publish.backoff import Backoff
from agent.publish.mqtt import ACK_TIMEOUT_S
from tests.bench.line import Line
from tests.support.forwarding import forwarding, plain_broker, wait_until
from tests.support.mosquitto import Mosquitto, mosquitto
from tests.support.proxy import Proxy
from tests.support.rows import RecordingRows

GATEWAYS = 2000
HOURS = 4
FIRST_HOUR_CONNECTS = 20
LATER_HOUR_CONNECTS = 13
HALF_OPEN_S = 30.0
SLACK_S = 0.5
"""What this machine may be late to see it."""

FIXED_WAIT_S = 5
"""What thingsboard-gateway waits between tries, for ever."""


def _connects_by_hour(seed: int) -> list[int]:
    waits = Backoff(DEFAULTS["publish.reconnect_max_s"], random.Random(seed))
    by_hour = [0] * HOURS
    at_s = 0.0
    while at_s < HOURS * 3600:
        by_hour[int(at_s // 3600)] += 1
        at_s += waits.next_s()
    return by_hour


def _connects_line() -> Line:
    hours = [_connects_by_hour(seed) for seed in range(GATEWAYS)]
    first = max(by_hour[0] for by_hour in hours)
    later = max(max(by_hour[1:]) for by_hour in hours)
    peer = 3600 // FIXED_WAIT_S
    return Line(
        f"connects of an outage, most of {GATEWAYS:,} gateways",
        f"{first} in hour 1, {later} an hour after",
        f"a fixed wait of {FIXED_WAIT_S} s: {peer} an hour",
        f"1/{peer / later:.0f}",
        f"<= {FIRST_HOUR_CONNECTS}, <= {LATER_HOUR_CONNECTS}",
        first > FIRST_HOUR_CONNECTS or later > LATER_HOUR_CONNECTS,
    )


def _half_open_s(broker: Mosquitto) -> float:
    """Return the seconds from a publish that nobody answers to the end of the connection."""
    rows = RecordingRows(3)
    with Proxy(broker.port) as proxy, forwarding(rows, plain_broker(proxy.port)) as sending:
        wait_until("the first rows", lambda: not rows.unsent_seqs())
        proxy.mode = "stall"
        carried = proxy.up_bytes
        rows.add()
        sending.wake()
        wait_until("a publish nobody answers", lambda: proxy.up_bytes > carried)
        began = time.monotonic()
        wait_until("the end of the connection", lambda: sending.health().state != "connected", 120)
        return time.monotonic() - began


def _half_open_line(took_s: float) -> Line:
    """Return the line of the half-open link."""
    return Line(
        "half-open link closed after an unanswered publish",
        f"{took_s:.1f} s",
        f"its own timeout {ACK_TIMEOUT_S:.0f} s",
        "",
        f"<= {HALF_OPEN_S:.0f} s",
        took_s > HALF_OPEN_S + SLACK_S,
    )


def run() -> list[Line]:
    """Count the connects of many gateways, and wait half a minute for one link."""
    with TemporaryDirectory() as name, mosquitto(Path(name)) as broker:
        return [_connects_line(), _half_open_line(_half_open_s(broker))]
