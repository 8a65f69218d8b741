"""The manual page and the completions, made from the parser of the command line.

generate.py writes them; a command that joins the parser joins them by itself.
"""

import argparse
import os
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from agent import language
from agent.cli.every_command import Typed, every_command

PROJECT = Path(__file__).parent.parent
COMMON = ("--config", "--lang")

PAGES = {"en": PROJECT / "docs" / "man" / "sinyal.1", "id": PROJECT / "docs" / "man" / "id" / "sinyal.1"}
BASH = PROJECT / "provisioning" / "completion" / "sinyal.bash"
ASH = PROJECT / "provisioning" / "completion" / "sinyal-names.sh"

WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "manual": "Sinyal manual",
        "name": "NAME",
        "what": "the agent on village internet gateways",
        "synopsis": "SYNOPSIS",
        "command": "COMMAND",
        "option": "OPTION",
        "description": "DESCRIPTION",
        "about": "Reads the modem of a gateway, keeps every reading and sends it when the uplink returns. "
        "Each command has its own help: sinyal COMMAND --help. Who remembers none begins with: sinyal menu.",
        "common": "COMMON OPTIONS",
        "commands": "COMMANDS",
        "example": "Example:",
        "exit": "EXIT STATUS",
        "0": "fine",
        "1": "a problem was found",
        "2": "a mistake in what was typed or configured",
        "3": "no permission",
        "4": "the modem is busy or missing",
        "5": "the broker cannot be reached",
        "environment": "ENVIRONMENT",
        "SINYAL_CONFIG": "the configuration file, where --config does not name one",
        "SINYAL_LANG": "the language, id or en, where --lang does not name one; LANG is not asked",
        "NO_COLOR": "no colours, whatever the terminal can show",
        "files": "FILES",
        "/etc/sinyal/sinyal.toml": "the configuration",
        "/var/lib/sinyal/sinyal.db": "the readings",
        "/run/sinyal/control.sock": "where commands ask the running agent",
    },
    "id": {
        "manual": "Panduan Sinyal",
        "name": "NAMA",
        "what": "agen di gerbang internet desa",
        "synopsis": "RINGKASAN",
        "command": "PERINTAH",
        "option": "PILIHAN",
        "description": "KETERANGAN",
        "about": "Membaca modem gerbang, menyimpan setiap bacaan, dan mengirimnya bila sambungan kembali. "
        "Setiap perintah punya bantuan sendiri: sinyal PERINTAH --help. Yang tidak ingat apa-apa mulai "
        "dengan: sinyal menu.",
        "common": "PILIHAN UMUM",
        "commands": "PERINTAH",
        "example": "Contoh:",
        "exit": "KODE AKHIR",
        "0": "baik",
        "1": "ada masalah",
        "2": "salah ketik atau salah konfigurasi",
        "3": "tidak ada izin",
        "4": "modem sibuk atau tidak ada",
        "5": "broker tidak terjangkau",
        "environment": "LINGKUNGAN",
        "SINYAL_CONFIG": "berkas konfigurasi, bila tidak disebut dengan --config",
        "SINYAL_LANG": "bahasa, id atau en, bila tidak disebut dengan --lang; LANG tidak dipakai",
        "NO_COLOR": "tanpa warna, apa pun kemampuan terminal",
        "files": "BERKAS",
        "/etc/sinyal/sinyal.toml": "konfigurasi",
        "/var/lib/sinyal/sinyal.db": "semua bacaan",
        "/run/sinyal/control.sock": "tempat perintah bertanya kepada agen yang berjalan",
    },
}


def command_pages() -> dict[Path, str]:
    """Return the text of each page and completion by its file."""
    before, spoken = os.environ.get("COLUMNS"), language.current_language()
    os.environ["COLUMNS"] = "1000"  # the usage of a command on one line
    try:
        pages = {file: manual_page(code) for code, file in PAGES.items()}
        _speak("en")
        commands = every_command()
    finally:
        _speak(spoken)
        os.environ.pop("COLUMNS")
        if before is not None:
            os.environ["COLUMNS"] = before
    return {**pages, BASH: bash_completion(commands), ASH: names_for_ash(commands)}


def manual_page(code: str) -> str:
    """Return sinyal(1) in a language, as a page for man(7)."""
    _speak(code)
    words = WORDS[code]
    root, *commands = every_command()
    lines = [
        '.\\" written by docs/generate.py from the parser of the command line',
        f'.TH SINYAL 1 "" "Sinyal" "{_roff(words["manual"])}"',
        *_section(words["name"], [f"sinyal \\- {_roff(words['what'])}"]),
        *_section(words["synopsis"], [f".B sinyal\n.I {words['command']}\n.RI [ {words['option']} ...]"]),
        *_section(words["description"], [_roff(words["about"])]),
        *_section(words["common"], [line for one in root.options() for line in _argument(one)]),
        f".SH {_roff(words['commands'])}",
    ]
    for command in commands:
        if not command.actions:
            lines += _command(command, words["example"])
    lines += _section(words["exit"], [line for number in "012345" for line in _item(number, words[number])])
    variables = ("SINYAL_CONFIG", "SINYAL_LANG", "NO_COLOR")
    lines += _section(words["environment"], [line for one in variables for line in _item(one, words[one])])
    files = [name for name in words if name.startswith("/")]
    lines += _section(words["files"], [line for one in files for line in _item(one, words[one])])
    return "\n".join(lines) + "\n"


def _speak(code: str) -> None:
    language.use_language(code)
    vars(argparse)["_"] = language._
    vars(argparse)["ngettext"] = language.ngettext


def _section(title: str, lines: Sequence[str]) -> list[str]:
    return [f".SH {_roff(title)}", *lines]


def _item(term: str, text: str) -> list[str]:
    return [".TP", f".B {_roff(term)}", _roff(text)]


def _command(command: Typed, example_word: str) -> Iterator[str]:
    name = " ".join(("sinyal", *command.words))
    usage = command.parser.format_usage().split(name, 1)[1]
    usage = re.sub(r"\[-h\]|\[--config [^]]*\]|\[--lang [^]]*\]", "", usage)
    yield f".SS {_roff(name)}"
    yield _roff(command.parser.description or "")
    yield ".PP"
    yield f".B {_roff(name)}"
    if usage.strip():
        yield _roff(" ".join(usage.split()))
    own = [one for one in command.options() if not set(COMMON) & set(one.option_strings)]
    for one in (*command.positionals(), *own):
        yield from _argument(one)
    epilog = (command.parser.epilog or "").partition(": ")[2]
    yield from (".PP", _roff(example_word), f".B {_roff(epilog)}")


def _argument(one: argparse.Action) -> list[str]:
    shown = one.metavar if isinstance(one.metavar, str) else ",".join(map(str, one.choices or ()))
    names = ", ".join(one.option_strings)
    takes = f" {shown or one.dest.upper()}" if one.option_strings and one.nargs != 0 else ""
    term = names + takes if names else shown or one.dest
    return _item(term, (one.help or "").replace("%%", "%"))


def _roff(text: str) -> str:
    """Return a text for roff: hyphens stay what can be typed, nothing begins a request, all is ASCII."""
    escaped = text.replace("…", "...").replace("\\", "\\e").replace("-", "\\-")
    escaped = "".join(sign if sign.isascii() else f"\\[u{ord(sign):04X}]" for sign in escaped)
    return f"\\&{escaped}" if escaped[:1] in (".", "'") else escaped


def bash_completion(commands: Sequence[Typed]) -> str:
    """Return the completion for bash; where nothing is offered, names of files are."""
    words, values = [], {}
    for command in commands:
        name = " ".join(command.words)
        options = [text for one in command.options() for text in one.option_strings]
        words.append(f'    "{name}") words="{" ".join((*command.actions, *options))}" ;;')
        for one in command.options():
            for option in one.option_strings if one.nargs != 0 else ():
                offered = " ".join(map(str, one.choices or ()))
                where = option if option in COMMON else f"{name} {option}"
                values[where] = f'    "{where}") words="{offered}"; takes=1 ;;'
    known = "|".join(f'"{" ".join(command.words)}"' for command in commands if command.words)
    common = "|".join(COMMON)
    return textwrap.dedent(
        f"""\
        # bash completion for sinyal; written by docs/generate.py from the parser of the command line.
        # Copy it to /usr/share/bash-completion/completions/sinyal, or read it in: . sinyal.bash
        _sinyal() {{
          local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD - 1]}}
          local command="" words="" takes="" at=1 word
          COMPREPLY=()
          while ((at < COMP_CWORD)); do
            word=${{COMP_WORDS[at]}}
            case "$word" in
              {common}) ((at++)) ;;
              -*) ;;
              *)
                case "${{command:+$command }}$word" in
                  {known})
                    command="${{command:+$command }}$word" ;;
                esac ;;
            esac
            ((at++))
          done
          case "$prev" in
        @COMMON@
          esac
          case "$command $prev" in
        @VALUES@
          esac
          if [[ -z $takes ]]; then
            case "$command" in
        @WORDS@
            esac
            # Options are offered to who begins one; the next words stand before them.
            [[ $cur != -* ]] && words=" $words" && words=${{words%% -*}}
          fi
          mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
        }}
        complete -o default -F _sinyal sinyal
        """
    ).replace(
        "@COMMON@", "\n".join(line for where, line in values.items() if where in COMMON)
    ).replace(
        "@VALUES@", "\n".join(line for where, line in values.items() if where not in COMMON)
    ).replace("@WORDS@", "\n".join("  " + line for line in words))  # fmt: skip


def names_for_ash(commands: Sequence[Typed]) -> str:
    """Return a script that gives each command a name of its own, for BusyBox's ash.

    Its Tab key completes names of programs and files, and nothing else: no functions, no aliases (1.35).
    """
    names = [command.words for command in commands if command.words and not command.actions]
    all_names = " ".join("sinyal-" + "-".join(words) for words in names)
    lines = [
        "#!/bin/sh",
        "# Names for BusyBox ash (OpenWrt); written by docs/generate.py from the parser of the command line.",
        "# This shell has no programmable completion. After `sh sinyal-names.sh install /usr/bin` its Tab",
        "# key shows what there is: type sinyal- and press Tab. `sinyal menu` needs no Tab key at all.",
        "set -eu",
        'case "${0##*/}" in',
        *(f'  sinyal-{"-".join(words)}) exec sinyal {" ".join(words)} "$@" ;;' for words in names),
        "esac",
        f'names="{all_names}"',
        'if [ "${1:-}" != install ] || [ ! -d "${2:-}" ]; then',
        '  echo "usage: sh $0 install FOLDER" >&2',
        "  exit 2",
        "fi",
        'cp "$0" "$2/sinyal-names"',
        'chmod 755 "$2/sinyal-names"',
        "for name in $names; do",
        '  ln -sf sinyal-names "$2/$name"',
        "done",
    ]
    return "\n".join(lines) + "\n"
