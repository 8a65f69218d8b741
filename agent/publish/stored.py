"""What the centre says it has stored for good: topic `stored`, and which rows follow from it.

An acknowledgement of the broker is no promise that the centre has a row: a broker without persistence
forgets what it acknowledged when it is killed. A centre that can tell says so here, and rows that it
still lacks long after their acknowledgement are sent again. A centre that says nothing changes nothing.

The payload is a stranger's until it is read: anything that is not exactly a notice is refused whole.
"""

import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeGuard

from agent.errors import BatchUnreadable
from agent.publish.row_source import SeqRange
from agent.wire.strict_json import parse

MAX_NOTICE_BYTES = 4096
MAX_SEQ = 2**53 - 1
MAX_TS = 2**40

PATIENCE_S = 900.0
"""So long after its acknowledgement a row may be missing at the centre before it is taken as lost."""

PATIENCE_MAX_S = 86_400.0

MOST_MISSING_RANGES = 20
MOST_RESENT_ROWS = 20_000
ONCE_PER_S = 3600.0
"""A row is asked for again at most once in this time, and not more than MOST_RESENT_ROWS in all."""

MOST_RANGES_WATCHED = 200

_EPOCH = re.compile("[0-9a-f]{8}")


class NoticeUnreadable(ValueError):
    """A payload of `stored` that is no notice; the text says why, for the log."""


class StoredNotice(NamedTuple):
    """Every row of `epoch` up to seq is stored at the centre for good, but those in missing (ascending).

    ts is the UTC second at which the centre said so, None when it does not tell.
    """

    epoch: str
    seq: int
    missing: tuple[SeqRange, ...] = ()
    ts: int | None = None


def read_notice(payload: bytes) -> StoredNotice:
    """Return the notice in a payload of `stored`; raises NoticeUnreadable for anything else."""
    if len(payload) > MAX_NOTICE_BYTES:
        raise NoticeUnreadable(f"more than {MAX_NOTICE_BYTES} bytes")
    try:
        document = parse(payload)
    except BatchUnreadable as problem:
        raise NoticeUnreadable(problem.what) from None
    if not isinstance(document, dict) or not _is_whole(document.get("v"), 1, 1):
        raise NoticeUnreadable("not an object with v 1")
    epoch, seq, missing = document.get("epoch"), document.get("seq"), document.get("missing", [])
    if not isinstance(epoch, str) or not _EPOCH.fullmatch(epoch):
        raise NoticeUnreadable("epoch is not 8 hexadecimal digits")
    if not _is_whole(seq, 0, MAX_SEQ):
        raise NoticeUnreadable("seq is not a whole number from 0")
    if not isinstance(missing, list):
        raise NoticeUnreadable("missing is not a list of [first, last]")
    ts = document.get("ts")
    if ts is not None and not _is_whole(ts, 0, MAX_TS):
        raise NoticeUnreadable("ts is not a whole number of seconds")
    return StoredNotice(epoch, seq, tuple(sorted(_range(part) for part in missing)), ts)


def _range(part: object) -> SeqRange:
    match part:
        case [int(first), int(last)] if _is_whole(first, 1, MAX_SEQ) and _is_whole(last, first, MAX_SEQ):
            return first, last
    raise NoticeUnreadable("missing is not a list of [first, last]")


def _is_whole(value: object, least: int, most: int) -> TypeGuard[int]:
    return type(value) is int and least <= value <= most


@dataclass(slots=True, eq=False, repr=False)
class _Acknowledged:
    """Rows that the broker has since the monotonic time `at`."""

    first: int
    last: int
    at: float


class StoredWatch:
    """Which rows of one process to send again, by what the centre said; outlives connections.

    Until the first notice for the epoch of the gateway nothing is watched, and nothing is ever sent again.
    """

    def __init__(self) -> None:
        self._epoch = ""
        self._seq: int | None = None
        self._acknowledged: deque[_Acknowledged] = deque()
        self._missing: list[SeqRange] = []
        self._resent: deque[tuple[float, SeqRange]] = deque()
        self._patience_s = PATIENCE_S
        self._not_before = 0.0
        self._given_up_to = 0

    @property
    def seq(self) -> int | None:
        """Return the highest seq known to be stored at the centre, None before the first notice."""
        return self._seq

    def note_notice(self, notice: StoredNotice, *, epoch: str, last_seq: int, now: float) -> bool:
        """Take a notice in; return whether it says something of the rows that are stored here.

        epoch and last_seq are those of the database now: a notice of another epoch is not ours, and one
        that claims rows which do not exist yet is believed as far as they do.
        """
        if notice.epoch != epoch:
            return False
        if epoch != self._epoch:
            self._begin(epoch)
        seq = min(notice.seq, last_seq)
        if self._seq is None and seq < last_seq:
            # Rows that were acknowledged before: to an earlier process, or before the centre spoke.
            self._watch(seq + 1, last_seq, now)
        self._seq = max(self._seq or 0, seq)
        self._drop_stored(self._seq)
        if self._given_up_to and self._seq >= self._given_up_to:
            self._patience_s, self._given_up_to = PATIENCE_S, 0
        self._missing = [(first, min(last, last_seq)) for first, last in notice.missing if first <= last_seq][
            :MOST_MISSING_RANGES
        ]
        return True

    def note_acknowledged(self, epoch: str, rows: SeqRange, now: float) -> None:
        """Note that the broker has rows."""
        if self._seq is None or epoch != self._epoch or rows[1] <= self._seq:
            return
        self._watch(max(rows[0], self._seq + 1), rows[1], now)

    def due_at(self) -> float | None:
        """Return the monotonic time at which rows may be due, None when nothing is watched."""
        if self._missing:
            return 0.0
        if not self._acknowledged:
            return None
        return max(min(each.at for each in self._acknowledged) + self._patience_s, self._not_before)

    def take_due(self, now: float) -> list[SeqRange]:
        """Return the rows to send again now, ascending and apart; they are not due again at once."""
        self._resent = deque((at, rows) for at, rows in self._resent if now - at < ONCE_PER_S)
        due = self._take_missing(now)
        return due or self._take_overdue(now)

    def _begin(self, epoch: str) -> None:
        self._epoch, self._seq = epoch, None
        self._acknowledged.clear()
        self._patience_s, self._not_before, self._given_up_to = PATIENCE_S, 0.0, 0

    def _take_missing(self, now: float) -> list[SeqRange]:
        asked, self._missing = self._missing, []
        due = []
        for first, last in asked:
            room = MOST_RESENT_ROWS - sum(b - a + 1 for _at, (a, b) in self._resent)
            last = min(last, first + room - 1)
            known = any(first <= b and a <= last for _at, (a, b) in self._resent)
            if last >= first and not known and len(self._resent) < MOST_RANGES_WATCHED:
                self._resent.append((now, (first, last)))
                due.append((first, last))
        return due

    def _take_overdue(self, now: float) -> list[SeqRange]:
        if now < self._not_before:
            return []
        overdue = [each for each in self._acknowledged if now - each.at >= self._patience_s]
        due, left = [], MOST_RESENT_ROWS
        for first, last in _joined((each.first, each.last) for each in overdue):
            if left <= 0:
                break
            last = min(last, first + left - 1)
            left -= last - first + 1
            due.append((first, last))
        if not due:
            return []
        for first, last in due:
            self._forget(first, last)
        self._given_up_to = max(self._given_up_to, due[-1][1])
        self._patience_s = min(self._patience_s * 2, PATIENCE_MAX_S)
        self._not_before = now + self._patience_s
        return due

    def _watch(self, first: int, last: int, now: float) -> None:
        self._forget(first, last)
        newest = self._acknowledged[-1] if self._acknowledged else None
        full = len(self._acknowledged) >= MOST_RANGES_WATCHED
        if newest is not None and newest.last + 1 == first and (full or now - newest.at < 60):
            newest.last, newest.at = last, now
        elif full:
            # Joined to the oldest of all they wait a little longer than they need to.
            oldest = self._acknowledged.popleft()
            second = self._acknowledged[0]
            second.first, second.last = min(oldest.first, second.first), max(oldest.last, second.last)
            self._acknowledged.append(_Acknowledged(first, last, now))
        else:
            self._acknowledged.append(_Acknowledged(first, last, now))

    def _drop_stored(self, seq: int) -> None:
        self._forget(1, seq)

    def _forget(self, first: int, last: int) -> None:
        kept: deque[_Acknowledged] = deque()
        for each in self._acknowledged:
            if each.first < first:
                kept.append(_Acknowledged(each.first, min(each.last, first - 1), each.at))
            if each.last > last:
                kept.append(_Acknowledged(max(each.first, last + 1), each.last, each.at))
        self._acknowledged = kept


def _joined(ranges: Iterable[SeqRange]) -> Iterator[SeqRange]:
    """Yield the ranges in order, those that touch or overlap as one."""
    begun: SeqRange | None = None
    for first, last in sorted(ranges):
        if begun is not None and first <= begun[1] + 1:
            begun = begun[0], max(begun[1], last)
            continue
        if begun is not None:
            yield begun
        begun = first, last
    if begun is not None:
        yield begun
