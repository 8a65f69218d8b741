import json
import sqlite3
import subprocess
import sys
import time
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from agent.budget.billing import billing_day
from agent.budget.tables import write_days
from agent.buffer.store import BufferCounts, Store
from agent.cli.status import Looked
from agent.cli.status_lines import Seen, status_lines, title, written
from agent.cli.watch import live_lines
from agent.config.keys import DEFAULTS
from agent.language import use_language
from agent.link import tables
from agent.link.outage import Edge, Outage
from agent.pipeline.snapshot import shown_link, shown_queue, write_snapshot
from agent.publish.forwarder import LinkHealth
from tests.buffer.files import reading
from tests.cli import gateway_seen
from tests.cli.gateway_seen import NOW_TS, TROUBLED, daemon_of, gateway
from tests.cli.test_main import HERE, sinyal
from tests.support.terminal import OpenTerminal, sinyal_at


def snapshot(**changes: Any) -> dict[str, Any]:
    return gateway_seen.snapshot(round(time.time()), **changes)


def test_a_low_battery_is_shown(tmp_path: Path) -> None:
    config = gateway(tmp_path)
    write_snapshot(tmp_path, snapshot(battery_low=True))
    with daemon_of(tmp_path):
        shown = sinyal("status", "--config", str(config)).stdout
    assert "baterai hampir habis" in shown


def test_a_healthy_gateway_is_one_screen_and_exit_0(tmp_path: Path) -> None:
    config = gateway(tmp_path, '[broker]\nhost = "127.0.0.1"\n')
    write_snapshot(tmp_path, snapshot())
    with daemon_of(tmp_path):
        shown = sinyal("status", "--config", str(config))
        document = json.loads(sinyal("status", "--json", "--config", str(config)).stdout)

    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert shown.stderr == ""
    lines = shown.stdout.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    for expected in (
        "Renah Kemumu",
        "15.02.01.2001",
        "Telkomsel",
        "-97 dBm",
        "cukup",
        "Quectel EC25",
        "41,5 °C",
        "WIB",
    ):
        assert expected in shown.stdout
    assert document["running"] is True
    assert document["problems"] == []


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"reading": {"modem_state": "hung"}}, "modem_hung"),
        ({"reading": {"sim_state": "absent"}}, "sim_absent"),
        ({"reading": {"registration": "denied"}}, "registration_denied"),
        ({"reading": {"signal_class": "none"}}, "no_service"),
        ({"reading": {"ts": 1_700_000_000}}, "reading_stale"),
        ({"store_problem": "the disk is full"}, "not_stored"),
        ({"link": {"state": "offline", "last_problem": "refused"}}, "not_connected"),
        ({"reading": {"mains_present": 0}}, "mains_off"),
        ({"reading": {"undervoltage": 1}}, "undervoltage"),
        ({"internet": {"outage": {"kind": "link", "cause": "power", "inferred": True}}}, "internet_down"),
        ({"internet": {"outage": {"kind": "report", "cause": "dns", "inferred": False}}}, "reports_late"),
        ({"internet": {"outage": {"kind": "report", "cause": "quota", "inferred": True}}}, "internet_down"),
        ({"budget": {"used_bytes": 9, "max_bytes": 9, "stage": "closed"}}, "budget_closed"),
    ],
)
def test_what_is_wrong_is_marked_and_gives_exit_1(
    changes: dict[str, Any], problem: str, tmp_path: Path
) -> None:
    config = gateway(tmp_path, '[broker]\nhost = "127.0.0.1"\n')
    write_snapshot(tmp_path, snapshot(**changes))
    with daemon_of(tmp_path):
        shown = sinyal("status", "--config", str(config))
        document = json.loads(sinyal("status", "--json", "--config", str(config)).stdout)

    assert shown.returncode == 1
    assert sum(line.startswith("!") for line in shown.stdout.splitlines()) == 1
    assert document["problems"] == [problem]


@pytest.mark.parametrize(
    ("left", "text"),
    [
        (None, "it has never run here"),
        (snapshot(state="stopped"), "it was stopped"),
        (snapshot(state="low_battery"), "begins again by itself"),
        (snapshot(), "ended without a goodbye"),
    ],
)
def test_a_daemon_that_does_not_run_is_wrong_and_says_since_when(
    left: dict[str, Any] | None, text: str, tmp_path: Path
) -> None:
    config = gateway(tmp_path)
    if left is not None:
        write_snapshot(tmp_path, left)

    shown = sinyal("status", "--config", str(config), "--lang", "en")

    assert shown.returncode == 1
    assert text in " ".join(shown.stdout.split())
    assert shown.stderr == ""


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"technician": True}, "a technician is at work: the agent does not restart"),
        ({"recovery": {"last": None, "held_by": "mains"}}, "not revived while mains power is away"),
        ({"recovery": {"last": "usb", "working": True}}, "being revived: restart of its USB port"),
        ({"recovery": {"last": "relay", "working": False}}, "being revived; last: power cut by the relay"),
        ({"recovery": {"last": "relay", "given_up": True}}, "could not be revived"),
        ({"recovery": {"last": "of a later release"}}, "last: of a later release"),
    ],
)
def test_who_has_hands_on_the_modem_is_told(changes: dict[str, Any], text: str) -> None:
    use_language("en")
    seen = Seen(gateway_seen.snapshot(**changes), None, True, NOW_TS)
    shown = "\n".join(written(status_lines(DEFAULTS, seen)))
    gone = "\n".join(written(status_lines(DEFAULTS, seen._replace(running=False))))
    use_language("id")

    assert text in shown
    assert text not in gone


@pytest.mark.parametrize("language", ["id", "en"])
@pytest.mark.parametrize("columns", [30, 40, 59, 60, 80])
def test_on_a_telephone_no_line_is_too_long_and_the_graph_is_there(columns: int, language: str) -> None:
    use_language(language)
    values = {**DEFAULTS, "broker.host": "broker.example", "gateway.site_name": "Renah Kemumu"}
    seen = Seen(gateway_seen.snapshot(**TROUBLED), None, True, NOW_TS)
    lines = status_lines(values, seen, columns)
    rows = written(lines, 99, columns)
    live = live_lines(Looked(values, seen, lines), NOW_TS, 24, columns)
    use_language("id")

    assert max(map(len, [*rows, *live, title(values, columns)])) <= columns
    assert len(live) == 24
    assert "▆" in "".join(live) and "-118 dBm" in "".join(live)


def test_a_named_configuration_that_is_missing_is_a_mistake(tmp_path: Path) -> None:
    shown = sinyal("status", "--config", str(tmp_path / "none.toml"))

    assert shown.returncode == 2
    assert "none.toml" in shown.stderr


def test_a_box_before_its_setup_says_so() -> None:
    shown = sinyal("status", "--json")

    assert shown.returncode == 1
    document = json.loads(shown.stdout)
    assert "daemon_not_running" in document["problems"]


@pytest.mark.parametrize("left", [None, snapshot()], ids=["never ran", "with a snapshot"])
def test_it_starts_without_what_takes_long_to_load(left: dict[str, Any] | None, tmp_path: Path) -> None:
    config = gateway(tmp_path, '[broker]\nhost = "broker.example"\n')
    if left is not None:
        write_snapshot(tmp_path, left)

    code = "import sys; from agent.cli.main import main; main()\n"
    code += "print(*(name for name, module in sys.modules.items() if type(module).__name__ != '_LateModule'))"
    shown = subprocess.run(
        [sys.executable, "-c", code, "status", "--config", str(config)],
        cwd=HERE,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )

    loaded = set(shown.stdout.splitlines()[-1].split())
    assert "agent.cli.status" in loaded
    assert not loaded & {
        "dataclasses", "inspect", "locale", "paho", "psutil", "serial", "shutil", "sqlite3", "ssl",
    }  # fmt: skip


def test_a_database_without_a_daemon_is_looked_into(tmp_path: Path) -> None:
    config = gateway(tmp_path)
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "sinyal.db").write_bytes(b"no database")

    assert (
        "daemon_not_running"
        in json.loads(sinyal("status", "--json", "--config", str(config)).stdout)["problems"]
    )


def test_the_port_of_the_broker_follows_tls_unless_set(tmp_path: Path) -> None:
    for lines, port in (
        ("", 1883),
        ('tls = true\nca_file = "ca.pem"\n', 8883),
        ('tls = true\nca_file = "ca.pem"\nport = 443\n', 443),
    ):
        config = gateway(tmp_path, f'[broker]\nhost = "broker.example"\n{lines}')
        assert f"broker.example:{port}" in sinyal("status", "--config", str(config)).stdout


@pytest.mark.parametrize(
    "written",
    [
        '{"reading":5}',
        '{"reading":{"ts":"x"}}',
        '{"budget":"x","reading":{"ts":1}}',
        '{"buffer":{"unsent":1}}',
        '{"reading":{"ts":1e300}}',
    ],
)
def test_a_snapshot_of_another_version_is_told_and_ends_nothing(written: str, tmp_path: Path) -> None:
    config = gateway(tmp_path)
    (tmp_path / "status.json").write_text(written)
    with daemon_of(tmp_path):
        shown = sinyal("status", "--json", "--config", str(config))
        page = sinyal("page", "--json", "--config", str(config))

    assert "snapshot_unreadable" in json.loads(shown.stdout)["problems"]
    assert shown.returncode == 1 and shown.stderr == ""
    assert json.loads(page.stdout)["state"] == "unknown"


def test_a_database_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    config = gateway(tmp_path)
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "sinyal.db").write_bytes(b"no database")

    shown = sinyal("status", "--config", str(config), "--lang", "en")

    assert "not even its readings can be read" in shown.stdout
    assert "never run" not in shown.stdout


def test_a_database_without_rows_is_no_fault(tmp_path: Path) -> None:
    config = gateway(tmp_path)
    (tmp_path / "state").mkdir()
    store = Store(
        tmp_path / "state" / "sinyal.db",
        max_bytes=4 << 20,
        commit_interval_s=1,
        commit_readings=1,
        keep_days=1,
    )
    store.open()
    store.close()

    shown = sinyal("status", "--config", str(config), "--lang", "en")

    assert shown.returncode == 1
    assert "not running" in shown.stdout
    assert shown.stderr == ""


def lines_of(config: Path, folder: Path, *more: str) -> list[str]:
    with daemon_of(folder):
        shown = sinyal("status", "--config", str(config), *more).stdout.splitlines()
    assert len(shown) <= 24 and max(map(len, shown)) <= 80
    return shown


@pytest.mark.parametrize("language", ["id", "en"])
def test_counters_that_are_not_zero_are_shown_on_one_screen(tmp_path: Path, language: str) -> None:
    config = gateway(tmp_path, '[broker]\nhost = "broker.pusat.jambiprov.example"\n')
    long_reason = "broker.pusat.jambiprov.example:8883 closed the connection with reason 151 (quota)"
    link = {
        "state": "connected", "last_ack_ts": 1_795_000_000, "last_problem": None, "connects": 12,
        "last_reason": long_reason, "last_reason_code": "quota_exceeded", "last_reason_ts": 1_795_000_000,
    }  # fmt: skip
    queue = {
        "stored": 300_000, "unsent": 123_456, "oldest_unsent_ts": 1_790_000_000, "last_seq": 999_999,
        "quarantined": 60, "events_unsent": 12, "folded": 123_456, "dropped": 7_890,
    }  # fmt: skip
    write_snapshot(tmp_path, snapshot(link=link, buffer=queue))

    text = " ".join(" ".join(lines_of(config, tmp_path, "--lang", language)).split())

    for number in ("123456", "176484", "60", "12", "7890", "11", "151"):
        assert number in text
    assert "sinyal buffer stats" in text
    assert ("gangguan terakhir" if language == "id" else "last trouble") in text


def test_counters_of_zero_take_no_room(tmp_path: Path) -> None:
    config = gateway(tmp_path, '[broker]\nhost = "127.0.0.1"\n')
    zero = {"stored": 7, "unsent": 0, "quarantined": 0, "events_unsent": 0, "folded": 0, "dropped": 0}
    write_snapshot(tmp_path, snapshot(buffer=zero))

    lines = lines_of(config, tmp_path, "--lang", "en")
    queue = lines.index("  Queue      0 waiting · 7 sent")
    assert not lines[queue + 1].startswith("   ")


def test_a_broker_without_mqtt_5_is_told_whole_and_by_its_code(tmp_path: Path) -> None:
    config = gateway(tmp_path, '[broker]\nhost = "127.0.0.1"\n')
    problem = "127.0.0.1:1883 does not speak MQTT 5, which Sinyal needs to know that a reading was refused"
    link = {"state": "offline", "last_problem": problem, "last_problem_code": "not_mqtt5", "connects": 0}
    write_snapshot(tmp_path, snapshot(link=link))

    lines = lines_of(config, tmp_path, "--lang", "en")
    document = json.loads(sinyal("status", "--json", "--config", str(config)).stdout)

    assert problem in " ".join(" ".join(lines).split())
    assert document["last"]["link"]["last_problem_code"] == "not_mqtt5"


def test_the_snapshot_carries_every_counter() -> None:
    counts = BufferCounts(7, 2, 100, 7, 90, 4096, quarantined=1, events_unsent=3, folded=4, dropped=5)
    assert shown_queue(counts) == asdict(counts)
    health = LinkHealth("connected", 1, 2, 3, last_reason="gone", last_reason_code="lost", last_reason_ts=4)
    assert shown_link(health) == asdict(health)


def test_counters_are_read_from_the_file_when_no_snapshot_is_left(tmp_path: Path) -> None:
    config = gateway(tmp_path)
    path = tmp_path / "state" / "sinyal.db"
    path.parent.mkdir()
    store = Store(path, max_bytes=4 << 20, commit_interval_s=0, commit_readings=1, keep_days=9999)
    for number in range(1, 21):
        store.append(reading(number))
    store.mark_sent(1, 5)
    store.quarantine(7, 8, "too large")
    store.close()

    document = json.loads(sinyal("status", "--json", "--config", str(config)).stdout)

    queue = document["left"]["buffer"]
    assert (queue["stored"], queue["unsent"], queue["quarantined"], queue["last_seq"]) == (20, 13, 2, 20)
    assert document["left"]["reading"]["seq"] == 20
    assert [each.name for each in path.parent.iterdir()] == ["sinyal.db"]


@pytest.mark.parametrize(
    ("link_up", "words"),
    [(1, "works, at least since"), (0, "the last probes got no answer"), (None, "not known yet")],
)
def test_without_an_outage_the_internet_is_what_the_last_probes_say(
    link_up: int | None, words: str, tmp_path: Path
) -> None:
    config = gateway(tmp_path)
    write_snapshot(tmp_path, snapshot(internet={"outage": None}, reading={"link_up": link_up}))

    lines = lines_of(config, tmp_path, "--lang", "en")

    assert [line.split(maxsplit=1)[1].startswith(words) for line in lines if "Internet" in line] == [True]


KEYS = {
    "version": None, "gateway_id": None, "kode_desa": None, "site_name": None, "running": None,
    "problems": None, "agent": {"since_ts", "why_not_running"}, "reading_ts": None,
    "power": {"mains_present", "battery_v", "battery_pct", "undervoltage"},
    "modem": {"modem_state", "modem_temperature_c", "manufacturer", "model"}, "sim": {"sim_state"},
    "network": {"registration", "operator_name", "operator_mccmnc", "access_technology", "band"},
    "signal": {"signal_class", "rsrp_dbm", "rsrq_db", "sinr_db", "rscp_dbm", "rssi_dbm"},
    "board": {"cpu_pct", "mem_used_pct", "soc_temp_c"}, "clock": {"ts_quality", "clock_offset_s"},
    "internet": {"up", "since_ts", "outage"}, "outages_today": {"outages", "down_s", "power_outages"},
    "centre": {"host", "state", "since_ts", "last_sent_ts", "problem"},
    "queue": {"unsent", "oldest_ts", "oldest_age_s"}, "budget": {"used_bytes", "max_bytes", "stage"},
    "disk": {"free_bytes", "used_pct"}, "last": None, "left": None, "technician": None, "recovery": None,
}  # fmt: skip


def test_the_keys_of_its_document_are_a_promise(tmp_path: Path) -> None:
    config = gateway(tmp_path, '[broker]\nhost = "127.0.0.1"\n')
    (tmp_path / "state").mkdir()
    write_snapshot(tmp_path, snapshot())

    with daemon_of(tmp_path):
        document = json.loads(sinyal("status", "--json", "--config", str(config)).stdout)

    assert document.keys() == KEYS.keys()
    for name, keys in KEYS.items():
        assert keys is None or document[name].keys() == keys


SCREENS: list[tuple[str, dict[str, Any], bool]] = [
    ("healthy", {}, True),
    ("troubled", TROUBLED, True),
    ("not_running", {"ts": NOW_TS - 4980, "reading": {"ts": NOW_TS - 5000}}, False),
]


@pytest.mark.parametrize("language", ["id", "en"])
@pytest.mark.parametrize(("name", "changes", "runs"), SCREENS, ids=[name for name, *_rest in SCREENS])
def test_its_golden_screens(
    name: str, changes: dict[str, Any], runs: bool, language: str, tmp_path: Path, open_terminal: OpenTerminal
) -> None:
    # Without the state folder the disk is what the reading says, which is the same on every machine.
    config = gateway(tmp_path, '[broker]\nhost = "broker.pusat.example"\n')
    write_snapshot(tmp_path, gateway_seen.snapshot(**changes))
    with daemon_of(tmp_path) if runs else nullcontext():
        shown = open_terminal(sinyal_at(NOW_TS, "status", "--config", str(config), "--lang", language))
        assert shown.wait_for_end() == (0 if name == "healthy" else 1)

    shown.expect_no_wraps()
    shown.expect_golden(f"status_{name}_{language}")


def test_what_is_left_after_a_restart_tells_of_outages_and_budget(tmp_path: Path) -> None:
    config = gateway(tmp_path)
    path = tmp_path / "state" / "sinyal.db"
    path.parent.mkdir()
    store = Store(path, max_bytes=4 << 20, commit_interval_s=0, commit_readings=1, keep_days=9999)
    now = round(time.time())
    store.append({**reading(1), "ts": now - 60, "ts_quality": "ntp", "uptime_s": 10_000, "rsrp_dbm": -91})
    outage = Outage("link", Edge(store.boot, 9_000, now - 1060), Edge(store.boot, 9_300), "backhaul")

    def write(connection: sqlite3.Connection) -> None:
        tables.create(connection)
        tables.save(connection, outage, boot=store.boot)
        write_days(connection, [(billing_day(now), "mqtt", 5_000)], reserve_bytes=0)

    store.write(write)
    store.note_true_time(now - 10_060, "ntp")
    store.close()

    document = json.loads(sinyal("status", "--json", "--config", str(config)).stdout)

    assert document["agent"]["why_not_running"] == "restarted"
    assert document["left"]["hour"] == {"field": "rsrp_dbm", "levels_dbm": [None] * 59 + [-91]}
    assert document["left"]["today"]["last_end_ts"] == now - 760
    assert document["budget"]["used_bytes"] == 5_000
