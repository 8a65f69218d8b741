"""OpenWrt's /etc/config/sinyal as the configuration file: options in, one checked TOML file out.

UCI is read by OpenWrt's own functions (`firmware_hooks/openwrt/init.d/sinyal`), which give each option as
NAME, zero byte, VALUE, zero byte; a list comes as one such pair for each item. What a value may be, and
whether it is a number, a text or a list, is known here alone.
"""

import grp
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from agent.config.edit import put_in_place
from agent.config.keys import rule_of
from agent.config.load import ConfigMistakes, build_config, parse_toml, refusal, unknown_key
from agent.config.rules import Rule, Switch
from agent.config.toml_text import one_line, shortened, written
from agent.errors import ConfigMistake
from agent.language import _

UCI_FILE = Path("/etc/config/sinyal")
MAX_BYTES = 64 * 1024
FILE_MODE = 0o640
"""The file may hold a SIM PIN."""

GROUP = "sinyal"

_SWITCHES = {
    **dict.fromkeys(("1", "on", "true", "yes", "enabled"), True),
    **dict.fromkeys(("0", "off", "false", "no", "disabled"), False),
}
"""How UCI writes a switch."""

_HEADER = "# Written from {file} at each start: change it there, with uci set and uci commit.\n"


def import_options(content: bytes, file: Path, environment: Mapping[str, str], *, check_only: bool) -> bool:
    """Write the options in `content` to the configuration file; return whether it changed, or would.

    The file is replaced whole and only by one without mistakes; the one before stays as NAME.last-good. It
    is not touched when it says the same already, which spares the flash, nor when somebody else has written
    it. Raises ConfigMistakes with every
    mistake, and what `put_in_place` does.
    """
    text = toml_of(content)
    build_config(parse_toml(text, file), file, environment)
    with suppress(OSError, UnicodeDecodeError):
        present = file.read_text(encoding="utf-8")
        if present == text:
            return False
        if not present.startswith(_HEADER.format(file=UCI_FILE)):
            raise ConfigMistake(
                _("{file} was not written from {uci} and is left as it is").format(
                    file=one_line(str(file)), uci=UCI_FILE
                ),
                _("move it away to let {uci} rule, or uci set the same values there first").format(
                    uci=UCI_FILE
                ),
            )
    if not check_only:
        put_in_place(file, text, environment, mode=FILE_MODE, group=_group_id())
    return True


def toml_of(content: bytes) -> str:
    """Return the TOML file that stands for the options in `content`; raises ConfigMistakes."""
    options = _options_in(content)
    mistakes: list[str] = []
    sections: dict[str, list[str]] = {}
    for name, texts in options.items():
        rule = rule_of(name)
        if rule is None:
            mistakes.append(f"{UCI_FILE}: {unknown_key(name)}")
            continue
        value = _value(rule, texts)
        try:
            rule.accept(value)
        except ValueError:
            mistakes.append(refusal(f"{UCI_FILE}: {name}", value, rule))
            continue
        section, _dot, key = name.partition(".")
        sections.setdefault(section, []).append(f"{key} = {written(value)}\n")
    if mistakes:
        raise ConfigMistakes(mistakes, _("correct it with uci set, then: uci commit sinyal; reload_config"))
    parts = [f"\n[{section}]\n{''.join(lines)}" for section, lines in sections.items()]
    return _HEADER.format(file=UCI_FILE) + "".join(parts)


def _options_in(content: bytes) -> dict[str, list[str]]:
    if len(content) > MAX_BYTES:
        raise _unreadable(_("it is larger than {count} bytes").format(count=MAX_BYTES))
    try:
        words = content.decode("utf-8").split("\0")
    except UnicodeDecodeError:
        raise _unreadable(_("it holds bytes that are no UTF-8")) from None
    if words.pop() or len(words) % 2:
        raise _unreadable(_("it ends in the middle"))
    options: dict[str, list[str]] = {}
    for name, value in zip(words[::2], words[1::2], strict=True):
        options.setdefault(shortened(one_line(name)), []).append(value)
    return options


def _value(rule: Rule, texts: list[str]) -> Any:
    if list in rule.types:
        return rule.value_in(texts[0]) if len(texts) == 1 else texts
    if isinstance(rule, Switch):
        return _SWITCHES.get(texts[-1], texts[-1])
    # An option that is given twice counts as uci has it: the last one.
    return rule.value_in(texts[-1])


def _unreadable(reason: str) -> ConfigMistake:
    return ConfigMistake(
        _("the options of {file} cannot be read: {reason}").format(file=UCI_FILE, reason=reason),
        _("see: uci show sinyal"),
    )


def _group_id() -> int:
    try:
        return grp.getgrnam(GROUP).gr_gid
    except KeyError:
        return os.getgid()
