import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from agent.cli.main import COMMANDS

HERE = Path(__file__).parents[2]


def sinyal(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SINYAL_")}
    return subprocess.run(
        [sys.executable, "-m", "agent", *arguments],
        env={**clean, **environment},
        cwd=HERE,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_the_list_of_commands_names_each_of_them() -> None:
    shown = sinyal("--help").stdout

    for command in COMMANDS:
        assert re.search(rf"\n    {command.name}\s", shown)


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("nonsense",),
        ("status", "--nonsense"),
        ("--lang", "fr", "status"),
        ("status", "--lang"),
        ("demo", "--uplink-cut", "soon"),
        ("demo", "--uplink-cut", "-1"),
        ("--config",),
    ],
)
def test_a_mistyped_command_is_one_line_with_a_next_step(arguments: tuple[str, ...]) -> None:
    shown = sinyal(*arguments)

    assert shown.returncode == 2
    assert shown.stdout == ""
    assert len(shown.stderr.splitlines()) == 1
    assert "Langkah berikut:" in shown.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("stat",), "'stat' is not known; perhaps you mean: status"),
        (("watch", "--once"), "--once. Next step: see `sinyal watch --help`"),
        (("aim", "--minutes", "soon"), "'soon' is not a number"),
        (("buffer", "resend", "1", "2.5"), "'2.5' is not a whole number"),
    ],
)
def test_a_mistyped_command_says_what_was_meant(arguments: tuple[str, ...], words: str) -> None:
    assert words in sinyal(*arguments, SINYAL_LANG="en").stderr


@pytest.mark.parametrize(
    ("arguments", "environment", "word"),
    [
        (("version",), {}, "katalog"),
        (("version",), {"SINYAL_LANG": "en"}, "catalogue"),
        (("--lang", "en", "version"), {}, "catalogue"),
        (("version", "--lang=en"), {}, "catalogue"),
        (("version", "--lang", "id"), {"SINYAL_LANG": "en"}, "katalog"),
        (("version",), {"LANG": "en_US.UTF-8", "LC_ALL": "C"}, "katalog"),
    ],
)
def test_the_language_is_chosen_by_option_then_environment_then_indonesian(
    arguments: tuple[str, ...], environment: dict[str, str], word: str
) -> None:
    assert word in sinyal(*arguments, **environment).stdout


def test_the_configuration_chooses_the_language_when_nobody_else_does(tmp_path: Path) -> None:
    config = tmp_path / "sinyal.toml"
    config.write_text('[gateway]\nlanguage = "en"\n')

    assert "catalogue" in sinyal("version", "--config", str(config)).stdout


def test_a_reader_that_leaves_early_causes_no_complaint() -> None:
    shown = subprocess.run(
        f"{sys.executable} -m agent version | true",
        shell=True,
        cwd=HERE,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert shown.stderr == ""
