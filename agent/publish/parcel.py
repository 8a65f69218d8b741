"""One message of a gateway, ready to go or under way, and who the gateway says it is."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from agent.publish.row_source import SeqRange
from agent.publish.topics import Topics


class Gateway(NamedTuple):
    """What this gateway says of itself; `inventory` is asked again with every batch."""

    topics: Topics
    version: str
    interval_s: float
    inventory: Callable[[], Mapping[str, object]]


class Parcel(NamedTuple):
    """One message. It holds readings (rows), an event (its number), or is one of the retained two.

    salvaged: the rows are of an earlier epoch. suspect: the rows may be what ended a connection. alone:
    nothing else may be under way with it, so that it is known what the broker answers to.
    """

    topic: str
    payload: bytes
    epoch: str
    rows: SeqRange | None = None
    late: bool = False
    salvaged: bool = False
    suspect: bool = False
    alone: bool = False
    event: int | None = None
    inventory: Mapping[str, object] | None = None

    @property
    def retained(self) -> bool:
        """Return whether the broker keeps it for those who come later."""
        return self.rows is None and self.event is None
