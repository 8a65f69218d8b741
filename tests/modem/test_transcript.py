"""The text format of transcripts."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.modem.transcript import (
    Answer,
    TranscriptUnreadable,
    command_key,
    frame,
    parse_transcript,
    read_transcript,
)


def test_a_transcript_is_read() -> None:
    transcript = parse_transcript(
        "# modem: Quectel EC25-E    firmware: A1    cleaned: imei\n"
        "\n> AT+CSQ\n< +CSQ: 9,99\n< OK\n! +CREG: 2\n> at + csq\n< ERROR\n"
    )
    assert transcript.header == {"modem": "Quectel EC25-E", "firmware": "A1", "cleaned": "imei"}
    assert transcript.answers == {
        "AT+CSQ": (
            Answer((b"\r\n+CSQ: 9,99\r\n", b"\r\nOK\r\n"), (b"\r\n+CREG: 2\r\n",)),
            Answer((b"\r\nERROR\r\n",)),
        )
    }


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("OK", b"\r\nOK\r\n"),
        (r"\x00\x00+CSQ: 1", b"\r\n\x00\x00+CSQ: 1\r\n"),
        (r"AT+CSQ\r\r\n+CSQ: 1\n", b"AT+CSQ\r\r\n+CSQ: 1\n"),
        (r"back\\slash", b"\r\nback\\slash\r\n"),
        ("中国移动", "\r\n中国移动\r\n".encode()),
        ("", b"\r\n\r\n"),
    ],
)
def test_lines_are_framed(text: str, sent: bytes) -> None:
    assert frame(text) == sent


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("< OK\n", "line 1"),
        ("> AT\nOK\n", "line 2"),
        ("> AT\n< bad \\q\n", "line 2"),
        ("> AT\n< bad \\x0\n", "line 2"),
        ("# only a header\n", "no command"),
        ("", "no command"),
    ],
)
def test_an_unreadable_transcript_says_where(text: str, line: str, tmp_path: Path) -> None:
    file = tmp_path / "talk.txt"
    file.write_text(text)
    with pytest.raises(TranscriptUnreadable, match=line) as caught:
        read_transcript(file)
    assert "talk.txt" in caught.value.what


def test_a_missing_or_binary_file_is_no_traceback(tmp_path: Path) -> None:
    with pytest.raises(TranscriptUnreadable):
        read_transcript(tmp_path / "none.txt")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TranscriptUnreadable):
        read_transcript(tmp_path / "binary")


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(TranscriptUnreadable):
        parse_transcript(text)


def test_commands_are_matched_without_case_and_blanks() -> None:
    assert command_key('at+qeng = "servingcell"') == command_key('AT+QENG="ServingCell"')
