"""The few lines that read /proc, held against psutil and against what kernels may print."""

import time
from pathlib import Path

import psutil
import pytest

from agent.collectors import procfs
from agent.collectors.host import HostCollector

STAT = "cpu  100 20 30 800 50 0 5 0 7 3\ncpu0 1 2 3\n"
NET = (
    "Inter-|   Receive                            |  Transmit\n"
    " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs\n"
    "    lo:     100       1    0    0    0     0          0         0      200       1    0\n"
    "wwan0:4294967297       1    0    0    0     0          0         0 99    1    0\n"
    "eth0:1: 7 1 0 0 0 0 0 0 8 1 0\n"
    "broken: x 1\n"
)


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "net").mkdir()
    monkeypatch.setattr(procfs, "PROC", tmp_path)
    return tmp_path


def test_processor_time_is_busy_of_all(proc: Path) -> None:
    (proc / "stat").write_text(STAT)
    assert procfs.processor_times() == (155, 1005)


@pytest.mark.parametrize("text", ["", "cpu\n", "cpu  1 2 x 4 5\n", "intr 1 2 3 4 5 6\n", "cpu 1 2 3\n"])
def test_a_kernel_that_does_not_tell_gives_nothing(text: str, proc: Path, tmp_path: Path) -> None:
    (proc / "stat").write_text(text)
    assert procfs.processor_times() is None
    (proc / "stat").unlink()
    assert procfs.processor_times() is None
    assert procfs.memory_used_pct() is None
    assert procfs.interface_bytes() == {}
    assert HostCollector(tmp_path).collect().cpu_pct is None


def test_memory_and_interfaces(proc: Path) -> None:
    (proc / "meminfo").write_text("MemTotal:  1000 kB\nMemFree: 1 kB\nMemAvailable:  250 kB\n")
    (proc / "net/dev").write_text(NET)
    assert procfs.memory_used_pct() == 75.0
    assert procfs.interface_bytes() == {"lo": (100, 200), "wwan0": (4294967297, 99), "eth0:1": (7, 8)}


def test_the_real_kernel_says_the_same_as_psutil() -> None:
    first = psutil.net_io_counters(pernic=True, nowrap=False)
    ours = procfs.interface_bytes()
    second = psutil.net_io_counters(pernic=True, nowrap=False)
    assert ours.keys() == second.keys()
    for name, (received, sent) in ours.items():
        assert first[name].bytes_recv <= received <= second[name].bytes_recv
        assert first[name].bytes_sent <= sent <= second[name].bytes_sent
    used = procfs.memory_used_pct()
    assert used is not None and abs(used - psutil.virtual_memory().percent) < 5
    times, theirs = procfs.processor_times(), psutil.cpu_times()
    assert times is not None
    per_s = 100  # USER_HZ
    assert abs(times[1] - times[0] - per_s * (theirs.idle + theirs.iowait)) < 20 * per_s


def test_a_busy_processor_shows(tmp_path: Path) -> None:
    collector = HostCollector(tmp_path)
    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        pass
    cpu_pct = collector.collect().cpu_pct
    assert cpu_pct is not None and 0 < cpu_pct <= 100
