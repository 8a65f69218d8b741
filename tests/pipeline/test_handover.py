"""`sinyal run` begins anew as a lean process: the same process id, the same settings, nothing to be seen."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from agent.pipeline.snapshot import read_snapshot
from tests.pipeline.whole_gateway import Gateway, wait_until


def snapshot(gateway: Gateway) -> dict[str, Any]:
    return read_snapshot(gateway.folder / "run") or {}


HEAVY = ("argparse", "tomllib", "inspect", "email", "http", "asyncio", "sqlite_utils", "agent.cli")


def test_the_daemon_keeps_the_process_id_and_shows_no_secret(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, modem="/dev/ttyNONE")
    text = gateway.config.read_text().replace("[modem]", '[modem]\nsim_pin = "4711"')
    gateway.config.write_text(text)
    gateway.start()
    try:
        wait_until("the first reading", lambda: snapshot(gateway).get("reading") is not None)
        pid = snapshot(gateway)["pid"]
        assert gateway._process is not None and pid == gateway._process.pid
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        assert command[3:4] == [b"agent.pipeline"] and command[5:7] == [b"sinyal", b"run"]
        assert b"4711" not in Path(f"/proc/{pid}/environ").read_bytes() + b" ".join(command)
    finally:
        gateway.stop_anyhow()


def test_a_daemon_has_loaded_nothing_that_only_the_command_line_needs() -> None:
    code = (
        "import sys, json\nimport agent.pipeline.__main__\nimport ssl\n"
        "print(json.dumps([n for n, m in sys.modules.items() if type(m).__name__ != '_LateModule']))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(HEAVY) & set(json.loads(shown.stdout))


def test_begun_by_hand_it_says_what_to_type_instead() -> None:
    for arguments in ([], ["nothing"], ["99"]):
        command = [sys.executable, "-m", "agent.pipeline", *arguments]
        begun = subprocess.run(command, capture_output=True, text=True, check=False)
        assert begun.returncode == 2
        assert begun.stderr.count("\n") == 1 and "sinyal run" in begun.stderr


def test_where_no_pipe_is_to_be_had_it_runs_all_the_same(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, modem="/dev/ttyNONE")
    code = (
        "import os, sys\nfrom agent.cli.main import main\n"
        "def refuse(*_all): raise OSError\nos.execve = refuse\nsys.exit(main(sys.argv[1:]))"
    )
    with gateway.log.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", code, "run", "--config", str(gateway.config)], stderr=log, env=os.environ
        )
    try:
        wait_until("the first reading", lambda: snapshot(gateway).get("reading") is not None)
        assert snapshot(gateway)["pid"] == process.pid
    finally:
        process.terminate()
        assert process.wait(10) == 0
