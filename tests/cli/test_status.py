import json
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from agent.buffer.store import BufferCounts, Store
from agent.pipeline.snapshot import DaemonLock, shown_link, shown_queue, write_snapshot
from agent.publish.forwarder import LinkHealth
from tests.buffer.files import reading
from tests.cli.test_main import HERE, sinyal


def gateway(folder: Path, extra: str = "") -> Path:
    config = folder / "sinyal.toml"
    config.write_text(
        '[gateway]\nid = "gw-1"\nkode_desa = "15.02.01.2001"\nsite_name = "Renah Kemumu"\n'
        f'[paths]\nstate = "{folder}/state"\nruntime = "{folder}"\n{extra}'
    )
    return config


def snapshot(**changes: Any) -> dict[str, Any]:
    now = round(time.time())
    reading = {
        "seq": 7, "ts": now, "ts_quality": "ntp", "modem_state": "ok", "sim_state": "ready",
        "registration": "home", "operator_name": "Telkomsel", "operator_mccmnc": "51010",
        "access_technology": "lte", "band": "B3", "rsrp_dbm": -97, "signal_class": "fair",
        "modem_temperature_c": 41.5, "cpu_pct": 3, "mem_used_pct": 44, "disk_used_pct": 26,
        "soc_temp_c": 48.2,
    }  # fmt: skip
    reading.update(changes.pop("reading", {}))
    shown = {
        "v": 1, "pid": 1, "version": "0", "state": "running", "ts": now, "started_ts": now - 3600,
        "interval_s": 60, "reading": reading, "modem": {"manufacturer": "Quectel", "model": "EC25"},
        "store_problem": None, "link": {"state": "connected", "last_ack_ts": now - 60, "last_problem": None},
        "buffer": {"stored": 7, "unsent": 2, "oldest_unsent_ts": now - 120, "last_seq": 7},
    }  # fmt: skip
    return {**shown, **changes}


def test_a_healthy_gateway_is_one_screen_and_exit_0(tmp_path: Path) -> None:
    config = gateway(tmp_path, '[broker]\nhost = "127.0.0.1"\n')
    write_snapshot(tmp_path, snapshot())
    lock = DaemonLock(tmp_path)
    lock.take()
    try:
        shown = sinyal("status", "--config", str(config))
        document = json.loads(sinyal("status", "--json", "--config", str(config)).stdout)
    finally:
        lock.release()

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
    ],
)
def test_what_is_wrong_is_marked_and_gives_exit_1(
    changes: dict[str, Any], problem: str, tmp_path: Path
) -> None:
    config = gateway(tmp_path, '[broker]\nhost = "127.0.0.1"\n')
    write_snapshot(tmp_path, snapshot(**changes))
    lock = DaemonLock(tmp_path)
    lock.take()
    try:
        shown = sinyal("status", "--config", str(config))
        document = json.loads(sinyal("status", "--json", "--config", str(config)).stdout)
    finally:
        lock.release()

    assert shown.returncode == 1
    assert sum(line.startswith("!") for line in shown.stdout.splitlines()) == 1
    assert document["problems"] == [problem]


@pytest.mark.parametrize(
    ("left", "text"),
    [
        (None, "it has never run here"),
        (snapshot(state="stopped"), "it was stopped"),
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
    lock = DaemonLock(folder)
    lock.take()
    try:
        shown = sinyal("status", "--config", str(config), *more).stdout.splitlines()
    finally:
        lock.release()
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

    assert lines_of(config, tmp_path, "--lang", "en")[-1] == "  Queue      0 waiting · 7 sent"


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
    ("link_up", "words"), [(1, "works"), (0, "the last probes got no answer"), (None, "not known yet")]
)
def test_without_an_outage_the_internet_is_what_the_last_probes_say(
    link_up: int | None, words: str, tmp_path: Path
) -> None:
    config = gateway(tmp_path)
    write_snapshot(tmp_path, snapshot(internet={"outage": None}, reading={"link_up": link_up}))

    lines = lines_of(config, tmp_path, "--lang", "en")

    assert [line.split(maxsplit=1)[1] for line in lines if "Internet" in line] == [words]
