"""What cannot wait for the next batch of readings: one event, as stored and sent (contract, section 4)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

EVENT_TYPES = ("outage", "power", "modem", "sim", "quota", "clock", "buffer", "security")
"""The last level of the topic `event/<type>`."""

Evidence = Mapping[str, int | float | str | bool | None]
"""What an event carries beside its frame: names with their unit, as in a reading."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened once.

    epoch and number are its identity for ever (number: counted by the database, from 1). ts is UTC seconds,
    seq the newest reading at that moment (0 before the first). what is one word for programs.
    """

    epoch: str
    number: int
    type: str
    ts: int
    ts_quality: str
    seq: int
    what: str
    evidence: Evidence

    def payload(self) -> bytes:
        """Return the message of topic `event/<type>`."""
        frame = {
            "v": 1,
            "id": f"{self.epoch}-{self.number}",
            "ts": self.ts,
            "ts_quality": self.ts_quality,
            "seq": self.seq,
            "what": self.what,
        }
        return json.dumps({**self.evidence, **frame}, ensure_ascii=False, separators=(",", ":")).encode(
            errors="replace"
        )
