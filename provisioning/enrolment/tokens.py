"""One-time tokens: each lets one gateway_id have one key signed, for some days; on disk are hashes only."""

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agent.errors import SinyalError
from agent.language import _
from provisioning.whole_files import append_line, whole_lines

FILE_NAME = "tokens.jsonl"
TOKEN_BYTES = 17
TOKEN_SIGNS = 26
"""130 random bits in base32: nothing that could be guessed, and short enough to be typed."""

LIFE_S = 3 * 86400


class TokensDamaged(SinyalError):
    """The record of tokens cannot be read."""


@dataclass
class Token:
    """One token that was made: for whom, until when (UTC seconds), and for which key it was used."""

    gateway_id: str
    ends_ts: float
    key_sha256: str = ""


class Tokens:
    """The record in a folder; read whole at the beginning."""

    def __init__(self, folder: Path, *, now: Callable[[], float] = time.time) -> None:
        self._file = folder / FILE_NAME
        self._now = now
        self._known: dict[str, Token] = {}
        for number, line in enumerate(whole_lines(self._file), 1):
            try:
                self._apply(json.loads(line))
            except (ValueError, KeyError, TypeError):
                raise TokensDamaged(
                    _("{file}, line {n} cannot be read").format(file=self._file, n=number),
                    _("move the file away: tokens that were not used yet must then be made anew"),
                ) from None

    def _apply(self, entry: dict[str, str]) -> None:
        if entry["what"] == "made":
            # A new token ends the one before it, unless that was used: its answer may still be asked again.
            for digest, token in list(self._known.items()):
                if token.gateway_id == entry["gateway_id"] and not token.key_sha256:
                    del self._known[digest]
            self._known[entry["sha256"]] = Token(entry["gateway_id"], float(entry["ends_ts"]))
        else:
            self._known[entry["sha256"]].key_sha256 = entry["key_sha256"]

    def make(self, gateway_id: str, life_s: float = LIFE_S) -> str:
        """Return a new token, in groups of a few signs; it is kept nowhere and cannot be shown again.

        An older token of the same gateway that was not used yet is good no more.
        """
        token = base64.b32encode(secrets.token_bytes(TOKEN_BYTES)).decode().rstrip("=")[:TOKEN_SIGNS]
        self._append(
            {
                "what": "made",
                "sha256": _sha256(token),
                "gateway_id": gateway_id,
                "ends_ts": str(int(self._now() + life_s)),
            }
        )
        return "-".join((token[:5], token[5:10], token[10:15], token[15:20], token[20:]))

    def take(self, token: str, gateway_id: str, key_sha256: str) -> bool:
        """Use a token up for a key; False when it is unknown, too old, or for another id or key.

        The same token with the same key is good again until its end: an answer may have been lost.
        """
        digest = _sha256(token)
        known = self._known.get(digest)
        if known is None or known.ends_ts <= self._now() or known.gateway_id != gateway_id:
            return False
        if known.key_sha256:
            return known.key_sha256 == key_sha256
        self._append(
            {"what": "used", "sha256": digest, "key_sha256": key_sha256, "ts": str(int(self._now()))}
        )
        return True

    def _append(self, entry: dict[str, str]) -> None:
        append_line(self._file, json.dumps({"v": "1", **entry}).encode())
        self._apply(entry)


def _sha256(token: str) -> str:
    plain = token.upper().replace("-", "").replace(" ", "")
    return hashlib.sha256(plain.encode()).hexdigest()
