"""The page that shows redirection, and the other checks, against real servers."""

import http.server
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from agent.link.checks import (
    PageCheck,
    fetch_is_redirected,
    has_address,
    look_around,
    modem_evidence,
    page_check,
)
from agent.link.probe import Outcome, Target

Serve = Callable[..., int]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve one answer to everything over plain HTTP; gives the port."""
    made: list[http.server.ThreadingHTTPServer] = []

    def begin(status: int, body: bytes = b"", **headers: str) -> int:
        class Answers(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_args: Any) -> None:
                return

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        made.append(server)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return int(server.server_address[1])

    yield begin
    for server in made:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "body", "text", "redirected"),
    [
        (204, b"", "", False),
        (302, b"", "", True),
        (307, b"", "", True),
        (200, b"<h1>Paket habis</h1>", "", True),
        (511, b"", "", True),
        (403, b"", "", True),
        (503, b"", "", False),
        (200, b"sinyal says hello", "says hello", False),
        (200, b"<h1>Paket habis</h1>", "says hello", True),
        (200, b"x" * 100_000, "says hello", True),
        (204, b"", "says hello", True),
    ],
)
def test_an_answer_that_is_not_the_pages_own_is_a_redirection(
    serve: Serve, status: int, body: bytes, text: str, redirected: bool
) -> None:
    port = serve(status, body, Location="http://paket.example/habis")
    found, used = fetch_is_redirected(PageCheck("page.example", port, "/", text), "127.0.0.1", interface=None)
    assert found is redirected
    assert 0 < used < 4096


def test_silence_refusal_and_rubbish_are_no_redirection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        page = PageCheck("page.example", silent.getsockname()[1], "/", "")
        assert fetch_is_redirected(page, "127.0.0.1", interface=None, limit_s=0.2)[0] is None
    assert fetch_is_redirected(page, "127.0.0.1", interface=None)[0] is None
    with socket.create_server(("127.0.0.1", 0)) as rubbish:
        page = PageCheck("page.example", rubbish.getsockname()[1], "/", "")

        def talk() -> None:
            peer, _address = rubbish.accept()
            with peer:
                peer.recv(500)
                peer.sendall(b"\x00\xff" * 500)

        threading.Thread(target=talk, daemon=True).start()
        assert fetch_is_redirected(page, "127.0.0.1", interface=None)[0] is None


@pytest.mark.parametrize(
    ("url", "page"),
    [
        ("", None),
        ("http://a.example", PageCheck("a.example", 80, "/", "t")),
        ("http://a.example:8080/x/y?z", PageCheck("a.example", 8080, "/x/y?z", "t")),
        ("http://192.0.2.7/", PageCheck("192.0.2.7", 80, "/", "t")),
        ("http://[2001:db8::7]:81/x", PageCheck("2001:db8::7", 81, "/x", "t")),
        ("http://[2001:db8::7]/x", PageCheck("2001:db8::7", 80, "/x", "t")),
    ],
)
def test_the_configured_page(url: str, page: PageCheck | None) -> None:
    assert page_check(url, "t") == page


def test_an_interface_has_an_address_or_not() -> None:
    assert has_address("lo")
    assert not has_address("nowhere0")
    assert not has_address("a-name-that-is-far-too-long-for-linux")


def look(**changes: Any) -> dict[str, Any]:
    outcome = changes.pop("outcome", Outcome(None, "timeout", "icmp", 28))
    arguments: dict[str, Any] = {
        "targets": [(Target("192.0.2.1"), "192.0.2.1"), (Target("192.0.2.2"), "192.0.2.2")],
        "page": None, "route": lambda: "lo", "interface": None, "reach": lambda *_a, **_k: outcome,
    }  # fmt: skip
    arguments.update(changes)
    found = look_around(arguments.pop("targets"), arguments.pop("page"), **arguments)
    return dict(found.evidence)


def test_what_is_looked_at() -> None:
    assert look() == {
        "default_route": True, "interface": "lo", "ip_address": True, "addresses_answer": False,
        "refused_everywhere": False, "probed_by": "icmp",
    }  # fmt: skip
    assert look(outcome=Outcome(5.0, "", "icmp", 56))["addresses_answer"] is True
    assert look(outcome=Outcome(None, "refused", "tcp", 56))["refused_everywhere"] is True
    assert look(route=lambda: None) | {"x": 1} == {
        "default_route": False, "ip_address": False, "addresses_answer": False, "refused_everywhere": False,
        "probed_by": "icmp", "x": 1,
    }  # fmt: skip
    assert look(names=["localhost"])["names_resolve"] is True
    assert look(names=["never.invalid"])["names_resolve"] is False
    assert "addresses_answer" not in look(targets=[(Target("a.invalid"), ""), (Target("b.invalid"), "")])


def test_a_page_by_name_is_asked_for(serve: Serve) -> None:
    page = page_check(f"http://localhost:{serve(302)}/", "")
    evidence = look(page=page)
    assert evidence["redirected"] is True
    assert evidence["names_resolve"] is True


def test_a_modem_that_was_never_there_is_no_evidence() -> None:
    reading = {"modem_state": "missing", "rsrp_dbm": -90, "sim_state": None}
    assert modem_evidence(reading, expected=False) == {"modem_expected": False}
    assert modem_evidence(reading, expected=True) == {"modem_expected": True, "modem_state": "missing"}
