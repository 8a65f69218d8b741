"""Hears what the centre has stored, tells the store, and lets lost rows go out again."""

import logging
from functools import partial

from agent.language import _
from agent.publish.memory import Memory
from agent.publish.mqtt import Connection
from agent.publish.patient_store import PatientStore
from agent.publish.row_source import RowSource
from agent.publish.stored import NoticeUnreadable, StoredNotice, read_notice
from agent.publish.topics import Topics

log = logging.getLogger("sinyal.publish")

ANSWER_S = 10.0
"""A broker that does not answer a subscription for so long is not waited for."""

ENDED_AT_MOST = 2
"""After so many connections that ended when `stored` was asked for, it is not asked for any more."""


class StoredListener:
    """The subscription to `stored` on one connection. What the broker answers to it harms nothing."""

    def __init__(self, connection: Connection, store: PatientStore, topics: Topics, memory: Memory) -> None:
        self._connection = connection
        self._store = store
        self._topic = topics.stored
        self._memory = memory
        self._asked_at: float | None = None
        self._answered = False

    def wants_to_ask(self) -> bool:
        """Return whether the subscription is still to be made on this connection."""
        if self._asked_at is not None:
            return False
        if self._memory.ended_subscriptions >= ENDED_AT_MOST:
            self._say_once()
            return False
        return True

    def ask(self, now: float) -> None:
        """Subscribe, without waiting."""
        self._asked_at = now
        self._connection.listen(self._topic)

    def is_asking(self) -> bool:
        """Return whether the broker's answer is awaited."""
        return self._asked_at is not None and not self._answered

    def due_at(self, now: float) -> float:
        """Return the monotonic time at which something is to be done here, below `now` for nothing."""
        if self.is_asking():
            return (self._asked_at or now) + ANSWER_S
        return self._memory.stored.due_at() or 0.0

    def work(self, now: float) -> int | None:
        """Read what came, and make rows unsent again that are due; return the last of these, or None."""
        if self.is_asking():
            granted = self._connection.listening()
            if granted is not None or now - (self._asked_at or now) >= ANSWER_S:
                self._answered = True
            if granted is not None:
                self._memory.ended_subscriptions = 0
            if granted is False:
                self._say_once()
        for message in self._connection.heard():
            if message.topic == self._topic:
                self._take(message.payload, now, is_live=not message.retained)
        due_at = self._memory.stored.due_at()
        if due_at is None or due_at > now or now < self._store.retry_at:
            return None
        return self._send_again(now)

    def _take(self, payload: bytes, now: float, *, is_live: bool) -> None:
        if not payload:
            # A retained message was cleared.
            return
        try:
            notice = read_notice(payload)
        except NoticeUnreadable as problem:
            if ("stored", 1) not in self._memory.refusals:
                self._memory.refusals.add(("stored", 1))
                log.warning(
                    _("what the centre says of stored readings cannot be read: {reason}").format(
                        reason=problem
                    )
                )
            return
        if is_live and notice.ts is not None:
            # A retained message says when it was sent, which may be days ago.
            self._memory.hear_time(notice.ts)
        self._store.tell(lambda rows: self._note(rows, notice, now))

    def _note(self, rows: RowSource, notice: StoredNotice, now: float) -> None:
        watch = self._memory.stored
        last_seq = rows.counts().last_seq or 0
        before = watch.seq
        if watch.note_notice(notice, epoch=rows.epoch, last_seq=last_seq, now=now) and watch.seq != before:
            rows.note_stored(notice.epoch, watch.seq or 0)

    def _send_again(self, now: float) -> int | None:
        again_to = None
        for first, last in self._memory.stored.take_due(now):
            found = self._store.ask(partial(_resend, first=first, last=last))
            if found:
                again_to = last
                log.info(
                    _("the centre lacks readings {first} to {last}; {count} of them are sent again").format(
                        first=first, last=last, count=found
                    )
                )
        return again_to

    def _say_once(self) -> None:
        if ("stored", 0) not in self._memory.refusals:
            self._memory.refusals.add(("stored", 0))
            log.info(_("the broker does not let this gateway hear what the centre has stored"))


def _resend(rows: RowSource, *, first: int, last: int) -> int:
    return rows.resend(first, last, quarantined=False)
