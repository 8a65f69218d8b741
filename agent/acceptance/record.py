"""What the acceptance test has found so far: one JSON file in the state folder, whole after any power cut.

The test itself cuts the power, so each finding is on the disk before the next part begins.
"""

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.errors import NoPermission, SinyalError
from agent.language import _

FILE_NAME = "acceptance.json"

PARTS = ("signal", "throughput", "broker", "power", "reboot")
"""The parts that are measured, in the order in which they are done and printed."""

Finding = Mapping[str, Any]


class Record:
    """The findings of one acceptance; an unreadable file counts as none.

    Methods raise SinyalError or NoPermission when the file cannot be written.
    """

    def __init__(self, state: Path) -> None:
        self._file = state / FILE_NAME
        self._known: dict[str, Any] = {}
        with contextlib.suppress(OSError, ValueError):
            known = json.loads(self._file.read_text(encoding="utf-8"))
            if isinstance(known, dict) and known.get("v") == 1:
                self._known = known

    def begin(self, gateway: Mapping[str, Any], now_ts: float) -> None:
        """Forget what was found before; gateway holds id, kode_desa, kode_edisi, site_name, role."""
        self._known = {
            "v": 1,
            "started_ts": round(now_ts),
            "gateway": dict(gateway),
            "parts": {},
            "pending": None,
        }
        self._write()

    @property
    def started_ts(self) -> int | None:
        """Return when it began (UTC seconds), None before."""
        started = self._known.get("started_ts")
        return started if isinstance(started, int) else None

    @property
    def gateway(self) -> Finding:
        """Return which gateway it is of."""
        return dict(self._known.get("gateway") or {})

    @property
    def installer(self) -> str:
        """Return the name that was typed, or ""."""
        return str(self._known.get("installer") or "")

    def name_installer(self, name: str) -> None:
        """Keep who did the test."""
        self._known["installer"] = name
        self._write()

    def finding(self, part: str) -> Finding | None:
        """Return what a part found, None as long as it was not done."""
        found = (self._known.get("parts") or {}).get(part)
        return found if isinstance(found, dict) else None

    def is_done(self, part: str) -> bool:
        """Return whether a part was measured; what says why it could not be is done again."""
        found = self.finding(part)
        return found is not None and not found.get("is_open")

    def keep(self, part: str, finding: Finding) -> None:
        """Keep what a part found; a part that waited for it no longer does."""
        self._known.setdefault("parts", {})[part] = dict(finding)
        self._known["pending"] = None
        self._write()

    def complete(self, part: str, finding: Finding) -> None:
        """Write more into what a part found."""
        self._known["parts"][part] = dict(finding)
        self._write()

    @property
    def pending(self) -> Finding | None:
        """Return {"part", …} of the part that waits for power or boot to come back, else None."""
        pending = self._known.get("pending")
        return pending if isinstance(pending, dict) else None

    def wait_for(self, part: str, before: Finding) -> None:
        """Keep what was seen before the power goes."""
        self._known["pending"] = {"part": part, **before}
        self._write()

    def drop_pending(self) -> None:
        """Forget a part that waits, so that it can be done again."""
        self._known["pending"] = None
        self._write()

    def document(self) -> dict[str, Any]:
        """Return everything, for programs."""
        return dict(self._known)

    def _write(self) -> None:
        beside = self._file.with_suffix(".json.new")
        try:
            with beside.open("w", encoding="utf-8") as opened:
                json.dump(self._known, opened, ensure_ascii=False)
                opened.flush()
                os.fsync(opened.fileno())
            beside.replace(self._file)
            descriptor = os.open(self._file.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except PermissionError:
            raise NoPermission(
                _("no permission to write {path}").format(path=self._file),
                _("run as the user sinyal or with sudo"),
            ) from None
        except OSError as fault:
            raise SinyalError(
                _("{path} cannot be written: {reason}").format(path=self._file, reason=fault.strerror),
                _("look at that disk with `df -h` and `dmesg`"),
            ) from None
