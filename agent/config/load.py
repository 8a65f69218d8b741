"""From the TOML file and the environment to values; each mistake becomes one line a person can act on.

Loading stands in the way of every command, so it imports nothing that only a mistake needs, and the
dataclasses of `model.py` only for whom asks for them.
"""

import os
import re
import stat
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.config.keys import DEFAULTS, RULES, ImpossibleValue, check_together
from agent.config.rules import Rule
from agent.config.toml_text import MAX_SHOWN_CHARS, one_line, shortened, written
from agent.errors import ConfigMistake, NoPermission, SinyalError
from agent.language import _, ngettext, system_reason

if TYPE_CHECKING:
    from agent.config.model import Config

DEFAULT_CONFIG_FILE = Path("/etc/sinyal/sinyal.toml")
SAMPLE_FILE = Path(__file__).with_name("sinyal.toml")
CONFIG_VARIABLE = "SINYAL_CONFIG"
LANGUAGE_VARIABLE = "SINYAL_LANG"
MAX_FILE_BYTES = 1024 * 1024
MAX_UNKNOWN_NAMES = 100
"""A file with more of them is some other file; looking up the nearest name of each would take minutes."""

MASK = "********"


class LoadedConfig:
    """A configuration without mistakes.

    values holds the value of each "section.key", None where it follows other keys or names no file.
    path is the file it came from. origins says of each "section.key" whether its value is the
    "default" or came from the "file" or the "environment".
    """

    def __init__(self, values: Mapping[str, Any], path: Path, origins: Mapping[str, str]) -> None:
        self.values = values
        self.path = path
        self.origins = origins

    @cached_property
    def config(self) -> "Config":
        """The values as frozen dataclasses, made when first asked for."""
        from agent.config.model import config_of

        return config_of(self.values)


class ConfigMistakes(ConfigMistake):
    """Everything that is wrong with a configuration: `what` tells the first mistake, `mistakes` all.

    Each mistake is one line that names file or variable, key, value and what is allowed.
    """

    def __init__(self, mistakes: Sequence[str], next_step: str) -> None:
        what, more = mistakes[0], len(mistakes) - 1
        if more:
            counted = ngettext("and {more} more mistake", "and {more} more mistakes", more)
            what += f" ({counted.format(more=more)})"
        super().__init__(what, next_step)
        self.mistakes = tuple(mistakes)


def load_config(path: Path | None, environment: Mapping[str, str]) -> LoadedConfig:
    """Return the configuration in `path`, else the file that SINYAL_CONFIG names, else the default file.

    Raises ConfigMistake for a file that is missing, not TOML or holds a mistake, and NoPermission for
    one that this user may not read.
    """
    file = config_path(path, environment)
    return build_config(parse_toml(read_text(file), file), file, environment)


def config_path(path: Path | None, environment: Mapping[str, str]) -> Path:
    """Return the file that --config (`path`), SINYAL_CONFIG or the default names, in this order."""
    if path is not None:
        return path
    named = environment.get(CONFIG_VARIABLE)
    if named is None:
        return DEFAULT_CONFIG_FILE
    if not named:
        raise ConfigMistake(
            _("{variable} is set but names no file").format(variable=CONFIG_VARIABLE),
            _("give it the path of the configuration file, or unset it"),
        )
    return Path(named)


def read_text(file: Path) -> str:
    """Return the text of a configuration file; raises ConfigMistake or NoPermission."""
    name = one_line(str(file))
    try:
        # A pipe would wait for ever, a device would never end.
        if not stat.S_ISREG(file.stat().st_mode):
            raise ConfigMistake(
                _("{file} is no file but a folder, a pipe or a device").format(file=name),
                _("name the configuration file itself, such as {file}").format(file=DEFAULT_CONFIG_FILE),
            )
        with file.open("rb") as opened:
            content = opened.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise ConfigMistake(
            _("there is no configuration file {file}").format(file=name),
            _("copy the commented sample there: {sample}").format(sample=SAMPLE_FILE),
        ) from None
    except PermissionError:
        raise NoPermission(
            _("this user may not read {file}").format(file=name),
            _("use sudo, or join the group that the file belongs to"),
        ) from None
    except OSError as error:
        reason = system_reason(os.strerror(error.errno or 0))
        raise ConfigMistake(
            _("{file} cannot be read: {reason}").format(file=name, reason=reason),
            _("check the name and the disk: ls -l {file}").format(file=name),
        ) from None
    if len(content) > MAX_FILE_BYTES:
        raise ConfigMistake(
            _("{file} is larger than 1 MiB, no configuration is").format(file=name),
            _("name the configuration file itself, such as {file}").format(file=DEFAULT_CONFIG_FILE),
        )
    return _decoded(content, name)


def _decoded(content: bytes, name: str) -> str:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        what = _("{file}: line {line} is not UTF-8 text").format(file=name, line=line)
        raise ConfigMistake(what, _("save the file as UTF-8")) from None
    if text.startswith("\ufeff"):
        what = _("{file} begins with a byte order mark").format(file=name)
        raise ConfigMistake(what, _('save the file as "UTF-8" instead of "UTF-8 with BOM"'))
    return text


def parse_toml(text: str, file: Path) -> dict[str, Any]:
    """Return the document in `text`; what is not TOML raises ConfigMistake with file, line and column."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        reason = _("too many brackets within brackets")
    except tomllib.TOMLDecodeError as error:
        reason = _with_place(str(error), text)
    except ValueError:
        reason = _("a number has too many digits")
    raise ConfigMistake(
        _("{file}: not valid TOML: {reason}").format(file=one_line(str(file)), reason=reason),
        _('correct it (text stands in quotes: key = "text"), then: sinyal config check'),
    )


def _with_place(message: str, text: str) -> str:
    # Before Python 3.14 tomllib gives the place only as words at the end of its message.
    reason, _at, place = message.rpartition(" (at ")
    found = re.fullmatch(r"line (\d+), column (\d+)\)", place)
    line, column = found.groups() if found else (text.count("\n") + 1, 1)
    return _("line {line}, column {column}: {reason}").format(line=line, column=column, reason=reason)


def build_config(document: Mapping[str, Any], file: Path, environment: Mapping[str, str]) -> LoadedConfig:
    """Return the configuration of a parsed file and the environment; mistakes raise ConfigMistakes."""
    builder = _Builder(document, file, environment)
    return LoadedConfig(builder.checked_values(), file, builder.origins)


def build_what_is_right(file: Path) -> LoadedConfig:
    """Return the configuration made of those sections of a file that are right by themselves; never raises.

    For commands that must work with a broken one: one wrong number shall not move the state folder.
    """
    right: dict[str, Any] = {}
    try:
        document = parse_toml(read_text(file), file)
    except SinyalError:
        document = {}
    for section, content in document.items():
        with suppress(ConfigMistakes):
            build_config({**right, section: content}, file, {})
            right[section] = content
    return build_config(right, file, {})


class _Builder:
    """Reads one section after the other and collects the mistakes."""

    def __init__(self, document: Mapping[str, Any], file: Path, environment: Mapping[str, str]) -> None:
        self.document = document
        self.file = file
        self.file_name = one_line(str(file))
        self.environment = environment
        self.mistakes: list[str] = []
        self.origins = dict.fromkeys(DEFAULTS, "default")

    def checked_values(self) -> dict[str, Any]:
        unknown = islice(_unknown_names(self.document), MAX_UNKNOWN_NAMES)
        self.mistakes += [f"{self.file_name}: {sentence}" for sentence in unknown]
        values = {
            f"{section}.{key}": value for section in RULES for key, value in self._section(section).items()
        }
        if self.mistakes:
            raise ConfigMistakes(self.mistakes, _("correct it, then: sinyal config check"))
        return values

    def _section(self, section: str) -> dict[str, Any]:
        """Return the value of each key of a section; collect the mistakes."""
        known_mistakes = len(self.mistakes)
        values = {}
        for key, rule in RULES[section].items():
            values[key] = rule.default
            for origin, place, value in self._given(section, key, rule):
                try:
                    values[key] = self._from_folder(rule.accept(value), rule)
                except ValueError:
                    self.mistakes.append(refusal(place, value, rule, typed=origin == "environment"))
                self.origins[f"{section}.{key}"] = origin
        # A wrong value would only bring a second mistake about its neighbours.
        if len(self.mistakes) == known_mistakes:
            try:
                check_together(section, values)
            except ImpossibleValue as mistake:
                self.mistakes.append(f"{self.file_name}: {section}.{mistake.key}: {mistake.allowed}")
        return values

    def _given(self, section: str, key: str, rule: Rule) -> Iterator[tuple[str, str, object]]:
        """Give origin, place and value wherever the key is set; the last one counts."""
        in_file = self.document.get(section)
        if isinstance(in_file, dict) and key in in_file:
            yield "file", f"{self.file_name}: {section}.{key}", in_file[key]
        for variable in variables_of(section, key):
            text = self.environment.get(variable)
            # An empty SINYAL_LANG is no wish, as with LANG; elsewhere "" may be the wanted value.
            if text is not None and (text or variable != LANGUAGE_VARIABLE):
                yield "environment", variable, rule.value_in(text)

    def _from_folder(self, value: object, rule: Rule) -> object:
        if not isinstance(value, Path):
            return value
        # Asked again, since the name of the folder may hold what a path may not.
        return rule.accept(self.file.absolute().parent / value)


def variables_of(section: str, key: str) -> tuple[str, ...]:
    """Return the environment variables that override a key; the last one that is set counts."""
    variable = f"SINYAL_{section}_{key}".upper()
    return (variable, LANGUAGE_VARIABLE) if (section, key) == ("gateway", "language") else (variable,)


def refusal(place: str, value: object, rule: Rule, *, typed: bool = False) -> str:
    """Return the line that says that `value` is not allowed at `place`; a secret is masked.

    typed: the value was a text, in the environment or after `config set`, and is to be a text again.
    """
    text = ",".join(value) if typed and isinstance(value, list) else written(value)
    return _("{place} = {value} is not allowed, only {allowed}").format(
        place=place,
        value=MASK if rule.secret else shortened(one_line(text)),
        allowed=rule.allowed_as_text() if typed else rule.allowed(),
    )


def _unknown_names(document: Mapping[str, Any]) -> Iterator[str]:
    # The values of unknown keys are never shown: one may be a PIN under a mistyped name.
    for section, given in document.items():
        if section not in RULES:
            yield _unknown_section(section) if isinstance(given, dict) else unknown_key(section)
        elif not isinstance(given, dict):
            yield _("{section} is a section, written [{section}] on a line of its own").format(
                section=section
            )
        else:
            yield from (unknown_key(f"{section}.{key}") for key in given if key not in RULES[section])


def _unknown_section(section: str) -> str:
    # Only a mistake needs difflib.
    from difflib import get_close_matches

    what = _("[{section}] is not a known section").format(section=shortened(one_line(section)))
    near = get_close_matches(section[:MAX_SHOWN_CHARS], RULES, n=1)
    return f"{what}; {_suggested([f'[{name}]' for name in near], [f'[{name}]' for name in RULES])}"


def unknown_key(name: str) -> str:
    """Return the sentence for a "section.key" that does not exist, with the nearest that do."""
    section, _dot, key = name.rpartition(".")
    what = _("{key} is not a known key").format(key=shortened(one_line(name)))
    near = _nearest_keys(section, key[:MAX_SHOWN_CHARS])
    known = [f"{section}.{own}" for own in RULES.get(section, ())] or [f"{each}.…" for each in RULES]
    return f"{what}; {_suggested(near, known)}"


def _suggested(near: Sequence[str], known: Sequence[str]) -> str:
    if near:
        return _("perhaps you mean {names}").format(names=", ".join(near))
    return _("known are {names}").format(names=", ".join(known))


def _nearest_keys(section: str, key: str) -> list[str]:
    from difflib import get_close_matches

    if own := get_close_matches(key, RULES.get(section, ()), n=1):
        return [f"{section}.{own[0]}"]
    near = get_close_matches(key, sorted({key for rules in RULES.values() for key in rules}), n=1)
    return [f"{section}.{found}" for found in near for section, rules in RULES.items() if found in rules]
