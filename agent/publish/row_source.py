"""What the forwarder needs of the place where rows are stored; `publish` does not know the buffer."""

from collections.abc import Sequence
from typing import Protocol

from agent.contract.catalogue import Row
from agent.contract.events import Event

SeqRange = tuple[int, int]
"""First and last seq, both included."""


class RowCounts(Protocol):
    """What is known of the store as a whole."""

    @property
    def last_seq(self) -> int | None:
        """Newest stored row; None or 0 when there never was one."""


class RowSource(Protocol):
    """Stored rows. Every method may raise StoreUnusable."""

    @property
    def epoch(self) -> str:
        """Name of the database file that the seq numbers belong to."""

    def unsent_rows(self, *, newest: bool, limit: int, leased: Sequence[SeqRange]) -> list[Row]:
        """Return at most `limit` committed unsent rows outside `leased`, ascending.

        They are one unbroken run: no sent or leased row lies between them. newest: the run that ends at the
        newest such row, else the one that begins at the oldest.
        """

    def mark_sent(self, first_seq: int, last_seq: int) -> None:
        """Note that the broker has these rows."""

    def quarantine(self, first_seq: int, last_seq: int, reason: str) -> None:
        """Offer these rows no more: no broker takes them."""

    def resend(self, first_seq: int, last_seq: int, *, quarantined: bool = True) -> int:
        """Take stored rows as unsent again, quarantined ones only if asked; return how many."""

    def note_stored(self, epoch: str, seq: int) -> None:
        """Note that the centre has every row of `epoch` up to seq for good."""

    def salvaged_rows(self, limit: int) -> tuple[str, list[Row]]:
        """Return an earlier epoch and unsent rows of it, ascending, or ("", []); not always unbroken."""

    def mark_salvaged_sent(self, epoch: str, first_seq: int, last_seq: int) -> None:
        """Note that the broker has these rows of an earlier epoch."""

    def unsent_events(self, limit: int) -> list[Event]:
        """Return the oldest events that are not acknowledged, at most `limit`."""

    def mark_event_sent(self, number: int) -> None:
        """Note that the broker has this event."""

    def counts(self) -> RowCounts:
        """Return what is known of the store as a whole."""
