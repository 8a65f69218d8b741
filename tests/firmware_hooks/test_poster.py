"""The poster beside the box says what the lights do: no state more, none less, in the same rhythm."""

import re
from pathlib import Path

import firmware_hooks
from firmware_hooks.gpio import patterns
from firmware_hooks.gpio.patterns import CODES, LIGHTS, Pattern

POSTER = (Path(firmware_hooks.__file__).parent / "poster-lampu.html").read_text(encoding="utf-8")

WORDS: dict[Pattern, str] = {
    patterns.STEADY: "menyala terus",
    patterns.OFF: "padam",
    patterns.SLOW: "berkedip pelan",
    patterns.FAST: "berkedip cepat",
    patterns.LONG_SHORT: "panjang–pendek",  # noqa: RUF001 -- as printed
    **{patterns.flashes(count): f"{count} kedip" for count in range(1, 5)},
}


def test_every_light_is_explained_by_what_it_does() -> None:
    sections = re.findall(r'<section data-role="(\w+)">(.*?)</section>', POSTER, re.DOTALL)
    shown = {role: sorted(re.findall(r"<br>([^<]+)</td>", text)) for role, text in sections}
    meant = {role: sorted({WORDS[pattern] for pattern in states.values()}) for role, states in LIGHTS.items()}
    assert shown == meant


def test_the_codes_of_the_button_stand_in_their_order() -> None:
    assert re.findall(r'<li data-code="(\w+)">', POSTER) == list(CODES)
    assert list(CODES.values()) == list(range(1, len(CODES) + 1))


def test_the_poster_needs_nothing_from_the_network() -> None:
    assert not re.search(r"https?://|<script|<link|<img|@import|url\(", POSTER)
