"""Disks and files that fail, for real: nothing accepted is lost, nothing is stored twice, the words fit."""

import errno
import os
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from agent.buffer.faults import explain
from agent.errors import StoreUnusable
from tests.buffer.conftest import OpenStore
from tests.buffer.files import query, reading, seq_of_number
from tests.support.programs import program

needs_root = pytest.mark.needs_root


def accepted_by(lines: list[str]) -> dict[int, int]:
    return {int(line.split()[1]): int(line.split()[2]) for line in lines if line.startswith("S")}


# ---- errors injected into write and sync ----

# What fails, at its how-manieth call and the two after it, and how many readings make a commit. With three
# failures in a row even the clean-up fails, and a commit that was reported as failed is found on the disk.
INJECTIONS = [
    *(("pwrite64:error=EIO", nth, 1) for nth in (1, 2, 3, 5, 8, 13, 21, 34)),
    *(("pwrite64:error=EIO", nth, 3) for nth in (14, 15, 20)),
    *(("pwrite64:error=ENOSPC", nth, 1) for nth in (1, 4, 9, 16, 25)),
    *(("pwrite64:error=ENOSPC", nth, 3) for nth in (12, 18)),
    *(("pwrite64:error=EROFS", nth, 1) for nth in (1, 20)),
    *(("fdatasync:error=EIO", nth, 1) for nth in (1, 2, 3, 4, 5, 14)),
    *(("fdatasync:error=EIO", nth, 3) for nth in (6, 9, 10, 12)),
    *(("fdatasync:error=ENOSPC", nth, 1) for nth in (2, 7)),
    *(("ftruncate:error=EIO", nth, 1) for nth in (1, 2)),
    *(("openat:error=EROFS", nth, 1) for nth in (1, 2, 3)),
    *(("openat:error=ENOSPC", nth, 1) for nth in (1, 2)),
    *(("openat:error=EIO", nth, 1) for nth in (1, 2, 3)),
]


@pytest.mark.parametrize(("fault", "nth", "commit_readings"), INJECTIONS)
def test_an_injected_error_costs_no_accepted_row_and_doubles_none(
    path: Path, fault: str, nth: int, commit_readings: int
) -> None:
    traced = [
        program("strace"),
        "-f",
        "-qq",
        "-o",
        str(path.parent / "trace"),
        "-P",
        str(path),
        "-P",
        f"{path}-wal",
    ]
    call = fault.split(":")[0]
    traced += ["-e", f"trace={call}", "-e", f"inject={fault}:when={nth}..{nth + 2}"]
    appender = [sys.executable, "-m", "tests.buffer.appender", str(path), "1", "12", str(commit_readings)]
    child = subprocess.run([*traced, *appender], capture_output=True, text=True, check=True)
    if "Operation not permitted" in child.stderr:
        pytest.skip(f"strace may not trace here: {child.stderr}")
    assert "INJECTED" in (path.parent / "trace").read_text()
    lines = child.stdout.splitlines()
    accepted = accepted_by(lines)
    assert lines[-1] == "E"
    assert len(accepted) == 12
    kept = dict(seq_of_number(path))
    assert kept == accepted
    assert not list(path.parent.glob("*.damaged-*"))


@pytest.mark.parametrize("nth", [1, 3, 5, 6, 8, 12])
def test_a_disk_that_cannot_be_read_for_a_while_is_not_taken_for_a_damaged_file(
    path: Path, open_store: OpenStore, nth: int
) -> None:
    store = open_store()
    for number in range(1, 31):
        store.append(reading(number))
    store.close()
    traced = [program("strace"), "-f", "-qq", "-o", str(path.parent / "trace"), "-P", str(path)]
    traced += ["-e", "trace=pread64", "-e", f"inject=pread64:error=EIO:when={nth}..{nth + 2}"]
    appender = [sys.executable, "-m", "tests.buffer.appender", str(path), "31", "5", "1"]
    child = subprocess.run([*traced, *appender], capture_output=True, text=True, check=True)
    if "Operation not permitted" in child.stderr:
        pytest.skip(f"strace may not trace here: {child.stderr}")
    assert "INJECTED" in (path.parent / "trace").read_text()
    assert seq_of_number(path) == [(number, number) for number in range(1, 36)]
    assert not list(path.parent.glob("*.damaged-*"))


# ---- full disks ----


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("needs root to mount a small tmpfs")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "none", str(folder)], check=False)
    if mounted.returncode:
        pytest.skip("mounting a tmpfs is not allowed here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(file: Path) -> None:
    with suppress(OSError), file.open("wb", buffering=0) as filler:
        while filler.write(bytes(4096)):
            pass


@needs_root
def test_a_full_disk_is_named_and_survived(
    tiny_disk: Path, open_store: OpenStore, no_retry_pause: None
) -> None:
    path = tiny_disk / "sinyal.db"
    store = open_store(path, commit_readings=3)
    accepted = [store.append(reading(number)) for number in range(1, 41)]
    filler = tiny_disk / "filler"
    fill(filler)
    for _attempt in range(3):
        with pytest.raises(StoreUnusable, match="disk is full") as full:  # noqa: PT012 -- held rows first
            for _row in range(40):
                accepted.append(store.append(reading(len(accepted) + 1)))
        assert "df -h" in full.value.next_step
    unsent = store.unsent_rows(newest=False, limit=60, leased=[])  # what is stored can still be sent
    assert len(unsent) == min(60, store.counts().unsent)
    store.mark_sent(1, 30)
    filler.unlink()
    accepted.append(store.append(reading(len(accepted) + 1)))
    assert store.file.failure is None
    store.close()
    assert seq_of_number(path) == [(seq, seq) for seq in accepted]
    assert query(path, "SELECT * FROM sent") == [(1, 30)]


@needs_root
def test_a_disk_that_becomes_read_only_is_named_and_survived(
    tiny_disk: Path, open_store: OpenStore, no_retry_pause: None
) -> None:
    store = open_store(tiny_disk / "sinyal.db")
    store.append(reading(1))
    store.close()
    subprocess.run(["mount", "-o", "remount,ro", str(tiny_disk)], check=True)
    with pytest.raises(StoreUnusable, match="read-only") as failed:
        store.append(reading(2))
    assert failed.value.next_step
    subprocess.run(["mount", "-o", "remount,rw", str(tiny_disk)], check=True)
    assert store.append(reading(2)) == 2


def test_a_file_that_may_not_grow_is_survived(
    path: Path, open_store: OpenStore, no_retry_pause: None
) -> None:
    store = open_store(commit_readings=2)
    accepted = [store.append(reading(number)) for number in range(1, 6)]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size, hard))
    try:
        for _attempt in range(3):
            with pytest.raises(StoreUnusable):  # noqa: PT012 -- the held rows first
                for _row in range(40):
                    accepted.append(store.append(reading(len(accepted) + 1)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    accepted.append(store.append(reading(len(accepted) + 1)))
    store.close()
    assert seq_of_number(path) == [(seq, seq) for seq in accepted]


# ---- places where no database can be ----


def test_a_missing_folder(tmp_path: Path, open_store: OpenStore) -> None:
    with pytest.raises(StoreUnusable, match="folder") as failed:
        open_store(tmp_path / "none" / "sinyal.db")
    assert "Make the folder" in failed.value.next_step


def test_a_folder_in_place_of_the_file(tmp_path: Path, open_store: OpenStore) -> None:
    (tmp_path / "sinyal.db").mkdir()
    with pytest.raises(StoreUnusable, match="no file but a folder") as failed:
        open_store()
    assert failed.value.next_step


def test_a_pipe_in_place_of_the_file_is_not_waited_for(tmp_path: Path, open_store: OpenStore) -> None:
    os.mkfifo(tmp_path / "sinyal.db")
    with pytest.raises(StoreUnusable, match="pipe"):
        open_store()


def test_a_link_to_a_disk_that_is_not_there(
    tmp_path: Path, path: Path, open_store: OpenStore, no_retry_pause: None
) -> None:
    disk = tmp_path / "disk"
    path.symlink_to(disk / "readings.db")
    with pytest.raises(StoreUnusable, match="folder is missing"):
        open_store()
    disk.mkdir()
    store = open_store()
    assert store.append(reading(1)) == 1
    store.close()
    assert seq_of_number(disk / "readings.db") == [(1, 1)]
    assert path.is_symlink()


def test_a_damaged_file_behind_a_link_is_moved_aside_where_it_is(
    tmp_path: Path, path: Path, open_store: OpenStore
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    (disk / "readings.db").write_bytes(b"x" * 5000)
    path.symlink_to(disk / "readings.db")
    store = open_store()
    assert store.file.damaged_file == disk / "readings.db.damaged-1"
    assert path.is_symlink()


@needs_root
@pytest.mark.parametrize("suffix", ["", "-wal"])
def test_a_file_of_another_user_is_named(path: Path, open_store: OpenStore, suffix: str) -> None:
    store = open_store()
    store.append(reading(1))
    contents = Path(f"{path}-wal").read_bytes()
    store.close()
    Path(f"{path}-wal").write_bytes(contents)
    os.chown(path, 65534, 65534)
    for folder in (path.parent.parent, path.parent.parent.parent):
        folder.chmod(0o755)
    path.parent.chmod(0o777)
    theirs = Path(f"{path}{suffix}")
    os.chown(theirs, 0, 0)
    theirs.chmod(0o600)
    before = sorted(path.parent.iterdir())
    with rights_of_nobody(), pytest.raises(StoreUnusable, match=f"{theirs.name}|read-only") as refused:
        open_store()
    assert "ls -l" in refused.value.next_step or "chown" in refused.value.next_step
    assert sorted(path.parent.iterdir()) == before


@pytest.mark.parametrize("mask", [0o000, 0o077])
def test_readings_are_for_the_agent_and_its_group_whatever_the_umask(
    path: Path, open_store: OpenStore, mask: int
) -> None:
    before = os.umask(mask)
    try:
        store = open_store()
        store.append(reading(1))
    finally:
        os.umask(before)
    assert [oct(file.stat().st_mode & 0o777) for file in (path, Path(f"{path}-wal"))] == ["0o640", "0o640"]
    store.close()
    path.chmod(0o600)
    open_store().append(reading(2))
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_of_a_newer_agent_opens(path: Path, open_store: OpenStore) -> None:
    store = open_store()
    store.append(reading(1))
    store.close()
    query(path, "CREATE TABLE later (a INTEGER)")
    query(path, "ALTER TABLE readings ADD COLUMN ozone_ppb INTEGER")
    store = open_store()
    assert store.append(reading(2)) == 2
    assert store.file.damaged_file is None
    assert len(store.unsent_rows(newest=False, limit=9, leased=[])) == 2


@contextmanager
def rights_of_nobody() -> Iterator[None]:
    """Give up what root may do, for a while; for another user nothing changes."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.mark.parametrize("existing", [False, True])
def test_a_folder_that_may_not_be_written(path: Path, open_store: OpenStore, existing: bool) -> None:
    if existing:
        store = open_store()
        store.append(reading(1))
        store.close()
    for folder in (path.parent.parent, path.parent.parent.parent):
        folder.chmod(0o755)
    path.parent.chmod(0o555)
    try:
        with rights_of_nobody(), pytest.raises(StoreUnusable, match=r"permission|read-only") as refused:
            open_store()
    finally:
        path.parent.chmod(0o755)
    assert "`ls -l" in refused.value.next_step
    assert [file.name for file in path.parent.iterdir()] == (["sinyal.db"] if existing else [])


HOLD = """
import sys
from pathlib import Path
from agent.buffer.store import Store
store = Store(Path(sys.argv[1]), max_bytes=1 << 20, commit_interval_s=0, commit_readings=1, keep_days=1)
store.append({"uptime_s": 1})
print("holding", flush=True)
sys.stdin.read()
store.close()
"""


def test_a_second_program_is_told_that_another_one_holds_the_file(
    path: Path, open_store: OpenStore, no_retry_pause: None
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == "holding\n"
        with pytest.raises(StoreUnusable, match="another program") as held:
            open_store()
        assert held.value.next_step
        holder.stdin.close()
    store = open_store()
    assert store.append(reading(2)) == 2
    assert not list(path.parent.glob("*.damaged-*"))


# ---- damaged files ----


def cut_short(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def overwrite_middle(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\xff" * 3000)


def replace_with_text(path: Path) -> None:
    path.write_text("tidak ada apa-apa di sini\n" * 500)


def leave_only_the_log(path: Path) -> None:
    os.truncate(path, 0)


def make_the_schema_no_text(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content.replace(b"CREATE TABLE readings", b"CREATE \xff\xfe\xff readings"))


DAMAGES = [cut_short, overwrite_middle, replace_with_text, leave_only_the_log, make_the_schema_no_text]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_moved_aside_with_its_log_and_a_new_epoch_begins(
    path: Path,
    open_store: OpenStore,
    damage: Callable[[Path], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = open_store(commit_readings=50)
    for number in range(1, 1200):
        store.append(reading(number))
    store.commit()
    old_epoch = store.epoch
    log = Path(f"{path}-wal")
    contents = {path: path.read_bytes(), log: log.read_bytes()}
    store.close()
    for file, content in contents.items():  # as a power cut leaves it: the log is still there
        file.write_bytes(content)
    damage(path)
    damaged, damaged_log = path.read_bytes(), log.read_bytes()

    store = open_store()
    aside = Path(f"{path}.damaged-1")
    assert store.file.damaged_file == aside
    assert store.epoch != old_epoch
    assert aside.read_bytes()[:100] == damaged[:100]
    assert len(aside.read_bytes()) >= len(damaged)
    assert Path(f"{aside}-wal").read_bytes() == damaged_log
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert str(aside) in caplog.text
    assert len(caplog.records[0].message.splitlines()) == 1
    assert store.append(reading(1)) == 1
    store.close()
    assert query(path, "PRAGMA integrity_check") == [("ok",)]


def test_a_destroyed_header_is_damage(path: Path, open_store: OpenStore) -> None:
    store = open_store()
    store.append(reading(1))
    store.close()
    with path.open("r+b") as file:
        file.write(b"Not a database at all")
    assert open_store().file.damaged_file == Path(f"{path}.damaged-1")


def test_an_empty_file_is_a_new_database(path: Path, open_store: OpenStore) -> None:
    path.touch()
    store = open_store()
    assert store.append(reading(1)) == 1
    assert store.file.damaged_file is None


def test_each_damaged_file_gets_a_name_of_its_own(path: Path, open_store: OpenStore) -> None:
    for _time in range(3):
        path.write_bytes(b"x" * 5000)
        open_store().close()
    assert sorted(file.name for file in path.parent.glob("*.damaged-*")) == [
        f"sinyal.db.damaged-{number}" for number in (1, 2, 3)
    ]


def test_a_row_whose_text_was_damaged_is_still_offered(path: Path, open_store: OpenStore) -> None:
    store = open_store()
    store.append(reading(1))
    store.close()
    path.write_bytes(path.read_bytes().replace(b"TELKOMSEL", b"TELK\xffMSEL"))
    store = open_store()
    (row,) = store.unsent_rows(newest=False, limit=1, leased=[])
    assert row == {**reading(1), "operator_name": "TELK\ufffdMSEL", "seq": 1, "boot": 1}
    assert store.append(reading(2)) == 2


def test_a_damaged_counter_gives_no_seq_again(path: Path, open_store: OpenStore) -> None:
    store = open_store()
    for number in range(1, 6):
        store.append(reading(number))
    store.close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE sqlite_sequence SET seq = 2")
    assert open_store().append(reading(6)) == 6


def test_damage_met_while_running_is_replaced_and_seqs_go_on(
    path: Path, open_store: OpenStore, no_retry_pause: None
) -> None:
    store = open_store(commit_readings=50)
    for number in range(1, 3001):
        store.append(reading(number))
    store.commit()
    old_epoch = store.epoch
    with path.open("r+b") as file:  # the flash behind the file loses its middle
        file.seek(20 * 1024)
        file.write(b"\xff" * (path.stat().st_size - 40 * 1024))
    with pytest.raises(StoreUnusable, match="damaged"):
        store.unsent_rows(newest=False, limit=3000, leased=[])
    assert store.append(reading(3001)) == 3001
    assert store.epoch != old_epoch
    assert store.file.damaged_file is not None
    store.mark_sent(2900, 3000)  # the late acknowledgement of rows of the old epoch hits nothing
    assert store.counts().unsent == 1


# ---- words ----


def test_an_error_nobody_thought_of_is_told_as_it_is() -> None:
    failure = explain(OSError(errno.EMFILE, "Too many open files"), Path("/var/lib/sinyal/sinyal.db"))
    assert "/var/lib/sinyal/sinyal.db" in failure.what
    assert "Too many open files" in failure.what
    assert failure.next_step
