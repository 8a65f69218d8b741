"""`sinyal run` on a database that holds fourteen days nobody has seen: memory, freshness, speed.

The real process, TLS with a client certificate, a simulated modem and a real mosquitto behind a link that is
refused at first. Nothing of the agent is in this process: what it says is seen at the broker.
"""

import itertools
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from agent.buffer.store import Store
from agent.wire.columns import decode_batch
from tests.bench import week
from tests.bench.line import Line
from tests.bench.process import peak_rss_mb, rss_mb
from tests.bench.tls_gateway import GATEWAY_ID, TlsGateway, database_in, floor_mb, tls_gateway
from tests.support.listener import Listener
from tests.support.mosquitto import mosquitto
from tests.support.proxy import Proxy

ROWS = 20_160
READINGS_EACH_S = 5
SETTLE_S = 10
HELD_S = 30
AFTER_S = 10
LIMIT_MB = 28.0
LIMIT_FLAT_MB = 1.5
LIMIT_FRESH_S = 10.0
LIMIT_DRAIN_S = 10.0


@dataclass
class Seen:
    """Memory in MB in the four stretches, and seconds since the broker could be reached."""

    start_mb: float = 0.0
    held_mb: float = 0.0
    draining_mb: float = 0.0
    after_mb: float = 0.0
    peak_mb: float = 0.0
    connected_s: float = 0.0
    fresh_s: float = 0.0
    drained_s: float = 0.0


def fill(database: Path) -> None:
    """Store a fortnight of unsent readings that ends now."""
    database.parent.mkdir(parents=True)
    rows = week.readings(int(time.time()) - 60 * ROWS)
    with closing(
        Store(database, max_bytes=64 << 20, commit_interval_s=3600, commit_readings=5000, keep_days=90)
    ) as store:
        for row in itertools.islice(rows, ROWS):
            store.append(row)


class Arrivals:
    """The seqs that came to the subscriber; each look decodes what is new."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._decoded = 0
        self.seqs: set[int] = set()

    def look(self) -> None:
        """Take in what came since the last look."""
        heard = self._listener.heard("/readings")
        for message in heard[self._decoded :]:
            self.seqs.update(int(row["seq"] or 0) for row in decode_batch(message.payload).rows)
        self._decoded = len(heard)

    def fresh(self) -> bool:
        """Return whether a reading of this life of the agent is there."""
        return max(self.seqs, default=0) > ROWS

    def all_old(self) -> bool:
        """Return whether the whole fortnight is there."""
        return len(self.seqs) >= ROWS and self.seqs.issuperset(range(1, ROWS + 1))


def _watch(gateway: TlsGateway, proxy: Proxy, listener: Listener) -> Seen:
    seen = Seen()
    time.sleep(SETTLE_S)
    seen.start_mb = rss_mb(gateway.pid)
    until = time.monotonic() + HELD_S
    while time.monotonic() < until:
        time.sleep(0.5)
        seen.held_mb = max(seen.held_mb, rss_mb(gateway.pid))
    gateway.require_alive()
    arrivals = Arrivals(listener)
    accepted = proxy.accepted
    linked = time.monotonic()
    proxy.mode = "pass"
    while not seen.drained_s:
        gateway.require_alive()
        time.sleep(0.02)
        seen.draining_mb = max(seen.draining_mb, rss_mb(gateway.pid))
        now_s = time.monotonic() - linked
        if proxy.accepted > accepted and not seen.connected_s:
            seen.connected_s = now_s
        arrivals.look()
        if arrivals.fresh() and not seen.fresh_s:
            seen.fresh_s = now_s
        if arrivals.all_old():
            seen.drained_s = now_s
        if now_s > 120:
            raise RuntimeError(
                f"{len(arrivals.seqs)} of {ROWS} rows within two minutes\n" + gateway.log_text()
            )
    time.sleep(AFTER_S)
    seen.after_mb = rss_mb(gateway.pid)
    seen.peak_mb = peak_rss_mb(gateway.pid)
    return seen


def run() -> list[Line]:
    """Hold a fortnight while the broker refuses, then let it go."""
    with TemporaryDirectory(dir="/var/tmp") as name:
        folder = Path(name)
        fill(database_in(folder / "gateway"))
        with (
            mosquitto(folder / "broker", tls=True, gateway_id=GATEWAY_ID) as broker,
            Listener(broker.listen_port) as listener,
            Proxy(broker.port) as proxy,
        ):
            assert broker.tls is not None
            proxy.mode = "refuse"
            bare_mb = floor_mb(folder, broker.tls)
            with tls_gateway(
                folder / "gateway",
                proxy.port,
                broker.tls,
                interval_s=READINGS_EACH_S,
                publish="reconnect_max_s = 3",
            ) as gateway:
                seen = _watch(gateway, proxy, listener)
    return _lines(seen, bare_mb)


def _lines(seen: Seen, bare_mb: float) -> list[Line]:
    stretches = f"{seen.start_mb:.1f} start, {seen.held_mb:.1f} held, {seen.draining_mb:.1f} draining, "
    stretches += f"{seen.after_mb:.1f} after"
    grown_mb = max(seen.held_mb, seen.draining_mb, seen.after_mb) - seen.start_mb
    fresh_s, drain_s = seen.fresh_s - seen.connected_s, seen.drained_s - seen.connected_s
    return [
        Line(
            f"RSS of sinyal run with TLS, {ROWS:,} unsent rows ({week.source()})",
            f"{seen.peak_mb:.1f} MB peak",
            f"bare interpreter, same imports {bare_mb:.1f} MB",
            f"{seen.peak_mb - bare_mb:+.1f} MB",
            f"<= {LIMIT_MB:.0f} MB",
            seen.peak_mb > LIMIT_MB,
        ),
        Line(
            "the same, over time",
            f"{grown_mb:+.1f} MB",
            f"{stretches} (MB)",
            "",
            f"<= +{LIMIT_FLAT_MB} MB",
            grown_mb > LIMIT_FLAT_MB,
        ),
        Line(
            "a fresh reading behind the fortnight",
            f"{fresh_s:.2f} s from the connection",
            f"{seen.fresh_s:.2f} s from link-up",
            "",
            f"<= {LIMIT_FRESH_S:.0f} s",
            fresh_s > LIMIT_FRESH_S,
        ),
        Line(
            f"{ROWS:,} rows from sinyal run to mosquitto over TLS",
            f"{drain_s:.2f} s",
            f"{ROWS / drain_s:,.0f} rows/s",
            "",
            f"<= {LIMIT_DRAIN_S:.0f} s",
            drain_s > LIMIT_DRAIN_S,
        ),
    ]
