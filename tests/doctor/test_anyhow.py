"""The doctor comes to an end and says something useful, whatever is missing, closed, broken or hanging."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from agent.config.load import DEFAULT_CONFIG_FILE, load_config
from agent.doctor.gather import Modem, Settings, gather
from agent.doctor.layers import LAYERS, diagnose
from tests.cli.test_main import HERE, sinyal
from tests.doctor.box import Box

AS_NOBODY = """
import contextlib, io, os, sys
from agent.cli.main import main
with contextlib.redirect_stdout(io.StringIO()):
    main(sys.argv[1:])  # loads what another user may not read
os.setgroups([])
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
sys.exit(main(sys.argv[1:]))
"""


def test_with_no_configuration_no_agent_and_no_modem() -> None:
    if DEFAULT_CONFIG_FILE.exists():
        pytest.skip("this machine is a gateway")
    done = sinyal("doctor", "--json", "--lang", "en")
    document = json.loads(done.stdout)
    assert [layer["layer"] for layer in document["layers"]] == [layer.name for layer in LAYERS]
    assert document["layers"][0]["code"] == "not_configured"
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize("content", ["[gateway\n", "[gateway]\nid = 5\n", "\xff" * 40, "[gateway]\nx = 1\n"])
def test_a_broken_configuration_is_the_first_layer(tmp_path: Path, content: str) -> None:
    file = tmp_path / "sinyal.toml"
    file.write_text(content, encoding="latin-1")
    done = sinyal("doctor", "--lang", "en", "--config", str(file))
    assert done.returncode == 1
    first = done.stdout.splitlines()[1]
    assert first.startswith("FAIL")
    assert "Settings" in first
    assert "Next step: " in done.stdout


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder into which every user may look, which those of pytest are not."""
    made = Path(tempfile.mkdtemp(prefix="gw"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.mark.needs_root
def test_without_any_permission_it_says_what_it_could_not_test(open_folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    box = Box(open_folder, modem=open_folder / "none")
    box.store_readings()
    for folder in (box.state, box.folder / "run"):
        folder.mkdir(exist_ok=True)
        folder.chmod(0o700)
    (box.folder / "run" / "sinyal.lock").touch()
    command = ["doctor", "--json", "--lang", "en", "--config", str(box.config)]
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, *command],
        cwd=HERE, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    layers = {layer["layer"]: layer for layer in json.loads(done.stdout)["layers"]}
    assert layers["queue"]["verdict"] == "NOT TESTED"
    assert layers["port"]["verdict"] == "NOT TESTED"
    assert "sudo" in layers["queue"]["next_step"]
    assert done.stderr == ""


def test_everything_hangs_and_it_ends_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    never = threading.Event()

    def hang(*_all: object, **_more: object) -> Any:
        never.wait(120)
        raise OSError

    def read() -> Mapping[str, Any]:
        hang()
        return {}

    for name in ("os.statvfs", "socket.getaddrinfo", "look_at_broker", "probe", "read_certificate"):
        monkeypatch.setattr(f"agent.doctor.gather.{name}", hang)
    box = Box(tmp_path / "box", modem=tmp_path / "none", broker='host = "broker.example"')
    loaded = load_config(box.config, {})
    began = time.monotonic()
    evidence = gather(Settings(loaded.config, loaded.path), Modem(read, lambda _command: []), limit_s=1)
    findings = {layer.name: finding for layer, finding in diagnose(evidence)}
    never.set()
    assert time.monotonic() - began < 60
    assert findings["disk"].code == "disk_hangs"
    assert findings["port"].verdict == "NOT TESTED"
    assert findings["broker"].code == "timeout"
    assert all(finding.evidence for finding in findings.values())
