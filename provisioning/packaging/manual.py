"""The manual page and the completion of `sinyal`, written from its own table of commands."""

import ast
import gzip
from pathlib import Path
from typing import NamedTuple

COMMAND_TABLE = Path(__file__).parents[2] / "agent" / "cli" / "main.py"

EXIT_CODES = (
    ("0", "everything is fine"),
    ("1", "a problem was found"),
    ("2", "a mistake in what was typed or configured"),
    ("3", "no permission"),
    ("4", "the modem is busy or missing"),
    ("5", "the broker cannot be reached"),
)


class Documented(NamedTuple):
    """A command as its table has it."""

    name: str
    summary: str
    example: str


def commands() -> list[Documented]:
    """Return the commands in the order of the help; read as text, the agent itself is not loaded."""
    found = []
    for node in ast.walk(ast.parse(COMMAND_TABLE.read_bytes())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Command":
            name, _module, summary, example = node.args
            assert isinstance(summary, ast.Call)
            words = [
                each.value for each in (name, summary.args[0], example) if isinstance(each, ast.Constant)
            ]
            found.append(Documented(*map(str, words)))
    return found


def manual_page(version: str) -> bytes:
    """Return the compressed page of section 1. Source: man(7)."""
    lines = [
        f'.TH SINYAL 1 "" "Sinyal {version}" "Village internet gateways"',
        ".SH NAME",
        "sinyal \\- the agent on village internet gateways",
        ".SH SYNOPSIS",
        ".B sinyal",
        "[\\-\\-config PATH] [\\-\\-lang id|en] COMMAND [OPTIONS]",
        ".SH COMMANDS",
    ]
    for command in commands():
        lines += [
            ".TP",
            f".B {_roff(command.name)}",
            f"{_roff(command.summary)}.",
            "Example:",
            f".I {_roff(command.example)}",
        ]
    lines += [".SH EXIT STATUS"]
    for code, meaning in EXIT_CODES:
        lines += [".TP", f".B {code}", meaning]
    lines += [
        ".SH FILES",
        ".I /etc/sinyal/sinyal.toml",
        "configuration;",
        ".I /var/lib/sinyal/",
        "readings;",
        ".I /opt/sinyal/",
        "the releases.",
        ".SH SEE ALSO",
        "sinyal\\-release: install, upgrade and go back; sinyal COMMAND \\-\\-help",
    ]
    return gzip.compress("\n".join(lines).encode() + b"\n", compresslevel=9, mtime=0)


def bash_completion() -> str:
    """Return the completion of the commands and of the options that all have. Source: bash(1)."""
    names = " ".join(command.name for command in commands())
    return f"""# Completion of the command sinyal in bash.
_sinyal() {{
  local word=${{COMP_WORDS[COMP_CWORD]}}
  case ${{COMP_WORDS[COMP_CWORD - 1]}} in
    --lang) COMPREPLY=($(compgen -W "id en" -- "$word")) ; return ;;
    --config) COMPREPLY=($(compgen -f -- "$word")) ; return ;;
  esac
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "{names}" -- "$word"))
  else
    COMPREPLY=($(compgen -W "--json --lang --config --help" -- "$word") $(compgen -f -- "$word"))
  fi
}}
complete -F _sinyal sinyal
"""


def _roff(text: str) -> str:
    return text.replace("\\", "\\\\").replace("-", "\\-")
