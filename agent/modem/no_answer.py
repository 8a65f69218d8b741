"""What a port says that gives no answers: positions of a GPS, its own echo, noise, or nothing."""

import re
from typing import Literal

Sound = Literal["nothing", "gps", "echo", "noise"]

_GPS_SENTENCE = re.compile(rb"\$[A-Z]{2,8},[\x20-\x7e]{0,80}")
"""NMEA 0183: talker and sentence, then fields: "$GPGGA,…", "$GNRMC,…", vendors' "$PMTK…"."""

_BABBLE_BYTES = 1000
"""More than any number of notices within the few seconds that a modem is asked whether it is there."""

_NOISE_BYTES = 8
"""So many bytes, most of them in no readable line, are noise; a few can be left of an opening."""


def sound_of(heard: bytes, asked: str = "AT") -> Sound:
    """Return what was heard while `asked` got no answer; single notices of a modem count as nothing."""
    if _GPS_SENTENCE.search(heard):
        return "gps"
    if len(heard) >= _BABBLE_BYTES:
        return "noise"
    lines = [line.strip() for line in heard.replace(b"\r", b"\n").split(b"\n") if line.strip()]
    if lines and all(line == asked.encode() for line in lines):
        return "echo"
    readable = sum(len(line) for line in lines if line.isascii() and line.decode("ascii").isprintable())
    return "noise" if len(heard) >= _NOISE_BYTES and readable < len(heard) / 2 else "nothing"
