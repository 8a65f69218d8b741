"""Memory and processor of `sinyal run` with TLS, beside a bare interpreter with the same imports."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from tests.bench.line import Line
from tests.bench.process import cpu_s, rss_mb
from tests.bench.tls_gateway import AGENT, GATEWAY_ID, floor_mb, tls_gateway
from tests.support.mosquitto import TlsFiles, mosquitto

LIMIT_OVER_FLOOR_MB = 3.0
LIMIT_MB = 28.0
LIMIT_WITH_PINS_MB = 33.0
LIMIT_CPU_PCT = 0.3

SECONDS_WITH_PINS = 60

AGENT_WITH_PINS = ("tests.bench.agent_with_pins", "run", "--config")
PINS = """
[gpio]
adapter = "gpiozero"
led_power = "5"
led_modem = "6"
led_signal = "13"
led_link = "19"
led_unsent = "26"
relay = "17"
button = "22"
buzzer = "18"
"""


class _Watched(NamedTuple):
    peak_mb: float
    cpu_pct: float


def run(seconds: int = 300) -> list[Line]:
    """Watch the daemon for `seconds` at one reading a minute, connected and publishing over TLS."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        with mosquitto(folder / "broker", tls=True, gateway_id=GATEWAY_ID) as broker:
            assert broker.tls is not None
            bare_mb = floor_mb(folder, broker.tls)
            plain = _watch(folder / "plain", broker.port, broker.tls, seconds)
            bare_with_pins_mb = floor_mb(folder, broker.tls, also="gpiozero")
            shorter = min(seconds, SECONDS_WITH_PINS)
            with_pins = _watch(folder / "pins", broker.port, broker.tls, shorter, AGENT_WITH_PINS, PINS)
    return [
        _memory(f"RSS of sinyal run with TLS, peak in {seconds} s", plain, bare_mb, LIMIT_MB),
        _memory("the same with gpiozero and 8 pins", with_pins, bare_with_pins_mb, LIMIT_WITH_PINS_MB),
        Line(
            "CPU of sinyal run, one reading a minute",
            f"{plain.cpu_pct:.2f} %",
            "",
            "",
            f"<= {LIMIT_CPU_PCT} %",
            plain.cpu_pct > LIMIT_CPU_PCT,
        ),
    ]


def _watch(
    folder: Path, port: int, tls: TlsFiles, seconds: int, program: tuple[str, ...] = AGENT, more: str = ""
) -> _Watched:
    with tls_gateway(folder, port, tls, publish=more, program=program) as gateway:
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
    return _Watched(peak_mb, cpu_pct)


def _memory(what: str, watched: _Watched, bare_mb: float, limit_mb: float) -> Line:
    over_mb = watched.peak_mb - bare_mb
    return Line(
        what,
        f"{watched.peak_mb:.1f} MB",
        f"bare interpreter, same imports {bare_mb:.1f} MB",
        f"{over_mb:+.1f} MB",
        f"<= {limit_mb:.0f} MB, <= +{LIMIT_OVER_FLOOR_MB:.0f} MB",
        watched.peak_mb > limit_mb or over_mb > LIMIT_OVER_FLOOR_MB,
    )
