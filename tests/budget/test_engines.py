import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from agent.budget.speed_size import (
    LARGEST_BYTES,
    LARGEST_UNLIMITED_BYTES,
    SMALLEST_BYTES,
    SpeedSize,
    speed_size,
)
from tests.budget.speeding import run_child
from tests.support.certificates import Authority
from tests.support.shaper import Shaper
from tests.support.speed_server import MIB, SpeedServer

FOLDERS = {"https": "/backend/", "speedtest-cli": "/speedtest/"}
SMALL = speed_size(None, "https", unlimited=False)
LARGE = speed_size(1e6, "https", unlimited=False)


@pytest.mark.parametrize(
    ("last_kbit_s", "unlimited", "down"),
    [
        (None, False, SMALLEST_BYTES),
        (100, False, SMALLEST_BYTES),
        (2000, False, 1_000_000),
        (4000, False, LARGEST_BYTES),
        (1e6, False, LARGEST_BYTES),
        (20_000, True, 10_000_000),
        (1e6, True, LARGEST_UNLIMITED_BYTES),
    ],
)
def test_a_test_takes_four_seconds_at_the_last_rate_within_its_bounds(
    last_kbit_s: float | None, unlimited: bool, down: int
) -> None:
    size = speed_size(last_kbit_s, "https", unlimited=unlimited)

    assert (size.down_bytes, size.up_bytes) == (down, down // 2)
    assert 0 < size.down_payload_bytes < down


@pytest.mark.parametrize("size", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("closes", [False, True], ids=["keeps open", "closes"])
def test_https_stops_reading_at_the_cap_and_posts_exactly_its_part(size: SpeedSize, closes: bool) -> None:
    with SpeedServer(closes=closes) as server:
        result, _told = run_child("https", f"http://127.0.0.1:{server.port}/backend/", size)

    assert result["state"] == "done"
    assert result["down_kbit_s"] > 0 and result["up_kbit_s"] > 0 and result["rtt_ms"] > 0
    assert server.taken_bytes == size.up_payload_bytes
    assert size.down_payload_bytes + size.up_payload_bytes <= result["bytes"] <= size.cost_bytes


@pytest.mark.parametrize("engine", FOLDERS)
@pytest.mark.parametrize("size", [SMALL, LARGE], ids=["small", "large"])
def test_bytes_on_the_wire_stay_within_the_cap_and_a_megabyte(engine: str, size: SpeedSize) -> None:
    """Counted by a relay that holds hardly anything back, not by the engine itself."""
    with SpeedServer() as server, Shaper(server.port, bytes_per_s=50e6) as link:
        result, _told = run_child(engine, f"http://127.0.0.1:{link.port}{FOLDERS[engine]}", size)

    carried = link.down_bytes + link.up_bytes
    assert result["state"] == "done"
    assert 0.5 * (size.down_bytes + size.up_bytes) < carried
    assert carried <= size.down_bytes + size.up_bytes + 1_000_000
    assert result["bytes"] >= carried


def test_speedtest_cli_asks_nobody_but_the_server_it_was_given() -> None:
    with SpeedServer() as server:
        run_child("speedtest-cli", f"http://127.0.0.1:{server.port}/speedtest/", SMALL)

    assert {path.rpartition("/")[0] for path in server.asked} == {"/speedtest"}
    assert any("latency.txt" in path for path in server.asked)


def test_servers_that_are_known_are_tested_without_asking_ookla_for_its_lists() -> None:
    with SpeedServer() as server:
        known = {"url": f"http://127.0.0.1:{server.port}/speedtest/upload.php", "host": "near", "d": 0.0}
        result, _told = run_child("speedtest-cli", "", SMALL, servers=[known])

    assert result["state"] == "done" and result["server"] == "near"
    assert [each["host"] for each in result["servers"]] == ["near"]
    assert {path.rpartition("/")[0] for path in server.asked} == {"/speedtest"}


@pytest.mark.parametrize("status", [403, 429])
def test_ookla_that_refuses_is_asked_once(status: int, tmp_path: Path) -> None:
    """In a process of its own: the import of speedtest-cli takes stdout away."""
    script = f"""
import sys, urllib.error
from email.message import Message
import agent.budget.speed_ookla as engine
from agent.language import use_language
asked = []
class Opener:
    addheaders = []
    def open(self, request, timeout=None):
        asked.append(request)
        raise urllib.error.HTTPError("https://ookla.example", {status}, "no", Message(), None)
use_language("en")
engine.speedtest.build_opener = lambda *_details: Opener()
try:
    engine.OoklaEngine("", engine.SpeedSize(256000, 128000, 984000), print).run()
except engine.RefusedByOokla as refusal:
    open({str(tmp_path / "told")!r}, "w").write(f"{{len(asked)}} {{refusal.next_step}}")
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", script], timeout=60, check=True)

    assert (tmp_path / "told").read_text().startswith("1 it is not asked again for a day")


@pytest.mark.parametrize("engine", FOLDERS)
def test_a_test_leaves_by_the_given_interface_or_not_at_all(engine: str) -> None:
    # An address that is no loopback, which needs no interface.
    url = f"http://192.0.2.1{FOLDERS[engine]}"
    result, _told = run_child(engine, url, SMALL, interface="snyl-none0")

    assert result["state"] == "failed" and result["seconds"] < 5
    assert result["bytes"] < 1000


@pytest.mark.parametrize("engine", FOLDERS)
def test_a_link_of_64_kbit_s_is_measured_as_such_and_ends_in_time(engine: str) -> None:
    with SpeedServer() as server, Shaper(server.port, bytes_per_s=8000) as link:
        result, told = run_child(engine, f"http://127.0.0.1:{link.port}{FOLDERS[engine]}", SMALL)

    assert result["state"] == "done"
    assert 50 <= result["down_kbit_s"] <= 72
    assert 45 <= result["up_kbit_s"] <= 85
    assert result["seconds"] < 40
    assert link.down_bytes < 130_000 and link.up_bytes < 130_000
    assert {each["direction"] for each in told} == {"down", "up"}


def test_https_trusts_the_given_authority_alone(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    pair = authority.issue("localhost", file_name="server")
    with SpeedServer(tls=(pair.cert, pair.key)) as server:
        url = f"https://127.0.0.1:{server.port}/backend/"
        good, _told = run_child("https", url, LARGE, ca_file=authority.ca)
        refused, _told = run_child("https", url, LARGE)

    assert good["state"] == "done", good
    assert good["bytes"] <= LARGE.cost_bytes
    assert refused["state"] == "failed" and "certificate" in refused["reason"]
    assert 0 < refused["bytes"] < 20_000


@pytest.mark.parametrize(
    ("answer", "word", "advice"),
    [(302, "redirects to http://quota.example/paket-habis", "quota"), (404, "answered 404", "garbage.php")],
)
def test_a_server_that_is_none_is_told_with_its_next_step(answer: int, word: str, advice: str) -> None:
    with SpeedServer(answer=answer) as server:
        result, _told = run_child("https", f"http://127.0.0.1:{server.port}/backend/", SMALL)

    assert result["state"] == "failed"
    assert word in result["reason"] and advice in result["next_step"]
    assert result["bytes"] < 5000


@pytest.mark.parametrize("engine", FOLDERS)
def test_nobody_at_the_address_is_told_in_indonesian(engine: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        result, _told = run_child(engine, url, SMALL, language="id")

    assert result["state"] == "failed"
    assert "127.0.0.1" in result["reason"]
    assert result["next_step"].startswith("periksa")


def test_a_server_that_falls_silent_in_the_middle_ends_with_the_time_limit() -> None:
    stop = threading.Event()

    def serve(listener: socket.socket) -> None:
        peer, _address = listener.accept()
        with peer:
            for _small in range(3):
                peer.recv(4096)
                peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            peer.recv(4096)
            peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % MIB + bytes(10_000))
            stop.wait(30)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        result, _told = run_child("https", f"http://127.0.0.1:{listener.getsockname()[1]}/", SMALL)
        stop.set()

    assert result["state"] == "failed"
    assert "only 10000 bytes" in result["reason"]
    assert result["seconds"] < 30
