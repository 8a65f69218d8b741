"""The command as a program: help in two languages, good endings, and nothing of it on a gateway."""

import subprocess
import sys

import pytest

from provisioning.cli.main import COMMANDS, main
from tests.provisioning.conftest import HERE, Run


def test_it_is_a_program() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "provisioning", "--version"],
        cwd=HERE,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert shown.stdout.startswith("sinyal-provision ")
    assert shown.stderr == ""


@pytest.mark.parametrize("lang", ["id", "en"])
@pytest.mark.parametrize("command", [command.name for command in COMMANDS])
def test_every_command_has_help_with_an_example_in_80_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: str, lang: str
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as end:
        main([command, "--help", "--lang", lang])
    assert end.value.code == 0
    shown = capsys.readouterr().out
    assert ("contoh:" if lang == "id" else "example:") in shown
    assert f"sinyal-provision {command}" in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_the_gateways_side_needs_no_library_of_the_operators() -> None:
    blocked = (
        "import sys\n"
        "for name in ('cryptography', 'segno', 'provisioning'): sys.modules[name] = None\n"
        "import agent.cli.enrol, agent.enrolment.sending, agent.enrolment.identity_files\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", blocked], cwd=HERE, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_a_missing_library_is_named_with_the_command_that_installs_it(
    provision: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "provisioning.cli.gateway", None)
    shown = provision("gateway", "check", "x")
    assert shown.returncode == 1
    assert "provisioning" in shown.stderr
    assert "pip install 'sinyal-desa[provisioning]'" in shown.stderr
