"""`sinyal run` as it stands in a village, TLS with a client certificate, and the interpreter without it."""

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from agent.modem.simulator import Behaviour, SimulatedModem
from agent.modem.transcript import read_transcript
from tests.bench.installed import with_bytecode
from tests.bench.process import rss_mb
from tests.support.mosquitto import TlsFiles

GATEWAY_ID = "bench"
AGENT = ("agent", "run", "--config")
"""The module that is the agent, and what stands before the name of its configuration."""

TRANSCRIPT = Path(__file__).parents[2] / "agent" / "demo" / "modem.txt"

# What the daemon imports from outside itself; the floor makes the same TLS context as well.
FLOOR = """
import argparse, collections, ctypes, dataclasses, fcntl, gettext, json, logging, pathlib, queue, secrets
import signal, sqlite3, ssl, subprocess, threading, tomllib, zlib
import paho.mqtt.client, psutil, serial{also}
context = ssl.create_default_context(cafile={ca!r})
context.load_cert_chain({cert!r}, {key!r})
import sys, time
print("ready", flush=True)
time.sleep(3600)
"""

CONFIG = """
[gateway]
id = "{id}"
language = "en"
[paths]
state = "state"
runtime = "run"
[readings]
interval_s = {interval_s}
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
{publish}
"""


class TlsGateway:
    """A running gateway in one folder: its process id, its database, its log."""

    def __init__(self, folder: Path, process: "subprocess.Popen[bytes]") -> None:
        self.pid = process.pid
        self.database = database_in(folder)
        self._process = process
        self._log = folder / "log"

    def log_text(self) -> str:
        """Return everything it has logged."""
        return self._log.read_text()

    def require_alive(self) -> None:
        """Raise RuntimeError with the log when it has ended."""
        if self._process.poll() is not None:
            raise RuntimeError("the daemon has ended:\n" + self.log_text())


def database_in(folder: Path) -> Path:
    """Return where the gateway in `folder` keeps its readings."""
    return folder / "state" / "sinyal.db"


@contextmanager
def tls_gateway(
    folder: Path,
    port: int,
    tls: TlsFiles,
    *,
    interval_s: float = 60,
    publish: str = "",
    program: Sequence[str] = AGENT,
) -> Iterator[TlsGateway]:
    """Run a gateway with a simulated modem.

    publish: further lines of that section of its configuration. program: as AGENT.
    """
    folder.mkdir(exist_ok=True)
    with SimulatedModem(read_transcript(TRANSCRIPT), Behaviour()) as modem:
        config = folder / "sinyal.toml"
        config.write_text(
            CONFIG.format(
                id=GATEWAY_ID,
                interval_s=interval_s,
                modem=modem.path,
                port=port,
                ca=tls.ca,
                cert=tls.client_cert,
                key=tls.client_key,
                publish=publish,
            )
        )
        environment = with_bytecode(folder)
        subprocess.run(
            [sys.executable, "-c", "import agent.cli.run, agent.pipeline.start, gpiozero"],
            env=environment,
            check=True,
        )
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *program, str(config)], stderr=log, env=environment
            )
        try:
            yield TlsGateway(folder, process)
        finally:
            process.terminate()
            process.wait(10)


def floor_mb(folder: Path, tls: TlsFiles, *, also: str = "") -> float:
    """Return the memory of a bare interpreter with the daemon's imports, `also` more, and its TLS context."""
    environment = with_bytecode(folder)
    code = FLOOR.format(
        ca=str(tls.ca), cert=str(tls.client_cert), key=str(tls.client_key), also=also and f", {also}"
    )
    for _run in range(2):  # the first one only makes the bytecode
        command = [sys.executable, "-c", code]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(0.1)
            found_mb = rss_mb(process.pid)
            process.kill()
    return found_mb
