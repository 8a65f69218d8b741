"""Enrolment over HTTPS: a token serves one id and one key, a certificate renews itself, no more."""

import http.client
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from agent.enrolment.sending import EnrolmentRefused, plain_token, send_request
from agent.errors import BrokerUnreachable, UsageMistake
from provisioning.authority.folder import Authority
from provisioning.authority.requests import read_request
from provisioning.enrolment.desk import Desk
from provisioning.enrolment.endpoint import MOST_AT_ONCE, Endpoint, server_context
from provisioning.enrolment.rate_limit import MOST_FROM_ONE, MOST_IN_ALL, WINDOW_S, RateLimit
from provisioning.enrolment.tokens import Tokens
from provisioning.whole_files import write_whole
from tests.provisioning.conftest import Run
from tests.support.requests import Key, new_key, request_pem


@pytest.fixture
def said() -> list[tuple[str, str, str]]:
    return []


@pytest.fixture
def endpoint(authority: Authority, tmp_path: Path, said: list[tuple[str, str, str]]) -> Iterator[Endpoint]:
    cert, key = authority.sign_own("localhost", kind="server", hosts=["localhost", "127.0.0.1"])
    write_whole(tmp_path / "server.pem", cert)
    write_whole(tmp_path / "server.key", key, 0o600)
    context = server_context(authority.folder / "ca.pem", tmp_path / "server.pem", tmp_path / "server.key")
    desk = Desk(authority, {"gw-a", "gw-b"}.__contains__)
    serving = Endpoint(("127.0.0.1", 0), context, desk, said=lambda *words: said.append(words))
    thread = threading.Thread(target=serving.serve_forever, daemon=True)
    thread.start()
    yield serving
    serving.shutdown()
    serving.server_close()
    thread.join(10)


def send(endpoint: Endpoint, authority: Authority, request: bytes, **how: object) -> bytes:
    url = f"https://localhost:{endpoint.server_address[1]}"
    return send_request(url, request, ca_file=authority.folder / "ca.pem", **how)  # type: ignore[arg-type]


def pair(folder: Path, pem: bytes, key: Key) -> dict[str, Path]:
    (folder / "own.pem").write_bytes(pem)
    plain = serialization.NoEncryption()
    (folder / "own.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    )
    return {"cert_file": folder / "own.pem", "key_file": folder / "own.key"}


def test_a_token_serves_one_key_and_an_answer_that_was_lost_is_given_again(
    endpoint: Endpoint, authority: Authority
) -> None:
    token = plain_token(Tokens(authority.folder).make("gw-a"))
    request = request_pem("gw-a")

    pem = send(endpoint, authority, request, token=token)

    assert send(endpoint, authority, request, token=token) == pem
    with pytest.raises(EnrolmentRefused, match="token"):
        send(endpoint, authority, request_pem("gw-a"), token=token)


def test_a_token_is_for_its_gateway_alone_and_ends(endpoint: Endpoint, authority: Authority) -> None:
    for_a = plain_token(Tokens(authority.folder).make("gw-a"))
    ended = plain_token(Tokens(authority.folder, now=lambda: 1.0).make("gw-b"))
    not_listed = plain_token(Tokens(authority.folder).make("gw-x"))
    for name, token in (("gw-b", for_a), ("gw-b", ended), ("gw-b", "A" * 26)):
        with pytest.raises(EnrolmentRefused, match="does not take the token"):
            send(endpoint, authority, request_pem(name), token=token)
    with pytest.raises(EnrolmentRefused, match="another gateway_id"):
        send(endpoint, authority, request_pem("gw-x"), token=not_listed)
    assert not [each for each in authority.afresh().index.all() if each.kind == "gateway"]


def test_a_certificate_in_use_renews_itself_until_it_is_withdrawn(
    endpoint: Endpoint, authority: Authority, tmp_path: Path
) -> None:
    key = new_key()
    request = request_pem("gw-a", key)
    with pytest.raises(EnrolmentRefused, match="token"):
        send(endpoint, authority, request)
    own = pair(
        tmp_path,
        send(endpoint, authority, request, token=plain_token(Tokens(authority.folder).make("gw-a"))),
        key,
    )

    renewed = send(endpoint, authority, request, **own)

    assert renewed != own["cert_file"].read_bytes()
    with pytest.raises(EnrolmentRefused, match="certificate of this gateway"):
        send(endpoint, authority, request_pem("gw-b"), **own)
    authority.afresh().revoke("gw-a", "stolen")
    with pytest.raises(EnrolmentRefused, match="certificate of this gateway"):
        send(endpoint, authority, request, **own)


def test_a_new_key_costs_the_old_one_only_when_it_is_in_use(
    endpoint: Endpoint, authority: Authority, tmp_path: Path
) -> None:
    old, new = new_key(), new_key()
    token = plain_token(Tokens(authority.folder).make("gw-a"))
    own = pair(tmp_path, send(endpoint, authority, request_pem("gw-a", old), token=token), old)
    request = request_pem("gw-a", new)

    def withdrawn() -> list[bool]:
        return [bool(each.revoked_ts) for each in authority.afresh().index.of("gw-a")]

    for _lost_answer in range(2):
        pem = send(endpoint, authority, request, **own)
    assert withdrawn() == [False, False, False]

    own = pair(tmp_path, pem, new)
    assert send(endpoint, authority, request, **own) == pem
    assert withdrawn() == [True, False, False]


def test_a_new_token_ends_the_one_that_was_not_used(authority: Authority) -> None:
    used, lost, fresh = (Tokens(authority.folder).make("gw-a") for _number in range(3))
    other = Tokens(authority.folder).make("gw-b")
    assert not Tokens(authority.folder).take(lost, "gw-a", "k")
    assert Tokens(authority.folder).take(fresh, "gw-a", "k")
    assert not Tokens(authority.folder).take(used, "gw-a", "k")
    Tokens(authority.folder).make("gw-a")
    assert Tokens(authority.folder).take(fresh, "gw-a", "k"), "its answer may have been lost"
    assert Tokens(authority.folder).take(other, "gw-b", "k")


def test_guessing_is_stopped_and_the_log_holds_no_token(
    endpoint: Endpoint, authority: Authority, said: list[tuple[str, str, str]]
) -> None:
    token = plain_token(Tokens(authority.folder).make("gw-a"))
    for _try in range(MOST_FROM_ONE):
        with pytest.raises(EnrolmentRefused, match="token"):
            send(endpoint, authority, request_pem("gw-a"), token="B" * 26)
    with pytest.raises(EnrolmentRefused, match="no more tries"):
        send(endpoint, authority, request_pem("gw-a"), token=token)
    assert said == [("127.0.0.1", "-", "token")] * MOST_FROM_ONE
    assert token not in (authority.folder / "tokens.jsonl").read_text()
    assert (authority.folder / "tokens.jsonl").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status"),
    [
        ("GET", "/v1/enrol", {}, b"", 501),
        ("POST", "/../../etc/passwd", {}, b"x", 404),
        ("POST", "/v1/enrol", {}, b"", 413),
        ("POST", "/v1/enrol", {"Content-Length": "99999999"}, b"", 413),
        ("POST", "/v1/enrol", {"Content-Length": "-1"}, b"", 413),
        ("POST", "/v1/enrol", {"Authorization": "Token \x00\xff"}, b"garbage", 403),
        ("POST", "/v1/enrol", {"X-Long": "a" * 70_000}, b"x", 431),
    ],
)
def test_what_is_no_enrolment_gets_a_short_no(
    endpoint: Endpoint,
    authority: Authority,
    method: str,
    path: str,
    headers: dict[str, str],
    body: bytes,
    status: int,
) -> None:
    context = ssl.create_default_context(cafile=authority.folder / "ca.pem")
    connection = http.client.HTTPSConnection(
        "localhost", endpoint.server_address[1], context=context, timeout=30
    )
    connection.putrequest(method, path)
    for name, value in {"Content-Length": str(len(body)), **headers}.items():
        connection.putheader(name, value.encode("latin-1"))
    connection.endheaders(body or None)
    assert connection.getresponse().status == status
    connection.close()


def test_silent_clients_hold_up_nobody_for_ever(endpoint: Endpoint, authority: Authority) -> None:
    silent = [
        socket.create_connection(("127.0.0.1", endpoint.server_address[1]))
        for _number in range(MOST_AT_ONCE - 1)
    ]
    try:
        token = plain_token(Tokens(authority.folder).make("gw-a"))
        assert send(endpoint, authority, request_pem("gw-a"), token=token).startswith(b"-----BEGIN CERT")
    finally:
        for each in silent:
            each.close()


def test_a_false_endpoint_gets_no_token(endpoint: Endpoint, authority: Authority, tmp_path: Path) -> None:
    from provisioning.authority.folder import create

    other = create(tmp_path / "other", "Other", b"a long passphrase")
    url = f"https://localhost:{endpoint.server_address[1]}"
    with pytest.raises(BrokerUnreachable, match="certificate of localhost is not acceptable"):
        send_request(url, request_pem("gw-a"), ca_file=other.folder / "ca.pem", token="A" * 26)
    with pytest.raises(UsageMistake, match="no https address"):
        send_request("http://localhost", b"", ca_file=authority.folder / "ca.pem")
    with pytest.raises(BrokerUnreachable, match="cannot be reached"):
        send_request("https://localhost:1", b"", ca_file=authority.folder / "ca.pem")


def test_tokens_are_typed_with_or_without_dashes() -> None:
    assert plain_token(" abcde-fghij-klmno-pqrst-uvwxyz\n") == "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    for wrong in ("", "abc", "0" * 26):
        with pytest.raises(UsageMistake):
            plain_token(wrong)


def test_the_limit_counts_failures_in_a_window() -> None:
    now = [0.0]
    limit = RateLimit(lambda: now[0])
    for _try in range(MOST_FROM_ONE):
        assert limit.is_open_for("a")
        limit.failed("a")
    assert not limit.is_open_for("a")
    assert limit.is_open_for("b")
    now[0] = WINDOW_S + 1
    assert limit.is_open_for("a")
    for number in range(MOST_IN_ALL):
        limit.failed(f"host {number}")
    assert not limit.is_open_for("b")


def test_the_command_gives_tokens_only_for_gateways_of_the_list(province: Path, provision: Run) -> None:
    given = provision("enrol", "token", "gw-a")
    assert given.returncode == 0, given.stderr
    token = plain_token(given.stdout)
    record = (province / "ca/tokens.jsonl").read_text()
    assert token not in record
    assert json.loads(record)["gateway_id"] == "gw-a"
    assert "in no row" in provision("enrol", "token", "gw-x").stderr
    assert "is retired" in provision("enrol", "token", "gw-old").stderr


def test_signed_requests_are_kept_for_renewal(endpoint: Endpoint, authority: Authority) -> None:
    request = request_pem("gw-a")
    send(endpoint, authority, request, token=plain_token(Tokens(authority.folder).make("gw-a")))
    kept = authority.folder / "requests/gw-a.csr"
    assert read_request(kept.read_bytes()).key_sha256 == read_request(request).key_sha256
