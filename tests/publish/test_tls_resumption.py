"""A second connection to the same broker goes on with the TLS session of the first, and costs half."""

import time
from pathlib import Path

import pytest

from agent.publish.mqtt import Connection
from agent.publish.problems import LinkProblem
from agent.publish.tls_sessions import TlsFiles, TlsSessions
from tests.support.certificates import Authority, make_tls_files
from tests.support.forwarding import forwarding, tls_broker, wait_until
from tests.support.mosquitto import Mosquitto, mosquitto
from tests.support.proxy import Proxy
from tests.support.rows import RecordingRows


def _sessions(broker: Mosquitto) -> TlsSessions:
    assert broker.tls is not None
    return TlsSessions(TlsFiles(broker.tls.ca, broker.tls.client_cert, broker.tls.client_key))


def _connect(broker: Mosquitto, sessions: TlsSessions) -> tuple[bool, int]:
    """Connect, say goodbye, and return whether the session was resumed and what it all cost in bytes."""
    connection = Connection(("localhost", broker.port), client_id="gw-test", keepalive_s=60, tls=sessions)
    connection.open()
    connection.publish("desa/v1/gw-test/status", b"{}", retain=True)
    while not connection.exchange(5):
        pass
    resumed = connection.is_resumed
    connection.close(goodbye=True)
    return resumed, connection.wire_bytes()


@pytest.mark.parametrize("version", ["tlsv1.3", "tlsv1.2"])
def test_the_second_connection_is_resumed_and_costs_less(tmp_path: Path, version: str) -> None:
    with mosquitto(tmp_path / "broker", tls=True) as broker:
        sessions = _sessions(broker)
        if version == "tlsv1.2":
            sessions.context().maximum_version = sessions.context().minimum_version
        (first, full_bytes), *others = [_connect(broker, sessions) for _time in range(4)]
    assert not first
    print(f"{version}: whole handshake {full_bytes} B, resumed {[size for _resumed, size in others]} B")
    for resumed, size in others:
        assert resumed
        assert size < 0.75 * full_bytes


def test_a_broker_that_forgot_the_session_gets_a_whole_handshake(tls_broker: Mosquitto) -> None:
    sessions = _sessions(tls_broker)
    assert _connect(tls_broker, sessions)[0] is False
    assert _connect(tls_broker, sessions)[0] is True
    tls_broker.kill()
    tls_broker.start()
    assert _connect(tls_broker, sessions)[0] is False
    assert _connect(tls_broker, sessions)[0] is True


def test_replaced_files_are_read_anew_and_the_sessions_forgotten(tmp_path: Path) -> None:
    with mosquitto(tmp_path / "broker", tls=True) as broker:
        assert broker.tls is not None
        sessions = _sessions(broker)
        context = sessions.context()
        _connect(broker, sessions)
        assert sessions.context() is context
        foreign = Authority(tmp_path / "x", "X").issue("gw-test", file_name="c", client=True)
        broker.tls.client_cert.write_bytes(foreign.cert.read_bytes())
        broker.tls.client_key.write_bytes(foreign.key.read_bytes())
        # The broker would take the old session: a refusal shows that it was not used.
        with pytest.raises(LinkProblem) as refused:
            _connect(broker, sessions)
        assert refused.value.code == "tls_own_certificate_refused"
        assert sessions.context() is not context


def test_another_broker_behind_the_same_name_is_still_checked(tmp_path: Path) -> None:
    with mosquitto(tmp_path / "broker", tls=True) as broker:
        sessions = _sessions(broker)
        _connect(broker, sessions)
        other = make_tls_files(tmp_path / "other", "gw-test")
        with mosquitto(tmp_path / "b2", tls=other) as false_broker:
            sessions.keep(("localhost", false_broker.port), sessions.session(("localhost", broker.port)))
            with pytest.raises(LinkProblem) as refused:
                _connect(false_broker, sessions)
    assert refused.value.code == "tls_unknown_authority"
    assert sessions.session(("localhost", false_broker.port)) is None


def test_the_forwarder_resumes_after_a_fade(tls_broker: Mosquitto) -> None:
    assert tls_broker.tls is not None
    rows = RecordingRows(1)
    with Proxy(tls_broker.port) as proxy, forwarding(rows, _configured(proxy.port, tls_broker)) as sending:
        wait_until("the first row", lambda: not rows.unsent_seqs())
        time.sleep(0.2)
        first = proxy.up_bytes + proxy.down_bytes
        proxy.mode = "reset"
        wait_until("the loss", lambda: sending.health().state != "connected")
        before = proxy.up_bytes + proxy.down_bytes
        proxy.mode = "pass"
        wait_until("the second connection", lambda: sending.health().connects == 2)
        rows.add()
        sending.wake()
        wait_until("the second row", lambda: not rows.unsent_seqs())
        time.sleep(0.2)
        second = proxy.up_bytes + proxy.down_bytes - before
    print(f"through the forwarder: first connection {first} B, second {second} B")
    assert second < 0.75 * first


def _configured(port: int, broker: Mosquitto):  # type: ignore[no-untyped-def]
    assert broker.tls is not None
    return tls_broker(port, broker.tls)
