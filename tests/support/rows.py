"""Readings for tests, and a strict place to keep them in memory that records what was asked of it."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from agent.contract.catalogue import Row
from agent.contract.events import Event, Evidence
from agent.errors import StoreUnusable

EPOCH = "9f2c01ab"


def sample_row(seq: int) -> Row:
    """Return a reading whose values are a function of its seq."""
    row: Row = {
        "seq": seq,
        "slot_s": 60,
        "ts": 1_768_953_600 + 60 * seq,
        "ts_quality": "ntp",
        "boot": 7,
        "uptime_s": 60 * seq,
        "modem_state": "ok",
        "access_technology": "lte",
        "operator_mccmnc": "51010",
        "rsrp_dbm": -103 + seq % 17,
        "rsrq_db": -10.5 + seq % 5,
        "sinr_db": 3.1,
        "band": "B3" if seq % 30 < 20 else "B40",
        "cpu_pct": seq % 100,
        "load1": 0.5,
        "wan_rx_bytes": 1000 * seq % 77_777,
    }
    if seq % 7 == 0:
        del row["sinr_db"]
    return row


@dataclass(frozen=True)
class Counts:
    """What the forwarder asks of the store as a whole."""

    last_seq: int


class RecordingRows:
    """Unsent rows in memory, as the forwarder's RowSource; every wrong request fails loudly.

    Set `failing` to make it as unusable as a store on a broken card.
    """

    def __init__(self, count: int = 0) -> None:
        self.epoch = EPOCH
        self._lock = threading.Lock()
        self._rows: dict[int, Row] = {}
        self._last_seq = 0
        self.sent: set[int] = set()
        self.ever_sent: set[int] = set()
        self.marks: list[tuple[int, int]] = []
        self.mistakes: list[str] = []
        self.quarantined: list[tuple[int, int, str]] = []
        self.resent: list[tuple[int, int]] = []
        self.salvaged: dict[str, list[Row]] = {}
        self.events: list[Event] = []
        self.sent_events: list[int] = []
        self.stored_seq: int | None = None
        self.failing = False
        self.touched = 0
        self.add(count)

    def add(self, count: int = 1) -> None:
        """Store `count` more readings."""
        with self._lock:
            for _time in range(count):
                self._last_seq += 1
                self._rows[self._last_seq] = sample_row(self._last_seq)

    def begin_anew(self, epoch: str) -> None:
        """Do as a store whose file was damaged: a new epoch without rows, seq from 1."""
        with self._lock:
            self.epoch = epoch
            self._rows.clear()
            self.sent.clear()
            self._last_seq = 0

    def spoil(self, seq: int, values: Row) -> None:
        """Give a stored reading values it should not have."""
        self._rows[seq] |= values

    def unsent_seqs(self) -> list[int]:
        """Return what is not marked sent."""
        with self._lock:
            return [seq for seq in self._rows if seq not in self.sent]

    def unsent_rows(self, *, newest: bool, limit: int, leased: Sequence[tuple[int, int]]) -> list[Row]:
        """Return one unbroken run, as the buffer would."""
        with self._lock:
            self._check()
            taken = {seq for first, last in leased for seq in range(first, last + 1)}
            if len(taken) != sum(last - first + 1 for first, last in leased):
                self.mistakes.append(f"a row is leased twice: {leased}")
            for first, last, _reason in self.quarantined:
                taken |= set(range(first, last + 1))
            free = [seq for seq in self._rows if seq not in self.sent and seq not in taken]
            run: list[int] = []
            for seq in reversed(free) if newest else free:
                if len(run) == limit or (run and abs(seq - run[-1]) != 1):
                    break
                run.append(seq)
            return [dict(self._rows[seq]) for seq in sorted(run)]

    def mark_sent(self, first_seq: int, last_seq: int) -> None:
        """Note rows as sent, each once."""
        with self._lock:
            self._check()
            for seq in range(first_seq, last_seq + 1):
                if seq not in self._rows:
                    self.mistakes.append(f"{seq} is marked sent but was never stored")
                if seq in self.sent:
                    self.mistakes.append(f"{seq} is marked sent twice")
                self.sent.add(seq)
                self.ever_sent.add(seq)
            self.marks.append((first_seq, last_seq))

    def quarantine(self, first_seq: int, last_seq: int, reason: str) -> None:
        """Offer rows no more."""
        with self._lock:
            self._check()
            self.quarantined.append((first_seq, last_seq, reason))

    def note_stored(self, epoch: str, seq: int) -> None:
        """Note what the centre has; it may not go back, nor claim rows that do not exist."""
        with self._lock:
            self._check()
            if epoch != self.epoch or not (self.stored_seq or 0) <= seq <= self._last_seq:
                self.mistakes.append(f"stored {epoch} {seq} after {self.stored_seq}")
            self.stored_seq = seq

    def resend(self, first_seq: int, last_seq: int, *, quarantined: bool = True) -> int:
        """Take sent rows as unsent again."""
        with self._lock:
            self._check()
            if quarantined:
                self.mistakes.append("a forwarder must not ask for quarantined rows")
            again = self.sent & set(range(first_seq, last_seq + 1))
            self.sent -= again
            self.resent.append((first_seq, last_seq))
            return len(again)

    def salvaged_rows(self, limit: int) -> tuple[str, list[Row]]:
        """Return rows of an earlier epoch."""
        with self._lock:
            self._check()
            for epoch, rows in sorted(self.salvaged.items()):
                return epoch, [dict(row) for row in rows[:limit]]
            return "", []

    def mark_salvaged_sent(self, epoch: str, first_seq: int, last_seq: int) -> None:
        """Take rows of an earlier epoch off, each once."""
        with self._lock:
            self._check()
            left = [row for row in self.salvaged[epoch] if not first_seq <= _seq(row) <= last_seq]
            if len(left) == len(self.salvaged.pop(epoch)):
                self.mistakes.append(f"nothing salvaged in {epoch} {first_seq}-{last_seq}")
            if left:
                self.salvaged[epoch] = left

    def happen(self, type_: str, what: str, evidence: Evidence) -> None:
        """Store an event."""
        with self._lock:
            self.events.append(
                Event(
                    epoch=self.epoch,
                    number=len(self.events) + 1,
                    type=type_,
                    ts=1_768_953_600,
                    ts_quality="ntp",
                    seq=self._last_seq,
                    what=what,
                    evidence=evidence,
                )
            )

    def unsent_events(self, limit: int) -> list[Event]:
        """Return the oldest events that are not marked."""
        with self._lock:
            self._check()
            return [event for event in self.events if event.number not in self.sent_events][:limit]

    def mark_event_sent(self, number: int) -> None:
        """Note an event as sent, once."""
        with self._lock:
            self._check()
            if number in self.sent_events:
                self.mistakes.append(f"event {number} is marked sent twice")
            self.sent_events.append(number)

    def counts(self) -> Counts:
        """Return the newest seq."""
        with self._lock:
            self._check()
            return Counts(self._last_seq)

    def _check(self) -> None:
        self.touched += 1
        if self.failing:
            raise StoreUnusable("the store is broken for a test")


def _seq(row: Row) -> int:
    seq = row["seq"]
    assert isinstance(seq, int)
    return seq
