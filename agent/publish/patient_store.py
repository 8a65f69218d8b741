"""The store, asked with patience: after a failure it is left alone for a while, and said so once."""

import logging
import time
from collections.abc import Callable
from typing import Literal, NamedTuple, TypeVar

from agent.errors import StoreUnusable
from agent.language import _
from agent.publish.row_source import RowSource, SeqRange

log = logging.getLogger("sinyal.publish")

STORE_RETRY_S = 10.0

Answer = TypeVar("Answer")


class Debt(NamedTuple):
    """Something the store must still be told; until then the rows or the event are not offered again.

    rows is the range of seqs, or twice the number of an event.
    """

    kind: Literal["sent", "salvaged", "quarantine", "event"]
    epoch: str
    rows: SeqRange
    reason: str = ""

    def pay(self, store: RowSource) -> None:
        """Tell the store; what belongs to a file that was replaced is forgotten."""
        first, last = self.rows
        if self.kind == "salvaged":
            store.mark_salvaged_sent(self.epoch, first, last)
        elif self.epoch != store.epoch:
            return
        elif self.kind == "event":
            store.mark_event_sent(first)
        elif self.kind == "quarantine":
            store.quarantine(first, last, self.reason)
        else:
            store.mark_sent(first, last)


class PatientStore:
    """Asks `rows` and remembers what it could not be told; outlives connections, dies with the process.

    retry_at is the monotonic time before which a failed store is not asked.
    """

    def __init__(self, rows: RowSource) -> None:
        self._rows = rows
        self._fails = False
        self.retry_at = 0.0
        self.debts: list[Debt] = []

    @property
    def epoch(self) -> str:
        """Return the epoch of the rows that are stored now."""
        return self._rows.epoch

    @property
    def rows(self) -> RowSource:
        """Return the store itself, for one who deals with its failures."""
        return self._rows

    def ask(self, question: Callable[[RowSource], Answer]) -> Answer | None:
        """Return the store's answer, or None when it cannot give one now."""
        answers: list[Answer] = []
        told = self.tell(lambda rows: answers.append(question(rows)))
        return answers[0] if told else None

    def tell(self, action: Callable[[RowSource], object]) -> bool:
        """Do something to the store; return whether it worked."""
        try:
            action(self._rows)
        except StoreUnusable as problem:
            self.retry_at = time.monotonic() + STORE_RETRY_S
            if not self._fails:
                self._fails = True
                log.warning(
                    _("stored readings cannot be reached, sending waits: {what}").format(what=problem.what)
                )
            return False
        if self._fails:
            self._fails = False
            log.info(_("stored readings can be reached again"))
        return True

    def owe(self, debt: Debt) -> None:
        """Tell the store, now or as soon as it works again."""
        last = self.debts[-1] if self.debts else None
        if (
            last is not None
            and debt.kind == "quarantine"
            and (last.kind, last.epoch, last.reason, last.rows[1] + 1)
            == (debt.kind, debt.epoch, debt.reason, debt.rows[0])
        ):
            # One range makes one event, not one a row.
            self.debts[-1] = Debt(debt.kind, debt.epoch, (last.rows[0], debt.rows[1]), debt.reason)
        else:
            self.debts.append(debt)

    def pay_debts(self) -> None:
        """Tell what the store could not be told before."""
        while self.debts and time.monotonic() >= self.retry_at and self.tell(self.debts[0].pay):
            del self.debts[0]
