"""What one connection leaves for the next; it dies with the process."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from agent.publish.backoff import RefusalPause
from agent.publish.event_outlet import EventTroubles
from agent.publish.refused_topics import RefusedTopics
from agent.publish.stored import StoredWatch
from agent.publish.suspects import Suspicion


@dataclass(slots=True, eq=False, repr=False)
class Memory:
    """What outlives a connection.

    refused_bytes: the smallest payload that the broker called too large. refusals: what was already logged.
    refusal: why readings are refused now, for people, with its code; None when they are not. topics: which
    other topics are refused, topic_refusal the same for people, with the next step; None for none.
    ended_subscriptions: connections that ended when `stored` was asked for. hear_time takes the UTC second
    that the centre tells with it, right when it arrives.
    """

    pause: RefusalPause = field(default_factory=RefusalPause)
    suspicion: Suspicion = field(default_factory=Suspicion)
    events: EventTroubles = field(default_factory=EventTroubles)
    stored: StoredWatch = field(default_factory=StoredWatch)
    topics: RefusedTopics = field(default_factory=RefusedTopics)
    inventory: Mapping[str, object] | None = None
    refused_bytes: int | None = None
    refusals: set[tuple[str, int]] = field(default_factory=set)
    refusal: str | None = None
    refusal_code: str | None = None
    topic_refusal: str | None = None
    ended_subscriptions: int = 0
    last_ack_ts: int | None = None
    hear_time: Callable[[int], None] = lambda _ts: None
    rows_sent: int = 0
    batches_refused: int = 0
