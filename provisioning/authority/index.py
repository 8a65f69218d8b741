"""The index of the authority: every certificate and every withdrawal, one JSON line each, never rewritten.

Each line carries the SHA-256 of the line before it, so that a line taken out or changed later is seen.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.errors import SinyalError
from agent.language import _
from provisioning.whole_files import append_line, whole_lines

FILE_NAME = "index.jsonl"
REASONS = ("lost", "stolen", "key_compromise", "superseded", "retired")
"""Why a certificate is withdrawn."""


class IndexDamaged(SinyalError):
    """The index of the authority was changed by something else than this program."""


@dataclass(frozen=True)
class Issued:
    """One certificate: serial in hex, name, kind ("gateway", "centre", "server", "check"), times in UTC s.

    revoked_ts is None while it is good; issued_ts is when it was signed, which `notBefore` does not tell.
    """

    serial: str
    name: str
    kind: str
    key_sha256: str
    issued_ts: int
    ends_ts: int
    revoked_ts: int | None = None
    reason: str = ""

    def is_good(self, now_ts: float) -> bool:
        """Return whether it is neither withdrawn nor at its end."""
        return self.revoked_ts is None and self.ends_ts > now_ts

    def is_due(self, now_ts: float) -> bool:
        """Return whether a third of its life or less is left, and it is not withdrawn."""
        return self.revoked_ts is None and self.ends_ts - now_ts <= (self.ends_ts - self.issued_ts) / 3


class Index:
    """The index in a folder; read whole at the beginning. Only one process at a time may hold one."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE_NAME
        self._issued: dict[str, Issued] = {}
        self._last_sha256 = ""
        for number, line in enumerate(whole_lines(self._file), 1):
            self._take(number, line)

    def _take(self, number: int, line: bytes) -> None:
        try:
            entry = json.loads(line)
            is_next = entry["prev"] == self._last_sha256
            self._apply(entry)
        except (ValueError, KeyError, TypeError):
            is_next = False
        if not is_next:
            raise IndexDamaged(
                _("{file}, line {n}: the index was changed by something else").format(
                    file=self._file, n=number
                ),
                _("take the folder of the authority from its last backup"),
            )
        self._last_sha256 = hashlib.sha256(line).hexdigest()

    def _apply(self, entry: dict[str, Any]) -> None:
        if entry["what"] == "issued":
            issued = Issued(
                **{
                    key: entry[key]
                    for key in ("serial", "name", "kind", "key_sha256", "issued_ts", "ends_ts")
                }
            )
            self._issued[issued.serial] = issued
        elif entry["what"] == "revoked":
            old = self._issued[entry["serial"]]
            self._issued[old.serial] = Issued(
                **{**vars(old), "revoked_ts": entry["ts"], "reason": entry["reason"]}
            )

    def add_issued(self, issued: Issued) -> None:
        """Record a certificate, before anybody gets it."""
        fields = vars(issued).copy()
        del fields["revoked_ts"], fields["reason"]
        self._append({"what": "issued", **fields})

    def add_revoked(self, serial: str, ts: int, reason: str) -> None:
        """Record that a certificate is withdrawn."""
        self._append({"what": "revoked", "serial": serial, "ts": ts, "reason": reason})

    def _append(self, entry: dict[str, Any]) -> None:
        lines = whole_lines(self._file)
        if (hashlib.sha256(lines[-1]).hexdigest() if lines else "") != self._last_sha256:
            # Rather refuse than break the chain.
            raise IndexDamaged(
                _("{file} has grown since it was read").format(file=self._file), _("repeat the command")
            )
        line = json.dumps({"v": 1, **entry, "prev": self._last_sha256}, ensure_ascii=False).encode()
        append_line(self._file, line)
        self._apply(entry)
        self._last_sha256 = hashlib.sha256(line).hexdigest()

    def all(self) -> list[Issued]:
        """Return every certificate, in the order of signing."""
        return list(self._issued.values())

    def of(self, name: str) -> list[Issued]:
        """Return the certificates of a name, in the order of signing."""
        return [issued for issued in self._issued.values() if issued.name == name]

    def newest_good(self, name: str, now_ts: float) -> Issued | None:
        """Return the certificate that a name should use now, or None."""
        good = [issued for issued in self.of(name) if issued.is_good(now_ts)]
        return good[-1] if good else None

    def due(self, now_ts: float) -> list[Issued]:
        """Return what should be renewed: the newest of each name, with a third of its life or less left."""
        newest = {
            issued.name: issued
            for issued in self._issued.values()
            if issued.kind != "check" and issued.revoked_ts is None
        }
        return [issued for issued in newest.values() if issued.is_due(now_ts)]
