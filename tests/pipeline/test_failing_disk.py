"""`sinyal run` on a disk that is full, read-only or shared: it goes on, and says what was lost."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from agent.pipeline.snapshot import read_snapshot
from tests.buffer.files import query
from tests.pipeline.whole_gateway import Gateway, wait_until

needs_root = pytest.mark.needs_root


@pytest.fixture
def state_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of 1 MB as the gateway's state folder."""
    if os.geteuid() != 0:
        pytest.skip("needs root to mount a small tmpfs")
    folder = tmp_path / "gw" / "state"
    folder.mkdir(parents=True)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)], check=False).returncode:
        pytest.skip("mounting a tmpfs is not allowed here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def make_gateway(tmp_path: Path, *, interval_s: float) -> Gateway:
    return Gateway(tmp_path / "gw", modem=str(tmp_path / "no_modem"), interval_s=interval_s)


def fill(folder: Path) -> Path:
    filler = folder / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    return filler


def shown(gateway: Gateway) -> dict[str, Any]:
    return read_snapshot(gateway.folder / "run") or {}


def buffer_events(gateway: Gateway) -> list[tuple[str, dict[str, Any]]]:
    events = query(
        gateway.database, "SELECT what, evidence FROM events WHERE type = 'buffer' ORDER BY number"
    )
    return [(what, json.loads(evidence)) for what, evidence in events]


@needs_root
@pytest.mark.parametrize("fault", ["full", "read-only"])
def test_a_disk_that_fails_at_the_first_start_costs_no_reading(
    tmp_path: Path, state_disk: Path, fault: str
) -> None:
    gateway = make_gateway(tmp_path, interval_s=3600)
    filler = fill(state_disk) if fault == "full" else None
    if filler is None:
        subprocess.run(["mount", "-o", "remount,ro", str(state_disk)], check=True)
    gateway.start()
    try:
        wait_until("a reading in memory", lambda: shown(gateway).get("waiting_in_memory") == 1)
        assert fault in shown(gateway)["store_problem"]
        if filler is None:
            subprocess.run(["mount", "-o", "remount,rw", str(state_disk)], check=True)
        else:
            filler.unlink()
        # The next reading is an hour away.
        wait_until("the stored reading", lambda: shown(gateway).get("waiting_in_memory") == 0, 60)
        assert gateway.terminate()[0] == 0
    finally:
        gateway.stop_anyhow()
    assert [row["seq"] for row in gateway.stored_rows()] == [1]
    events = buffer_events(gateway)
    assert [what for what, _evidence in events] == ["full" if filler else "unwritable", "recovered"]
    assert events[1][1]["lasted_s"] >= 0
    assert "Traceback" not in gateway.log_text()


@needs_root
def test_readings_that_no_memory_was_left_for_are_counted_and_reported(
    tmp_path: Path, state_disk: Path
) -> None:
    gateway = make_gateway(tmp_path, interval_s=0.1)
    gateway.start()
    try:
        wait_until("some rows", lambda: shown(gateway).get("buffer", {}).get("stored", 0) > 3)
        filler = fill(state_disk)
        wait_until("lost readings", lambda: shown(gateway).get("lost", 0) > 3, 100)
        filler.unlink()
        wait_until("an empty memory", lambda: shown(gateway).get("waiting_in_memory") == 0, 60)
        assert gateway.terminate()[0] == 0
    finally:
        gateway.stop_anyhow()
    lost = shown(gateway)["lost"]
    rows = gateway.stored_rows()
    assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1))
    assert query(gateway.database, "SELECT value FROM counters WHERE name = 'dropped'") == [(lost,)]
    events = buffer_events(gateway)
    assert [what for what, _evidence in events if what != "dropped"] == ["full", "recovered"]
    assert sum(evidence["rows"] for what, evidence in events if what == "dropped") == lost
    print(f"full disk: {len(rows)} readings kept, {lost} lost and reported")


@needs_root
def test_a_stop_on_a_full_disk_says_how_many_readings_it_costs(tmp_path: Path, state_disk: Path) -> None:
    gateway = make_gateway(tmp_path, interval_s=0.2)
    fill(state_disk)
    gateway.start()
    try:
        wait_until("readings in memory", lambda: shown(gateway).get("waiting_in_memory", 0) >= 3)
        code, seconds = gateway.terminate()
    finally:
        gateway.stop_anyhow()
    assert code == 0
    assert seconds < 5
    count = shown(gateway)["waiting_in_memory"]
    told = [line for line in gateway.log_text().splitlines() if "lost with this stop" in line]
    assert len(told) == 1
    assert f"Readings in memory that are lost with this stop: {count}" in told[0]


def test_a_second_agent_on_one_state_folder_is_told_which_process_has_it(tmp_path: Path) -> None:
    first = make_gateway(tmp_path, interval_s=1)
    other_config = first.config.with_name("other.toml")
    other_config.write_text(first.config.read_text().replace('runtime = "run"', 'runtime = "run2"'))
    first.start()
    try:
        wait_until("a reading", lambda: shown(first).get("taken", 0) > 0)
        second = subprocess.run(
            [sys.executable, "-m", "agent", "run", "--config", str(other_config)],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        pid = shown(first)["pid"]
    finally:
        first.stop_anyhow()
    assert second.returncode == 1
    assert f"another agent (process {pid}) keeps its readings in" in second.stderr
    assert "Traceback" not in second.stderr
