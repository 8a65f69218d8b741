"""The manual pages and completions, in the programs that show them."""

import os
import pty
import re
import select
import subprocess
import time
from pathlib import Path

import pytest

from agent.cli.every_command import every_command
from agent.cli.main import make_parser
from docs.command_pages import ASH, BASH, PAGES
from tests.support.programs import program


@pytest.mark.parametrize("code", PAGES)
def test_the_manual_page_renders_without_a_warning_and_names_every_command(code: str) -> None:
    shown = subprocess.run(
        [program("groff"), "-man", "-Tascii", "-ww", "-P-cbou", "-rLL=200n", str(PAGES[code])],
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == 0 and shown.stderr == ""
    for command in every_command():
        if command.words and not command.actions:
            assert " ".join(("   sinyal", *command.words)) in shown.stdout


def completed(line: str) -> list[str]:
    """Return what bash offers at the end of a line."""
    words = line.split(" ")
    script = (
        f'. "{BASH}"; COMP_WORDS=({" ".join(repr(word) for word in words)}); COMP_CWORD={len(words) - 1}; '
    )
    script += '_sinyal; printf "%s\\n" "${COMPREPLY[@]}"'
    shown = subprocess.run(
        ["bash", "--norc", "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert shown.stderr == ""
    return shown.stdout.split()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("sinyal sta", ["status"]),
        ("sinyal modem ", ["find", "read", "at", "record", "simulate"]),
        ("sinyal --lang en mod", ["modem"]),
        ("sinyal --lang ", ["id", "en"]),
        ("sinyal status --lang e", ["en"]),
        ("sinyal aim --sound b", ["bell", "buzzer"]),
        ("sinyal modem read --c", ["--config", "--cells"]),
        ("sinyal config ", ["check", "show", "set", "import-uci"]),
        ("sinyal status ", []),
        ("sinyal --config ", []),
        ("sinyal no-such-thing --zz", []),
    ],
)
def test_bash_offers_what_the_parser_takes(line: str, offered: list[str]) -> None:
    assert completed(line) == offered


def type_in(shell: list[str], typed: str, awaited: str, environment: dict[str, str]) -> str:
    """Type into an interactive shell on a terminal until a text is shown; return all that was shown."""
    child, master = pty.fork()
    if child == 0:
        os.execvpe(shell[0], shell, {**os.environ, **environment})
    shown = ""
    try:
        ends_at = time.monotonic() + 60
        has_typed = False
        while awaited not in shown and time.monotonic() < ends_at:
            if select.select([master], [], [], 0.2)[0]:
                shown += os.read(master, 4096).decode("utf-8", "replace")
            if not has_typed and "$ " in shown:
                os.write(master, typed.encode())
                has_typed = True
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
        os.close(master)
    return shown


def test_the_tab_key_of_a_real_bash_completes_a_command(tmp_path: Path) -> None:
    start = tmp_path / "bashrc"
    start.write_text(f'PS1="$ "; . "{BASH}"; sinyal() {{ echo "typed: $*"; }}\n')
    shown = type_in(["bash", "--rcfile", str(start), "-i"], "sinyal mod\tre\t\r", "typed: modem re", {})

    assert "typed: modem re" in shown


def test_the_tab_key_of_busybox_ash_completes_the_names_made_for_it(tmp_path: Path) -> None:
    program("busybox", "busybox-static")
    (tmp_path / "sinyal").write_text('#!/bin/sh\necho "typed: $*"\n')
    (tmp_path / "sinyal").chmod(0o755)
    subprocess.run(["sh", str(ASH), "install", str(tmp_path)], check=True)
    start = tmp_path / "profile"
    start.write_text('PS1="$ "\n')
    environment = {"ENV": str(start), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    shown = type_in(["busybox", "ash", "-i"], "sinyal-modem-re\ta\t-v\r", "typed: modem read -v", environment)

    assert "typed: modem read -v" in shown


def test_every_command_that_can_be_run_has_a_name_for_ash() -> None:
    names = ASH.read_text(encoding="utf-8")
    for command in every_command():
        if command.words and not command.actions:
            assert f"sinyal-{'-'.join(command.words)}) exec sinyal {' '.join(command.words)} " in names


CONTRACT = {
    *("run", "demo", "modem", "status", "doctor", "watch", "aim", "outages", "availability", "budget"),
    *("speedtest", "buffer", "config", "identity", "page", "support-bundle", "version", "decode"),
}
"""Commands that are promised, in this release or a later one."""


def commands_named(guide: str) -> list[str]:
    text = (PAGES["en"].parents[1] / guide).read_text(encoding="utf-8")
    return re.findall(r"`sinyal ([a-z][^`]*)`", text)


def test_both_guides_for_technicians_name_the_same_commands_and_no_other() -> None:
    named = commands_named("panduan-teknisi.md")
    known = CONTRACT | {command.words[0] for command in every_command() if command.words}

    assert named == commands_named("technician-guide.md") and len(named) > 20
    assert {words.split()[0] for words in named} <= known
    for words in named:
        if any(command.words == tuple(words.split()[:1]) for command in every_command()):
            typed = words.split()
            make_parser(typed).parse_args(typed if typed != ["modem", "at"] else ["modem", "at", "AT"])
