"""The init script under busybox ash: what procd is told, and what becomes of hostile options."""

import shlex
import sys
import tomllib
from pathlib import Path

import pytest

from tests.firmware_hooks.shells import HOOKS, run, shell

INIT = HOOKS / "openwrt/init.d/sinyal"
STUB = Path(__file__).with_name("openwrt_stub.sh")

Options = list[tuple[str, str, str]]
"""Section, option, value; a section's second value of an option makes it a list."""


class Router:
    """A folder that plays OpenWrt."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "sinyal.toml"
        self.sinyal = folder / "bin" / "sinyal"
        self.sinyal.parent.mkdir()
        self.sinyal.write_text(f'#!/bin/sh\nexec {sys.executable} -m agent "$@"\n')
        self.sinyal.chmod(0o755)
        self.commit([("service", "enabled", "1"), ("gateway", "id", "jbi-1")])

    def commit(self, options: Options) -> None:
        """Let /etc/config/sinyal hold these options."""
        names = [(section, name) for section, name, _value in options]
        lines: list[str] = []
        for section in dict.fromkeys(section for section, _name, _value in options):
            lines.append(f"config {section} {shlex.quote(section)}")
            for of, name, value in options:
                word = "list" if names.count((of, name)) > 1 else "option"
                lines += [f"\t{word} {name} {shlex.quote(value)}"] if of == section else []
        (self.folder / "export").write_text("\n".join(lines) + "\n")

    def call(self, *words: str, ujail: bool = False) -> tuple[int, str, str]:
        """Run a function of the init script; return its code, what it printed and what procd was told."""
        calls = self.folder / "calls"
        calls.unlink(missing_ok=True)
        there = str(self.sinyal) if ujail else "/nowhere"
        variables = {
            "SCRIPT": str(INIT),
            "ROOT": str(self.folder),
            "UCI_EXPORT": str(self.folder / "export"),
            "CALLS": str(calls),
            "SINYAL": str(self.sinyal),
            "CONFIG_FILE": str(self.config),
            "UJAIL": there,
            "CAPABILITIES": there,
            "PYTHONPATH": str(HOOKS.parent),
        }
        ended = run([*shell("ash"), str(STUB), *words], variables, cwd=self.folder)
        assert ended.stderr == b""
        return ended.returncode, ended.stdout.decode(), calls.read_text() if calls.exists() else ""

    def values(self) -> dict[str, dict[str, object]]:
        """Return what the agent would read."""
        return tomllib.loads(self.config.read_text())


@pytest.fixture
def router(tmp_path: Path) -> Router:
    return Router(tmp_path)


def test_procd_never_gives_up_watches_the_file_and_needs_no_root(router: Router) -> None:
    code, _printed, told = router.call("start_service")
    assert code == 0
    lines = told.splitlines()
    assert f"procd_set_param command {router.sinyal} run --config {router.config}" in lines
    assert "procd_set_param respawn 3600 10 0" in lines
    assert f"procd_set_param file {router.config}" in lines
    assert {"procd_set_param user sinyal", "procd_set_param no_new_privs 1"} <= set(lines)
    assert "capabilities" not in told
    assert "procd_set_param capabilities" in router.call("start_service", ujail=True)[2]
    assert router.call("service_triggers")[2] == "procd_add_reload_trigger sinyal\n"
    assert router.values() == {"gateway": {"id": "jbi-1"}}


def test_readings_of_a_configuration_with_the_usual_folders_outlive_the_power(router: Router) -> None:
    for _start in range(2):
        assert router.call("start_service")[0] == 0
    (router.folder / "var/lib/sinyal/sinyal.db").touch()
    (router.folder / "run/sinyal/sinyal.lock").touch()
    assert (router.folder / "srv/sinyal/sinyal.db").exists()
    assert (router.folder / "var/run/sinyal/sinyal.lock").exists()


def test_what_is_switched_off_is_not_started_and_the_log_says_how_to(router: Router) -> None:
    router.commit([("service", "enabled", "0"), ("gateway", "id", "jbi-1")])
    code, _printed, told = router.call("start_service")
    assert (code, told.count("\n")) == (0, 1)
    assert "uci set sinyal.service.enabled=1" in told
    assert not router.config.exists()


def test_a_mistake_keeps_what_was_fine_and_without_that_nothing_starts(router: Router) -> None:
    router.commit([("service", "enabled", "1"), ("readings", "interval_s", "often")])
    code, _printed, told = router.call("start_service")
    assert code == 1
    assert 'readings.interval_s = "often" is not allowed' in told
    assert "procd" not in told
    assert "is not allowed" in router.call("check")[1]

    router.commit([("service", "enabled", "1"), ("gateway", "id", "jbi-1")])
    assert router.call("start_service")[0] == 0
    router.commit([("service", "enabled", "1"), ("gateway", "id", "not allowed")])
    code, _printed, told = router.call("reload_service")
    assert code == 0
    assert "is not taken over" in told and "procd_set_param command" in told
    assert router.values()["gateway"]["id"] == "jbi-1"


NAMES = [
    '"',
    "'",
    '\\"',
    "$(touch canary)",
    "`touch canary`",
    "a; touch canary",
    'AT+QENG="servingcell"',
    "#",
    "é",
    "-n",
    "%s\\n",
]


def test_quotes_dollars_and_commands_arrive_as_they_are(router: Router) -> None:
    for name in (" ".join(NAMES), "-n"):
        router.commit(
            [("service", "enabled", "1"), ("gateway", "id", "jbi-1"), ("gateway", "site_name", name)]
        )
        assert router.call("start_service")[0] == 0, name
        assert router.values()["gateway"] == {"id": "jbi-1", "site_name": name}
    assert not (router.folder / "canary").exists()


def test_a_newline_or_a_foreign_name_is_refused_and_nothing_else_is_set(router: Router) -> None:
    for value in ('x\n[broker]\nhost = "evil"', "\x1b[2J"):
        router.commit([("service", "enabled", "1"), ("gateway", "site_name", value)])
        code, _printed, told = router.call("start_service")
        assert code == 1, value
        assert "procd" not in told
    router.commit([("service", "enabled", "1"), ("gateway", "sitename", "x")])
    assert "gateway.site_name" in router.call("check")[1]
    assert not router.config.exists()


def test_lists_stay_lists(router: Router) -> None:
    router.commit(
        [("service", "enabled", "1"), ("link", "targets", "1.1.1.1"), ("link", "targets", "b.example:8883")]
    )
    assert router.call("start_service")[0] == 0
    assert router.values()["link"] == {"targets": ["1.1.1.1", "b.example:8883"]}


def test_the_shipped_options_are_fine(router: Router) -> None:
    (router.folder / "export").write_text((HOOKS / "openwrt/config/sinyal").read_text())
    assert router.call("check")[0] == 0
