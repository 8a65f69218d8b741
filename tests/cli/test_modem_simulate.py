"""`sinyal modem simulate`: a modem to try the agent with, in a process of its own."""

import argparse
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.cli import modem_simulate
from agent.contract.catalogue import Value
from agent.errors import NoPermission, SinyalError, UsageMistake
from agent.language import use_language
from agent.modem.poll import ModemPoller
from agent.modem.transcript import TranscriptUnreadable, read_transcript


@pytest.fixture(autouse=True)
def english() -> None:
    use_language("en")


TRANSCRIPT = Path(__file__).parents[1] / "transcripts" / "quectel_ec2x" / "weak_cell" / "conversation.txt"
PROJECT = Path(__file__).parents[2]

PROGRAM = """
import argparse, sys
from agent.cli import modem_simulate
from agent.language import use_language
use_language("en")
parser = argparse.ArgumentParser()
modem_simulate.add_arguments(parser)
sys.exit(modem_simulate.run(parser.parse_args()))
"""
END_LIMIT_S = 10


@contextmanager
def simulated(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start the command; give the process and what it printed until it was ready."""
    command = [sys.executable, "-c", PROGRAM, str(TRANSCRIPT), *arguments]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process, read_until_ready(process)
        finally:
            process.kill()


def read_until_ready(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    shown = ""
    while "Ctrl-C" not in shown:
        line = process.stdout.readline()
        if not line:
            pytest.fail(f"it printed no port: {shown}")
        shown += line
    return shown


def port_in(shown: str) -> str:
    return next(line.split()[1] for line in shown.splitlines() if line.startswith("port:"))


def poll(port: str) -> dict[str, Value]:
    poller = ModemPoller(port, sim_pin="", memory_file=None)
    fields = dict(poller.collect())
    poller.close()
    return fields


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_serves_the_transcript_until_it_is_told_to_end(end: signal.Signals) -> None:
    with simulated() as (process, shown):
        assert "Quectel EC25" in shown
        port = port_in(shown)
        assert f"sinyal modem read --port {port}" in shown
        assert poll(port)["rsrp_dbm"] is not None
        process.send_signal(end)
        assert process.wait(END_LIMIT_S) == 0
        assert not Path(port).exists()


def test_a_link_is_there_as_long_as_it_serves(tmp_path: Path) -> None:
    link = tmp_path / "modem"
    with simulated("--link", str(link), "--echo", "--urc", "RING", "--garbage", "--delay-ms", "5") as (
        process,
        shown,
    ):
        assert port_in(shown) == str(link)
        assert poll(str(link))["modem_state"] == "ok"
        process.terminate()
        assert process.wait(END_LIMIT_S) == 0
    assert not link.is_symlink()


def test_an_unplugged_modem_is_told_and_ends_it() -> None:
    with simulated("--unplug-after", "2") as (process, shown):
        assert poll(port_in(shown))["modem_state"] == "missing"
        assert process.wait(END_LIMIT_S) == 0
        assert process.stdout is not None
        assert "vanished" in process.stdout.read()


def test_a_hanging_modem_hangs() -> None:
    with simulated("--hang-after", "0") as (_process, shown):
        assert poll(port_in(shown))["modem_state"] == "hung"


def run(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    modem_simulate.add_arguments(parser)
    return modem_simulate.run(parser.parse_args(arguments))


@pytest.mark.parametrize(
    ("text", "line"),
    [("> AT+CSQ\n< \\q\n", 2), ("< OK\n", 1), ("# modem: x\n\nAT+CSQ\n", 3), ("", None)],
)
def test_a_mistake_in_the_transcript_names_file_and_line(tmp_path: Path, text: str, line: int | None) -> None:
    file = tmp_path / "mine.txt"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(TranscriptUnreadable) as mistake:
        run(str(file))
    assert mistake.value.exit_code == 2
    assert str(file) in mistake.value.what and mistake.value.next_step
    assert line is None or str(line) in mistake.value.what.removeprefix(str(file))


@pytest.mark.parametrize("name", ["not-there.txt", "."])
def test_what_is_no_transcript_is_told(tmp_path: Path, name: str) -> None:
    with pytest.raises(TranscriptUnreadable) as mistake:
        run(str(tmp_path / name))
    assert mistake.value.next_step


@pytest.mark.parametrize(
    "options",
    [("--delay-ms", "-1"), ("--hang-after", "-1"), ("--seed", "99999999"), ("--urc", ""), ("--urc", "A\rB")],
)
def test_impossible_options_are_refused(options: tuple[str, ...]) -> None:
    with pytest.raises(UsageMistake):
        run(str(TRANSCRIPT), *options)


def test_a_name_that_another_simulated_modem_has_is_refused_until_that_one_ends(tmp_path: Path) -> None:
    link = tmp_path / "modem"
    with simulated("--link", str(link)) as (process, _shown):
        device = link.readlink()
        with pytest.raises(UsageMistake, match=f"process {process.pid}") as mistake:
            run(str(TRANSCRIPT), "--link", str(tmp_path / ".." / tmp_path.name / "modem"))
        assert mistake.value.next_step
        assert link.readlink() == device
        process.kill()
        process.wait(END_LIMIT_S)
    with simulated("--link", str(link)) as (_process, shown):
        assert port_in(shown) == str(link)


def test_an_output_that_takes_nothing_is_not_blamed_on_the_port(tmp_path: Path) -> None:
    link = tmp_path / "modem"
    command = ["modem", "simulate", str(TRANSCRIPT), "--link", str(link), "--lang", "en"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "agent", *command],
            cwd=PROJECT, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=30,
        )  # fmt: skip
    assert done.returncode == 1 and "the output cannot be written" in done.stderr
    assert not link.is_symlink()


def test_a_link_in_a_folder_of_others_is_a_matter_of_permission(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(_path: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "is_symlink", forbidden)
    with pytest.raises(NoPermission):
        run(str(TRANSCRIPT), "--link", "/root/modem")


def test_a_byte_order_mark_is_no_part_of_a_transcript(tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    file.write_bytes(b"\xef\xbb\xbf> AT+CSQ\n< OK\n")
    assert "AT+CSQ" in read_transcript(file).answers


def test_nothing_but_its_own_link_is_bent(tmp_path: Path) -> None:
    file, real = tmp_path / "file", tmp_path / "real"
    file.write_text("mine")
    real.symlink_to("/dev/null")
    for link in (file, real, tmp_path / "no" / "link"):
        with pytest.raises(SinyalError):
            run(str(TRANSCRIPT), "--link", str(link))
    assert file.read_text() == "mine"
    assert real.readlink() == Path("/dev/null")
