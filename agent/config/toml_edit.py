"""Exchanging one value in the text of a TOML file; comments, layout and line ends stay as they are.

The text is cut into statements: a header, or one `key = value` with all its lines. tomllib itself says
where a statement ends, so there is no second TOML grammar here.
"""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from typing import Any


@dataclass(frozen=True, slots=True)
class _Statement:
    """The lines from first to before end; path is where in the document they write."""

    first: int
    end: int
    path: tuple[str, ...]
    is_header: bool


def with_value(text: str, section: str, key: str, value: str) -> str:
    """Return `text`, a whole TOML file, with `value` (as TOML writes it) for the key of a section.

    A missing key is added to its section, under its commented default where there is one; a missing
    section at the end. ValueError when the key is written in a way whose value cannot be exchanged
    without harm, such as `section = { key = 1 }`.
    """
    lines = re.findall(r"[^\n]*\n|[^\n]+", text)
    statements = list(_statements(lines))
    present = next((each for each in statements if each.path == (section, key)), None)
    if present:
        lines[present.first : present.end] = [_exchanged("".join(lines[present.first : present.end]), value)]
    else:
        _add(lines, statements, section, key, value)
    changed = "".join(lines)
    expected = tomllib.loads(text)
    expected.setdefault(section, {})[key] = tomllib.loads(f"value = {value}")["value"]
    if tomllib.loads(changed) != expected:
        raise ValueError
    return changed


def _statements(lines: list[str]) -> Iterator[_Statement]:
    section: tuple[str, ...] = ()
    first = 0
    while first < len(lines):
        start = lines[first].lstrip()
        if not start or start.startswith("#"):
            first += 1
            continue
        end, document = _first_statement(lines, first)
        is_header = start.startswith("[")
        path = _path_in(document)
        section = path if is_header else section
        yield _Statement(first, end, path if is_header else section + path, is_header)
        first = end


def _first_statement(lines: list[str], first: int) -> tuple[int, dict[str, Any]]:
    """Return the end of the statement that begins at a line, and what it holds."""
    # A line end within a value stands between open brackets or quotes: what parses is complete.
    for end in range(first + 1, len(lines)):
        try:
            return end, tomllib.loads("".join(lines[first:end]))
        except tomllib.TOMLDecodeError:
            continue
    return len(lines), tomllib.loads("".join(lines[first:]))


def _path_in(document: object) -> tuple[str, ...]:
    path: tuple[str, ...] = ()
    while isinstance(document, dict) and len(document) == 1:
        ((name, document),) = document.items()
        path += (name,)
    return path


def _exchanged(statement: str, value: str) -> str:
    # The names of our keys hold no "=", however they are quoted.
    before, _equals, rest = statement.partition("=")
    body = rest.rstrip("\r\n")
    old, comment = _without_comment(body)
    if "\n" in old and "#" in old:
        raise ValueError("a comment within the value would get lost")
    indent = old[: len(old) - len(old.lstrip())]
    gap = old[len(old.rstrip()) :] if comment else ""
    return f"{before}={indent}{value}{gap}{comment}{rest[len(body) :]}"


def _without_comment(body: str) -> tuple[str, str]:
    """Return the value and the comment behind it, "" when there is none."""
    for sign in re.finditer("#", body):
        try:
            tomllib.loads(f"value = {body[: sign.start()]}")
        except tomllib.TOMLDecodeError:
            continue  # This # stands in a text.
        return body[: sign.start()], body[sign.start() :]
    return body, ""


def _add(lines: list[str], statements: list[_Statement], section: str, key: str, value: str) -> None:
    line_end = "\r\n" if lines and lines[0].endswith("\r\n") else "\n"
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += line_end
    header = next(
        (at for at, each in enumerate(statements) if each.is_header and each.path == (section,)), None
    )
    if header is None:
        lines += [line_end] * bool(lines) + [f"[{section}]{line_end}"]
        at = len(lines)
    else:
        own = [statements[header], *takewhile(lambda each: not each.is_header, statements[header + 1 :])]
        following = statements[header + len(own) :]
        at = _place(lines, own, following[0].first if following else len(lines), key)
    lines.insert(at, f"{key} = {value}{line_end}")


def _place(lines: list[str], own: list[_Statement], section_end: int, key: str) -> int:
    """Return the line before which a new key goes: after its commented default, else after the last key."""
    taken = {at for statement in own for at in range(statement.first, statement.end)}
    for at in range(own[0].end, section_end):
        if at not in taken and re.match(rf"\s*#\s*{key}\s*=", lines[at]):
            return at + 1
    return own[-1].end
