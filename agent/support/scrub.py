"""Takes secrets, subscribers and places out of texts that somebody else wrote."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from agent.modem.masking import CellMask, IdentifierMask

REMOVED = "********"

SHORT_SECRET_SIGNS = 6
"""A shorter secret, such as a PIN, is only taken out where it stands alone: many numbers hold "1234"."""

_PEM = re.compile(r"-----BEGIN [A-Z0-9 ]+-----.*?(-----END [A-Z0-9 ]+-----|\Z)", re.DOTALL)
_NAMED = re.compile(
    r"(?i)([\"']?\b[\w.-]*(?:passw(?:or)?d|passphrase|secret|token|api_?key|private_?key|sim_?pin|\bpin|\bpuk"
    r"|psk|sandi|authorization)\b[\"']?\s*[:=]\s*(?:bearer\s+|basic\s+)?)(\"[^\"]*\"|'[^']*'|[^\s,;]+)"
)
_QUOTED = re.compile(r"(?i)(\b(?:passw(?:or)?d|passphrase|secret|token|sandi)\s+)(\"[^\"]*\"|'[^']*')")
_PRIVATE_NAME = re.compile(
    r"(?i)passw|passphrase|secret|token|api_?key|private_?key|\bpin\b|\bpuk\b|psk|sandi|authorization"
    r"|^(imei|imsi|iccid|msisdn|phone(_number)?)$"
)
"""Names in a document behind which nothing is shown."""

_PIN_COMMAND = re.compile(r"(?i)(\+(?:CPIN|CLCK|CPWD|CUSD)=)[^\r\n]*")
_IN_URL = re.compile(r"(?i)(\b[a-z][a-z0-9+.-]*://)[^/\s@]+@")
_URL_QUERY = re.compile(r"(?i)(\b[a-z][a-z0-9+.-]*://[^\s?\"']+\?)[^\s\"']+")
_MAC = re.compile(
    r"\b(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}\b"
    r"|\b(?=[0-9]*[A-Fa-f])(?=[A-Fa-f]*[0-9])(?:[0-9a-f]{12}|[0-9A-F]{12})\b"
)
"""With signs between, or bare: twelve hexadecimal digits, of which some are letters and some are not."""
_KEY_LINE = re.compile(
    r"\b(?=[A-Za-z0-9+/]*[A-Z])(?=[A-Za-z0-9+/]*[a-z])(?=[A-Za-z0-9+/]*[0-9])[A-Za-z0-9+/]{40,}={0,2}"
)
"""A line of Base64, as in a key that has lost its frame."""
_POSITION = re.compile(
    r"(?<![\d.])-?\d{1,3}\.\d{4,}\s*[,;/ ]\s*-?\d{1,3}\.\d{4,}(?![\d.])"
    r"|(?i:(?<=lat)|(?<=lon)|(?<=lng)|(?<=latitude)|(?<=longitude))[\"']?\s*[:=]?\s*-?\d{1,3}\.\d+"
    r"|\d{1,3}\s?°\s?\d{1,2}(?:\.\d+)?\s?['\u2032\u2019](?:\s?\d{1,2}(?:\.\d+)?\s?(?:\"|\u2033|''))?"
)
"""Two numbers side by side, one with its name, or degrees and minutes."""
_LONG_INTEGER = 10**13
"""No value of a reading has so many digits; a subscriber's number that was read as a number has."""


class Scrubber:
    """Scrubs texts and documents.

    secrets: values that must not leave, whatever stands around them. identifiers: numbers of modem, card and
    subscriber that are known, found in every writing of them. cells, areas: numbers of places to be hidden.
    """

    def __init__(
        self,
        secrets: Iterable[str] = (),
        identifiers: Iterable[str] = (),
        cells: Iterable[int] = (),
        areas: Iterable[int] = (),
    ) -> None:
        self._patterns = [
            re.compile(
                re.escape(secret) if len(secret) >= SHORT_SECRET_SIGNS else rf"\b{re.escape(secret)}\b"
            )
            for secret in sorted({one for one in secrets if one}, key=len, reverse=True)
        ]
        numbers = [number for number in identifiers if number]
        self._mask = IdentifierMask(numbers, numbers)
        self._cells = CellMask(cells, areas)

    def text(self, text: str) -> str:
        """Return a text without them; line ends stay."""
        text = _PEM.sub(REMOVED, text)
        for pattern in self._patterns:
            text = pattern.sub(REMOVED, text)
        text = _NAMED.sub(rf"\g<1>{REMOVED}", text)
        text = _QUOTED.sub(rf"\g<1>{REMOVED}", text)
        text = _PIN_COMMAND.sub(rf"\g<1>{REMOVED}", text)
        text = _IN_URL.sub(rf"\g<1>{REMOVED}@", text)
        text = _URL_QUERY.sub(rf"\g<1>{REMOVED}", text)
        for pattern in (_MAC, _KEY_LINE, _POSITION):
            text = pattern.sub(REMOVED, text)
        return "\n".join(self._cells.line(self._mask.line(line)) for line in text.split("\n"))

    def document(self, value: Any) -> Any:
        """Return a JSON document with every text in it scrubbed; nothing is left behind private names."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {
                self.text(str(name)): REMOVED
                if each and _PRIVATE_NAME.search(str(name))
                else self.document(each)
                for name, each in value.items()
            }
        if isinstance(value, list | tuple):
            return [self.document(each) for each in value]
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= _LONG_INTEGER:
            return REMOVED
        return value
