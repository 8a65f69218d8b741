"""What systemd itself says of the units: nothing to complain about, and little exposed."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from agent import pulse
from tests.firmware_hooks.shells import HOOKS
from tests.support.programs import program

UNITS = HOOKS / "systemd"
MOST_EXPOSED = 2.0


def systemd_analyze() -> str:
    """Return the program, or skip without it."""
    return program("systemd-analyze", "systemd")


def test_systemd_understands_every_line(tmp_path: Path) -> None:
    # It exits 0 for a misspelt key, and wants the programs to be there: staged, and nothing may be printed.
    program = shutil.which("true")
    units = sorted(UNITS.glob("sinyal*.*"))
    for unit in units:
        text = re.sub(r"(?m)^ExecStart=\S+", f"ExecStart={program}", unit.read_text())
        (tmp_path / unit.name).write_text(
            text.replace("file:///opt/sinyal/current/README.md", f"file://{tmp_path}")
        )
    told = subprocess.run(
        [systemd_analyze(), "verify", *(str(tmp_path / unit.name) for unit in units)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
    )
    own = [line for line in (told.stdout + told.stderr).splitlines() if "sinyal" in line]
    assert (told.returncode, own) == (0, [])
    assert len(units) == 5


def test_the_service_is_hardened() -> None:
    told = subprocess.run(
        [systemd_analyze(), "security", "--offline=true", "--no-pager", str(UNITS / "sinyal.service")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
    )
    exposure = re.search(r"Overall exposure level for sinyal.service: ([0-9.]+)", told.stdout)
    assert exposure, told.stdout + told.stderr
    assert float(exposure[1]) <= MOST_EXPOSED


def test_the_service_keeps_its_promises() -> None:
    lines = (UNITS / "sinyal.service").read_text().splitlines()
    settings = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    assert settings["Restart"] == "always"
    assert settings["StartLimitIntervalSec"] == "0"
    assert settings["Type"] == "notify"
    # Longer than the agent's own alarm, which names what hangs.
    assert int(settings["WatchdogSec"]) > pulse.WORK_LIMIT_S
    assert not any("network" in line for line in lines if line.startswith(("After=", "Wants=", "Requires=")))
