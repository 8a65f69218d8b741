"""The support bundle holds what helps, and none of the canaries that were planted everywhere."""

import json
import sqlite3
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from agent.modem.simulator import Behaviour, SimulatedModem
from agent.modem.transcript import read_transcript
from tests.cli.test_main import sinyal
from tests.doctor.box import LINK, Box, conversation
from tests.faults.test_full_disk import fill
from tests.pipeline.whole_gateway import DEMO_TRANSCRIPT, Gateway, wait_until
from tests.support.certificates import make_tls_files
from tests.support.programs import give_up, require

IMEI, ICCID, IMSI = "350000000000006", "89621000000000000012", "510100000000001"
"""As the recorded modem tells them; made unique below."""

OWN_IMEI, OWN_ICCID, OWN_IMSI = "357364081234578", "89621019283746500012", "510104987612345"
PHONE, WRITTEN_PHONE = "+6281298765432", "0812-9876-5432"
SIM_PIN, OTHER_PIN = "84628375", "55512399"
PASSWORD, TOKEN = "kata-Sandi-Rahasia", "tkn0123canary"
MAC, POSITION = "b8:27:eb:c0:ff:ee", "-2.13245, 102.01234"
CELL, AREA = 110130798, 2096

LOG = f"""
2026-11-28T10:00:00+0000 gw sinyal[1]: modem says +CIMI: {OWN_IMSI} and {OWN_IMSI[1:9]}
2026-11-28T10:00:01+0000 gw sinyal[1]: swapped 15100{"4897612345"} card {OWN_ICCID} imei={OWN_IMEI}
2026-11-28T10:00:02+0000 gw sinyal[1]: call from {PHONE}, also {WRITTEN_PHONE}
2026-11-28T10:00:03+0000 gw sinyal[1]: AT+CPIN="{SIM_PIN}" password={PASSWORD} token: "{TOKEN}"
2026-11-28T10:00:04+0000 gw sinyal[1]: entered {SIM_PIN} then {OTHER_PIN} at https://op:{PASSWORD}@example.org/x?key={TOKEN}
2026-11-28T10:00:05+0000 gw dnsmasq[2]: DHCPACK {MAC} at {POSITION}, cell {CELL} {CELL:X}
KEY
2026-11-28T10:00:06+0000 gw sinyal[1]: a line that helps
"""


@pytest.fixture
def modem() -> Iterator[SimulatedModem]:
    own = {IMEI: OWN_IMEI, ICCID: OWN_ICCID, IMSI: OWN_IMSI}
    more = f'\n> AT+CNUM\n< +CNUM: ,"{PHONE}",145\n< OK\n'
    with SimulatedModem(conversation("generic/lte_home", more, replace=own), Behaviour()) as simulated:
        yield simulated


def opened(bundle: Path) -> dict[str, str]:
    """Return the files of a bundle by name, without their folder."""
    with tarfile.open(bundle) as archive:
        found = {}
        for entry in archive.getmembers():
            assert entry.isfile()
            assert (entry.uid, entry.uname, entry.mode) == (0, "", 0o600)
            file = archive.extractfile(entry)
            assert file is not None
            found[entry.name.partition("/")[2]] = file.read().decode()
    return found


def journal(folder: Path, text: str) -> str:
    """Return a PATH on which journalctl prints this text."""
    import os

    folder.mkdir()
    (folder / "log").write_text(text)
    program = folder / "journalctl"
    program.write_text(f'#!/bin/sh\ncat "{folder}/log"\n')
    program.chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def planted(tmp_path: Path, modem: SimulatedModem) -> tuple[Box, str]:
    """Return a gateway with secrets everywhere, and its PATH."""
    files = make_tls_files(tmp_path / "tls", "gw-test")
    key = files.client_key.read_text()
    broker = (
        f'host = "localhost"\nport = 1\ntls = true\nca_file = "{files.ca}"\n'
        f'cert_file = "{files.client_cert}"\nkey_file = "{files.client_key}"'
    )
    # A folder named like a card.
    folder = tmp_path / f"home-{OWN_IMSI}"
    box = Box(folder, modem=f'{modem.path}"\nsim_pin = "{SIM_PIN}', broker=broker)
    box.store_readings()
    with closing(sqlite3.connect(box.state / "sinyal.db")) as connection, connection:
        connection.execute("ALTER TABLE readings ADD COLUMN imsi TEXT")
        connection.execute(
            "UPDATE readings SET imsi = ?, operator_name = ?, cell_id = ?, tac = ?",
            (OWN_IMSI, PHONE, CELL, AREA),
        )
        evidence = json.dumps({"imsi": OWN_IMSI, "text": f"from {WRITTEN_PHONE}", "password": PASSWORD})
        connection.execute(
            "INSERT INTO events (type, boot, uptime_s, ts, ts_quality, seq, what, evidence, sent)"
            " VALUES ('sim', 1, 1, 1, 'ntp', 1, 'changed', ?, 0)",
            (evidence,),
        )
    (box.state / f"{PHONE}.txt").write_text(PHONE)
    runtime = folder / "run"
    runtime.mkdir()
    left = {"v": 1, "reading": {"cell_id": CELL, "tac": AREA, "imei": OWN_IMEI}, "note": f"{PHONE} {TOKEN}"}
    left["note"] = f"pin={SIM_PIN} token={TOKEN} {PHONE}"
    (runtime / "status.json").write_text(json.dumps(left))
    return box, journal(tmp_path / "bin", LOG.replace("KEY", key))


def test_none_of_the_secrets_planted_everywhere_is_in_the_bundle(
    tmp_path: Path, modem: SimulatedModem
) -> None:
    box, path = planted(tmp_path, modem)
    target = tmp_path / "bundle.tar.gz"
    done = sinyal(
        "support-bundle", str(target), "--lang", "en", "--config", str(box.config), PATH=path,
        SINYAL_MODEM_SIM_PIN=OTHER_PIN, AWS_SECRET_ACCESS_KEY=TOKEN,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert str(target) in done.stdout
    files = opened(target)
    text = "\n".join([*files, *files.values()])
    key_lines = [
        line
        for line in (tmp_path / "tls" / "gateway.key").read_text().splitlines()
        if len(line) > 20 and "-" not in line
    ]
    canaries = [
        *(OWN_IMEI, OWN_ICCID, OWN_IMSI, OWN_IMSI[1:9], "5100" + "4897612345"),
        *(PHONE, PHONE[1:], WRITTEN_PHONE, "81298765432", SIM_PIN, OTHER_PIN, PASSWORD, TOKEN, MAC, POSITION),
        *(str(CELL), f"{CELL:X}", *key_lines),
    ]
    assert [canary for canary in canaries if canary.lower() in text.lower()] == []
    assert "a line that helps" in files["log.txt"]
    assert "PRIVATE KEY" not in text


def test_it_holds_log_settings_last_day_events_and_the_diagnosis(
    tmp_path: Path, modem: SimulatedModem
) -> None:
    box, path = planted(tmp_path, modem)
    done = sinyal(
        "support-bundle", str(tmp_path), "--json", "--lang", "en", "--config", str(box.config), PATH=path
    )
    told = json.loads(done.stdout)
    assert told["bytes"] < 100_000
    files = opened(Path(told["path"]))
    assert sorted(told["files"]) == sorted(files)
    assert json.loads(files["config.json"])["values"]["modem.sim_pin"]["value"] == "********"
    assert len(files["readings.csv"].splitlines()) == 4
    assert "rsrp_dbm" in files["readings.csv"].splitlines()[0]
    assert json.loads(files["events.json"])[-1]["what"] == "changed"
    assert json.loads(files["doctor.json"])["layers"][4]["layer"] == "port"
    assert json.loads(files["manifest.json"])["missing"] == {}
    assert json.loads(files["versions.json"])["sinyal"]


def test_a_running_agent_gives_readings_events_and_outages(tmp_path: Path) -> None:
    with SimulatedModem(read_transcript(DEMO_TRANSCRIPT), Behaviour()) as simulated:
        gateway = Gateway(tmp_path / "box", modem=str(simulated.path), publish=LINK, interval_s=1)
        gateway.start()
        try:
            wait_until(
                "two readings", lambda: (gateway.shown().get("buffer") or {}).get("stored", 0) >= 2, 60
            )
            done = sinyal(
                "support-bundle", str(tmp_path / "b.tgz"), "--json", "--config", str(gateway.config)
            )
        finally:
            gateway.stop_anyhow()
    files = opened(tmp_path / "b.tgz")
    assert {"readings.csv", "events.json", "outages.json", "status.json"} <= set(files), done.stdout
    assert len(files["readings.csv"].splitlines()) >= 3


@pytest.mark.needs_root
def test_a_full_disk_sends_it_elsewhere_and_it_says_where(tmp_path: Path) -> None:
    require("mount", "umount", root=True)
    full, home = tmp_path / "full", tmp_path / "home"
    full.mkdir()
    home.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(full)], check=False).returncode:
        give_up("mounting a tmpfs is not allowed here")
    try:
        fill(full)
        box = Box(tmp_path / "box", modem=tmp_path / "none")
        done = sinyal(
            "support-bundle", str(full / "b.tgz"), "--lang", "en", "--config", str(box.config), HOME=str(home)
        )
        assert [file.name for file in full.iterdir()] == ["filler"]
    finally:
        subprocess.run(["umount", "-l", str(full)], check=True)
    (written,) = home.iterdir()
    assert done.returncode == 0
    assert str(written) in done.stdout
    assert "No space left" in done.stderr
    assert "doctor.json" in opened(written)


def test_a_database_of_garbage_and_a_broken_configuration_are_no_reason_to_fail(tmp_path: Path) -> None:
    box = Box(tmp_path / "box", modem=tmp_path / "none")
    box.state.mkdir()
    (box.state / "sinyal.db").write_bytes(b"\xff" * 20_000)
    target = tmp_path / "one.tgz"
    done = sinyal("support-bundle", str(target), "--lang", "en", "--config", str(box.config))
    assert done.returncode == 0, done.stderr
    assert "readings.csv is missing" in done.stderr
    missing = json.loads(opened(target)["manifest.json"])["missing"]
    assert {"readings.csv", "events.json"} <= set(missing)

    box.config.write_text(f'[modem]\nsim_pin = "{SIM_PIN}9999"\nbroken = = 1\n')
    target = tmp_path / "two.tgz"
    done = sinyal("support-bundle", str(target), "--lang", "en", "--config", str(box.config))
    assert done.returncode == 0, done.stderr
    files = opened(target)
    assert "not valid TOML" in json.loads(files["config.json"])["problem"]
    assert SIM_PIN not in "".join(files.values())


def test_a_file_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    taken = tmp_path / "taken.tgz"
    taken.write_text("precious")
    box = Box(tmp_path / "box", modem=tmp_path / "none")
    done = sinyal("support-bundle", str(taken), "--lang", "en", "--config", str(box.config))
    assert (done.returncode, taken.read_text()) == (2, "precious")
    assert "Next step" in done.stderr
    assert "gathering" not in done.stderr
