"""`sinyal config check|show|set|import-uci`: is the configuration fine, what is in force, change a key."""

import argparse
import json
import os
import sys
import textwrap
from collections.abc import Sequence

from agent import screen
from agent.config.edit import set_keys
from agent.config.keys import DEFAULTS, rule_of
from agent.config.load import (
    DEFAULT_CONFIG_FILE,
    MASK,
    ConfigMistakes,
    LoadedConfig,
    build_config,
    config_path,
    variables_of,
)
from agent.config.toml_text import one_line, written
from agent.config.warn import problems_of, warnings_about
from agent.errors import ConfigMistake, UsageMistake
from agent.language import N_, _

SCREEN_COLUMNS = 80

ASK_FOR_VALUE = "-"
"""Given as the value of a secret: it is read from stdin, and so stands in no list of processes."""

MAX_SECRET_CHARS = 1000

ORIGINS = {"default": N_("default"), "file": N_("file"), "environment": N_("environment")}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the actions; each takes the options that `parser` has so far, too."""
    options = argparse.ArgumentParser(add_help=False, parents=[parser])
    actions = parser.add_subparsers(dest="action", required=True, metavar="check|show|set|import-uci")

    def add_action(name: str, summary: str, example: str) -> argparse.ArgumentParser:
        return actions.add_parser(
            name,
            parents=[options],
            add_help=False,
            help=summary,
            description=screen.as_sentence(summary),
            epilog=_("example: {example}").format(example=example),
        )

    check = add_action("check", _("say whether the configuration is fine"), "sinyal config check")
    show = add_action("show", _("every key, its value and where it comes from"), "sinyal config show")
    for action in (check, show):
        action.add_argument("--json", action="store_true", help=_("one JSON document on stdout"))
    change = add_action(
        "set", _("change a key in the file; comments stay"), "sinyal config set readings.interval_s 30"
    )
    change.add_argument(
        "assignments",
        nargs="+",
        metavar=_("KEY VALUE"),
        help=_("a key such as readings.interval_s and its value; addresses as a:1,b:2; - asks for a secret"),
    )
    take = add_action(
        "import-uci",
        _("on OpenWrt: write the file anew from /etc/config/sinyal"),
        "sinyal config import-uci --check",
    )
    take.add_argument("--check", action="store_true", help=_("only say whether it is fine"))


def run(args: argparse.Namespace) -> int:
    """Do what `args.action` names; return the exit code."""
    actions = {"check": _check, "show": _show, "set": _set, "import-uci": _import_uci}
    return actions[args.action](args)


def _import_uci(args: argparse.Namespace) -> int:
    # Only OpenWrt has a use for it.
    from agent.config.uci import MAX_BYTES, UCI_FILE, import_options

    if sys.stdin.isatty():
        raise UsageMistake(
            _("the options of {file} are expected on stdin").format(file=UCI_FILE),
            _("use what gives them: /etc/init.d/sinyal check"),
        )
    file = config_path(args.configuration.named, os.environ)
    content = sys.stdin.buffer.read(MAX_BYTES + 1)
    try:
        changed = import_options(content, file, os.environ, check_only=args.check)
    except ConfigMistakes as refused:
        if len(refused.mistakes) > 1:
            _note(refused.mistakes)
        raise
    if args.check:
        print(_("configuration is fine: {file}").format(file=UCI_FILE))
    elif changed:
        print(_("{file} is written anew").format(file=one_line(str(file))))
    return 0


def _check(args: argparse.Namespace) -> int:
    try:
        loaded: LoadedConfig = args.configuration.load()
    except ConfigMistake as mistake:
        mistakes = mistake.mistakes if isinstance(mistake, ConfigMistakes) else (mistake.what,)
        if args.json:
            document = {"fine": False, "mistakes": mistakes, "problems": [], "warnings": []}
            print(json.dumps(document, ensure_ascii=False))
        elif len(mistakes) == 1:
            raise
        _note(mistakes)
        return mistake.exit_code
    warnings, problems = warnings_about(loaded, os.environ), problems_of(loaded)
    if args.json:
        told = [problem.what for problem in problems]
        document = {"fine": not told, "mistakes": [], "problems": told, "warnings": warnings}
        print(json.dumps(document, ensure_ascii=False))
    elif not problems:
        print(_("configuration is fine: {file}").format(file=one_line(str(loaded.path))))
    _note([_("warning: {what}").format(what=warning) for warning in warnings])
    for problem in () if args.json else problems[:-1]:
        _note([problem.what])
    if problems and not args.json:
        raise problems[-1]
    return 1 if problems else 0


def _show(args: argparse.Namespace) -> int:
    if args.configuration.is_unconfigured():
        loaded = build_config({}, DEFAULT_CONFIG_FILE, os.environ)
        _note([_("there is no {file}: these are the defaults").format(file=DEFAULT_CONFIG_FILE)])
    else:
        loaded = args.configuration.load()
    values = {key: _masked(key, value) for key, value in loaded.config.effective_values().items()}
    if args.json:
        # Of all values only paths are unknown to JSON.
        document = {key: {"value": value, "from": loaded.origins[key]} for key, value in values.items()}
        print(json.dumps(document, ensure_ascii=False, default=str))
        return 0
    for key, value in values.items():
        _print_row(key, written(value), _(ORIGINS[loaded.origins[key]]))
    return 0


def _masked(key: str, value: object) -> object:
    return MASK if value and _is_secret(key) else value


def _is_secret(name: str) -> bool:
    rule = rule_of(name)
    return rule is not None and rule.secret


def _print_row(key: str, value: str, origin: str) -> None:
    key_columns = max(map(len, DEFAULTS))
    origin_columns = max(len(_(word)) for word in ORIGINS.values())
    value_columns = SCREEN_COLUMNS - key_columns - origin_columns - 4
    first, *rest = textwrap.wrap(value, value_columns, break_on_hyphens=False)
    print(f"{key:<{key_columns}}  {first:<{value_columns}}  {origin}")
    for line in rest:
        print(f"{'':<{key_columns}}  {line}")


def _set(args: argparse.Namespace) -> int:
    keys, texts = args.assignments[::2], args.assignments[1::2]
    if len(keys) != len(texts) or len(set(keys)) != len(keys):
        raise UsageMistake(
            _("config set takes each key once, followed by its value"),
            _("for example: sinyal config set readings.interval_s 30"),
        )
    file = config_path(args.configuration.named, os.environ)
    wanted = {key: _asked_or_given(key, text) for key, text in zip(keys, texts, strict=True)}
    changes = set_keys(file, wanted, os.environ)
    if not changes:
        print(_("nothing to change: {file} says so already").format(file=one_line(str(file))))
        return 0
    for change in changes:
        print(f"{change.key}: {change.old} -> {change.new}")
    _note(_overridden(keys))
    _note([_("restart the daemon to use it: sudo service sinyal restart")])
    return 0


def _asked_or_given(key: str, text: str) -> str:
    if not _is_secret(key) or not text:
        return text
    if text != ASK_FOR_VALUE:
        _note([_("the secret now stands in the shell's history; with - as value you are asked for it")])
        return text
    try:
        line = _typed_unseen(f"{key}: ") if sys.stdin.isatty() else sys.stdin.readline(MAX_SECRET_CHARS)
    except EOFError:
        line = ""
    if not line:
        raise UsageMistake(_("no value for {key} was given").format(key=key))
    return line.rstrip("\r\n")


def _typed_unseen(prompt: str) -> str:
    from getpass import getpass

    return getpass(prompt) + "\n"


def _overridden(keys: Sequence[str]) -> list[str]:
    return [
        _("{variable} is set in this shell and overrides {key}").format(variable=variable, key=key)
        for key in keys
        for variable in variables_of(*key.split("."))
        if variable in os.environ
    ]


def _note(lines: Sequence[str]) -> None:
    for line in lines:
        print(line, file=sys.stderr)
