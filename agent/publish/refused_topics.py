"""Remembers which topics of signs of life, inventory and events the broker refuses, and lets readings go on.

A topic that the broker's access list denies must not stop the readings. Some brokers answer with a negative
PUBACK and stay; some hang up right after it, so that the answer may be lost with what lay behind it
(mosquitto 2.0.11 with `max_queued_messages 0`); some only hang up. So:

- A negative PUBACK refuses a topic at once.
- Whatever was under way when the far side hung up is doubtful: it is sent after the fresh readings, alone.
- A doubtful topic that then ended two connections, alone under way, is refused.
- A refused topic is not used for a pause, which doubles each time. When it is over, the topic is doubtful.

Nothing here touches the network, the store or a clock.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agent.publish.parcel import Parcel
from agent.publish.suspects import SOON_S

FIRST_PAUSE_S = 900.0
LONGEST_PAUSE_S = 86_400.0

STRIKES = 2
"""So many connections in turn must a topic have ended alone."""


@dataclass(slots=True, eq=False, repr=False)
class _Doubt:
    """strikes: connections ended alone in turn. refusals: those in turn. until: end of the pause."""

    strikes: int = 0
    refusals: int = 0
    until: float = 0.0


class RefusedTopics:
    """The doubtful and refused topics of this process; it outlives connections."""

    def __init__(self) -> None:
        self._doubts: dict[str, _Doubt] = {}
        self._good: set[str] = set()
        self._last_struck: str | None = None

    def may_send(self, topic: str, now: float) -> bool:
        """Return whether `topic` is not in the pause of a refusal."""
        doubt = self._doubts.get(topic)
        return doubt is None or now >= doubt.until

    def is_doubtful(self, topic: str) -> bool:
        """Return whether a message on `topic` must travel alone, after the fresh readings."""
        return topic in self._doubts

    def refused(self) -> list[str]:
        """Return the topics whose last answer was a refusal."""
        return [topic for topic, doubt in self._doubts.items() if doubt.refusals]

    def next_at(self, now: float) -> float | None:
        """Return when the next pause ends, or None."""
        return min((doubt.until for doubt in self._doubts.values() if doubt.until > now), default=None)

    def note_accepted(self, topic: str) -> bool:
        """Note that the broker took a message on `topic`; return whether it had refused it before."""
        self._good.add(topic)
        doubt = self._doubts.pop(topic, None)
        return doubt is not None and doubt.refusals > 0

    def note_refused(self, topic: str, now: float) -> bool:
        """Note a refusal of `topic`; return whether it is the first in turn."""
        doubt = self._doubts.setdefault(topic, _Doubt())
        doubt.until = now + min(FIRST_PAUSE_S * 2 ** min(doubt.refusals, 10), LONGEST_PAUSE_S)
        doubt.refusals += 1
        doubt.strikes = 0
        return doubt.refusals == 1

    def note_ended(
        self, under_way: Sequence[Parcel], *, by_peer: bool, seconds_since_sent: float
    ) -> str | None:
        """Note that a connection ended without a negative answer; return a topic that is to be refused now.

        See Suspicion.note_ended for which ends count.
        """
        self._last_struck = None
        others = [parcel for parcel in under_way if not parcel.rows]
        if not others or not by_peer or seconds_since_sent > SOON_S:
            return None
        self.doubt(others)
        if len(under_way) > 1 or not self.is_doubtful(others[0].topic):
            return None
        topic = self._last_struck = others[0].topic
        doubt = self._doubts[topic]
        doubt.strikes += 1
        # A topic that was refused before needs no second proof.
        return topic if doubt.strikes >= STRIKES or doubt.refusals else None

    def doubt(self, parcels: Iterable[Parcel]) -> None:
        """Let the topics of these messages, which got no answer, travel alone until they get one.

        An event on a topic that the broker has taken before is at fault itself, and not its topic.
        """
        for parcel in parcels:
            if not parcel.rows and not (parcel.event is not None and parcel.topic in self._good):
                self._doubts.setdefault(parcel.topic, _Doubt())

    def note_not_connected(self) -> None:
        """Take the last strike back: the link or the broker ended that connection."""
        doubt = self._doubts.get(self._last_struck or "")
        if doubt is not None and doubt.strikes:
            doubt.strikes -= 1
        self._last_struck = None
