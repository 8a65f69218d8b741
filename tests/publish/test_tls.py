"""Each TLS mistake has its own word, makes no connection, and is over when the mistake is."""

import datetime as dt
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from agent.config.model import BrokerConfig
from agent.errors import ConfigMistake, NoPermission
from agent.publish.tls_sessions import TlsFiles, tls_context
from tests.support import certificates
from tests.support.certificates import DAY, Authority, KeyPair, make_tls_files
from tests.support.fake_broker import FakeBroker
from tests.support.forwarding import forwarding, tls_broker, wait_until
from tests.support.mosquitto import Mosquitto, mosquitto
from tests.support.rows import RecordingRows


def _problem(configured: BrokerConfig) -> tuple[str | None, str]:
    """Return the code and the words of what a forwarder with this configuration meets first."""
    rows = RecordingRows(3)
    with forwarding(rows, configured) as sending:
        wait_until("a problem", lambda: sending.health().last_problem_code is not None)
        health = sending.health()
        time.sleep(0.2)
        assert sending.health().connects == 0
    assert rows.sent == set()
    return health.last_problem_code, str(health.last_problem)


def _broker_with(files: certificates.TlsFiles, folder: Path, kind: str) -> certificates.TlsFiles:
    authority = Authority(folder / "other", "Another CA")
    good = Authority(folder / "good")
    made = {
        "expired": lambda: good.issue("localhost", file_name="bad", begins=-30 * DAY, ends=-DAY),
        "not yet valid": lambda: good.issue("localhost", file_name="bad", begins=DAY),
        "wrong name": lambda: good.issue("broker.example", file_name="bad"),
        "other authority": lambda: authority.issue("localhost", file_name="bad"),
        "self-signed": lambda: good.issue("localhost", file_name="bad", self_signed=True),
    }[kind]()
    return replace(files, ca=good.ca, server_cert=made.cert, server_key=made.key)


@pytest.mark.parametrize(
    ("kind", "code", "words"),
    [
        ("expired", "tls_expired", f"the clock of this gateway is ahead: it says {dt.date.today().year}"),
        ("not yet valid", "tls_not_yet_valid", "the clock of this gateway is behind: it says"),
        ("wrong name", "tls_wrong_name", "is made for another name"),
        ("other authority", "tls_unknown_authority", "not from the authority in broker.ca_file"),
        ("self-signed", "tls_self_signed", "is signed by itself"),
    ],
)
def test_a_broker_with_a_bad_certificate(tmp_path: Path, kind: str, code: str, words: str) -> None:
    files = _broker_with(make_tls_files(tmp_path, "gw-test"), tmp_path, kind)
    with mosquitto(tmp_path / "broker", tls=files) as broker:
        found, text = _problem(tls_broker(broker.port, files))
    assert found == code
    assert words in text


@pytest.mark.parametrize("kind", ["expired", "not yet valid"])
def test_before_the_clock_is_confirmed_both_clock_and_certificate_are_named(
    tmp_path: Path, kind: str
) -> None:
    files = _broker_with(make_tls_files(tmp_path, "gw-test"), tmp_path, kind)
    trusted: list[bool] = []
    with (
        mosquitto(tmp_path / "broker", tls=files) as broker,
        forwarding(
            RecordingRows(3), tls_broker(broker.port, files), clock_is_trusted=lambda: bool(trusted)
        ) as sending,
    ):
        wait_until("the clock", lambda: sending.health().last_problem_code == "clock")
        problem = str(sending.health().last_problem)
        assert "the certificate of localhost" in problem
        assert "the clock of this gateway is not confirmed yet" in problem
        trusted.append(True)
        wait_until("the certificate", lambda: str(sending.health().last_problem_code).startswith("tls_"), 5)


def test_a_wrong_name_is_never_the_clock(tmp_path: Path) -> None:
    files = _broker_with(make_tls_files(tmp_path, "gw-test"), tmp_path, "wrong name")
    with (
        mosquitto(tmp_path / "broker", tls=files) as broker,
        forwarding(
            RecordingRows(3), tls_broker(broker.port, files), clock_is_trusted=lambda: False
        ) as sending,
    ):
        wait_until("the name", lambda: sending.health().last_problem_code == "tls_wrong_name")


def test_an_address_is_checked_against_the_certificate_too(
    tls_broker_files: certificates.TlsFiles, tmp_path: Path
) -> None:
    made = Authority(tmp_path / "names").issue("localhost.example", file_name="bad")
    files = replace(
        tls_broker_files, ca=tmp_path / "names" / "ca.pem", server_cert=made.cert, server_key=made.key
    )
    with mosquitto(tmp_path / "broker", tls=files) as broker:
        found, _text = _problem(tls_broker(broker.port, files, host="127.0.0.1"))
    assert found == "tls_wrong_name"


@pytest.fixture
def tls_broker_files(tmp_path: Path) -> certificates.TlsFiles:
    return make_tls_files(tmp_path / "tls", "gw-test")


def test_a_broker_without_tls(tls_broker_files: certificates.TlsFiles) -> None:
    with FakeBroker() as broker:
        found, text = _problem(tls_broker(broker.port, tls_broker_files))
        broker.record.violations.clear()
    assert found == "tls_not_spoken"
    assert "does not speak TLS" in text


def test_a_plain_mosquitto_is_no_tls_broker(
    broker: Mosquitto, tls_broker_files: certificates.TlsFiles
) -> None:
    assert _problem(tls_broker(broker.port, tls_broker_files))[0] == "tls_not_spoken"


def test_a_tls_port_without_tls_gives_no_answer(tls_broker: Mosquitto) -> None:
    found, text = _problem(BrokerConfig(host="127.0.0.1", port=tls_broker.port))
    assert found == "closed_without_answer"
    assert "closed the connection without an answer" in text


@pytest.mark.parametrize("kind", ["none", "other authority", "expired"])
def test_our_own_certificate_refused(tmp_path: Path, kind: str) -> None:
    authority = Authority(tmp_path / "tls")
    server = authority.issue("localhost", file_name="server")
    own: KeyPair | None = None
    if kind == "other authority":
        own = Authority(tmp_path / "x", "X").issue("gw-test", file_name="c", client=True)
    elif kind == "expired":
        own = authority.issue("gw-test", file_name="c", client=True, begins=-9 * DAY, ends=-DAY)
    cert, key = (own.cert, own.key) if own else (server.cert, server.key)
    files = certificates.TlsFiles(authority.ca, server.cert, server.key, cert, key)
    with mosquitto(tmp_path / "broker", tls=files) as broker:
        configured = tls_broker(broker.port, files)
        if own is None:
            configured = replace(configured, cert_file=None, key_file=None)
        found, text = _problem(configured)
    assert found == "tls_own_certificate_refused"
    assert ("has none to show" if own is None else "refuses the certificate of this gateway") in text


def test_a_repaired_certificate_is_used_without_a_restart(tmp_path: Path) -> None:
    files = _broker_with(make_tls_files(tmp_path, "gw-test"), tmp_path, "other authority")
    right = make_tls_files(tmp_path / "right", "gw-test")
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(files.ca.read_bytes())
    rows = RecordingRows(3)
    with mosquitto(tmp_path / "broker", tls=right) as broker:
        configured = tls_broker(broker.port, right, ca=trusted)
        with forwarding(rows, configured) as sending:
            wait_until("the mistake", lambda: sending.health().last_problem_code == "tls_unknown_authority")
            trusted.write_bytes(right.ca.read_bytes())
            wait_until("all rows marked sent", lambda: not rows.unsent_seqs())


def test_a_tls_file_that_cannot_be_used_is_named(
    tls_broker_files: certificates.TlsFiles, tmp_path: Path
) -> None:
    ca, cert, key = tls_broker_files.ca, tls_broker_files.client_cert, tls_broker_files.client_key
    garbage = tmp_path / "garbage.pem"
    garbage.write_bytes(b"\x00\xffno certificate")
    encrypted = tmp_path / "encrypted.key"
    encrypted.write_bytes(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    for files, words in (
        (
            TlsFiles(tmp_path / "none.pem", cert, key),
            "broker.ca_file: .*none.pem cannot be read: No such file",
        ),
        (TlsFiles(tmp_path, cert, key), "broker.ca_file: .* cannot be read: Is a directory"),
        (TlsFiles(garbage, cert, key), "broker.ca_file: .*garbage.pem holds no certificate"),
        (TlsFiles(ca, garbage, key), "broker.cert_file .*garbage.pem and broker.key_file"),
        (TlsFiles(ca, cert, tls_broker_files.server_key), "the key in .* is not that of the certificate"),
        (TlsFiles(ca, cert, encrypted), "cannot be used together"),
        (TlsFiles(ca, cert, tmp_path / "none.key"), "no certificate yet: .*none.key"),
    ):
        with pytest.raises(ConfigMistake, match=words):
            tls_context(files)


def test_a_file_that_may_not_be_read_is_a_matter_of_permission(
    tls_broker_files: certificates.TlsFiles,
) -> None:
    tls_broker_files.ca.chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)  # root may read everything, "nobody" may not
    try:
        with pytest.raises(NoPermission, match=r"broker\.ca_file: no permission to read"):
            tls_context(TlsFiles(tls_broker_files.ca))
    finally:
        os.seteuid(user)
