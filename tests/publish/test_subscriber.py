"""Reading from a broker: what is retained, what is live, and clear words when it cannot be."""

import pytest

from agent.errors import BrokerUnreachable
from agent.publish.mqtt import Connection, Message
from agent.publish.problems import LinkProblem
from agent.publish.subscriber import subscribe
from tests.support.fake_broker import Behaviour, FakeBroker
from tests.support.mosquitto import Mosquitto, free_port


def _publish(port: int, topic: str, payload: bytes, *, retain: bool = False) -> None:
    connection = Connection(("127.0.0.1", port), client_id="someone", keepalive_s=60)
    connection.open()
    connection.publish(topic, payload, retain=retain)
    assert [ack.reason_code < 128 for ack in connection.exchange(5)] == [True]
    connection.close(goodbye=True)


def test_retained_and_live_messages_come_as_they_are(broker: Mosquitto) -> None:
    _publish(broker.port, "desa/v1/gw/status", b"{}", retain=True)
    with subscribe("127.0.0.1", broker.port, ["desa/v1/+/#"]) as messages:
        assert next(messages) == Message("desa/v1/gw/status", b"{}", retained=True)
        _publish(broker.port, "desa/v1/gw/readings", b"\x78\x00\xff")
        topic, payload, retained = next(messages)
        assert (topic, payload, retained) == ("desa/v1/gw/readings", b"\x78\x00\xff", False)
        assert messages.receive(0.05) == []


def test_over_tls(tls_broker: Mosquitto) -> None:
    tls = tls_broker.tls
    assert tls is not None
    with subscribe(
        "localhost",
        tls_broker.port,
        ["desa/v1/gw-test/command"],
        tls=True,
        ca_file=tls.ca,
        cert_file=tls.client_cert,
        key_file=tls.client_key,
    ) as messages:
        assert messages.receive(0.05) == []


def test_many_messages_come_in_order(broker: Mosquitto) -> None:
    sender = Connection(("127.0.0.1", broker.port), client_id="sender", keepalive_s=60)
    sender.open()
    with subscribe("127.0.0.1", broker.port, ["t"]) as messages:
        for number in range(200):
            while sender.room == 0:
                sender.exchange(5)
            sender.publish("t", b"%d" % number)
        assert [int(next(messages).payload) for _message in range(200)] == list(range(200))
    sender.close(goodbye=True)


def test_a_topic_that_is_no_text_is_left_out() -> None:
    behaviour = Behaviour(subscribed=(b"desa/\xff\xfe", b"", b"desa/good"))
    with FakeBroker(behaviour) as broker, subscribe("127.0.0.1", broker.port, ["#"]) as messages:
        assert [next(messages).topic, next(messages).topic] == ["", "desa/good"]


def test_a_lost_connection_is_told(broker: Mosquitto) -> None:
    with subscribe("127.0.0.1", broker.port, ["#"]) as messages:
        broker.kill()
        with pytest.raises(BrokerUnreachable, match="closed the connection"):
            next(messages)


def test_nobody_there() -> None:
    with pytest.raises(LinkProblem, match="refuses connections") as caught:
        subscribe("127.0.0.1", free_port(), ["#"])
    assert (caught.value.code, caught.value.exit_code) == ("refused", 5)


@pytest.mark.parametrize(
    ("host", "code"),
    [
        ("no-such-name.invalid", "name_not_resolved"),
        ("a..b", "name_not_resolved"),
        ("é..b", "name_impossible"),
    ],
)
def test_a_name_that_leads_nowhere(host: str, code: str) -> None:
    with pytest.raises(LinkProblem) as caught:
        subscribe(host, 1883, ["#"])
    assert caught.value.code == code
    assert host in caught.value.what


def test_a_refused_subscription() -> None:
    refused = pytest.raises(LinkProblem, match="refuses the subscription to secret/#")
    with FakeBroker(Behaviour(suback=135)) as broker, refused:
        subscribe("127.0.0.1", broker.port, ["secret/#"])


def test_bytes_of_a_giant_packet_are_not_collected() -> None:
    refused = pytest.raises(LinkProblem, match="announced a packet of 268435455 bytes")
    with FakeBroker(Behaviour(after_connack=b"\x30\xff\xff\xff\x7f")) as broker, refused:
        subscribe("127.0.0.1", broker.port, ["#"]).receive(2)


def test_an_impossible_filter_is_told(broker: Mosquitto) -> None:
    with pytest.raises(LinkProblem, match="desa/#/x is not a possible topic filter"):
        subscribe("127.0.0.1", broker.port, ["desa/#/x"])
