"""The village page of a real gateway: written by its agent, by a command, and without an agent."""

import json
import os
import time
from pathlib import Path

import pytest

from agent.config.model import PageConfig
from agent.link.outage import Edge, Outage
from agent.link.tables import create, save
from agent.pipeline import page_writer
from agent.pipeline.page_facts import outages_in, page_facts, spans_in
from agent.pipeline.page_writer import PageWriter
from tests.cli.test_main import sinyal
from tests.link.database import Board
from tests.pipeline.whole_gateway import Gateway, wait_until


def test_a_running_agent_writes_it_and_a_command_goes_on_without_one(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path / "gw", modem="/dev/null", interval_s=1)
    page = tmp_path / "www" / "index.html"
    with gateway.config.open("a") as config:
        config.write(f'[page]\nfolder = "{page.parent}"\ninterval_s = 30\ncontact_name = "Pak Sulaiman"\n')
    gateway.start()
    try:
        wait_until("a page", page.exists, 60)
        first = page.read_text()
        assert gateway.terminate()[0] == 0
    finally:
        gateway.stop_anyhow()

    assert "Village internet" in first and "Pak Sulaiman" in first and "Data up to" in first
    assert "exit code" not in gateway.log_text()
    written = sinyal("page", "--config", str(gateway.config))
    assert written.returncode == 0 and written.stdout.endswith(f"{page}\n")
    assert "NOT KNOWN" in page.read_text()
    document = json.loads(sinyal("page", "--json", "--config", str(gateway.config)).stdout)
    assert (document["state"], document["cause"], len(document["days"])) == ("unknown", "silent", 7)


def test_what_the_daemon_lists_is_the_same_again_in_the_process_that_writes(tmp_path: Path) -> None:
    now_s, boot_ts = 100_000, 1_795_900_000
    board = Board(tmp_path)
    board.boot(1, true_s=boot_ts - 200_000)
    board.readings(0, 600)
    board.boot(2, true_s=boot_ts)
    board.readings(0, 1200)
    board.read(1260, link_up=None)
    board.readings(1320, 1920)
    outages = [
        Outage("gateway", Edge(1, 600), Edge(2, 0), "power", inferred=True),
        Outage("link", Edge(2, 300), Edge(2, 900), "backhaul"),
        Outage("link", Edge(2, 1500), None, "quota", inferred=True),
    ]
    board.keeper.write(create)
    for each in outages:
        board.keeper.write(lambda connection, one=each: save(connection, one, boot=2))  # type: ignore[misc]

    facts = board.keeper.read(
        lambda connection: page_facts(connection, board.correct(connection), boot_ts + now_s)
    )
    again = json.loads(json.dumps(facts))

    spans, correct = spans_in(again)
    shown = [(correct({"boot": span.boot})["ts"] - boot_ts, span.to_s, span.known) for span in spans]
    assert shown == [(-200_000, 600, True), (0, 1200, True), (1200, 60, False), (1260, 660, True)]
    dated = [(one.start_ts, one.duration_s(), one.is_over, one.counts_as_down) for one in outages_in(again)]
    assert dated == [
        (boot_ts - 199_400, 199_400, True, False),
        (boot_ts + 300, 600, True, True),
        (boot_ts + 1500, None, False, True),
    ]
    board.keeper.close()


class Begun(PageWriter):
    """Begins a process of the test's choice and counts."""

    def __init__(self, folder: Path, command: list[str]) -> None:
        self.state: object = None
        self.count = 0
        self._command = command
        super().__init__(PageConfig(folder=folder), folder / "sinyal.toml", lambda: self.state)

    def _begin(self) -> None:
        self.count += 1
        self._process = os.posix_spawnp(self._command[0], self._command, os.environ)

    @property
    def process(self) -> int | None:
        return self._process


def ended(writer: Begun) -> None:
    ends_at = time.monotonic() + 60
    while writer.process is not None:
        writer.tick()
        assert time.monotonic() < ends_at
        time.sleep(0.02)


def test_it_is_written_at_the_start_and_when_the_state_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(page_writer, "CHANGE_PAUSE_S", 0.0)
    writer = Begun(tmp_path, ["false"])
    for state, count in ((None, 1), (None, 1), (("link", "power"), 2), (("link", "power"), 2), (None, 3)):
        writer.state = state
        writer.tick()
        ended(writer)
        assert writer.count == count
    assert "kode keluar 1" in caplog.text or "exit code 1" in caplog.text


def test_a_writing_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = Begun(tmp_path, ["sleep", "600"])
    writer.tick()
    pid = writer.process
    writer.tick()
    assert writer.process == pid
    monkeypatch.setattr(page_writer, "LIMIT_S", -1.0)
    writer.tick()
    assert writer.process is None
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid or 0), 0)
    writer.close()


def test_without_a_folder_nothing_is_begun(tmp_path: Path) -> None:
    writer = PageWriter(PageConfig(), tmp_path / "none.toml", lambda: None)
    writer.tick()
    assert writer._process is None
