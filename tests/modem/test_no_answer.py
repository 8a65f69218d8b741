"""What a port says that gives no answers is told apart."""

import pytest

from agent.modem.no_answer import Sound, sound_of


@pytest.mark.parametrize(
    ("heard", "sound"),
    [
        (b"", "nothing"),
        (b"\x00\xff", "nothing"),
        (b"\r\n^RSSI: 20\r\n\r\n+CREG: 2\r\n", "nothing"),
        (b"\r\n+CPIN: READY\r\n" * 10, "nothing"),
        (b"$GPGGA,,,,,,0,,,,,,,,*66\r\n", "gps"),
        (b"\xff,,,*66\r\n$GNRMC,120000,V,", "gps"),
        (b"AT\r", "echo"),
        (b"AT\rAT\r\r\nAT\r", "echo"),
        (b"\x7e\x01\x02\xfe" * 10, "noise"),
        (b"ab\r\n" + bytes(range(128, 200)), "noise"),
        (b"~garbage without an end " * 100, "noise"),
        (b"garbage\r\n" * 200, "noise"),
    ],
)
def test_what_is_heard_instead_of_answers(heard: bytes, sound: Sound) -> None:
    assert sound_of(heard) == sound
