"""The fakes themselves: paho takes the fake broker for a real one, and the proxy does what it says."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tests.support.fake_broker import Behaviour, FakeBroker
from tests.support.listener import Listener
from tests.support.mosquitto import Mosquitto
from tests.support.proxy import Mode, Proxy
from tests.support.rows import RecordingRows


def _codes_from(port: int, topics: list[str]) -> tuple[list[int], list[int]]:
    """Publish to `topics` with paho alone; return the CONNACK codes and PUBACK codes it reports."""
    connacks: list[int] = []
    pubacks: list[int] = []
    done = threading.Event()
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="gw-test", protocol=paho.MQTTv5)

    def on_publish(
        _client: object, _userdata: object, _mid: int, reason: object, _properties: object
    ) -> None:
        pubacks.append(reason.value)  # type: ignore[attr-defined]
        if len(pubacks) == len(topics):
            done.set()

    client.on_connect = lambda _c, _u, _f, reason, _p: connacks.append(reason.value)
    client.on_publish = on_publish
    client.connect("127.0.0.1", port)
    client.loop_start()
    for topic in topics:
        client.publish(topic, b"payload", qos=1)
    assert done.wait(10)
    client.disconnect()
    client.loop_stop()
    return connacks, pubacks


def test_a_client_cannot_tell_the_fake_from_mosquitto(broker: Mosquitto) -> None:
    topics = ["a", "b", "desa/v1/gw-test/readings"]
    with Listener(broker.port), FakeBroker() as fake:
        assert _codes_from(broker.port, topics) == _codes_from(fake.port, topics) == ([0], [0, 0, 0])
        assert [message.topic for message in fake.record.published] == topics
        fake.wait_for("the goodbye", lambda record: record.disconnects == [0])


def test_the_fake_notes_what_a_client_may_not_do() -> None:
    fake = FakeBroker(Behaviour(receive_maximum=1, max_packet_bytes=20, hold_s=0.3))
    with socket.create_connection(("127.0.0.1", fake.port)) as client:
        client.sendall(b"\x10\x0d\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x00")
        assert client.recv(100)[:4] == b"\x20\x0b\x00\x00"
        client.sendall(b"\x32\x06\x00\x01a\x00\x01\x00" * 2 + b"\x30\x14\x00\x01b\x00\x09\x00" + b"x" * 14)
        fake.wait_for("the violations", lambda record: len(record.violations) == 4)
    assert fake.record.violations == [
        "packet identifier 1 is in use",
        "packet of 22 bytes, allowed are 20",
        "QoS 0 on b",
        "2 messages under way, allowed are 1",
    ]
    with pytest.raises(AssertionError):
        fake.close()


@contextmanager
def _echo() -> Iterator[int]:
    """Answer every byte with itself on a loopback port."""

    def serve() -> None:
        while True:
            try:
                client, _address = listening.accept()
            except OSError:
                return
            with client:
                while received := _received(client):
                    client.sendall(received)

    listening = socket.create_server(("127.0.0.1", 0))
    worker = threading.Thread(target=serve, daemon=True)
    worker.start()
    with closing(listening):
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
    worker.join(5)


def _received(client: socket.socket) -> bytes:
    try:
        return client.recv(4096)
    except OSError:
        return b""


def test_the_proxy_passes_swallows_slows_and_ends() -> None:
    with _echo() as port, Proxy(port, bytes_per_s=1000) as proxy:
        client = socket.create_connection(("127.0.0.1", proxy.port), 5)
        client.settimeout(0.3)
        client.sendall(b"one")
        assert client.recv(10) == b"one"
        assert (proxy.up_bytes, proxy.down_bytes) == (3, 3)
        swallowing: tuple[Mode, ...] = ("drop_answers", "stall")
        for mode in swallowing:
            proxy.mode = mode
            client.sendall(b"two")
            with pytest.raises(TimeoutError):
                client.recv(10)
        proxy.mode = "pass"
        with pytest.raises(ConnectionResetError):
            client.recv(10)
        client.close()
        proxy.mode = "slow"
        with socket.create_connection(("127.0.0.1", proxy.port), 5) as client:
            began = time.monotonic()
            client.sendall(b"x" * 300)
            assert len(client.recv(1000, socket.MSG_WAITALL)) <= 300
            assert time.monotonic() - began > 0.05
        proxy.mode = "refuse"
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", proxy.port), 5)


def test_recording_rows_are_strict() -> None:
    rows = RecordingRows(6)
    rows.mark_sent(3, 3)
    assert [row["seq"] for row in rows.unsent_rows(newest=False, limit=9, leased=[])] == [1, 2]
    assert [row["seq"] for row in rows.unsent_rows(newest=True, limit=9, leased=[(5, 5)])] == [6]
    rows.mark_sent(3, 3)
    rows.mark_sent(7, 7)
    assert len(rows.mistakes) == 2
