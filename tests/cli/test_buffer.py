"""`sinyal buffer stats|export|resend`, with a running agent and without one."""

import csv
import io
import json
import os
import pty
import select
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from agent.buffer.store import Store
from agent.cli.main import main
from agent.contract.catalogue import catalogue
from agent.modem.simulator import Behaviour, SimulatedModem
from agent.modem.transcript import read_transcript
from agent.pipeline.snapshot import DaemonLock
from tests.buffer.files import START_TS, query, reading
from tests.cli.test_main import HERE, sinyal
from tests.pipeline.whole_gateway import DEMO_TRANSCRIPT, Gateway, wait_until

ROWS = 400


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    """A gateway whose broker is away, with ROWS rows stored: 1 to 100 sent, 201 to 210 quarantined."""
    with SimulatedModem(read_transcript(DEMO_TRANSCRIPT), Behaviour()) as modem:
        made = Gateway(
            tmp_path, modem=str(modem.path), broker='host = "127.0.0.1"\nport = 1\n', interval_s=0.2
        )
        with made.config.open("a") as config:
            config.write("[buffer]\nkeep_days = 3650\n")
        made.database.parent.mkdir()
        with closing(open_store(made.database)) as store:
            for number in range(1, ROWS + 1):
                store.append(reading(number))
            store.commit()
            store.mark_sent(1, 100)
            store.commit()
            store.quarantine(201, 210, "too large")
        yield made
        made.stop_anyhow()


def open_store(path: Path) -> Store:
    store = Store(path, max_bytes=64 << 20, commit_interval_s=1e9, commit_readings=1000, keep_days=3650)
    store.open()
    return store


def buffer(made: Gateway, *arguments: str, **more: str) -> "subprocess.CompletedProcess[str]":
    return sinyal("buffer", *arguments, "--config", str(made.config), **more)


def stats(made: Gateway) -> dict[str, Any]:
    shown = buffer(made, "stats", "--json")
    assert shown.returncode == 0, shown.stderr
    document: dict[str, Any] = json.loads(shown.stdout)
    return document


def seqs(text: str) -> list[int]:
    return [json.loads(line)["seq"] for line in text.splitlines()]


def start(made: Gateway) -> None:
    made.start()
    wait_until("a first reading", lambda: (made.folder / "run" / "status.json").exists())


@pytest.mark.parametrize("running", [False, True], ids=["stopped", "running"])
def test_stats_counts_what_is_stored(gateway: Gateway, running: bool) -> None:
    if running:
        start(gateway)
    document = stats(gateway)
    taken = document["stored"] - ROWS

    assert (taken > 0) is running
    assert document["sent"] == 100
    assert document["unsent"] == ROWS - 110 + taken
    assert document["quarantined"] == 10
    assert (document["first_seq"], document["last_seq"]) == (1, ROWS + taken)
    assert (document["first_ts"], document["oldest_unsent_seq"]) == (START_TS + 60, 101)
    assert document["oldest_unsent_ts"] == START_TS + 60 * 101
    assert document["quarantined_ranges"] == [{"first_seq": 201, "last_seq": 210, "reasons": ["too large"]}]
    assert (document["folded"], document["dropped"], document["salvaged_unsent"]) == (0, 0, 0)
    assert document["events_unsent"] == 1
    assert 0 < document["bytes_used"] < document["max_bytes"]
    assert document["disk_free_bytes"] > 0
    assert len(document["epoch"]) == 8
    assert not document.keys() & {"v", "ok"}


@pytest.mark.parametrize("language", ["id", "en"])
def test_stats_is_one_screen_in_both_languages(gateway: Gateway, language: str) -> None:
    gateway.database.with_name("sinyal.db.damaged-1").write_bytes(b"x" * 5_000_000)

    shown = buffer(gateway, "stats", "--lang", language)

    lines = shown.stdout.splitlines()
    assert shown.stderr == ""
    assert len(lines) <= 24 and max(map(len, lines)) <= 80
    assert "seq 201-210 · too large" in shown.stdout and "WIB" in shown.stdout
    assert "sinyal.db.damaged-1 (5" in shown.stdout
    assert ("menunggu" if language == "id" else "waiting") in shown.stdout


@pytest.mark.parametrize("running", [False, True], ids=["stopped", "running"])
def test_export_gives_every_stored_row_as_it_is_stored(gateway: Gateway, running: bool) -> None:
    if running:
        start(gateway)
    shown = buffer(gateway, "export")
    gateway.stop_anyhow()

    rows = [json.loads(line) for line in shown.stdout.splitlines()]
    assert (shown.returncode, shown.stderr) == (0, "")
    assert len(rows) >= ROWS
    assert rows == gateway.stored_rows()[: len(rows)]
    assert None not in rows[0].values()


@pytest.mark.parametrize("running", [False, True], ids=["stopped", "running"])
def test_export_takes_a_part(gateway: Gateway, running: bool) -> None:
    if running:
        start(gateway)
    to = ("--to", str(ROWS))

    assert seqs(buffer(gateway, "export", "--from", "7", "--to", "9").stdout) == [7, 8, 9]
    assert seqs(buffer(gateway, "export", "--unsent", *to).stdout) == list(range(101, ROWS + 1))
    assert seqs(buffer(gateway, "export", "--unsent", "--from", "50", "--to", "103").stdout) == [
        101,
        102,
        103,
    ]
    # 2026-01-21 00:00 UTC is 07:00 WIB.
    since = ("--since", "2026-01-21T07:05", "--until", "2026-01-21T00:06Z")
    assert seqs(buffer(gateway, "export", *since).stdout) == [5, 6]


def test_export_as_csv_has_all_columns_of_the_catalogue(gateway: Gateway) -> None:
    query(gateway.database, "ALTER TABLE readings ADD COLUMN rsrp_dbm_min INTEGER")

    shown = buffer(gateway, "export", "--format", "csv", "--to", "2")

    header, *rows = csv.reader(io.StringIO(shown.stdout))
    assert header == ["epoch", *(metric.name for metric in catalogue().reading_metrics), "rsrp_dbm_min"]
    assert [row[header.index("seq")] for row in rows] == ["1", "2"]
    assert rows[0][header.index("sinr_db")] == ""
    assert not {"imsi", "iccid", "imei"} & set(header)


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_an_export_for_the_public_holds_nothing_else_and_few_devices_as_less_than_five(
    form: str, gateway: Gateway
) -> None:
    with closing(sqlite3.connect(gateway.database)) as connection, connection:
        connection.execute("UPDATE readings SET clients_count = seq - 1, cell_id = 77, tac = 9")

    shown = buffer(gateway, "export", "--public", "--format", form, "--to", "6").stdout

    if form == "csv":
        rows: list[dict[str, Any]] = list(csv.DictReader(io.StringIO(shown)))
    else:
        rows = [json.loads(line) for line in shown.splitlines()]
    assert [str(row["clients_count"]) for row in rows] == ["<5"] * 5 + ["5"]
    known = catalogue()
    assert {known[name].level for row in rows for name in row} == {"public"}
    assert all(row["ts"] for row in rows)


def test_an_export_without_rows_says_so_and_is_fine(gateway: Gateway) -> None:
    shown = buffer(gateway, "export", "--from", "9999", "--lang", "en")
    assert (shown.returncode, shown.stdout) == (0, "")
    assert "no stored row was wanted" in shown.stderr
    assert buffer(gateway, "export", "--from", "9999", "--format", "csv").stdout.startswith("epoch,seq,")


def test_a_file_is_written_whole_and_not_replaced_unasked(gateway: Gateway, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"

    first = buffer(gateway, "export", str(file), "--lang", "en")
    refused = buffer(gateway, "export", str(file), "--lang", "en")
    replaced = buffer(gateway, "export", str(file), "--to", "1", "--yes")

    assert (first.returncode, first.stdout) == (0, "")
    assert f"{ROWS} rows written to {file}" in first.stderr
    assert refused.returncode == 2 and "--yes" in refused.stderr
    assert replaced.returncode == 0
    assert len(file.read_text().splitlines()) == 2
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize(
    ("file", "code"),
    [("no/such/folder.csv", 2), (".", 2), ("/dev/full", 2), ("x" * 300, 1), ("", 2)],
)
def test_a_file_that_cannot_be_made_is_one_line(gateway: Gateway, file: str, code: int) -> None:
    shown = buffer(gateway, "export", file)
    assert shown.returncode == code
    assert len(shown.stderr.splitlines()) == 1
    assert "Next step:" in shown.stderr


def test_a_full_disk_under_the_file_leaves_nothing_half(gateway: Gateway, tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    limited = (
        f"ulimit -f 8; {sys.executable} -m agent buffer export {file} --config {gateway.config} --lang en"
    )

    shown = subprocess.run(
        ["/bin/sh", "-c", limited], cwd=HERE, capture_output=True, text=True, timeout=30, check=False
    )

    assert shown.returncode == 1
    assert "cannot be written" in shown.stderr and len(shown.stderr.splitlines()) == 1
    assert not file.exists() and not list(tmp_path.glob("*.part"))


def test_a_full_or_closed_stdout_is_no_traceback(gateway: Gateway) -> None:
    command = f"{sys.executable} -m agent buffer export --config {gateway.config}"
    full = subprocess.run(
        ["/bin/sh", "-c", f"{command} > /dev/full"],
        cwd=HERE, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    closed = subprocess.run(
        ["/bin/sh", "-c", f"{command} | head -1"],
        cwd=HERE, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip

    assert full.returncode == 1 and len(full.stderr.splitlines()) == 1
    assert seqs(closed.stdout) == [1] and closed.stderr == ""


@pytest.mark.parametrize("running", [False, True], ids=["stopped", "running"])
def test_resend_marks_a_range_unsent_again(gateway: Gateway, running: bool) -> None:
    if running:
        start(gateway)
    before = stats(gateway)

    shown = buffer(gateway, "resend", "91", "205", "--yes", "--lang", "en")
    again = buffer(gateway, "resend", "91", "205", "--json")

    assert shown.returncode == 0, shown.stderr
    assert "15 rows will be sent again" in shown.stdout
    after = stats(gateway)
    assert after["sent"] == before["sent"] - 10
    assert after["quarantined"] == 5
    assert after["oldest_unsent_seq"] == 91
    assert json.loads(again.stdout) == {
        "first_seq": 91, "last_seq": 205, "stored": 115, "waiting_already": 115, "bytes": 0, "rows": 0,
    }  # fmt: skip


def test_resend_of_more_than_is_stored_takes_what_there_is(gateway: Gateway) -> None:
    shown = buffer(gateway, "resend", "1", str(2**63 - 1), "--yes", "--json")
    assert json.loads(shown.stdout)["rows"] == 110
    nothing = buffer(gateway, "resend", "5000", "6000", "--yes", "--lang", "en")
    assert nothing.returncode == 1
    assert "stored are 1 to 400" in nothing.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("stats", "1"),
        ("resend",),
        ("resend", "5"),
        ("resend", "a", "9"),
        ("resend", "9", "5"),
        ("resend", "0", "5"),
        ("resend", "-1", "5"),
        ("resend", "1", "9" * 30),
        ("resend", "1", "5"),
        ("export", "--format", "xml"),
        ("export", "--from", "9", "--to", "5"),
        ("export", "--from", "-1"),
        ("export", "--to", "9" * 30),
        ("export", "--since", "yesterday"),
        ("export", "--since", "2026-02-30"),
        ("export", "--since", "2026-02-02", "--until", "2026-02-01"),
        ("export", "--since", ""),
    ],
)
def test_a_mistake_in_typing_is_one_line_and_changes_nothing(
    gateway: Gateway, arguments: tuple[str, ...]
) -> None:
    before = gateway.database.read_bytes()
    shown = buffer(gateway, *arguments)
    assert shown.returncode == 2
    assert shown.stdout == ""
    assert len(shown.stderr.splitlines()) == 1
    assert "Next step:" in shown.stderr
    assert gateway.database.read_bytes() == before


def on_terminal(made: Gateway, typed: bytes, *arguments: str) -> tuple[int, str]:
    """Run a command on a terminal of its own; return its exit code and what it showed."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(HERE)
        command = [sys.executable, "-m", "agent", "buffer", *arguments, "--config", str(made.config)]
        os.execv(sys.executable, command)
    shown = b""
    ends_at = time.monotonic() + 30
    while time.monotonic() < ends_at:
        if not select.select([terminal], [], [], 0.2)[0]:
            continue
        try:
            chunk = os.read(terminal, 4096)
        except OSError:
            break
        shown += chunk
        if typed and b"[y/N]" in shown:
            os.write(terminal, typed)
            typed = b""
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), shown.decode()


@pytest.mark.parametrize(
    ("typed", "code", "unsent"),
    [
        (b"y\n", 0, 300),
        (b"ya\n", 0, 300),
        (b"\n", 1, 290),
        (b"n\n", 1, 290),
        (b"\x04", 1, 290),
        (b"\x03", 130, 290),
    ],
)
def test_on_a_terminal_resend_asks_first(gateway: Gateway, typed: bytes, code: int, unsent: int) -> None:
    found, shown = on_terminal(gateway, typed, "resend", "1", "10", "--lang", "en")

    assert found == code, shown
    assert "Send 10 rows again, some 1 kB of data? [y/N]" in shown
    assert "Traceback" not in shown
    assert stats(gateway)["unsent"] == unsent


def test_ctrl_c_during_an_export_leaves_no_file(gateway: Gateway, tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    code = (
        "import sys, time\nfrom agent.buffer import history\nslow = history.read_page\n"
        "def page(*a, **k):\n    print('page', flush=True)\n    time.sleep(30)\n    return slow(*a, **k)\n"
        "import agent.cli.buffer_source as source\nsource.read_page = page\n"
        "from agent.cli.main import main\nsys.exit(main())"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, "buffer", "export", str(file), "--config", str(gateway.config)],
        cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _shown, complaint = process.communicate(timeout=20)

    assert process.returncode == 130
    assert complaint == ""
    assert not file.exists() and not list(tmp_path.glob("*.part"))


# --- a database that cannot be read ---


ACTIONS = [("stats",), ("export",), ("resend", "1", "5", "--yes")]


@pytest.mark.parametrize("arguments", ACTIONS)
def test_no_database_yet_is_one_line_and_none_is_made(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    made = Gateway(tmp_path, modem="/dev/null")
    shown = buffer(made, *arguments)
    assert (shown.returncode, shown.stdout) == (1, "")
    assert len(shown.stderr.splitlines()) == 1 and "sinyal.db" in shown.stderr
    assert not made.database.exists()


@pytest.mark.parametrize("arguments", ACTIONS)
@pytest.mark.parametrize("content", [b"", b"garbage" * 1000], ids=["empty", "garbage"])
def test_a_file_that_is_no_database_is_left_alone(
    tmp_path: Path, arguments: tuple[str, ...], content: bytes
) -> None:
    made = Gateway(tmp_path, modem="/dev/null")
    made.database.parent.mkdir()
    made.database.write_bytes(content)
    shown = buffer(made, *arguments)
    assert (shown.returncode, shown.stdout) == (1, "")
    assert len(shown.stderr.splitlines()) == 1 and "Next step:" in shown.stderr
    assert made.database.read_bytes() == content
    assert [each.name for each in made.database.parent.iterdir()] == ["sinyal.db"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
@pytest.mark.parametrize("arguments", ACTIONS)
@pytest.mark.parametrize("mode", [0o600, 0o644], ids=["unreadable", "readable"])
def test_somebody_without_permission_is_told_so(
    gateway: Gateway, tmp_path: Path, arguments: tuple[str, ...], mode: int, capfd: pytest.CaptureFixture[str]
) -> None:
    gateway.database.chmod(mode)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_mode & 0o5 != 0o5:
            folder.chmod(0o755)
    command = ["buffer", *arguments, "--config", str(gateway.config), "--lang", "en"]
    main([*command[:-4], "--config", "/none"])  # loads what somebody else may not
    capfd.readouterr()
    os.setresuid(65534, 65534, 0)
    try:
        code = main(command)
    finally:
        os.setresuid(0, 0, 0)
    complaint = capfd.readouterr().err
    if mode == 0o644 and arguments[0] != "resend":
        assert code == 0, complaint
    else:
        assert code == 3, complaint
        assert len(complaint.splitlines()) == 1 and "Next step:" in complaint


def test_no_configuration_is_told(tmp_path: Path) -> None:
    assert sinyal("buffer", "stats", "--config", str(tmp_path / "none.toml")).returncode == 2


def test_an_agent_that_does_not_answer_is_told(gateway: Gateway) -> None:
    (gateway.folder / "run").mkdir()
    lock = DaemonLock(gateway.folder / "run")
    lock.take()
    try:
        shown = buffer(gateway, "stats")
    finally:
        lock.release()
    assert shown.returncode == 4
    assert len(shown.stderr.splitlines()) == 1


def test_an_export_goes_on_while_the_agent_starts_and_ends(gateway: Gateway) -> None:
    with closing(open_store(gateway.database)) as store:
        for number in range(ROWS + 1, 30_001):
            store.append(reading(number))
    command = [sys.executable, "-m", "agent", "buffer", "export", "--to", "30000"]
    with subprocess.Popen(
        [*command, "--config", str(gateway.config)], cwd=HERE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        heard = [process.stdout.readline()]
        start(gateway)
        heard += [process.stdout.readline() for _line in range(10_000)]
        gateway.terminate()
        heard += process.stdout.readlines()

    assert process.returncode == 0
    assert seqs("".join(heard)) == list(range(1, 30_001))


@pytest.mark.skipif(os.geteuid() != 0, reason="a small disk can only be mounted by root")
def test_a_database_whose_disk_is_full_can_still_be_carried_out(gateway: Gateway, tmp_path: Path) -> None:
    """The agent cannot even open its database there, and says so; reading needs no room."""
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "sinyal-test", str(small)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        (small / "sinyal.db").write_bytes(gateway.database.read_bytes())
        with suppress(OSError), (small / "filler").open("wb", buffering=0) as filler:
            while filler.write(b"x" * 1024):
                pass
        gateway.config.write_text(gateway.config.read_text().replace('state = "state"', f'state = "{small}"'))
        start(gateway)
        shown = buffer(gateway, "export", "--to", str(ROWS))
        counted = buffer(gateway, "stats", "--json")
        gateway.stop_anyhow()
    finally:
        subprocess.run(["umount", str(small)], check=True)

    assert (shown.returncode, counted.returncode) == (0, 0), shown.stderr + counted.stderr
    assert seqs(shown.stdout) == list(range(1, ROWS + 1))
