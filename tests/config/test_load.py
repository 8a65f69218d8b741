import os
import subprocess
import sys
import textwrap
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from agent.config.keys import DEFAULTS, RULES
from agent.config.load import (
    DEFAULT_CONFIG_FILE,
    ConfigMistakes,
    LoadedConfig,
    build_what_is_right,
    config_path,
    load_config,
    variables_of,
)
from agent.config.model import Config
from agent.errors import ConfigMistake, NoPermission

MISTAKES = [
    # what the file holds, what the one line must name
    ("[readings]\ninterval_s = 0", ["readings.interval_s = 0", "a number from 0.1 to 3600"]),
    ("[readings]\ninterval_s = nan", ["readings.interval_s = nan", "0.1 to 3600"]),
    ("[readings]\ninterval_s = 1e999", ["readings.interval_s = inf", "0.1 to 3600"]),
    ("[readings]\ninterval_s = true", ["readings.interval_s = true", "0.1 to 3600"]),
    ('[readings]\ninterval_s = "60"', ['readings.interval_s = "60"', "0.1 to 3600"]),
    ("[readings]\ninterval_s = 2026-01-01", ["readings.interval_s = 2026-01-01", "0.1 to 3600"]),
    ("[readings]\ninterval_s = 0x" + "f" * 5000, ["readings.interval_s = 0xfff", "…", "0.1 to 3600"]),
    ("[buffer]\ncommit_readings = 60.0", ["buffer.commit_readings = 60.0", "a whole number from 1 to 1000"]),
    ("[buffer]\ncommit_readings = true", ["buffer.commit_readings = true", "a whole number"]),
    ("[broker]\ntls = 1", ["broker.tls = 1", "true or false"]),
    ("[broker]\ntls = {on = true}", ["broker.tls = {…}", "true or false"]),
    ("[broker]\nfallbacks = [1, [2, [3]]]", ["broker.fallbacks = [1, […]]", "a list like"]),
    ('[broker]\nhost = "mqtt://b"', ['broker.host = "mqtt://b"', "host name or IP address"]),
    ('[broker]\nport = "8883"', ['broker.port = "8883"', '"" or a whole number from 1 to 65535']),
    ('[gateway]\nrole = "router"', ['gateway.role = "router"', '"link" or "repeater-monitor"']),
    ('[gateway]\nsite_name = "a\\nb"', ['gateway.site_name = "a\\u000Ab"', "one line"]),
    ('[gateway]\nsite_name = "' + "x" * 5000 + '"', ["gateway.site_name", "xxx…", "at most 100"]),
    ('[gateway]\nid = "desa/1"', ['gateway.id = "desa/1"', "letters, digits"]),
    ('[paths]\nstate = ""', ['paths.state = ""', "a path"]),
    ("[broker]\ntls = true", ["broker.ca_file", "needed when broker.tls is true"]),
    ('[broker]\ncert_file = "c"', ["broker.key_file", "set together"]),
    ("[brokr]\nport = 1", ["[brokr]", "perhaps you mean [broker]"]),
    ("[zzz]", ["[zzz]", "known are [gateway], [paths]"]),
    ('[broker]\nhots = "b"', ["broker.hots", "perhaps you mean broker.host"]),
    ("[broker]\nqqq = 1", ["broker.qqq", "known are broker.host, broker.port"]),
    (
        "[modem]\ninterval_s = 1",
        ["modem.interval_s", "perhaps you mean readings.interval_s, publish.interval_s"],
    ),
    ("interval_s = 1", ["interval_s is not a known key", "readings.interval_s"]),
    ('"a\\nb" = 1', ["a\\u000Ab is not a known key"]),
    ("k" * 100_000 + " = 1", ["kkk… is not a known key"]),
    ("broker = 5", ["broker is a section, written [broker]"]),
    ("[[broker]]\ntls = true", ["broker is a section, written [broker]"]),
    ("[gateway]\nid = abc", ["line 2, column 6", "not valid TOML"]),
    ('[gateway]\nid = "abc', ["line 2", "not valid TOML"]),
    ('[gateway]\nid = "a"\nid = "b"', ["line 3", "not valid TOML"]),
    ("[readings]\ninterval_s = " + "9" * 5000, ["too many digits"]),
    ("[broker]\nfallbacks = " + "[" * 100_000, ["too many brackets"]),
    ("\ufeff[gateway]", ["byte order mark"]),
    ("#" * (1024 * 1024 + 1), ["larger than 1 MiB"]),
]


@pytest.mark.parametrize(("text", "named"), MISTAKES, ids=[text[:24] for text, _ in MISTAKES])
def test_a_mistake_is_one_line_with_file_key_value_and_what_is_allowed(
    file: Path, text: str, named: list[str]
) -> None:
    file.write_text(text)
    with pytest.raises(ConfigMistake) as mistake:
        load_config(file, {})
    assert mistake.value.exit_code == 2
    assert mistake.value.what.isprintable()
    assert len(mistake.value.what) < 500
    for part in [str(file), *named]:
        assert part in mistake.value.what


def load(file: Path, text: str, environment: dict[str, str] | None = None) -> LoadedConfig:
    file.write_text(text)
    return load_config(file, environment or {})


def mistake_of(file: Path, text: str, environment: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigMistake) as mistake:
        load(file, text, environment)
    return mistake.value.what


def test_an_empty_file_gives_the_defaults(file: Path) -> None:
    loaded = load(file, "")
    assert loaded.config == Config()
    assert loaded.path == file
    assert set(loaded.origins.values()) == {"default"}
    assert loaded.values == DEFAULTS
    assert list(loaded.origins) == list(DEFAULTS)


def test_values_and_dataclasses_hold_the_same(file: Path) -> None:
    loaded = load(
        file,
        '[paths]\nstate = "state"\n[buffer]\ncommit_interval_s = 0\nkeep_days = 7\n'
        '[broker]\nhost = "[2001:db8::7]"\ntls = true\nca_file = "ca.pem"\nfallbacks = ["b:1"]\n',
        {"SINYAL_PUBLISH_ENCODING": "json", "SINYAL_BROKER_PORT": ""},
    )
    seen = {
        f"{section}.{key}": getattr(getattr(loaded.config, section), key)
        for section, keys in RULES.items()
        for key in keys
    }
    assert seen == loaded.values
    assert {key: value for key, value in seen.items() if value != DEFAULTS[key]} == {
        "paths.state": file.parent / "state",
        "buffer.commit_interval_s": 0,
        "buffer.keep_days": 7,
        "broker.host": "2001:db8::7",
        "broker.fallbacks": ("b:1",),
        "broker.tls": True,
        "broker.ca_file": file.parent / "ca.pem",
        "publish.encoding": "json",
    }
    assert loaded.config is loaded.config


def test_a_folder_whose_name_no_path_may_have_is_a_mistake(tmp_path: Path) -> None:
    folder = tmp_path / "a\nb"
    folder.mkdir()
    what = mistake_of(folder / "sinyal.toml", '[paths]\nstate = "state"')
    assert "a\\u000Ab/sinyal.toml: paths.state" in what


def test_all_mistakes_are_kept_and_the_first_says_how_many_follow(file: Path) -> None:
    file.write_text('[gateway]\nid = "/"\nname = 1\n[modem]\nport = 1\nsim_pin = 1\n')
    with pytest.raises(ConfigMistakes) as mistake:
        load_config(file, {"SINYAL_BROKER_TLS": "yes"})
    assert mistake.value.what == mistake.value.mistakes[0] + " (and 4 more mistakes)"
    assert [name in line for name, line in zip(
        ["gateway.name", "gateway.id", "modem.port", "modem.sim_pin", "SINYAL_BROKER_TLS"],
        mistake.value.mistakes,
        strict=True,
    )] == [True] * 5  # fmt: skip


def test_a_wrong_key_does_not_bring_a_second_mistake_about_its_neighbours(file: Path) -> None:
    assert "more mistake" not in mistake_of(file, "[broker]\ntls = true\nca_file = 1")


def test_thousands_of_unknown_keys_are_told_in_bounded_time(file: Path) -> None:
    what = mistake_of(file, "".join(f"k{number} = 1\n" for number in range(20_000)))
    assert what.endswith("(and 99 more mistakes)")


@pytest.mark.parametrize(
    "text",
    [
        '[modem]\nsim_pin = "99331177x"',
        "[modem]\nsim_pin = 99331177",
        '[modem]\nsim_pni = "99331177"',
        'sim_pin = "99331177"',
        'modem = "99331177"',
        '[modem]\nsim_pin = ["99331177"]',
        '[modem]\nsim_pin = "99331177',
        '[modem]\nsim_pin = 99331177"',
        '[modem]\nsim_pin = "99331177"\nsim_pin = "99331177"',
    ],
)
def test_the_pin_is_in_no_message(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(ConfigMistake) as mistake:
        load_config(file, {})
    assert "9933" not in mistake.value.what + mistake.value.next_step + repr(mistake.value)


def test_the_pin_in_the_environment_is_in_no_message(file: Path) -> None:
    what = mistake_of(file, "", {"SINYAL_MODEM_SIM_PIN": "12"})
    assert what.startswith("SINYAL_MODEM_SIM_PIN = ******** is not allowed")


# --- the environment ---


@pytest.mark.parametrize(
    ("variable", "text", "key", "value"),
    [
        ("SINYAL_GATEWAY_ID", "renah-1", "gateway.id", "renah-1"),
        ("SINYAL_GATEWAY_SITE_NAME", "007", "gateway.site_name", "007"),
        ("SINYAL_READINGS_INTERVAL_S", "0.5", "readings.interval_s", 0.5),
        ("SINYAL_BUFFER_MAX_BYTES", "2_000_000", "buffer.max_bytes", 2_000_000),
        ("SINYAL_BROKER_TLS", "false", "broker.tls", False),
        ("SINYAL_BROKER_HOST", "", "broker.host", ""),
        ("SINYAL_BROKER_PORT", "", "broker.port", 1883),
        ("SINYAL_BROKER_FALLBACKS", "a:1, [::1]:8883", "broker.fallbacks", ("a:1", "[::1]:8883")),
        ("SINYAL_BROKER_FALLBACKS", "", "broker.fallbacks", ()),
        ("SINYAL_LANG", "en", "gateway.language", "en"),
        ("SINYAL_GATEWAY_LANGUAGE", "en", "gateway.language", "en"),
    ],
)
def test_a_variable_overrides_the_file(file: Path, variable: str, text: str, key: str, value: object) -> None:
    in_file = '[broker]\nhost = "other"\nport = 1999\nfallbacks = ["other:1"]\n[gateway]\nlanguage = "id"\n'
    loaded = load(file, in_file, {variable: text, "UNRELATED": "x"})
    assert loaded.config.effective_values()[key] == value
    assert loaded.origins[key] == "environment"


def test_sinyal_lang_beats_the_variable_of_its_key_and_counts_as_unset_when_empty(file: Path) -> None:
    both = {"SINYAL_GATEWAY_LANGUAGE": "id", "SINYAL_LANG": "en"}
    assert load(file, "", both).config.gateway.language == "en"
    assert load(file, "", both | {"SINYAL_LANG": ""}).config.gateway.language == "id"


@pytest.mark.parametrize(
    ("variable", "text", "shown"),
    [
        ("SINYAL_READINGS_INTERVAL_S", "fast", '"fast"'),
        ("SINYAL_READINGS_INTERVAL_S", "", '""'),
        ("SINYAL_READINGS_INTERVAL_S", "1\n2 = 3", '"1\\u000A2 = 3"'),
        ("SINYAL_READINGS_INTERVAL_S", "[" * 100_000, '"[[['),
        ("SINYAL_READINGS_INTERVAL_S", "9" * 5000, '"999'),
        ("SINYAL_READINGS_INTERVAL_S", "true", "true"),
        ("SINYAL_BUFFER_KEEP_DAYS", "1.0", "1.0"),
        ("SINYAL_BROKER_TLS", "True", '"True"'),
        ("SINYAL_BROKER_FALLBACKS", "a:1,,b:2", "a:1,,b:2 is not allowed, only addresses like"),
        ("SINYAL_GATEWAY_SITE_NAME", os.fsdecode(b"\xff"), '"\\uDCFF"'),
        ("SINYAL_LANG", "fr", '"fr"'),
    ],
)
def test_a_wrong_variable_is_named(file: Path, variable: str, text: str, shown: str) -> None:
    what = mistake_of(file, "", {variable: text})
    assert what.startswith(f"{variable} = {shown}")
    assert what.isprintable()


def test_no_two_keys_share_a_variable() -> None:
    variables = [
        name for section, keys in RULES.items() for key in keys for name in variables_of(section, key)
    ]
    assert len(variables) == len(set(variables))
    assert "SINYAL_CONFIG" not in variables


# --- which file ---


def test_the_named_file_beats_the_variable_which_beats_the_default() -> None:
    assert config_path(Path("a"), {"SINYAL_CONFIG": "b"}) == Path("a")
    assert config_path(None, {"SINYAL_CONFIG": "b"}) == Path("b")
    assert config_path(None, {}) == DEFAULT_CONFIG_FILE == Path("/etc/sinyal/sinyal.toml")


def test_an_empty_variable_for_the_file_is_a_mistake() -> None:
    with pytest.raises(ConfigMistake, match="SINYAL_CONFIG is set but names no file"):
        load_config(None, {"SINYAL_CONFIG": ""})


def test_a_missing_file_names_the_sample_to_copy(file: Path) -> None:
    with pytest.raises(ConfigMistake, match=f"no configuration file {file}") as mistake:
        load_config(file, {})
    assert mistake.value.next_step.endswith("/agent/config/sinyal.toml")


def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").write_text("")
    for path, reason in {
        tmp_path: "is no file but",
        Path(): "is no file but",
        pipe: "is no file but",
        Path("/dev/zero"): "is no file but",
        tmp_path / "loop": "symbolic links",
        tmp_path / "file" / "below": "Not a directory",
        tmp_path / ("x" * 300): "too long",
    }.items():
        with pytest.raises(ConfigMistake, match=reason):
            load_config(path, {})


def test_a_file_in_another_encoding_names_the_line(file: Path) -> None:
    file.write_bytes('[gateway]\nsite_name = "Désa"\n'.encode("latin-1"))
    with pytest.raises(ConfigMistake, match="line 2 is not UTF-8"):
        load_config(file, {})
    file.write_bytes("[gateway]\n".encode("utf-16"))
    with pytest.raises(ConfigMistake, match="line 1 is not UTF-8"):
        load_config(file, {})


def test_a_file_of_another_user_gives_no_permission(
    open_folder: Path, ordinary_user: AbstractContextManager[None]
) -> None:
    file = open_folder / "sinyal.toml"
    file.write_text("")
    file.chmod(0)
    with ordinary_user, pytest.raises(NoPermission, match="may not read") as refused:
        load_config(file, {})
    assert refused.value.exit_code == 3
    assert "sudo" in refused.value.next_step


def test_relative_paths_start_at_the_folder_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gw").mkdir()
    file = tmp_path / "gw" / "sinyal.toml"
    file.write_text(
        '[paths]\nstate = "state"\n[broker]\nca_file = "tls/ca.pem"\nkey_file = "/k"\ncert_file = "c"\n'
    )
    monkeypatch.chdir(tmp_path)
    config = load_config(Path("gw/sinyal.toml"), {"SINYAL_PATHS_RUNTIME": "run"}).config
    assert config.paths.state == tmp_path / "gw" / "state"
    assert config.paths.runtime == tmp_path / "gw" / "run"
    assert config.broker.ca_file == tmp_path / "gw" / "tls" / "ca.pem"
    assert config.broker.key_file == Path("/k")


def test_loading_imports_nothing_that_only_a_mistake_or_a_command_needs() -> None:
    code = textwrap.dedent("""
        import pathlib, sys  # pathlib alone brings ipaddress in Python 3.11
        before = set(sys.modules)
        from agent.config.load import SAMPLE_FILE, load_config
        load_config(SAMPLE_FILE, {"SINYAL_BROKER_HOST": "broker.example"})
        print(*sorted(set(sys.modules) - before))
    """)
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not set(loaded) & {
        "argparse",
        "dataclasses",
        "difflib",
        "fcntl",
        "inspect",
        "ipaddress",
        "json",
        "logging",
        "socket",
        "subprocess",
    }


def test_of_a_broken_file_what_is_right_still_counts(tmp_path: Path) -> None:
    file = tmp_path / "sinyal.toml"
    file.write_text(
        '[paths]\nstate = "/data/sinyal"\n[throughput]\nengine = "magic"\n'
        '[gateway]\nid = "gw-7"\n[nonsense]\nx = 1\n'
    )
    config = build_what_is_right(file).config
    assert (config.paths.state, config.gateway.id) == (Path("/data/sinyal"), "gw-7")
    file.write_text("[paths\n")
    assert build_what_is_right(file).config.gateway.id == ""
    assert build_what_is_right(tmp_path).config.gateway.id == ""
