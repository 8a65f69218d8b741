import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.cli.page_server import lan_address
from agent.pipeline.snapshot import write_snapshot
from tests.cli.gateway_seen import gateway, snapshot
from tests.cli.test_main import HERE, sinyal


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    config = gateway(tmp_path, '[page]\ncontact_name = "Pak Sulaiman"\n')
    write_snapshot(tmp_path, snapshot())
    command = [sys.executable, "-m", "agent", "page", "--serve", "--config", str(config), "--lang", "en"]
    with subprocess.Popen(
        [*command, "--address", "127.0.0.1", "--port", "0"], cwd=HERE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        found = re.search(r"http://[0-9.:]+/", process.stderr.readline())
        assert found is not None
        yield found.group(), process
        process.kill()


def test_it_is_shown_on_the_network_and_nothing_else_is(server: tuple[str, "subprocess.Popen[str]"]) -> None:
    url, process = server
    for path in ("", "index.html", "?again"):
        with urllib.request.urlopen(url + path, timeout=60) as answer:  # the address is our own
            page = answer.read().decode()
            assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert "Pak Sulaiman" in page and "NOT KNOWN" in page
    for path in ("sinyal.toml", "../sinyal.toml", "state/", "%2e%2e/sinyal.toml"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(url + path, timeout=60)
        assert refused.value.code == 404
        refused.value.close()
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0


def test_phones_that_leave_or_send_rubbish_do_no_harm(server: tuple[str, "subprocess.Popen[str]"]) -> None:
    url, process = server
    port = int(url.rsplit(":", 1)[1].strip("/"))
    for sent in (b"", b"\0\xff" * 500 + b"\r\n\r\n", b"GET / HTTP/1.1\r\n", b"POST / HTTP/1.0\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", port), timeout=60) as peer:
            peer.sendall(sent)
    with urllib.request.urlopen(url, timeout=60) as answer:
        assert answer.status == 200
    process.send_signal(signal.SIGINT)
    _out, said = process.communicate(timeout=60)
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        ((), 2, "page.folder is empty"),
        (("--serve", "--json"), 2, "not allowed with"),
        (("--serve", "--port", "70000"), 2, "70000 is no port"),
        (("--serve", "--address", "203.0.113.9"), 2, "203.0.113.9 is no address of this gateway"),
        (("--folder", "/dev/null/page"), 1, "cannot be written"),
    ],
)
def test_what_cannot_be_done_is_told(
    arguments: tuple[str, ...], code: int, text: str, tmp_path: Path
) -> None:
    config = gateway(tmp_path)
    shown = sinyal("page", "--config", str(config), "--lang", "en", *arguments)
    assert shown.returncode == code
    assert text in shown.stderr
    assert "Next step:" in shown.stderr
    assert shown.stderr.count("\n") == 1


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    config = gateway(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        shown = sinyal(
            "page",
            "--serve",
            "--address",
            "127.0.0.1",
            "--port",
            port,
            "--config",
            str(config),
            "--lang",
            "en",
        )
    assert shown.returncode == 1
    assert f"port {port} is taken by another program" in shown.stderr


def test_the_address_is_that_of_the_village_network() -> None:
    assert lan_address("lo") == "127.0.0.1"
    assert lan_address("no-such-if0") is None
