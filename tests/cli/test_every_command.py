"""What holds for every command: help, wrong arguments, no agent, unreadable files, no permission.

The commands come from the parser, so that a new one joins by itself. They run in this process, each in a
child that is a copy of it: that costs a hundredth of a new interpreter, and leaves nothing behind.
"""

import importlib
import io
import json
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

import pytest

from agent.cli.every_command import Typed, every_command
from agent.cli.main import main

NOBODY = 65534
DEADLINE_S = 60

READ_BY_ROOT_ONLY = (
    *("email.parser", "gzip", "http.server", "importlib.metadata", "secrets", "shutil", "sqlite3"),
    *("ssl", "subprocess", "tarfile", "tempfile", "tomllib", "urllib.request", "zipfile"),
)
"""Where the interpreter itself lies in the home of root, nobody can load these any more."""

LAST_WORDS = re.compile(r"(Langkah berikut|Next step): \S")

EXAMPLES = {
    "modem at": ("AT",),
    "modem record": ("-",),
    "modem simulate": ("no-such-file.txt",),
    "buffer resend": ("1", "2"),
    "config set": ("readings.interval_s", "30"),
    "pause": ("30",),
    "aim": ("--minutes", "0.02"),
    "decode": ("no-such-file.bin",),
}
"""What a command cannot do without; a new one that needs something is named here."""

NEVER_ENDS = {("demo",), ("run",), ("watch",)}
"""Commands that work until they are stopped: only their help and their mistakes are tried."""

COMMANDS = [command for command in every_command() if command.words and not command.actions]
ENDING = [command for command in COMMANDS if command.words not in NEVER_ENDS]


def name(command: Typed) -> str:
    return "_".join(command.words)


class Shown(NamedTuple):
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str


def run(
    arguments: Sequence[str], folder: Path, *, prepare: Callable[[], None] = lambda: None, stdin: str = ""
) -> Shown:
    """Run `sinyal` in a copy of this process; prepare is called in it first."""
    out, err = folder / "out", folder / "err"
    for file in (out, err):
        file.write_text("")
        file.chmod(0o666)
    child = os.fork()
    if child == 0:
        os._exit(_in_child(arguments, folder, prepare, stdin))
    signal.signal(signal.SIGALRM, lambda *_: os.kill(child, signal.SIGKILL))
    signal.alarm(DEADLINE_S)
    _pid, status = os.waitpid(child, 0)
    signal.alarm(0)
    return Shown(os.waitstatus_to_exitcode(status), out.read_text(), err.read_text())


def _in_child(arguments: Sequence[str], folder: Path, prepare: Callable[[], None], stdin: str) -> int:
    try:
        for file, number in (("out", 1), ("err", 2)):
            os.dup2(os.open(folder / file, os.O_WRONLY | os.O_APPEND), number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.stdin = io.TextIOWrapper(io.BytesIO(stdin.encode()))
        sys.stdout, sys.stderr = (
            os.fdopen(number, "w", encoding="utf-8", closefd=False) for number in (1, 2)
        )
        for variable in [one for one in os.environ if one.startswith("SINYAL_")]:
            del os.environ[variable]
        os.environ["COLUMNS"] = "80"
        os.chdir(folder)  # some write a file where they are
        prepare()
        try:
            code = main(list(arguments))
        except SystemExit as end:  # --help
            code = int(end.code or 0)
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:  # noqa: BLE001 -- the test reads it
        os.write(2, traceback.format_exc().encode())
        return 99
    return code


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Return the configuration of a gateway in a folder of its own, whose agent does not run."""
    file = tmp_path / "sinyal.toml"
    file.write_text(
        '[gateway]\nid = "gw"\n[paths]\nstate = "state"\nruntime = "run"\n'
        '[modem]\nport = "/dev/no-such-modem"\n'
    )
    for folder in ("state", "run"):
        (tmp_path / folder).mkdir()
    return file


def typed(command: Typed, *more: str) -> list[str]:
    words = [*command.words, *EXAMPLES.get(" ".join(command.words), ()), *more]
    return [*words, "--yes"] if command.has("--yes") and command.words != ("speedtest",) else words


def expect_well_ended(shown: Shown, codes: Sequence[int] = range(6)) -> None:
    """Fail on a traceback, colours, an exit code beyond the contract, and an error without a next step."""
    assert "\x1b" not in shown.out + shown.err
    assert "Traceback" not in shown.err, shown.err
    assert "unexpected fault" not in shown.err and "kesalahan tak terduga" not in shown.err.lower(), shown.err
    assert shown.code in codes, shown
    failures = [line for line in shown.err.splitlines() if line.startswith("sinyal: ")]
    if shown.code >= 2:
        assert failures and LAST_WORDS.search(failures[-1]), shown


@pytest.mark.parametrize("language", ["id", "en"])
@pytest.mark.parametrize("command", every_command(), ids=name)
def test_help_has_an_example_and_fits_80_columns(command: Typed, language: str, tmp_path: Path) -> None:
    shown = run([*command.words, "--help", "--lang", language], tmp_path)

    assert (shown.code, shown.err) == (0, "")
    assert max(len(line) for line in shown.out.splitlines()) <= 80
    if command.words:
        example = {"id": "contoh: ", "en": "example: "}[language] + f"sinyal {command.words[0]}"
        assert example in shown.out


@pytest.mark.parametrize("command", COMMANDS, ids=name)
def test_the_example_of_the_help_is_what_the_parser_takes(command: Typed) -> None:
    from agent.cli.main import make_parser

    example = (command.parser.epilog or "").partition(": ")[2].split()
    assert example[0] == "sinyal" and tuple(example[1 : len(command.words) + 1]) == command.words
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        make_parser(example[1:]).parse_args(example[1:])


@pytest.mark.parametrize("command", COMMANDS, ids=name)
def test_a_wrong_argument_is_one_line_with_a_next_step(command: Typed, config: Path, tmp_path: Path) -> None:
    too_many = ["too", "many", "words", "by", "far"]
    for wrong in (["--no-such-option"], ["--config"], ["--lang", "fr"], too_many):
        if wrong is too_many and command.words == ("config", "set"):
            continue  # it takes any number of words, and says which is no key
        shown = run([*typed(command, "--config", str(config)), *wrong], tmp_path)
        assert shown.code == 2, (wrong, shown)
        assert len(shown.err.splitlines()) == 1 and LAST_WORDS.search(shown.err)
        assert shown.out == "" or json.loads(shown.out)


@pytest.mark.parametrize("command", [one for one in ENDING if one.has("--json")], ids=name)
def test_json_is_one_document_and_the_language_may_stand_anywhere(
    command: Typed, config: Path, tmp_path: Path
) -> None:
    before = run(["--lang", "en", "--config", str(config), *typed(command, "--json")], tmp_path)
    behind = run([*typed(command, "--json"), "--config", str(config), "--lang", "en"], tmp_path)

    for shown in (before, behind):
        expect_well_ended(shown)
        if shown.out:
            json.loads(shown.out)
    assert before.code == behind.code and before.err == behind.err


@pytest.mark.parametrize("command", ENDING, ids=name)
def test_without_a_running_agent_each_ends_well(command: Typed, config: Path, tmp_path: Path) -> None:
    expect_well_ended(run(typed(command, "--config", str(config)), tmp_path))


def _write_not_toml(config: Path) -> None:
    config.write_text("[gateway\nid = ")


def _write_bytes(config: Path) -> None:
    config.write_bytes(b"\xff\xfe\x00" * 50)


def _make_folder(config: Path) -> None:
    config.unlink()
    config.mkdir()


def _remove(config: Path) -> None:
    config.unlink()


@pytest.mark.parametrize("damage", [_write_not_toml, _write_bytes, _make_folder, _remove])
@pytest.mark.parametrize("command", COMMANDS, ids=name)
def test_an_unreadable_configuration_is_told_in_a_line(
    command: Typed, damage: Callable[[Path], None], config: Path, tmp_path: Path
) -> None:
    damage(config)
    if command.words == ("demo",):
        return  # it needs none
    shown = run(typed(command, "--config", str(config)), tmp_path)

    expect_well_ended(shown)


@pytest.mark.parametrize("kind", ["noise", "folder", "empty"])
@pytest.mark.parametrize("command", ENDING, ids=name)
def test_an_unreadable_database_is_told_in_a_line(
    command: Typed, kind: str, config: Path, tmp_path: Path
) -> None:
    database = tmp_path / "state" / "sinyal.db"
    if kind == "folder":
        database.mkdir()
    else:
        database.write_bytes(b"no database at all" * 500 if kind == "noise" else b"")

    expect_well_ended(run(typed(command, "--config", str(config)), tmp_path))


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
@pytest.mark.parametrize("command", ENDING, ids=name)
def test_a_user_without_permission_is_told_so(command: Typed, config: Path, tmp_path: Path) -> None:
    (tmp_path / "state" / "sinyal.db").write_bytes(b"")
    for each in ("state", "run"):
        (tmp_path / each).chmod(0o700)
    for folder in (tmp_path, *tmp_path.parents[:3]):
        if str(folder).startswith("/tmp/"):
            folder.chmod(folder.stat().st_mode | 0o055)

    def become_nobody() -> None:
        for module in READ_BY_ROOT_ONLY:
            importlib.import_module(module)
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)

    expect_well_ended(run(typed(command, "--config", str(config)), tmp_path, prepare=become_nobody))


@pytest.mark.parametrize("command", ENDING, ids=name)
def test_a_full_disk_behind_the_output_is_told(command: Typed, config: Path, tmp_path: Path) -> None:
    def fill() -> None:
        os.dup2(os.open("/dev/full", os.O_WRONLY), 1)

    shown = run(typed(command, "--config", str(config)), tmp_path, prepare=fill)

    expect_well_ended(shown)


@pytest.mark.parametrize("command", ENDING, ids=name)
def test_a_reader_that_has_left_causes_no_complaint(command: Typed, config: Path, tmp_path: Path) -> None:
    def leave() -> None:
        reading, writing = os.pipe()
        os.close(reading)
        os.dup2(writing, 1)

    expect_well_ended(run(typed(command, "--config", str(config)), tmp_path, prepare=leave))


def test_a_fault_in_the_program_is_a_line_and_debug_shows_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agent.cli import version

    def fail(_args: object) -> int:
        raise ZeroDivisionError("on purpose")

    monkeypatch.setattr(version, "run", fail)
    shown = run(["version"], tmp_path)
    assert shown.code == 1 and "Traceback" not in shown.err and LAST_WORDS.search(shown.err)
    assert "Traceback" in run(["version", "--debug"], tmp_path).err
    assert "--debug" not in run(["version", "--help"], tmp_path).out
