r"""A modem session as text, to be read by people and replayed by `simulator`.

    # modem: Quectel EC25-E    firmware: EC25EFAR06A03M4G    cleaned: imei imsi iccid
    > AT+CSQ
    < +CSQ: 9,99
    < OK
    ! +CREG: 2

`>` is a command, `<` a line of its answer, the final result among them, `!` an unsolicited line that
comes after the answer. A command that stands there several times gives its answers in turn, from the
top again after the last. Lines are sent with CR LF before and after. \r \n \x00 and \\ stand for those
bytes; a line with \r or \n in it is sent exactly as it stands, for modems with a framing of their own.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agent.errors import SinyalError
from agent.language import _

_ESCAPE = re.compile(r"\\(x[0-9A-Fa-f]{2}|.)")
_NAMED_BYTES = {"r": b"\r", "n": b"\n", "t": b"\t", "\\": b"\\"}


class TranscriptUnreadable(SinyalError):
    """A transcript has a line that means nothing."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Answer:
    """What a modem sends after one asking: the pieces of the answer, then unsolicited ones, framed."""

    pieces: tuple[bytes, ...]
    unsolicited: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Transcript:
    """A modem's answers by command (see `command_key`), and what the header tells of it."""

    answers: Mapping[str, tuple[Answer, ...]]
    header: Mapping[str, str] = field(default_factory=dict)


def command_key(command: str) -> str:
    """Return what commands are matched by: case and blanks do not count, as on most modems."""
    return "".join(command.split()).upper()


def frame(text: str) -> bytes:
    """Return the bytes of one transcript line: escapes resolved, CR LF around it unless it has its own."""
    has_own_framing = False
    out = b""
    position = 0
    for escape in _ESCAPE.finditer(text):
        out += text[position : escape.start()].encode()
        code = escape[1]
        if code in ("r", "n"):
            has_own_framing = True
        if len(code) == 3:
            out += bytes.fromhex(code[1:])
        elif code in _NAMED_BYTES:
            out += _NAMED_BYTES[code]
        else:
            raise ValueError(escape[0])
        position = escape.end()
    out += text[position:].encode()
    return out if has_own_framing else b"\r\n" + out + b"\r\n"


def read_transcript(file: Path) -> Transcript:
    """Read a transcript file; raises TranscriptUnreadable with file and line, or when it has no command."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise TranscriptUnreadable(
            _("the transcript {file} is no text in UTF-8").format(file=file), _("save the file as UTF-8")
        ) from None
    except (OSError, ValueError) as fault:
        reason = (fault.strerror if isinstance(fault, OSError) else None) or str(fault)
        raise TranscriptUnreadable(
            _("the transcript {file} cannot be read: {reason}").format(file=file, reason=reason),
            _("name a file that `sinyal modem record FILE` wrote"),
        ) from None
    return parse_transcript(text, str(file))


def parse_transcript(text: str, name: str = "-") -> Transcript:
    """Read the text of a transcript; name stands for it in messages. Raises TranscriptUnreadable."""
    header: dict[str, str] = {}
    answers: dict[str, list[Answer]] = {}
    key = ""
    for number, sign, rest in _lines(text, name):
        try:
            if sign == "#":
                header.update(_header_parts(rest))
            elif sign == ">":
                key = command_key(rest)
                answers.setdefault(key, []).append(Answer(()))
            elif not key:
                raise _unreadable(name, number, _("an answer before any command"))
            else:
                answers[key][-1] = _longer(answers[key][-1], sign, frame(rest))
        except ValueError as fault:
            raise _unreadable(name, number, _("unknown escape {escape}").format(escape=fault)) from None
    if not answers:
        raise TranscriptUnreadable(
            _("{file} holds no command").format(file=name),
            _("a command is a line like: > AT+CSQ"),
        )
    return Transcript({command: tuple(turns) for command, turns in answers.items()}, header)


def _lines(text: str, name: str) -> Iterator[tuple[int, str, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        if line[0] not in "#><!":
            raise _unreadable(name, number, _("a line begins with one of # > < !"))
        yield number, line[0], line[1:].removeprefix(" ")


def _longer(answer: Answer, sign: str, piece: bytes) -> Answer:
    if sign == "!":
        return Answer(answer.pieces, (*answer.unsolicited, piece))
    return Answer((*answer.pieces, piece), answer.unsolicited)


def _header_parts(text: str) -> Iterator[tuple[str, str]]:
    for part in re.split(r"\s{2,}", text.strip()):
        name, colon, value = part.partition(":")
        if colon:
            yield name.strip(), value.strip()


def _unreadable(name: str, number: int, reason: str) -> TranscriptUnreadable:
    return TranscriptUnreadable(
        _("{file}, line {number}: {reason}").format(file=name, number=number, reason=reason),
        _("correct that line; commands begin with >, answers with <, notices with !, remarks with #"),
    )
