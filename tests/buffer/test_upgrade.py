"""An older database gets the columns of a newer catalogue; without sqlite-utils it works as it is."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from agent.buffer import schema
from agent.buffer.upgrade import main
from agent.contract.catalogue import catalogue
from tests.buffer.conftest import OpenStore
from tests.buffer.files import query, reading, seq_of_number
from tests.support.programs import program

NEW = ("rsrq_db", "wan_rx_bytes", "operator_name")


@pytest.fixture
def old_file(path: Path, open_store: OpenStore) -> Path:
    """Make a database whose agent did not know NEW, with three readings."""
    store = open_store()
    for number in (1, 2, 3):
        store.append(reading(number))
    store.close()
    for name in NEW:
        query(path, f"ALTER TABLE readings DROP COLUMN {name}")
    return path


@pytest.fixture
def no_sqlite_utils(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "no_sqlite_utils"
    folder.mkdir()
    (folder / "sqlite_utils.py").write_text("raise ImportError('not packaged here')\n")
    monkeypatch.setenv("PYTHONPATH", str(folder))


def columns(path: Path) -> set[str]:
    return {row[1] for row in query(path, "PRAGMA table_info(readings)")}


def test_opening_adds_what_the_catalogue_has(
    old_file: Path, open_store: OpenStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    store = open_store()
    assert caplog.messages == ["Reading database upgraded, new columns: operator_name, rsrq_db, wan_rx_bytes"]
    store.append(reading(4))
    rows = store.unsent_rows(newest=True, limit=9, leased=[])
    store.close()
    assert [row.get("rsrq_db") for row in rows] == [None, None, None, reading(4)["rsrq_db"]]
    assert columns(old_file) == schema.wanted_columns().keys()
    assert seq_of_number(old_file) == [(1, 1), (2, 2), (3, 3), (4, 4)]
    assert query(old_file, "SELECT name FROM _sqlite_migrations") == [
        (f"columns of catalogue {catalogue().id}",)
    ]
    open_store()
    assert len(caplog.messages) == 1


def test_the_agent_never_loads_sqlite_utils(old_file: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from agent.buffer.keeper import Keeper;"
        "keeper = Keeper(Path(sys.argv[1]), max_bytes=1 << 20, commit_interval_s=0, commit_readings=1,"
        " keep_days=1);"
        "keeper.start(); keeper.append({'rsrq_db': -10.5}); keeper.close();"
        "print([name for name in sys.modules if name.startswith(('sqlite_utils', 'click'))])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code, str(old_file)], capture_output=True, text=True, check=True
    )
    assert answer.stdout == "[]\n"
    assert query(old_file, "SELECT rsrq_db FROM readings WHERE seq = 4") == [(-10.5,)]


@pytest.mark.usefixtures("no_sqlite_utils")
def test_without_sqlite_utils_the_old_columns_go_on(
    old_file: Path, open_store: OpenStore, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_store()
    store.append(reading(4))
    store.append(reading(5))
    store.close()
    assert caplog.messages == [
        "sqlite-utils is not installed here: the reading database keeps the columns it has",
        "The reading database has no column for: operator_name, rsrq_db, wan_rx_bytes;"
        " these values are not kept",
    ]
    assert seq_of_number(old_file) == [(number, number) for number in range(1, 6)]


@pytest.mark.parametrize("nth", range(1, 12, 2))
def test_a_power_cut_in_the_middle_leaves_a_good_file(
    old_file: Path, open_store: OpenStore, nth: int
) -> None:
    inject = ["-e", "trace=pwrite64,fdatasync", "-e", f"inject=pwrite64,fdatasync:signal=KILL:when={nth}"]
    upgrade = [sys.executable, "-m", "agent.buffer.upgrade", str(old_file)]
    child = subprocess.run(
        [
            program("strace"),
            "-f",
            "-qq",
            "-o",
            "/dev/null",
            "-P",
            str(old_file),
            "-P",
            f"{old_file}-wal",
            *inject,
            *upgrade,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode in {0, -9, 137}, child.stderr
    store = open_store()  # does the rest
    store.append(reading(4))
    store.close()
    assert store.file.damaged_file is None
    # A log that ends in the middle is suspected of having lost rows: seqs are left out.
    assert [number for _seq, number in seq_of_number(old_file)] == [1, 2, 3, 4]
    assert columns(old_file) == schema.wanted_columns().keys()


def test_by_hand_it_says_what_it_did_in_one_line(
    old_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SINYAL_LANG", "en")
    assert main([str(old_file)]) == 0
    assert main([str(old_file)]) == 0
    assert main([str(old_file.parent / "none")]) == 2
    assert main([]) == 2
    old_file.write_text("tidak ada apa-apa\n" * 100)
    assert main([str(old_file)]) == 1
    answers = capsys.readouterr().out.splitlines()
    assert answers[:2] == [
        "Reading database upgraded, new columns: operator_name, rsrq_db, wan_rx_bytes",
        "Reading database upgraded, new columns: -",
    ]
    assert [answer.split(":")[0] for answer in answers[2:4]] == ["Usage", "Usage"]
    assert "is damaged" in answers[4]
    assert len(answers) == 5


def test_a_file_in_use_is_not_upgraded(
    old_file: Path, open_store: OpenStore, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SINYAL_LANG", "en")
    open_store()
    assert main([str(old_file)]) == 1
    assert "another program" in capsys.readouterr().out
