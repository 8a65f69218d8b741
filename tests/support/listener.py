"""An independent subscriber: what arrived at the broker, by paho's own thread and none of our code."""

import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties


class Heard(NamedTuple):
    """One message as it arrived."""

    topic: str
    payload: bytes
    retained: bool


class Listener:
    """Subscribes to everything on a plain loopback port and keeps what comes, over broker restarts too."""

    def __init__(self, port: int, topic: str = "#", client_id: str = "listener") -> None:
        self._topic = topic
        self._heard: list[Heard] = []
        self._subscribed = threading.Event()
        self._changed = threading.Condition()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=paho.MQTTv5)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe(self._topic, qos=1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_disconnect = lambda *_: self._subscribed.clear()
        self._client.on_message = self._on_message
        session = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        session.SessionExpiryInterval = 3600
        self._client.connect("127.0.0.1", port, clean_start=False, properties=session)
        self._client.loop_start()
        self.wait_until_back()

    def wait_until_back(self) -> None:
        """Wait until the broker listens to us (again).

        mosquitto 2.0 with an ACL gives a client that it restored from disk nothing before it has returned.
        """
        if not self._subscribed.wait(10):
            raise RuntimeError("the broker did not answer the test's subscriber")

    def _on_message(self, _client: paho.Client, _userdata: Any, message: paho.MQTTMessage) -> None:
        with self._changed:
            self._heard.append(Heard(message.topic, bytes(message.payload), message.retain))
            self._changed.notify_all()

    def heard(self, topic_end: str = "") -> list[Heard]:
        """Return all that came so far on topics that end so."""
        with self._changed:
            return [message for message in self._heard if message.topic.endswith(topic_end)]

    def wait_for(
        self, what: str, condition: Callable[[list[Heard]], bool], timeout_s: float = 60
    ) -> list[Heard]:
        """Wait until what came fulfils the condition; fail naming `what`."""
        until = time.monotonic() + timeout_s
        with self._changed:
            while not condition(self._heard):
                left_s = until - time.monotonic()
                if left_s <= 0:
                    raise AssertionError(
                        f"not within {timeout_s} s: {what}; {len(self._heard)} messages came"
                    )
                self._changed.wait(left_s)
            return list(self._heard)

    def close(self) -> None:
        """Leave the broker."""
        self._client.disconnect()
        self._client.loop_stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
