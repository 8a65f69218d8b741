import json
import os
import pty
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.whole_gateway import wait_until
from tests.support.mosquitto import Mosquitto, mosquitto
from tests.support.shaper import Shaper
from tests.support.speed_server import SpeedServer


class Box:
    """A gateway in a folder, with or without its agent running."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.agent: subprocess.Popen[bytes] | None = None
        self.configure()

    def configure(self, *, url: str = "", more: str = "", broker: str = "") -> None:
        (self.folder / "sinyal.toml").write_text(
            '[gateway]\nid = "gw-test"\nlanguage = "en"\n[paths]\nstate = "state"\nruntime = "run"\n'
            f'[readings]\ninterval_s = 0.2\n[modem]\nport = "/dev/null"\n[throughput]\nurl = "{url}"\n'
            f"[publish]\ninterval_s = 0\nreconnect_max_s = 1\n[broker]\n{broker}\n"
            f"[budget]\nrupiah_per_mb = 25\n{more}\n"
        )

    def environment(self) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("SINYAL_")}
        return {**clean, "SINYAL_CONFIG": str(self.folder / "sinyal.toml")}

    def sinyal(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "agent", *arguments],
            env=self.environment(),
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=90,
            check=False,
        )

    def json(self, *arguments: str) -> dict[str, Any]:
        shown = self.sinyal(*arguments, "--json")
        assert shown.stderr == "", shown.stderr
        document: dict[str, Any] = json.loads(shown.stdout)
        return document

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.agent = subprocess.Popen(
                [sys.executable, "-m", "agent", "run"], env=self.environment(), stderr=log
            )
        wait_until("the agent shows itself", lambda: (self.folder / "run" / "control.sock").exists())
        wait_until("the budget is loaded", lambda: self.sinyal("budget").returncode == 0 or self.over())

    def over(self) -> bool:
        return self.sinyal("budget").returncode == 1 and "{" in self.sinyal("budget", "--json").stdout

    def stop(self, *, kill: bool = False) -> None:
        if self.agent is not None:
            self.agent.kill() if kill else self.agent.terminate()
            self.agent.wait(15)
            self.agent = None


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    made = Box(tmp_path)
    yield made
    made.stop(kill=True)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with mosquitto(tmp_path / "broker", gateway_id="gw-test") as running:
        yield running


def test_a_fresh_box_has_used_nothing_and_nothing_is_made(box: Box) -> None:
    document = box.json("budget")

    assert document["used_bytes"] == 0 and document["left_bytes"] == document["max_bytes"] == 300_000_000
    assert not (box.folder / "state").exists()


@pytest.mark.parametrize("language", ["id", "en"])
def test_the_screen_fits_80_columns(language: str, box: Box) -> None:
    shown = box.sinyal("budget", "--lang", language)

    assert shown.returncode == 0
    assert max(len(line) for line in shown.stdout.splitlines()) <= 80
    assert "Rp" in shown.stdout and "300" in shown.stdout


@pytest.mark.parametrize("running", [False, True], ids=["without the agent", "with the agent"])
@pytest.mark.parametrize("engine", ["https", "speedtest-cli"])
def test_a_test_by_hand_is_paid_from_the_same_purse(running: bool, engine: str, box: Box) -> None:
    (box.folder / "state").mkdir()
    with SpeedServer() as server:
        box.configure(url=f"http://127.0.0.1:{server.port}/x/")
        text = (box.folder / "sinyal.toml").read_text()
        (box.folder / "sinyal.toml").write_text(text.replace("[publish]", f'engine = "{engine}"\n[publish]'))
        if running:
            box.start()
        result = box.json("speedtest", "--yes")
        history = box.json("speedtest", "--history")["tests"]
        screen = box.sinyal("speedtest", "--history").stdout

    assert result["state"] == "done" and result["engine"] == engine and result["down_kbit_s"] > 0
    assert [test["bytes"] for test in history] == [result["bytes"]]
    assert "by hand" in screen and "bit/s" in screen
    assert box.json("budget")["by_use"]["throughput"] == result["bytes"]
    box.stop()
    after = box.json("budget")
    assert after["by_use"]["throughput"] == result["bytes"]
    assert after["by_use"]["other"] == 0


def test_nothing_is_spent_without_being_asked(box: Box) -> None:
    (box.folder / "state").mkdir()
    with SpeedServer() as server:
        box.configure(url=f"http://127.0.0.1:{server.port}/x/")
        shown = box.sinyal("speedtest")
        assert shown.returncode == 2
        assert "408 kB (Rp 10.2)" in shown.stderr and "--yes" in shown.stderr
        for typed, expected in ((b"n\n", 1), (b"y\n", 0)):
            master, slave = pty.openpty()
            os.write(master, typed)
            child = subprocess.Popen(
                [sys.executable, "-m", "agent", "speedtest"],
                env=box.environment(),
                stdin=slave,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            out, err = child.communicate(timeout=60)
            os.close(slave)
            os.close(master)
            assert child.returncode == expected, err
            assert ("Down" in out) == (expected == 0)
            if expected:
                assert server.asked == []


def test_a_failing_test_is_one_line_with_a_next_step_and_is_paid(box: Box) -> None:
    (box.folder / "state").mkdir()
    with SpeedServer(answer=302) as server:
        box.configure(url=f"http://127.0.0.1:{server.port}/x/")
        shown = box.sinyal("speedtest", "--yes")

    assert shown.returncode == 1
    assert len(shown.stderr.splitlines()) == 1 and "Next step:" in shown.stderr
    assert 0 < box.json("budget")["by_use"]["throughput"] < 10_000


def test_ctrl_c_ends_a_test_and_pays_what_it_used(box: Box) -> None:
    (box.folder / "state").mkdir()
    with SpeedServer() as server, Shaper(server.port, bytes_per_s=8000) as link:
        box.configure(url=f"http://127.0.0.1:{link.port}/x/")
        child = subprocess.Popen(
            [sys.executable, "-m", "agent", "speedtest", "--yes"],
            env=box.environment(),
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        wait_until("some bytes have come", lambda: link.down_bytes > 10_000)
        os.killpg(child.pid, signal.SIGINT)
        _out, err = child.communicate(timeout=30)

    assert child.returncode == 1
    assert "stopped by hand" in err and "Traceback" not in err
    assert 10_000 < box.json("budget")["by_use"]["throughput"] < 200_000


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files for others")
def test_a_database_that_root_makes_belongs_to_the_agents_user(box: Box) -> None:
    state = box.folder / "state"
    state.mkdir()
    os.chown(state, 65534, 65534)

    with SpeedServer() as server:
        box.configure(url=f"http://127.0.0.1:{server.port}/x/")
        assert box.json("speedtest", "--yes")["state"] == "done"

    assert {file.stat().st_uid for file in state.iterdir()} == {65534}


def test_reading_the_budget_leaves_no_file_behind(box: Box) -> None:
    (box.folder / "state").mkdir()

    assert box.json("speedtest", "--history") == {"tests": [], "planned": "no_server"}
    assert box.json("speedtest", "--engine", "passive")["down_kbit_s"] is None
    box.json("budget")

    assert list((box.folder / "state").iterdir()) == []


def test_a_look_at_a_damaged_database_leaves_it_to_the_agent(box: Box) -> None:
    (box.folder / "state").mkdir()
    database = box.folder / "state" / "sinyal.db"
    database.write_bytes(bytes(range(256)) * 64)

    for look in (["speedtest", "--history"], ["budget"], ["outages"], ["availability"]):
        shown = box.sinyal(*look)
        assert shown.returncode == 1 and "sudo" not in shown.stderr.partition("Next step")[0], shown
        assert "Next step" in shown.stderr and "group" not in shown.stderr

    assert [file.name for file in database.parent.iterdir()] == ["sinyal.db"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_who_may_only_read_sees_what_was_used_and_tested(box: Box) -> None:
    (box.folder / "state").mkdir()
    with SpeedServer() as server:
        box.configure(url=f"http://127.0.0.1:{server.port}/x/")
        box.json("speedtest", "--yes")
    database = box.folder / "state" / "sinyal.db"
    before = database.read_bytes()

    # Without the capabilities of root, whose file it is not: others may read.
    os.chown(database, 65534, 65534)
    os.chmod(database, 0o644)  # noqa: PTH101
    os.chmod(database.parent, 0o555)  # noqa: PTH101
    shown = subprocess.run(
        ["setpriv", "--bounding-set=-all", "--inh-caps=-all", sys.executable, "-m", "agent", "speedtest",
         "--history", "--lang", "en"],
        capture_output=True, text=True, env=box.environment(), check=False,
    )  # fmt: skip

    assert shown.returncode == 0 and "by hand" in shown.stdout, shown
    assert database.read_bytes() == before


def test_the_budget_outlives_kill_9_of_the_agent(box: Box, broker: Mosquitto) -> None:
    box.configure(broker=f'host = "127.0.0.1"\nport = {broker.port}')
    before = 0
    for _ in range(3):
        box.start()
        wait_until(
            "something was sent",
            lambda: box.json("budget")["used_bytes"] > before,  # noqa: B023 -- asked at once
        )
        time.sleep(0.5)
        seen = box.json("budget")["used_bytes"]
        box.stop(kill=True)
        after = box.json("budget")["used_bytes"]
        assert after >= seen
        before = after


def test_at_the_cap_readings_wait_and_the_centre_still_sees_the_gateway(box: Box, broker: Mosquitto) -> None:
    """Then the month's quota is raised and every reading arrives."""
    address = f'host = "127.0.0.1"\nport = {broker.port}'
    box.configure(broker=address, more="month_bytes = 1000000")
    box.start()
    box.stop()
    connection = sqlite3.connect(box.folder / "state" / "sinyal.db")
    connection.execute("INSERT OR REPLACE INTO budget_days SELECT max(day), 'other', 960000 FROM budget_days")
    connection.commit()
    sent_before = connection.execute("SELECT coalesce(max(last), 0) FROM sent").fetchone()[0]
    connection.close()
    box.start()
    wait_until("connected", lambda: '"connected"' in (box.folder / "run" / "status.json").read_text())
    time.sleep(1)
    status = json.loads((box.folder / "run" / "status.json").read_text())
    assert status["link"]["state"] == "connected" and status["link"]["last_ack_ts"]
    assert status["buffer"]["unsent"] > 0
    assert box.sinyal("budget").returncode == 1
    assert box.json("budget")["stage"] == "liveness_only"
    box.stop()
    connection = sqlite3.connect(box.folder / "state" / "sinyal.db")
    assert connection.execute("SELECT coalesce(max(last), 0) FROM sent").fetchone()[0] == sent_before
    connection.close()
    assert "budget of this month is used up" in (box.folder / "log").read_text()

    box.configure(broker=address, more="month_bytes = 300000000")
    box.start()
    wait_until(
        "all was sent",
        lambda: json.loads((box.folder / "run" / "status.json").read_text())["buffer"]["unsent"] < 3,
    )
