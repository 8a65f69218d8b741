"""Memory and processor of `sinyal run` with TLS, beside a bare interpreter with the same imports."""

import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from agent.modem.simulator import Behaviour, SimulatedModem
from agent.modem.transcript import read_transcript
from tests.bench.installed import with_bytecode
from tests.bench.line import Line
from tests.support.mosquitto import TlsFiles, mosquitto

TRANSCRIPT = Path(__file__).parents[2] / "agent" / "demo" / "modem.txt"
LIMIT_OVER_FLOOR_MB = 3.0
LIMIT_MB = 28.0
LIMIT_CPU_PCT = 0.3

# What the daemon imports from outside itself; the floor makes the same TLS context as well.
FLOOR = """
import argparse, collections, ctypes, dataclasses, fcntl, gettext, json, logging, pathlib, queue, secrets
import signal, sqlite3, ssl, subprocess, threading, tomllib, zlib
import paho.mqtt.client, psutil, serial
context = ssl.create_default_context(cafile={ca!r})
context.load_cert_chain({cert!r}, {key!r})
import sys, time
print("ready", flush=True)
time.sleep(3600)
"""

CONFIG = """
[gateway]
id = "bench"
language = "en"
[paths]
state = "state"
runtime = "run"
[modem]
port = "{modem}"
[broker]
host = "localhost"
port = {port}
tls = true
ca_file = "{ca}"
cert_file = "{cert}"
key_file = "{key}"
[publish]
interval_s = 60
startup_delay_max_s = 0
"""


def _rss_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024 / 1024


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _floor_mb(tls: TlsFiles, environment: dict[str, str]) -> float:
    code = FLOOR.format(ca=str(tls.ca), cert=str(tls.client_cert), key=str(tls.client_key))
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        process.stdout.readline()
        rss_mb = _rss_mb(process.pid)
        process.kill()
    return rss_mb


def run(seconds: int = 300) -> list[Line]:
    """Watch the daemon for `seconds` at one reading a minute, connected and publishing over TLS."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        with (
            mosquitto(folder / "broker", tls=True, gateway_id="bench") as broker,
            SimulatedModem(read_transcript(TRANSCRIPT), Behaviour()) as modem,
        ):
            assert broker.tls is not None
            config = folder / "sinyal.toml"
            config.write_text(
                CONFIG.format(
                    modem=modem.path,
                    port=broker.port,
                    ca=broker.tls.ca,
                    cert=broker.tls.client_cert,
                    key=broker.tls.client_key,
                )
            )
            environment = with_bytecode(folder)
            for _run in range(2):  # the first one only makes the bytecode
                floor_mb = _floor_mb(broker.tls, environment)
            subprocess.run(
                [sys.executable, "-c", "import agent.cli.run, agent.pipeline.daemon"],
                env=environment,
                check=True,
            )
            with (folder / "log").open("wb") as log:
                process = subprocess.Popen(
                    [sys.executable, "-m", "agent", "run", "--config", str(config)],
                    stderr=log,
                    env=environment,
                )
            try:
                time.sleep(min(15, seconds / 4))
                began, cpu_before = time.monotonic(), _cpu_s(process.pid)
                peak_mb = 0.0
                while time.monotonic() - began < seconds:
                    time.sleep(1)
                    peak_mb = max(peak_mb, _rss_mb(process.pid))
                cpu_pct = 100 * (_cpu_s(process.pid) - cpu_before) / (time.monotonic() - began)
            finally:
                process.terminate()
                process.wait(10)
            if "connected" not in (folder / "log").read_text():
                raise RuntimeError("the daemon never connected:\n" + (folder / "log").read_text())
    over_mb = peak_mb - floor_mb
    return [
        Line(
            f"RSS of sinyal run with TLS, peak in {seconds} s",
            f"{peak_mb:.1f} MB",
            f"bare interpreter, same imports {floor_mb:.1f} MB",
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
