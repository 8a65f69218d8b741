"""`sinyal menu` as one who remembers nothing meets it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent.cli.main import COMMANDS
from agent.cli.menu import CHOICES, _show
from agent.language import use_language
from tests.support.terminal import OpenTerminal


def menu(typed: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SINYAL_")}
    return subprocess.run(
        [sys.executable, "-m", "agent", "menu", *arguments],
        input=typed,
        env=clean,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "sinyal.toml"
    file.write_text('[gateway]\nid = "gw"\n[paths]\nstate = "."\nruntime = "."\n')
    return file


def test_a_number_runs_its_command_and_comes_back(config: Path) -> None:
    shown = menu("1\n\n0\n", "--config", str(config))

    assert shown.returncode == 0 and shown.stderr == ""
    assert "belum pernah berjalan di sini" in shown.stdout
    assert shown.stdout.count("Bagaimana keadaan gerbang ini?") == 2


@pytest.mark.parametrize("typed", ["", "0\n", "99\n0\n", "x\n0\n", "-1\n0\n", "²\n0\n", "\n0\n"])
def test_whatever_is_typed_the_menu_ends_well(typed: str) -> None:
    shown = menu(typed)

    assert shown.returncode == 0 and shown.stderr == ""
    assert ("Ketik nomor dari 0" in shown.stdout) is (typed not in ("", "0\n"))


def test_a_command_that_fails_leads_back_to_the_menu(tmp_path: Path) -> None:
    shown = menu("1\n\n0\n", "--config", str(tmp_path / "missing.toml"), "--lang", "en")

    assert shown.returncode == 0
    assert "Next step:" in shown.stderr and shown.stdout.count("0  End") == 2


def test_every_line_of_the_menu_is_a_command_that_exists_or_is_left_out() -> None:
    known = {command.name for command in COMMANDS}
    shown = menu("0\n").stdout

    for choice in CHOICES:
        assert (f"sinyal {' '.join(choice.words)}\n" in shown) is (choice.words[0] in known)


@pytest.mark.parametrize("language", ["id", "en"])
def test_the_menu_fits_a_small_terminal(open_terminal: OpenTerminal, language: str) -> None:
    shown = open_terminal([sys.executable, "-m", "agent", "menu", "--lang", language])
    shown.wait_for("  0  ")
    shown.keys("0", "Enter")
    assert shown.wait_for_end() == 0
    shown.expect_no_wraps()
    shown.expect_golden(f"menu_{language}")


@pytest.mark.parametrize("language", ["id", "en"])
def test_on_a_telephone_no_wish_breaks_in_a_word(
    language: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use_language(language)
    monkeypatch.setattr("agent.screen.columns", lambda: 40)
    _show(list(CHOICES))
    use_language("id")

    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 40 and len(lines) < 24
