"""Memory and processor of `sinyal run` with TLS, beside a bare interpreter with the same imports."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench.line import Line
from tests.bench.process import cpu_s, rss_mb
from tests.bench.tls_gateway import GATEWAY_ID, floor_mb, tls_gateway
from tests.support.mosquitto import mosquitto

LIMIT_OVER_FLOOR_MB = 3.0
LIMIT_MB = 28.0
LIMIT_CPU_PCT = 0.3


def run(seconds: int = 300) -> list[Line]:
    """Watch the daemon for `seconds` at one reading a minute, connected and publishing over TLS."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        with mosquitto(folder / "broker", tls=True, gateway_id=GATEWAY_ID) as broker:
            assert broker.tls is not None
            bare_mb = floor_mb(folder, broker.tls)
            with tls_gateway(folder / "gateway", broker.port, broker.tls) as gateway:
                time.sleep(min(15, seconds / 4))
                began, cpu_before = time.monotonic(), cpu_s(gateway.pid)
                peak_mb = 0.0
                while time.monotonic() - began < seconds:
                    time.sleep(1)
                    peak_mb = max(peak_mb, rss_mb(gateway.pid))
                cpu_pct = 100 * (cpu_s(gateway.pid) - cpu_before) / (time.monotonic() - began)
                gateway.require_alive()
            if "connected" not in gateway.log_text():
                raise RuntimeError("the daemon never connected:\n" + gateway.log_text())
    over_mb = peak_mb - bare_mb
    return [
        Line(
            f"RSS of sinyal run with TLS, peak in {seconds} s",
            f"{peak_mb:.1f} MB",
            f"bare interpreter, same imports {bare_mb:.1f} MB",
            f"{over_mb:+.1f} MB",
            f"<= {LIMIT_MB:.0f} MB, <= +{LIMIT_OVER_FLOOR_MB:.0f} MB",
            peak_mb > LIMIT_MB or over_mb > LIMIT_OVER_FLOOR_MB,
        ),
        Line(
            "CPU of sinyal run, one reading a minute",
            f"{cpu_pct:.2f} %",
            "",
            "",
            f"<= {LIMIT_CPU_PCT} %",
            cpu_pct > LIMIT_CPU_PCT,
        ),
    ]
