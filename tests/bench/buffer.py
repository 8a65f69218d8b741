"""The buffer beside bare SQLite: readings stored a second, memory with a backlog, wear of the flash."""

import ctypes
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from agent.buffer import schema
from agent.buffer.store import Store
from agent.contract.catalogue import Row, catalogue
from tests.bench.line import Line

SECONDS_EACH = 2.0
LIFE_READINGS = 1200
BACKLOG_ROWS = 20_160
LIMIT_FLASH_BYTES = 16_000
WISH_FLASH_BYTES = 9_000
LIMIT_BACKLOG_MB = 1.5
OLD_TS = int(time.time()) - 91 * 86400

# A child, so that its peak is its own; with no rows it shows what the imports alone take.
BACKLOG = """
import sys
from pathlib import Path
from agent.buffer.keeper import Keeper
from tests.bench.buffer import reading
limits = {"max_bytes": 64 << 20, "commit_interval_s": 60, "commit_readings": 10, "keep_days": 90}
keeper = Keeper(Path(sys.argv[1]), **limits)
row = reading(1)
rows = int(sys.argv[2])
if rows:
    keeper.start()
    for number in range(rows):
        keeper.append(row)
    while batch := keeper.unsent_rows(newest=False, limit=60, leased=[]):
        keeper.mark_sent(batch[0]["seq"], batch[-1]["seq"])
    keeper.close()
status = Path("/proc/self/status").read_text().split()
print(status[status.index("VmHWM:") + 1])
"""


def reading(number: int) -> Row:
    """Return a reading with the 32 fields that an LTE gateway on a Raspberry Pi usually has."""
    return catalogue().clean(
        {
            "slot_s": 60,
            "ts": OLD_TS + number,
            "ts_quality": "ntp",
            "uptime_s": 60 * number,
            "modem_state": "ok",
            "sim_state": "ready",
            "registration": "home",
            "access_technology": "lte",
            "operator_name": "TELKOMSEL",
            "operator_mccmnc": "51010",
            "rssi_dbm": -75 - number % 5,
            "rsrp_dbm": -103 - number % 7,
            "rsrq_db": -10.5 - number % 3 / 10,
            "sinr_db": 8.5 - number % 11 / 10,
            "band": "B3",
            "earfcn": 1850,
            "pci": 130,
            "cell_id": 27_447_297,
            "tac": 1234,
            "modem_temperature_c": 41.5,
            "signal_class": "fair",
            "wan_rx_bytes": 1000 * number % 777_777,
            "wan_tx_bytes": 100 * number % 77_777,
            "agent_bytes": 300,
            "cpu_pct": number % 10,
            "load1": 0.12,
            "mem_used_pct": 48,
            "disk_used_pct": 31,
            "soc_temp_c": 51.2,
            "buffer_unsent": number % 60,
            "buffer_oldest_s": number % 3600,
            "clock_offset_s": 0.1,
        }
    )


def _store(path: Path, commit_readings: int, commit_interval_s: float) -> Store:
    return Store(
        path,
        max_bytes=64 << 20,
        commit_interval_s=commit_interval_s,
        commit_readings=commit_readings,
        keep_days=90,
    )


def _rows_per_s(append: Callable[[Row], object]) -> float:
    rows = [reading(number) for number in range(1000)]
    began, done = time.monotonic(), 0
    while time.monotonic() - began < SECONDS_EACH:
        append(rows[done % 1000])
        done += 1
    return done / (time.monotonic() - began)


def _ours_per_s(path: Path, commit_readings: int) -> float:
    store = _store(path, commit_readings, commit_interval_s=3600)
    try:
        return _rows_per_s(store.append)
    finally:
        store.close()


def _bare_per_s(path: Path, commit_readings: int) -> float:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for pragma in (*schema.NEW_FILE_PRAGMAS, *schema.PRAGMAS):
            connection.execute(f"PRAGMA {pragma}")
        for statement in schema.create_statements():
            connection.execute(statement)
        names = [name for name in schema.wanted_columns() if name != "seq"]
        insert = f"INSERT INTO readings ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
        inserted = 0

        def append(row: Row) -> None:
            nonlocal inserted
            if inserted % commit_readings == 0:
                connection.execute("BEGIN")
            connection.execute(insert, [row.get(name) for name in names])
            inserted += 1
            if inserted % commit_readings == 0:
                connection.execute("COMMIT")

        return _rows_per_s(append)


def _rate_line(folder: Path, commit_readings: int) -> Line:
    ours = _ours_per_s(folder / f"ours-{commit_readings}", commit_readings)
    bare = _bare_per_s(folder / f"bare-{commit_readings}", commit_readings)
    return Line(
        f"readings stored, {commit_readings} a commit",
        f"{ours:,.0f} /s",
        f"bare sqlite3 {bare:,.0f} /s",
        f"{ours / bare:.2f} x",
    )


def _peak_mb(path: Path, rows: int) -> float:
    child = subprocess.run(
        [sys.executable, "-c", BACKLOG, str(path), str(rows)], capture_output=True, text=True, check=True
    )
    return int(child.stdout) / 1024


def _memory_line(folder: Path) -> Line:
    with_backlog, without = _peak_mb(folder / "backlog", BACKLOG_ROWS), _peak_mb(folder / "none", 0)
    over = with_backlog - without
    return Line(
        f"peak RSS, {BACKLOG_ROWS:,} rows stored and drained",
        f"{with_backlog:.1f} MB",
        f"its imports alone {without:.1f} MB",
        f"{over:+.1f} MB",
        f"<= +{LIMIT_BACKLOG_MB} MB",
        over > LIMIT_BACKLOG_MB,
    )


def _life(path: Path, paced: Callable[[], object]) -> None:
    """Store each reading at once, acknowledge it, prune each 60."""
    store = _store(path, commit_readings=10, commit_interval_s=0)
    for number in range(1, LIFE_READINGS + 1):
        seq = store.append(reading(number))
        store.mark_sent(seq, seq)
        if number % 60 == 0:
            store.prune()
        paced()
    store.close()


def _log(path: Path, paced: Callable[[], object]) -> None:
    """Do the least that could be done: one record into a file laid out before."""
    with path.open("rb+", buffering=0) as file:
        for _number in range(LIFE_READINGS):
            file.write(b"x" * 200)
            os.fdatasync(file.fileno())
            paced()


def _flash_line(folder: Path) -> Line:
    what = "at the block device per reading: stored, sent, pruned"
    if os.geteuid() != 0 or shutil.which("mkfs.ext4") is None:
        return Line(what, "not measured: needs root and mkfs.ext4")
    image, disk = folder / "image", folder / "disk"
    disk.mkdir()
    with image.open("wb") as file:
        file.truncate(64 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True)
    mounted = subprocess.run(["mount", "-o", "loop", str(image), str(disk)], capture_output=True, check=False)
    if mounted.returncode:
        return Line(what, "not measured: no loop device here")
    try:
        (disk / "log").write_bytes(bytes(LIFE_READINGS * 200))
        ours, log = (_block_bytes(disk, work) for work in (_life, _log))
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    return Line(
        what,
        f"{ours:,.0f} B",
        f"preallocated log {log:,.0f} B",
        f"{ours / log:.1f} x",
        f"<= {LIMIT_FLASH_BYTES:,} B (wish {WISH_FLASH_BYTES:,})",
        ours > LIMIT_FLASH_BYTES,
    )


def _block_bytes(disk: Path, work: Callable[[Path, Callable[[], object]], None]) -> float:
    """Return the bytes per reading that reach the device below `disk`.

    Everything is written back after each reading, as on a gateway, where the next one is a minute away.
    """
    mounts = (line.split() for line in Path("/proc/self/mounts").read_text().splitlines())
    device = next(source for source, target, *_ in mounts if target == str(disk))
    statistics = Path("/sys/class/block") / Path(device).name / "stat"

    def sectors() -> int:
        return int(statistics.read_text().split()[6])

    descriptor = os.open(disk, os.O_RDONLY)
    write_back = partial(ctypes.CDLL(None).syncfs, descriptor)
    try:
        write_back()
        before = sectors()
        work(disk / work.__name__.strip("_"), write_back)
        return (sectors() - before) * 512 / LIFE_READINGS
    finally:
        os.close(descriptor)


def run() -> list[Line]:
    """Measure on the disk that holds /var/tmp."""
    with TemporaryDirectory(dir="/var/tmp") as name:  # a disk also where /tmp is memory
        folder = Path(name)
        return [_rate_line(folder, 1), _rate_line(folder, 10), _memory_line(folder), _flash_line(folder)]
