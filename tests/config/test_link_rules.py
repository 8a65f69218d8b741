"""The rules of `[link]` that hold lists and addresses."""

from pathlib import Path

import pytest

from agent.config.keys import ImpossibleValue
from agent.config.load import load_config
from agent.config.model import LinkConfig
from agent.config.rules import split_operator_code, split_target
from tests.cli.test_main import sinyal


@pytest.mark.parametrize(
    ("target", "split"),
    [
        ("1.1.1.1", ("1.1.1.1", None)),
        ("a.example:8883", ("a.example", 8883)),
        ("2001:db8::7", ("2001:db8::7", None)),
        ("[2001:db8::7]:8883", ("2001:db8::7", 8883)),
    ],
)
def test_targets(target: str, split: tuple[str, int | None]) -> None:
    assert split_target(target) == split


@pytest.mark.parametrize(
    "targets",
    [
        ("1.1.1.1",), ("1.1.1.1", "1.1.1.1"), ("a", "b", "c"), ("a", ""), ("a", "mqtt://b"), ("a", "b:0"),
        ("a", 7), ("a", "999.1.1.1"), "ab",
    ],
)  # fmt: skip
def test_impossible_targets(targets: object) -> None:
    with pytest.raises(ImpossibleValue):
        LinkConfig(targets=targets)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "line",
    [
        "",
        "51010",
        "51010 *888#",
        "5101 *888# x",
        "51010 888 x",
        "51010 *888# (",
        "51010 ATD1; x",
        "51010 *8\n8# x",
        7,
    ],
)
def test_impossible_operator_codes(line: object) -> None:
    with pytest.raises(ImpossibleValue):
        LinkConfig(operator_codes=(line,))  # type: ignore[arg-type]


def test_an_operator_code_may_hold_blanks_in_its_pattern() -> None:
    assert split_operator_code("51010 *888# paket habis|kuota 0") == ("51010", "*888#", "paket habis|kuota 0")


@pytest.mark.parametrize(
    "url",
    ["https://a.example/", "a.example", "http://", "http://a b/", "http://a.example/ü", "http://a.example:x/",
     "http://a.example/x\r\nHost: b"],
)  # fmt: skip
def test_impossible_pages(url: str) -> None:
    with pytest.raises(ImpossibleValue):
        LinkConfig(page_url=url)


def test_the_command_sets_them(file: Path) -> None:
    file.write_text("[link]\n")
    for key, value in (
        ("targets", "1.1.1.1, a.example:8883"),
        ("operator_codes", "51010 *888# habis{1,2}"),
        ("page_url", ""),
    ):  # fmt: skip
        done = sinyal("config", "set", f"link.{key}", value, "--config", str(file))
        assert done.returncode == 0, done.stderr
    config = load_config(file, {}).config.link
    assert config.targets == ("1.1.1.1", "a.example:8883")
    assert config.operator_codes == ("51010 *888# habis{1,2}",)
    assert config.page_url == ""
