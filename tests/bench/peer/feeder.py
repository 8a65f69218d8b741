"""A source of numbered samples for programs that take them from a local MQTT broker."""

import json
import threading
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tests.bench.peer.forwarder import SAMPLE_S

TOPIC = "samples"


class Feeder:
    """Publishes a sample each SAMPLE_S while it may; `accepted` are those the local broker acknowledged."""

    def __init__(self, port: int) -> None:
        self.accepted: set[int] = set()
        self._numbers: dict[int, int] = {}
        self._next = 1
        self._lock = threading.Lock()
        self._flowing = threading.Event()
        self._ended = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id="source", protocol=paho.MQTTv5)
        self._client.on_publish = self._on_publish
        self._client.reconnect_delay_set(1, 1)
        self._client.connect_async("127.0.0.1", port)
        self._client.loop_start()
        threading.Thread(target=self._work, daemon=True).start()

    def flow(self) -> None:
        """Give samples."""
        self._flowing.set()

    def hold(self) -> None:
        """Give none until the next flow()."""
        self._flowing.clear()

    def close(self) -> None:
        """End for good."""
        self._ended.set()
        self._client.disconnect()
        self._client.loop_stop()

    def _work(self) -> None:
        while not self._ended.wait(SAMPLE_S):
            if self._flowing.is_set() and self._client.is_connected():
                with self._lock:
                    number, self._next = self._next, self._next + 1
                    mid = self._client.publish(TOPIC, json.dumps({"n": number}), qos=1).mid
                    self._numbers[mid] = number

    def _on_publish(self, _client: paho.Client, _userdata: Any, mid: int, *_: Any) -> None:
        with self._lock:
            if mid in self._numbers:
                self.accepted.add(self._numbers.pop(mid))
