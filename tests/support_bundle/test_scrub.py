"""What is taken out of a text, and what stays."""

import pytest

from agent.support.scrub import REMOVED, Scrubber


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("password=abc def", f"password={REMOVED} def"),
        ('"api_key": "x y"', f'"api_key": {REMOVED}'),
        ("Authorization: Bearer abc", f"Authorization: Bearer {REMOVED}"),
        ("https://me:secret@host/a?b=c d", f"https://{REMOVED}@host/a?{REMOVED} d"),
        ('AT+CPIN="1234"', f"AT+CPIN={REMOVED}"),
        ("card 89621000000000000012", "card 89000000000000000000"),
        ("call +6281298765432 now", "call +0000000000000 now"),
        ("-----BEGIN EC PRIVATE KEY-----\nabc\n-----END EC PRIVATE KEY-----\nx", f"{REMOVED}\nx"),
        ("-----BEGIN PRIVATE KEY-----\ncut off", REMOVED),
        ("mac b8:27:eb:c0:ff:ee", f"mac {REMOVED}"),
        ("at -2.13245, 102.01234 m", f"at {REMOVED} m"),
        ("mac b827ebc0ffee, not 123456789012", f"mac {REMOVED}, not 123456789012"),
        ("lat=-2.13245 lon: 102.01234", f"lat{REMOVED} lon{REMOVED}"),
        ("1°14'4\" 102° 20' m", f"{REMOVED} {REMOVED} m"),
        ("kata sandi: x psk=y", f"kata sandi: {REMOVED} psk={REMOVED}"),
        ("password 'x y' of it", f"password {REMOVED} of it"),
        ("call (0812) 34567890", "call (0000) 00000000"),
        ("pin 4711 and row 14711", f"pin {REMOVED} and row 14711"),
        ("topinka: 3", "topinka: 3"),
        ("rsrp_dbm -103, seq 4711000", "rsrp_dbm -103, seq 4711000"),
        ("2026-11-28T10:00:06+0000 connected to broker.example:8883",) * 2,
    ],
)
def test_a_text(text: str, wanted: str) -> None:
    assert Scrubber(["4711"]).text(text) == wanted


def test_a_document_is_scrubbed_in_every_depth() -> None:
    document = {"a rahasia": [{"b": "x rahasia"}, 1, None, True], "password": "p", "imsi": 5101, "imei": None}
    scrubbed = Scrubber(["rahasia"]).document(document)
    wanted = {f"a {REMOVED}": [{"b": f"x {REMOVED}"}, 1, None, True]}
    assert scrubbed == {**wanted, "password": REMOVED, "imsi": REMOVED, "imei": None}


def test_a_number_of_a_subscriber_is_no_number_of_a_reading() -> None:
    assert Scrubber().document([510100000000001, 1796000000, -103.5]) == [REMOVED, 1796000000, -103.5]
