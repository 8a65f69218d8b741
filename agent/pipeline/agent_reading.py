"""The agent's own health in each reading: boot count, queue, bytes used by the agent itself."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from agent.errors import StoreUnusable


class Counts(Protocol):
    """What the buffer tells of its queue."""

    @property
    def unsent(self) -> int:
        """Return how many readings are not yet acknowledged."""

    @property
    def oldest_unsent_ts(self) -> int | None:
        """Return the UTC second of the oldest of them, or None."""


class Queue(Protocol):
    """The buffer's keeper, as far as this collector needs it."""

    @property
    def boot(self) -> int:
        """Return the number of this boot."""

    def counts(self) -> Counts:
        """Return the queue now; raises StoreUnusable."""


@dataclass(frozen=True, slots=True)
class AgentReading:
    """Health of the agent. None while the database cannot be asked."""

    boot: int | None
    buffer_unsent: int | None
    buffer_oldest_s: float | None
    agent_bytes: int | None


class AgentCollector:
    """Reads the queue and counts the bytes the agent used on the wire since the last reading.

    wire_bytes returns the total so far; now_ts is the wall clock, for the age of the oldest row.
    """

    name = "agent"

    def __init__(self, queue: Queue, wire_bytes: Callable[[], int], now_ts: Callable[[], float]) -> None:
        self._queue = queue
        self._wire_bytes = wire_bytes
        self._now_ts = now_ts
        self._bytes_before = 0

    def collect(self) -> AgentReading:
        """Return the agent's health now."""
        total = self._wire_bytes()
        used, self._bytes_before = total - self._bytes_before, total
        try:
            counts = self._queue.counts()
        except StoreUnusable:
            return AgentReading(None, None, None, used)
        oldest = counts.oldest_unsent_ts
        age = max(0.0, self._now_ts() - oldest) if oldest is not None else None
        return AgentReading(self._queue.boot, counts.unsent, age, used)
