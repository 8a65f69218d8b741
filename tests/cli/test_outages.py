"""`sinyal outages` and `sinyal availability`, with a running agent and without."""

import csv
import io
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from agent.buffer.keeper import Keeper
from agent.cli import outages
from agent.language import use_language
from agent.link import tables
from agent.link.outage import Edge, Outage
from tests.cli.test_main import sinyal
from tests.pipeline.whole_gateway import Gateway, wait_until

BEGINS = 1_788_195_600  # 2026-09-01 00:00 WIB


def gateway(folder: Path) -> Path:
    config = folder / "sinyal.toml"
    config.write_text('[gateway]\nid = "gw-1"\n[paths]\nstate = "state"\nruntime = "run"\n')
    (folder / "state").mkdir()
    (folder / "run").mkdir()
    return config


def left_behind(folder: Path) -> Path:
    """Make the database of an agent that lived through September 2026 and does not run any more."""
    config = gateway(folder)
    keeper = Keeper(
        folder / "state" / "sinyal.db", max_bytes=4 << 20, commit_interval_s=0, commit_readings=1, keep_days=9
    )
    keeper.start()
    keeper.note_true_time(BEGINS, "ntp")

    def fill(connection: sqlite3.Connection) -> None:
        tables.create(connection)
        boot = keeper.boot
        connection.execute("INSERT INTO link_spans VALUES (?, 0, ?, 1, 0)", (boot, 30 * 86400))
        for outage in (
            Outage("link", Edge(boot, 3600.0), Edge(boot, 7200.0), "quota", True, 20.0, {"redirected": True}),
            Outage("link", Edge(boot, 90_000.0), Edge(boot, 90_060.0), "weak_signal", False, 20.0, {}),
            Outage("report", Edge(boot, 200_000.0), None, "broker", False, 20.0, {}),
        ):
            tables.save(connection, outage, boot=boot)

    keeper.write(fill)
    keeper.close()
    return config


def test_what_failed_when_and_why(tmp_path: Path) -> None:
    config = left_behind(tmp_path)
    shown = sinyal("outages", "--config", str(config), "--lang", "en")
    assert shown.returncode == 1  # one lasts
    assert shown.stderr == ""
    lines = shown.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0] == "1 Sep 2026 01:00 WIB · 1 hour · presumably data package"
    assert lines[2] == "2 Sep 2026 01:00 WIB · 1 minute · weak signal"
    assert lines[3] == "  The signal is too weak."
    assert "lasts" in lines[4]
    assert lines[-1].startswith("Next step: ")


@pytest.mark.parametrize(
    ("is_over", "line"),
    [
        (False, "clock not right yet · lasts, 12 minutes so far · not known"),
        (True, "12 minutes ago (clock not right yet) · 1 minute · not known"),
    ],
)
def test_before_the_clock_is_right_an_outage_of_this_boot_has_its_age(
    is_over: bool, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    use_language("en")
    one: dict[str, Any] = {
        "start_ts": None, "began_s_ago": 720.0, "is_over": is_over, "duration_s": 60.0 if is_over else None,
        "cause": "unknown", "inferred": False, "evidence": {},
    }  # fmt: skip
    outages._print([one], is_bounded=False)
    use_language("id")
    assert capsys.readouterr().out.splitlines()[0] == line


def test_in_indonesian(tmp_path: Path) -> None:
    config = left_behind(tmp_path)
    shown = sinyal("outages", "--config", str(config)).stdout
    assert "1 Sep 2026 01.00 WIB · 1 jam · dugaan: paket data" in shown
    assert "Sinyal terlalu lemah." in shown
    figures = sinyal("availability", "--month", "2026-09", "--config", str(config)).stdout
    assert "Internet, dari seluruh waktu" in figures and "99,86 %" in figures
    assert max(map(len, (shown + figures).splitlines())) <= 80


def test_json_has_everything(tmp_path: Path) -> None:
    config = left_behind(tmp_path)
    done = sinyal("outages", "--json", "--config", str(config))
    document = json.loads(done.stdout)
    first = document["outages"][0]
    assert first == {
        "number": 1, "kind": "link", "cause": "quota", "inferred": True, "start_ts": BEGINS + 3600,
        "end_ts": BEGINS + 7200, "ts_quality": "ntp", "is_over": True, "duration_s": 3600.0,
        "precision_s": 20.0, "counts_as_down": True, "counts_for_a_link": True,
        "evidence": {"redirected": True}, "began_s_ago": None,
    }  # fmt: skip


def test_days_choose(tmp_path: Path) -> None:
    config = left_behind(tmp_path)

    def numbers(*bounds: str) -> list[int]:
        done = sinyal("outages", "--json", *bounds, "--config", str(config))
        return [one["number"] for one in json.loads(done.stdout)["outages"]]

    assert numbers("--to", "2026-09-01") == [1]
    assert numbers("--from", "2026-09-02") == [2, 3]
    assert numbers("--from", "2026-09-02", "--to", "2026-09-02") == [2]
    assert numbers("--to", "2026-08-31") == []


def test_the_three_figures(tmp_path: Path) -> None:
    config = left_behind(tmp_path)
    arguments = ("availability", "--month", "2026-09", "--config", str(config))
    document = json.loads(sinyal(*arguments, "--json").stdout)
    assert document["a_total"] == pytest.approx(1 - 3660 / 2_592_000, abs=1e-6)
    assert document["a_link"] == pytest.approx(1 - 3600 / 2_592_000, abs=1e-6)
    assert (document["a_power"], document["unknown_s"], document["outages"]) == (1.0, 0, 2)
    (row,) = csv.DictReader(io.StringIO(sinyal(*arguments, "--csv").stdout))
    assert (row["month"], float(row["link_down_s"]), float(row["unknown_s"])) == ("2026-09", 3600, 0)
    assert "Video meeting: not known now" in sinyal(*arguments, "--lang", "en").stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("availability", "--month", "2026-13"),
        ("availability", "--json", "--csv"),
        ("outages", "--from", "yesterday"),
        ("outages", "--to", "2026-02-30"),
    ],
)
def test_mistakes_are_said_with_the_next_step(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = sinyal(*arguments, "--config", str(gateway(tmp_path)), "--lang", "en")
    assert done.returncode == 2
    assert "Next step" in done.stderr and done.stdout == ""


@pytest.mark.parametrize("command", ["outages", "availability"])
def test_before_the_agent_ever_ran(tmp_path: Path, command: str) -> None:
    done = sinyal(command, "--config", str(gateway(tmp_path)), "--lang", "en")
    assert done.returncode == 1
    assert "never run" in done.stderr


@pytest.mark.parametrize("content", [b"no database", b""])
def test_a_database_that_cannot_be_read_is_named(tmp_path: Path, content: bytes) -> None:
    config = gateway(tmp_path)
    (tmp_path / "state" / "sinyal.db").write_bytes(content)
    done = sinyal("outages", "--config", str(config), "--lang", "en")
    assert done.returncode == 1
    assert "sinyal.db" in done.stderr and "Traceback" not in done.stderr


def test_a_running_agent_is_asked(tmp_path: Path) -> None:
    box = Gateway(
        tmp_path, modem=str(tmp_path / "none"), publish='[link]\ntargets = ["127.0.0.1", "127.0.0.2"]'
    )
    box.start()
    try:
        wait_until("the agent", lambda: (tmp_path / "run" / "control.sock").exists())

        def ask(*arguments: str) -> Any:
            return json.loads(sinyal(*arguments, "--json", "--config", str(box.config)).stdout or "{}")

        wait_until("an answer", lambda: ask("outages") == {"outages": []})
        wait_until("a good link", lambda: (ask("availability").get("meeting") or {}).get("enough") is True)
    finally:
        box.stop_anyhow()
    # Killed without a goodbye: the database tells.
    assert json.loads(sinyal("outages", "--json", "--config", str(box.config)).stdout) == {"outages": []}


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (("availability", "--month", "9998-12"), "9998-12 has not begun yet"),
        (("outages", "--from", "2026-11-02", "--to", "2026-11-01"), "--from is later than --to"),
    ],
)
def test_time_that_runs_backwards_is_a_mistake(typed: tuple[str, ...], words: str, tmp_path: Path) -> None:
    config = tmp_path / "sinyal.toml"
    config.write_text(f'[paths]\nstate = "{tmp_path}"\nruntime = "{tmp_path}"\n')

    shown = sinyal(*typed, "--lang", "en", "--config", str(config))

    assert shown.returncode == 2 and words in shown.stderr
