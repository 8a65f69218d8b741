"""Events on their way out: at once, one by one, and none of them for ever."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agent.contract.events import EVENT_TYPES, Event
from agent.language import _
from agent.publish.parcel import Parcel
from agent.publish.patient_store import Debt, PatientStore
from agent.publish.refused_topics import RefusedTopics
from agent.publish.suspects import SOON_S
from agent.publish.topics import Topics

log = logging.getLogger("sinyal.publish")

ASKED_AT_ONCE = 32
"""Events that are looked at together: so many refused ones do not hold up the next."""

ASK_EVERY_S = 10.0
"""The store has events of its own (a row set aside …), which nobody announces."""

TRIES = 3
"""An event that ended so many connections, or was found impossible so often, is given up."""

PAUSE_S = 30.0
PAUSE_MAX_S = 900.0

_IMPOSSIBLE = frozenset({144, 149, 153})
"""Reason codes that no waiting changes: topic invalid, too large, format invalid."""


@dataclass(slots=True, eq=False, repr=False)
class Trouble:
    """What befell one event: tries that show it to be impossible, all tries, and when it may go again."""

    strikes: int = 0
    refusals: int = 0
    alone: bool = False
    not_before: float = 0.0

    def wait(self, now: float) -> None:
        """Let the event wait; longer each time."""
        self.refusals += 1
        self.not_before = now + min(PAUSE_S * 2 ** min(self.refusals - 1, 10), PAUSE_MAX_S)


class EventTroubles:
    """The troubles of this process by the event's number; it outlives connections."""

    def __init__(self) -> None:
        self._by_number: dict[int, Trouble] = {}
        self._last_struck: int | None = None

    def get(self, number: int) -> Trouble | None:
        """Return what befell an event, or None."""
        return self._by_number.get(number)

    def of(self, number: int) -> Trouble:
        """Return what befell an event, to be changed."""
        return self._by_number.setdefault(number, Trouble())

    def keep_only(self, numbers: Sequence[int]) -> None:
        """Forget events that are gone."""
        self._by_number = {number: self._by_number[number] for number in numbers if number in self._by_number}

    def next_at(self, now: float) -> float | None:
        """Return when the next event that waits may go, or None."""
        waiting = (trouble.not_before for trouble in self._by_number.values() if trouble.not_before > now)
        return min(waiting, default=None)

    def note_ended(
        self, under_way: Sequence[Parcel], *, by_peer: bool, seconds_since_sent: float, now: float
    ) -> None:
        """Note that a connection ended; see Suspicion.note_ended for what counts."""
        self._last_struck = None
        numbers = [parcel.event for parcel in under_way if parcel.event is not None]
        if not numbers or not by_peer or seconds_since_sent > SOON_S:
            return
        for number in numbers:
            self.of(number).alone = True
        if len(under_way) == 1:
            self._last_struck = numbers[0]
            self.of(numbers[0]).strikes += 1
            self.of(numbers[0]).wait(now)

    def note_not_connected(self) -> None:
        """Take the last strike back: the link or the broker ended that connection."""
        if self._last_struck is not None:
            self.of(self._last_struck).strikes -= 1
        self._last_struck = None


class EventOutlet:
    """The events of one connection.

    announced counts the calls for haste. payload_limit_bytes says how large a payload a topic may carry.
    """

    def __init__(
        self,
        store: PatientStore,
        topics: Topics,
        troubles: EventTroubles,
        refused: RefusedTopics,
        announced: Callable[[], int],
        payload_limit_bytes: Callable[[str], int],
    ) -> None:
        self._store = store
        self._topics = topics
        self._troubles = troubles
        self._refused = refused
        self._announced = announced
        self._payload_limit_bytes = payload_limit_bytes
        self._announced_when_asked = -1
        self._more = True
        self._ask_at = 0.0
        self._retry_at: float | None = None
        self._under_way = False
        self._doubtful: Parcel | None = None

    def next(self, now: float, *, doubtful: bool = False) -> Parcel | None:
        """Return the oldest event that may go now; one at a time.

        doubtful: one on a topic that the broker may refuse, as found when this was last asked without.
        """
        if self._under_way or now < self._store.retry_at:
            return None
        if doubtful:
            parcel, self._doubtful = self._doubtful, None
            self._under_way = self._more = parcel is not None
            return parcel
        if not self._is_due(now):
            return None
        self._doubtful = None
        self._announced_when_asked = self._announced()
        self._ask_at = now + ASK_EVERY_S
        events = self._store.ask(lambda rows: rows.unsent_events(ASKED_AT_ONCE)) or []
        self._troubles.keep_only([event.number for event in events])
        owed = {debt.rows[0] for debt in self._store.debts if debt.kind == "event"}
        waits = (self._troubles.next_at(now), self._refused.next_at(now))
        self._retry_at = min((at for at in waits if at is not None), default=None)
        self._more = False
        for event in events:
            if event.number in owed or not self._may_go(event, now):
                continue
            parcel = self._parcel(event)
            if parcel is not None and self._refused.is_doubtful(parcel.topic):
                self._note_doubtful(parcel)
            elif parcel is not None:
                self._doubtful = None
                self._more = self._under_way = True
                return parcel
        return None

    def due_at(self) -> float:
        """Return when the store is to be asked again."""
        return self._ask_at if self._retry_at is None else min(self._ask_at, self._retry_at)

    def note_accepted(self, parcel: Parcel) -> None:
        """Note that the broker has an event."""
        assert parcel.event is not None
        self._under_way = False
        self._store.owe(Debt("event", parcel.epoch, (parcel.event, parcel.event)))

    def note_refused(self, parcel: Parcel, code: int, now: float) -> None:
        """Note a negative PUBACK: the event waits, or is given up when no waiting helps."""
        assert parcel.event is not None
        self._under_way = False
        trouble = self._troubles.of(parcel.event)
        trouble.wait(now)
        self._more = True
        if code in _IMPOSSIBLE:
            trouble.strikes += 1

    def _is_due(self, now: float) -> bool:
        if self._more or self._announced() != self._announced_when_asked or now >= self._ask_at:
            return True
        return self._retry_at is not None and now >= self._retry_at

    def _may_go(self, event: Event, now: float) -> bool:
        trouble = self._troubles.get(event.number)
        topic_may_go = self._refused.may_send(self._topics.event(event.type), now)
        if trouble is None:
            return topic_may_go
        if trouble.strikes >= TRIES:
            self._give_up(event, _("no broker took it"))
            return False
        return topic_may_go and now >= trouble.not_before

    def _note_doubtful(self, parcel: Parcel) -> None:
        """Keep the event with the fewest tries: so one bad event cannot make its topic look refused."""
        if self._doubtful is None or self._tries(parcel) < self._tries(self._doubtful):
            self._doubtful = parcel._replace(alone=True)

    def _tries(self, parcel: Parcel) -> int:
        trouble = self._troubles.get(parcel.event or 0)
        return trouble.refusals if trouble is not None else 0

    def _parcel(self, event: Event) -> Parcel | None:
        """Return the message of an event; one that can never be sent is given up."""
        topic = self._topics.event(event.type)
        payload, reason = b"", ""
        try:
            payload = event.payload()
        except (TypeError, ValueError) as problem:
            reason = str(problem)
        limit = self._payload_limit_bytes(topic)
        if event.type not in EVENT_TYPES:
            reason = _("its type is not known")
        elif len(payload) > limit:
            reason = _("{size} bytes, allowed are {limit}").format(size=len(payload), limit=limit)
        if reason:
            self._give_up(event, reason)
            return None
        trouble = self._troubles.get(event.number)
        alone = trouble is not None and trouble.alone
        return Parcel(topic, payload, event.epoch, event=event.number, alone=alone)

    def _give_up(self, event: Event, reason: str) -> None:
        log.warning(
            _("event {id} ({type}: {what}) cannot be sent and is given up: {reason}").format(
                id=f"{event.epoch}-{event.number}", type=event.type, what=event.what, reason=reason
            )
        )
        self._store.owe(Debt("event", event.epoch, (event.number, event.number)))
        self._store.pay_debts()
