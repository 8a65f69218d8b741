"""The report of a batch: one JSON line for each thing that was done or failed, on the disk at once."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from provisioning.whole_files import PUBLIC_MODE, append_line, whole_lines

FILE_NAME = "report.jsonl"


class Entry(NamedTuple):
    """What happened to one site last: "done" or "failed", for the bundle with this seal."""

    gateway_id: str
    result: str
    seal: str
    detail: str = ""


class Report:
    """The report in a folder; lines that cannot be read are passed over, and their sites done again."""

    def __init__(self, folder: Path, *, now: Callable[[], float] = time.time) -> None:
        self._file = folder / FILE_NAME
        self._now = now
        self._last: dict[str, Entry] = {}
        for line in whole_lines(self._file):
            try:
                entry = json.loads(line)
                self._last[entry["gateway_id"]] = Entry(
                    entry["gateway_id"], entry["result"], entry["seal"], entry["detail"]
                )
            except (ValueError, KeyError, TypeError):
                continue

    def is_done(self, gateway_id: str, seal: str) -> bool:
        """Return whether the bundle with this seal was brought on its way already."""
        last = self._last.get(gateway_id)
        return last is not None and last.result == "done" and last.seal == seal

    def add(self, entry: Entry) -> None:
        """Write down what happened."""
        line = {"v": 1, "ts": int(self._now()), **entry._asdict()}
        append_line(self._file, json.dumps(line, ensure_ascii=False).encode(), PUBLIC_MODE)
        self._last[entry.gateway_id] = entry
