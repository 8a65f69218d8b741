import subprocess
import sys
from pathlib import Path

import pytest

from agent.errors import SinyalError
from agent.pipeline.snapshot import DaemonLock, daemon_runs, read_snapshot, write_snapshot

HOLD = """
import sys, time
from pathlib import Path
from agent.pipeline.snapshot import DaemonLock
DaemonLock(Path(sys.argv[1])).take()
print("held", flush=True)
time.sleep(60)
"""


def test_snapshot_is_replaced_whole(tmp_path: Path) -> None:
    write_snapshot(tmp_path, {"v": 1, "site": "Désa"})
    write_snapshot(tmp_path, {"v": 1, "site": "Air Liki"})

    assert read_snapshot(tmp_path) == {"v": 1, "site": "Air Liki"}
    assert [file.name for file in tmp_path.iterdir()] == ["status.json"]


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe"])
def test_a_damaged_snapshot_is_no_snapshot(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "status.json").write_bytes(content)

    assert read_snapshot(tmp_path) is None


def test_the_lock_lives_exactly_as_long_as_its_process(tmp_path: Path) -> None:
    assert not daemon_runs(tmp_path)
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert daemon_runs(tmp_path)
        with pytest.raises(SinyalError, match=str(holder.pid)):
            DaemonLock(tmp_path).take()
        holder.kill()

    assert not daemon_runs(tmp_path)
    lock = DaemonLock(tmp_path)
    lock.take()
    lock.release()
