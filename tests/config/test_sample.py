"""`sinyal.toml` is the documentation of the configuration: it must say what the code does."""

import re
from pathlib import Path

from agent.config.keys import DEFAULTS, RULES
from agent.config.load import SAMPLE_FILE, load_config
from agent.config.model import Config
from agent.config.toml_text import written

LINES = SAMPLE_FILE.read_text(encoding="utf-8").splitlines()
SWITCHED_OFF_KEY = re.compile(r"# (\w+ = .*)")


def test_the_sample_as_it_is_gives_the_defaults() -> None:
    loaded = load_config(SAMPLE_FILE, {})
    assert loaded.config == Config()
    assert set(loaded.origins.values()) == {"default"}


def test_the_sample_with_every_key_switched_on_gives_the_defaults(file: Path) -> None:
    file.write_text("\n".join(SWITCHED_OFF_KEY.sub(r"\1", line) for line in LINES), encoding="utf-8")
    loaded = load_config(file, {})
    assert loaded.config == Config()
    assert set(loaded.origins.values()) == {"file"}


def test_the_sample_has_every_section_and_key_once_in_the_order_of_the_code() -> None:
    in_sample = [line for line in LINES if line.startswith("[") or SWITCHED_OFF_KEY.fullmatch(line)]
    in_code = []
    for section, rules in RULES.items():
        in_code.append(f"[{section}]")
        in_code += [f"# {key} = {written(DEFAULTS[f'{section}.{key}'])}" for key in rules]
    assert in_sample == in_code


def test_above_each_key_stand_its_meaning_and_what_is_allowed_in_two_languages() -> None:
    rules = {
        key: [each[key] for each in RULES.values() if key in each] for keys in RULES.values() for key in keys
    }
    for number, line in enumerate(LINES):
        if found := SWITCHED_OFF_KEY.fullmatch(line):
            key = found[1].partition(" ")[0]
            blank, indonesian, english = LINES[number - 3 : number]
            assert blank == ""
            assert english in {f"# {rule.meaning}: {rule.allowed()}." for rule in rules[key]}
            assert indonesian.startswith("# ") and indonesian.endswith(".") and indonesian != english


def test_the_sample_is_at_most_100_columns_wide() -> None:
    assert max(len(line) for line in LINES) <= 100
