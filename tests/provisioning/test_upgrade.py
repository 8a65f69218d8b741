"""Upgrade and rollback with real releases, a real agent, and the power cut at each step."""

import json
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from agent.modem.simulator import Behaviour, SimulatedModem
from agent.modem.transcript import read_transcript
from provisioning.packaging.reproducible import sha256_of
from tests.pipeline.whole_gateway import DEMO_TRANSCRIPT, wait_until
from tests.provisioning.release_box import ReleaseBox, archive_of

pytestmark = pytest.mark.timeout(400)

OLD, NEW = "0.1.1", "0.1.2"

SHELLS = [shell for shell in ("dash", "busybox ash") if shutil.which(shell.split()[0])]


@pytest.fixture
def modem() -> Iterator[SimulatedModem]:
    with SimulatedModem(read_transcript(DEMO_TRANSCRIPT), Behaviour()) as simulated:
        yield simulated


@pytest.fixture(scope="module")
def in_place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which the old release was installed."""
    gateway = ReleaseBox(tmp_path_factory.mktemp("in-place"), None)
    assert gateway.release("install", archive_of(OLD)).returncode == 0
    return gateway.root


@pytest.fixture
def box(tmp_path: Path, in_place: Path, modem: SimulatedModem) -> Iterator[ReleaseBox]:
    """Give a gateway on which the old release is at work and has stored readings."""
    gateway = ReleaseBox(tmp_path, modem)
    subprocess.run(["cp", "-a", in_place, gateway.root], check=True)
    gateway.service("start")
    try:
        wait_for_a_reading(gateway)
        yield gateway
    finally:
        gateway.cut_power()


def snapshot(box: ReleaseBox) -> dict[str, object]:
    try:
        shown: dict[str, object] = json.loads((box.folder / "run/status.json").read_text())
    except (OSError, ValueError):
        return {}
    return shown


def wait_for_a_reading(box: ReleaseBox, version: str = "") -> None:
    def has_read() -> bool:
        shown = snapshot(box)
        reading = shown.get("reading")
        is_wanted = version in ("", shown.get("version"))
        return is_wanted and isinstance(reading, dict) and bool(reading.get("modem_state"))

    wait_until(f"a reading of release {version}", has_read, 60)


@pytest.mark.skipif("busybox ash" not in SHELLS, reason="busybox is not installed")
def test_with_the_programs_of_busybox_a_release_comes_and_a_bad_one_goes(
    tmp_path: Path, modem: SimulatedModem
) -> None:
    box = ReleaseBox(tmp_path, modem, shell="busybox ash")
    assert box.release("install", archive_of(OLD)).returncode == 0
    box.service("start")
    try:
        wait_for_a_reading(box)
        good = box.release("install", archive_of(NEW))
        bad = box.release("install", archive_of("0.1.3", "crashes"), SINYAL_TRIAL_S="4")

        assert (good.returncode, bad.returncode) == (0, 1), good.stdout + bad.stdout
        assert (box.current(), box.result()["state"]) == (NEW, "rolled_back")
    finally:
        box.cut_power()


def test_the_first_release_is_put_in_place_and_a_second_time_nothing_changes(tmp_path: Path) -> None:
    box = ReleaseBox(tmp_path, None)

    first, again = box.release("install", archive_of(OLD)), box.release("install", archive_of(OLD))

    assert (first.returncode, again.returncode) == (0, 0), first.stdout + again.stdout
    assert box.current() == OLD
    assert box.result()["state"] == "installed"
    assert "in use already" in again.stdout
    assert f"* {OLD}" in box.release("list").stdout
    assert box.sinyal("--version").stdout == f"sinyal {OLD}\n"


def test_a_healthy_release_stays_and_the_one_before_is_kept(box: ReleaseBox) -> None:
    done = box.release("install", archive_of(NEW))

    assert done.returncode == 0, done.stdout
    assert box.current() == NEW
    assert box.result()["state"] == "healthy"
    assert box.releases() == {OLD, NEW}
    assert snapshot(box)["version"] == NEW
    assert "Rilis" not in box.sinyal("status", "--lang", "id").stdout


@pytest.mark.parametrize(
    ("fault", "reasons"),
    [
        ("crashes", {"not_running", "keeps_ending", "no_reading"}),
        ("forgets_the_modem", {"modem_silent"}),
        ("never_stores", {"database_not_written", "no_reading"}),
    ],
)
def test_an_unhealthy_release_is_taken_back_and_status_says_why(
    box: ReleaseBox, fault: str, reasons: set[str]
) -> None:
    box.release("install", archive_of(NEW, fault), "--no-wait")
    if fault != "crashes":
        wait_until("the bad release at work", lambda: snapshot(box).get("version") == NEW, 60)
    done = box.release("resume", SINYAL_TRIAL_S="2")

    assert done.returncode == 1, done.stdout
    assert box.current() == OLD
    assert box.result()["state"] == "rolled_back"
    assert box.result()["reason"] in reasons
    wait_for_a_reading(box, OLD)
    status = box.sinyal("status", "--lang", "en")
    assert f"{NEW} was not healthy" in " ".join(status.stdout.split())
    assert "upgrade_rolled_back" in json.loads(box.sinyal("status", "--json").stdout)["problems"]


def test_with_rare_readings_a_trial_waits_for_a_modem_that_started_late(
    tmp_path: Path, modem: SimulatedModem
) -> None:
    box = ReleaseBox(tmp_path, modem, interval_s=5)
    box.release("install", archive_of(OLD))
    box.service("start")
    try:
        wait_for_a_reading(box)
        box.release("install", archive_of(NEW, "meets_the_modem_late"), "--no-wait")
        wait_for_a_reading(box, NEW)

        # Nothing is written after this until the next reading, which comes after the end of the trial.
        done = box.release("resume", SINYAL_TRIAL_S="2")

        assert (done.returncode, box.result()["state"]) == (0, "healthy"), done.stdout
    finally:
        box.cut_power()


def test_a_modem_that_was_silent_before_is_no_reason_to_go_back(tmp_path: Path) -> None:
    box = ReleaseBox(tmp_path, None)
    box.release("install", archive_of(OLD))
    box.service("start")
    try:
        wait_for_a_reading(box)
        done = box.release("install", archive_of(NEW))

        assert (done.returncode, box.current()) == (0, NEW), done.stdout
    finally:
        box.cut_power()


def test_a_release_that_does_not_load_is_refused_while_the_old_one_runs_on(box: ReleaseBox) -> None:
    pid = snapshot(box)["pid"]

    done = box.release("install", archive_of(NEW, "is_broken"))

    assert done.returncode == 1
    assert "self_test" in done.stdout
    assert (box.current(), box.releases()) == (OLD, {OLD})
    assert snapshot(box)["pid"] == pid


def test_a_power_cut_at_any_step_ends_on_the_old_or_the_new_release(box: ReleaseBox) -> None:
    for step in ("verify", "unpack", "self-test", "place", "swap", "restart", "watch"):
        cut_power_at(box, step, box.begin("install", archive_of(NEW)))

        # The boot: the agent is started as ever, then the upgrade is decided.
        at_boot = box.current()
        box.service("start")
        resumed = box.release("resume")

        assert {at_boot, box.current()} <= {OLD, NEW}, resumed.stdout
        assert not (box.root / "upgrade/trial").exists()
        assert box.releases() <= {OLD, NEW}
        wait_for_a_reading(box, box.current())
        if box.current() == NEW:
            assert box.result()["state"] == "healthy"
            box.release("rollback")
            wait_for_a_reading(box, OLD)


def cut_power_at(box: ReleaseBox, step: str, upgrading: "subprocess.Popen[str]") -> None:
    assert upgrading.stdout is not None
    with upgrading.stdout:
        for line in upgrading.stdout:
            if f"step {step}" in line:
                break
        box.cut_power(upgrading)


def test_a_power_cut_while_going_back_ends_on_the_old_release(box: ReleaseBox) -> None:
    box.environment["SINYAL_TRIAL_S"] = "2"
    cut_power_at(box, "back", box.begin("install", archive_of(NEW, "crashes")))
    box.service("start")

    box.release("resume")

    assert box.current() == OLD
    assert not (box.root / "upgrade/trial").exists()
    assert box.result()["state"] == "rolled_back"
    wait_for_a_reading(box, OLD)


def test_a_release_whose_trial_is_cut_three_times_is_taken_back(box: ReleaseBox) -> None:
    trial = box.root / "upgrade/trial"
    box.release("install", archive_of(NEW), "--no-wait")
    trial.write_text(trial.read_text().replace("starts=1", "starts=3"))

    done = box.release("resume")

    assert (done.returncode, box.current(), box.result()["reason"]) == (1, OLD, "power_cuts")


def test_a_release_that_failed_twice_is_refused(box: ReleaseBox) -> None:
    (box.root / "upgrade/failed").write_text(f"{NEW}\n{NEW}\n")

    refused = box.release("install", archive_of(NEW))

    assert refused.returncode == 1
    assert "failed here twice" in refused.stdout
    assert box.current() == OLD


def test_by_hand_the_release_before_comes_back_and_reads_the_database(box: ReleaseBox) -> None:
    assert box.release("install", archive_of(NEW)).returncode == 0
    box.service("stop")
    # A newer release may have added what an older one does not know.
    with closing(sqlite3.connect(box.folder / "state/sinyal.db")) as database:
        database.execute("ALTER TABLE readings ADD COLUMN measured_by_a_newer_release INTEGER")
        database.execute("CREATE TABLE of_a_newer_release (a)")
    last_seq = int(json.loads(box.sinyal("buffer", "stats", "--json").stdout)["last_seq"])

    done = box.release("rollback")
    wait_for_a_reading(box, OLD)
    wait_until("more readings", lambda: _last_seq(box) > last_seq, 60)

    assert (done.returncode, box.current()) == (0, OLD)
    assert "upgrade_rolled_back" not in json.loads(box.sinyal("status", "--json").stdout)["problems"]


def _last_seq(box: ReleaseBox) -> int:
    queue = snapshot(box).get("buffer")
    return int(queue["last_seq"]) if isinstance(queue, dict) else 0


def test_where_a_key_is_pinned_only_a_signed_release_is_taken(tmp_path: Path) -> None:
    box = ReleaseBox(tmp_path, None)
    archive = Path(shutil.copy(archive_of(OLD), tmp_path))
    key, hashes = tmp_path / "release.key", tmp_path / "SHA256SUMS"
    for command in (
        f"openssl ecparam -name prime256v1 -genkey -noout -out {key}",
        f"openssl ec -in {key} -pubout -out {tmp_path}/release.pub",
    ):
        subprocess.run(command.split(), check=True, capture_output=True)

    without_list = box.release("install", archive)
    hashes.write_text(f"{sha256_of(archive)}  {archive.name}\n")
    unsigned = box.release("install", archive)
    subprocess.run(["openssl", "dgst", "-sha256", "-sign", key, "-out", f"{hashes}.sig", hashes], check=True)
    signed = box.release("install", archive)

    assert (without_list.returncode, unsigned.returncode) == (1, 1)
    assert "nothing was changed" in unsigned.stdout
    assert (signed.returncode, box.current()) == (0, OLD), signed.stdout


@pytest.mark.parametrize("lang", ["en", "id"])
def test_each_command_is_explained_and_a_mistake_is_told_with_a_next_step(tmp_path: Path, lang: str) -> None:
    box = ReleaseBox(tmp_path, None)

    help_text = box.release("--help", "--lang", lang)
    assert help_text.returncode == 0
    for command in ("install", "resume", "rollback", "list"):
        assert f"sinyal-release {command}" in help_text.stdout
    assert all(len(line) <= 120 for line in help_text.stdout.splitlines())
    for wrong in (("remove",), ("install",), ("install", "/nowhere"), ("--bogus",), ("rollback",)):
        told = box.release(*wrong, "--lang", lang)
        assert told.returncode in (1, 2)
        assert ("Next step" if lang == "en" else "Langkah berikut") in told.stdout


@pytest.mark.parametrize("harm", ["changed", "added", "linked"])
def test_a_release_with_a_file_that_is_not_as_it_was_made_is_refused(tmp_path: Path, harm: str) -> None:
    box = ReleaseBox(tmp_path, None)
    tree, bad = tmp_path / "tree", tmp_path / "bad.tar.gz"
    tree.mkdir()
    subprocess.run(["tar", "-xzf", archive_of(OLD), "-C", tree], check=True)
    if harm == "changed":
        (tree / "bin/sinyal").write_text("#!/bin/sh\n")
    elif harm == "added":
        (tree / "site/sitecustomize.py").write_text("")
    else:
        (tree / "site/other.py").symlink_to("/etc/passwd")
    subprocess.run(["tar", "-czf", bad, "-C", tree, "."], check=True)

    refused = box.release("install", bad)

    assert refused.returncode == 1
    assert "not as it was made" in refused.stdout
    assert (box.current(), box.releases()) == ("", set())


def test_a_damaged_or_tampered_archive_is_refused(tmp_path: Path) -> None:
    box = ReleaseBox(tmp_path, None)
    good = archive_of(OLD).read_bytes()
    cut, other = tmp_path / "cut.tar.gz", tmp_path / "sinyal-0.1.1.tar.gz"
    cut.write_bytes(good[: len(good) // 2])
    other.write_bytes(good)
    (tmp_path / "SHA256SUMS").write_text(f"{'0' * 64}  {other.name}\n")

    for archive in (cut, other):
        refused = box.release("install", archive)
        assert refused.returncode == 1
        assert "nothing was changed" in refused.stdout
        assert box.current() == ""
