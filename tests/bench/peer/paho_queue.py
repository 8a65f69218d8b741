"""paho-mqtt as most scripts use it: publish() and let the library queue in memory."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterable
from pathlib import Path

from tests.bench.peer.forwarder import SAMPLE_S
from tests.support.listener import Heard

SCRIPT = """
import json, sys, threading, time
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
port, key, number, every_s = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
client = paho.Client(CallbackAPIVersion.VERSION2, client_id=key, protocol=paho.MQTTv5)
client.max_queued_messages_set(0)
client.reconnect_delay_set(1, 10)
client.connect_async("127.0.0.1", port, keepalive=30)
client.loop_start()
threading.Thread(target=lambda: (sys.stdin.read(), holding.set()), daemon=True).start()
holding = threading.Event()
while not holding.wait(every_s):
    client.publish(key + "/samples", json.dumps({"n": number}), qos=1)
    print(number, flush=True)
    number += 1
time.sleep(3600)
"""


class PahoQueue:
    """A child that takes samples, says which, and hands them to paho."""

    name = "paho, RAM queue"

    def __init__(self, folder: Path, key: str, centre_port: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._key = key
        self._port = centre_port
        self._taken: set[int] = set()
        self._process: subprocess.Popen[str] | None = None

    @property
    def pid(self) -> int:
        """Its number."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it where it ended."""
        first = max(self._taken, default=0) + 1
        self._process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(self._port), self._key, str(first), str(SAMPLE_S)],
            cwd=self._folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        threading.Thread(target=self._read, args=(self._process,), daemon=True).start()

    def _read(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self._taken.add(int(line))

    def hold(self) -> None:
        """Let it take no further samples."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()

    def kill(self) -> None:
        """End it with SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def taken(self) -> set[int]:
        """Return what it said it had taken."""
        return set(self._taken)

    def arrived(self, heard: Iterable[Heard]) -> set[int]:
        """Return its samples."""
        topic = f"{self._key}/samples"
        return {json.loads(message.payload)["n"] for message in heard if message.topic == topic}

    def close(self) -> None:
        """Leave nothing running."""
        self.kill()
