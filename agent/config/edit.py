"""Changing keys of the configuration file: locked, checked as a whole, written so that nothing gets lost."""

import fcntl
import os
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.config.keys import DEFAULTS, rule_of
from agent.config.load import MASK, ConfigMistakes, build_config, parse_toml, read_text, refusal, unknown_key
from agent.config.toml_edit import with_value
from agent.config.toml_text import one_line, written
from agent.errors import ConfigMistake, NoPermission, SinyalError, UsageMistake
from agent.language import _, system_reason

LAST_GOOD_SUFFIX = ".last-good"
NEW_SUFFIX = ".new"
LOCK_WAIT_S = 5.0
LOCK_RETRY_S = 0.05


@dataclass(frozen=True, slots=True)
class Change:
    """One key that got another value; old and new are as TOML writes them, secrets masked."""

    key: str
    old: str
    new: str


def set_keys(file: Path, wanted: Mapping[str, str], environment: Mapping[str, str]) -> list[Change]:
    """Set each "section.key" of `wanted` to the value that its text stands for; return what changed.

    The file is replaced whole, so that a power cut leaves the old or the new one; the old one stays
    beside it as NAME.last-good when it was free of mistakes. An empty list means that every key had
    its value already, and that nothing was written.

    The file also stays as it is when an error is raised: UsageMistake for an unknown key; ConfigMistake
    for a value that is not allowed, a whole that is no good configuration, or a key whose value cannot
    be exchanged; NoPermission; SinyalError when another program is at it or the disk refuses.
    """
    values = {name: _checked_value(name, text) for name, text in wanted.items()}
    # A file that is missing, or a link to nowhere, is told before its folder is looked for.
    read_text(file)
    with _disk_faults_told(file):
        # Through a symbolic link the file behind it is changed, not the link.
        target = file.resolve()
        with _only_editor(target.parent):
            return _change_file(file, target, values, environment)


def put_in_place(file: Path, text: str, environment: Mapping[str, str], *, mode: int, group: int) -> None:
    """Make `text`, which is checked already, the configuration file; mode and group are for a new one.

    Locked, written and kept beside as by `set_keys`; raises NoPermission or SinyalError.
    """
    with _disk_faults_told(file):
        target = file.resolve()
        with _only_editor(target.parent):
            try:
                like = target.stat()
            except FileNotFoundError:
                like = os.stat_result((mode, 0, 0, 0, os.getuid(), group, 0, 0, 0, 0))
            else:
                _keep_last_good(file, target, like, environment)
            _replace(target, text, like)


def _keep_last_good(file: Path, target: Path, like: os.stat_result, environment: Mapping[str, str]) -> None:
    try:
        text = read_text(file)
        build_config(parse_toml(text, file), file, environment)
    except ConfigMistake:
        return
    _replace(target.with_name(target.name + LAST_GOOD_SUFFIX), text, like)


def _change_file(
    file: Path, target: Path, values: Mapping[str, str], environment: Mapping[str, str]
) -> list[Change]:
    text = read_text(file)
    document = parse_toml(text, file)
    present = {name: _present_value(document, name) for name in values}
    changed = {name: value for name, value in values.items() if value != present[name]}
    if not changed:
        return []
    new_text = _with_values(text, changed, file)
    try:
        build_config(parse_toml(new_text, file), file, environment)
    except ConfigMistakes as refused:
        raise ConfigMistakes(
            refused.mistakes, _("nothing was changed; correct this first, or set both at once")
        ) from None
    like = target.stat()
    if _is_good(document, file, environment):
        _replace(target.with_name(target.name + LAST_GOOD_SUFFIX), text, like)
    _replace(target, new_text, like)
    return [Change(name, _shown(name, present[name]), _shown(name, value)) for name, value in changed.items()]


def _checked_value(name: str, text: str) -> str:
    """Return the value that `text` means for a key, as TOML writes it."""
    rule = rule_of(name)
    if rule is None:
        raise UsageMistake(unknown_key(name), _("see all keys: sinyal config show"))
    value = rule.value_in(text)
    try:
        rule.accept(value)
    except ValueError:
        raise ConfigMistake(
            refusal(name, value, rule, typed=True), _("nothing was changed; give another value")
        ) from None
    return written(value)


def _present_value(document: Mapping[str, Any], name: str) -> str:
    """Return the value of a key in the file, or its default, as TOML writes it."""
    section, _dot, key = name.partition(".")
    given = document.get(section)
    if isinstance(given, dict) and key in given:
        return written(given[key])
    return written(DEFAULTS[name])


def _with_values(text: str, values: Mapping[str, str], file: Path) -> str:
    for name, value in values.items():
        section, _dot, key = name.partition(".")
        try:
            text = with_value(text, section, key, value)
        except (ValueError, TypeError):
            # TypeError: the section is no section but a value.
            raise ConfigMistake(
                _("{file}: the way {key} is written cannot be changed by a program").format(
                    file=one_line(str(file)), key=name
                ),
                _("nothing was changed; use an editor, then: sinyal config check"),
            ) from None
    return text


def _shown(name: str, value: str) -> str:
    rule = rule_of(name)
    return MASK if rule and rule.secret and value != '""' else value


def _is_good(document: Mapping[str, Any], file: Path, environment: Mapping[str, str]) -> bool:
    try:
        build_config(document, file, environment)
    except ConfigMistake:
        return False
    return True


def _replace(target: Path, text: str, like: os.stat_result) -> None:
    """Put `text` in place of a file in one step that survives a power cut; owner and mode as in `like`."""
    new = target.with_name(target.name + NEW_SUFFIX)
    # A power cut during an earlier change may have left one; the lock says that nobody is using it.
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as opened:
            os.fchown(descriptor, like.st_uid, like.st_gid)
            os.fchmod(descriptor, stat.S_IMODE(like.st_mode))
            opened.write(text.encode())
            opened.flush()
            os.fsync(descriptor)
        new.replace(target)
    finally:
        new.unlink(missing_ok=True)
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def _only_editor(folder: Path) -> Iterator[None]:
    """Keep other `config set` commands waiting; SinyalError when one does not end."""
    # The folder is locked, since the file gets replaced; the kernel frees the lock of a killed program.
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        deadline = time.monotonic() + LOCK_WAIT_S
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    what = _("another program is changing {folder}").format(folder=one_line(str(folder)))
                    raise SinyalError(what, _("wait until it has ended, then repeat the command")) from None
            time.sleep(LOCK_RETRY_S)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _disk_faults_told(file: Path) -> Iterator[None]:
    name = one_line(str(file))
    try:
        yield
    except PermissionError:
        what = _("this user may not change {file}").format(file=name)
        raise NoPermission(what, _("repeat the command with sudo")) from None
    except OSError as error:
        reason = system_reason(os.strerror(error.errno or 0))
        what = _("{file} cannot be written: {reason}").format(file=name, reason=reason)
        raise SinyalError(what, _("make room or repair the disk, then repeat the command")) from None
