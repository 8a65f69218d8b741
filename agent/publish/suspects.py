"""Finds the stored row that makes a broker end the connection, so that the rows behind it can go on.

Some brokers answer a message they do not want by dropping the connection: one too large for them, one
their plugin chokes on. Sent again for ever, it would hold up every row behind it and eat the data plan.
But a connection also ends because the link fades or the broker stops, and then no row is to blame. So:

- Only an end by the far side's own act counts (DISCONNECT, TCP closed or reset, an answer against the
  protocol), and only soon after the message, with nothing else under way. A missing answer never counts.
- After a row was struck so, other readings must be accepted before it can be struck again. When they are
  struck too, it is the broker and not the row: everything pauses, and the pause grows.
- When connecting fails next, or a connection ends by itself while nothing is under way, it was the link
  or the broker, and the strike is taken back.
- A message that was struck is halved until one row is left; a row that ended three connections, two of
  them by itself, is set aside. Halving costs some three times the bytes of the message in all.
- Rows that were struck and are accepted later prove that strikes mean little on this link: all are taken
  back, and for an hour more are needed.

Nothing here touches the network, the store or a clock.
"""

from collections.abc import Sequence
from typing import NamedTuple

from agent.publish.parcel import Parcel
from agent.publish.row_source import SeqRange

STRIKES = 3
STRIKES_ALONE = 2
"""A row that ended so many connections, so many of them not in a message with others, is set aside."""

MORE_STRIKES = 2
MOST_MORE = 5
"""So many strikes more are needed for each that proved wrong in the last PER_S; at most for so many."""

SOON_S = 15.0
"""An end later than this after the message was sent is not its answer."""

MOST_SUSPECTS = 32
MOST_CONVICTED = 20
PER_S = 3600.0
"""More rows than MOST_CONVICTED in PER_S are not set aside: then something is wrong with the broker."""

DOUBT_PAUSE_S = 30.0
DOUBT_PAUSE_MAX_S = 900.0
"""A strike that was taken back lets its rows wait so long, doubling, for the others to go first."""


class Suspect(NamedTuple):
    """Rows that were under way when a connection ended.

    strikes: connections that these rows, or more rows around them, ended alone. own_strikes: those that
    these very rows ended, since they were put together so. not_before: monotonic time before which they are
    not tried.
    """

    epoch: str
    rows: SeqRange
    salvaged: bool = False
    strikes: int = 0
    own_strikes: int = 0
    not_before: float = 0.0

    @property
    def struck(self) -> bool:
        """Return whether these very rows ended a connection."""
        return self.own_strikes > 0

    @property
    def is_single(self) -> bool:
        """Return whether one row is left."""
        return self.rows[0] == self.rows[1]

    def halves(self) -> "list[Suspect]":
        """Return both halves, neither of them struck yet."""
        first, last = self.rows
        middle = (first + last) // 2
        return [self._replace(rows=rows, own_strikes=0) for rows in ((first, middle), (middle + 1, last))]


class Suspicion:
    """The suspects of this process; it outlives connections.

    hurries: the last connection ended by a strike that taught something, so connecting again need not wait.
    blames_broker: readings that have nothing in common were struck, and none accepted since.
    """

    def __init__(self) -> None:
        self._suspects: list[Suspect] = []
        self._proven = True
        self._last_struck: Suspect | None = None
        self._doubts = 0
        self._convictions: list[float] = []
        self._strikes_to_prove: list[Suspect] = []
        self._wrong_strikes: list[float] = []
        self.hurries = False
        self.blames_broker = False

    def __len__(self) -> int:
        """Return how many ranges of rows are suspected."""
        return len(self._suspects)

    def leased(self, epoch: str) -> list[SeqRange]:
        """Return the suspected rows of `epoch`, which are sent from here alone."""
        return [each.rows for each in self._suspects if each.epoch == epoch and not each.salvaged]

    def suspects_salvaged(self) -> bool:
        """Return whether rows of an earlier epoch are suspected."""
        return any(each.salvaged for each in self._suspects)

    def is_cautious(self, now: float) -> bool:
        """Return whether readings must travel alone now."""
        return bool(self._suspects) and (not self._proven or self.next(now) is not None)

    def next(self, now: float) -> Suspect | None:
        """Return the suspect to try next; one that was struck waits until other readings are accepted."""
        ready = [each for each in self._suspects if each.not_before <= now]
        unstruck = [each for each in ready if not each.struck]
        if unstruck:
            return unstruck[0]
        return ready[0] if ready and self._proven else None

    def next_when_nothing_else_is_left(self, now: float) -> Suspect | None:
        """Return the suspect to try when there is no other reading that could clear the broker."""
        ready = [each for each in self._suspects if each.not_before <= now]
        if not ready:
            return None
        found = ready[0]
        if not found.struck or self.blames_broker:
            return found
        if found.is_single:
            # The next reading is soon there, and shows more than this one could.
            return None
        # One half can show whether the broker takes anything.
        self._replace(found, found.halves())
        return self.next(now)

    def next_at(self, now: float) -> float | None:
        """Return when the next suspect that waits may be tried, or None."""
        return min((each.not_before for each in self._suspects if each.not_before > now), default=None)

    def drop_other_epochs(self, epoch: str) -> None:
        """Forget rows of a file that was replaced."""
        self._suspects = [each for each in self._suspects if each.salvaged or each.epoch == epoch]

    def forget(self, suspect: Suspect) -> None:
        """Drop a suspect whose rows are not to be sent any more."""
        self._replace(suspect, [])

    def narrow(self, suspect: Suspect, rows: SeqRange) -> None:
        """Let `rows` be tried apart from the rest of the suspect, which did not fit or has a hole."""
        last = suspect.rows[1]
        parts = [rows] + ([(rows[1] + 1, last)] if rows[1] < last else [])
        self._replace(suspect, [suspect._replace(rows=part, own_strikes=0) for part in parts])

    def note_ended(
        self, under_way: Sequence[Parcel], *, by_peer: bool, seconds_since_sent: float, now: float
    ) -> None:
        """Note that a connection ended. under_way: every message that had no answer yet."""
        self.hurries = False
        if not by_peer or seconds_since_sent > SOON_S:
            return
        readings = [parcel for parcel in under_way if parcel.rows]
        if len(under_way) == 1 and readings:
            self._strike(readings[0])
        elif not under_way:
            self._take_back_all(now)
        else:
            for parcel in readings:
                self._suspect_of(parcel)

    def note_not_connected(self, now: float) -> None:
        """Note that connecting again failed: the last end was the link's or the broker's."""
        self.hurries = False
        if self._proven or self._last_struck is None:
            return
        self._take_back_all(now)

    def note_accepted(self, parcel: Parcel, now: float) -> list[Suspect]:
        """Note that the broker took readings; return rows that are now found guilty, which are forgotten."""
        rows = parcel.rows
        assert rows is not None
        self._suspects = [
            each
            for each in self._suspects
            if each.epoch != parcel.epoch or each.rows[0] < rows[0] or each.rows[1] > rows[1]
        ]
        self._proven = True
        self.hurries = self.blames_broker = False
        self._look_for_wrong_strikes(now)
        if not self._suspects:
            self._doubts = 0
        return self._judged(now)

    def _look_for_wrong_strikes(self, now: float) -> None:
        """Take all strikes back when rows that were struck have been accepted, every one of them."""
        wrong = [
            each
            for each in self._strikes_to_prove
            if not any(_overlap(each, suspect) for suspect in self._suspects)
        ]
        if not wrong:
            return
        self._wrong_strikes = [
            *(at for at in self._wrong_strikes if now - at < PER_S),
            *(now for _each in wrong),
        ]
        self._strikes_to_prove.clear()
        self._suspects = [each._replace(strikes=0, own_strikes=0) for each in self._suspects]

    def _strikes_needed(self, now: float) -> int:
        wrong = sum(1 for at in self._wrong_strikes if now - at < PER_S)
        return STRIKES + MORE_STRIKES * min(wrong, MOST_MORE)

    def _judged(self, now: float) -> list[Suspect]:
        guilty = []
        for each in [suspect for suspect in self._suspects if suspect.struck]:
            if not each.is_single:
                self._replace(each, each.halves())
            elif each.strikes >= self._strikes_needed(now) and each.own_strikes >= STRIKES_ALONE:
                self._convictions = [at for at in self._convictions if now - at < PER_S]
                if len(self._convictions) >= MOST_CONVICTED:
                    self._replace(each, [each._replace(strikes=0, own_strikes=0, not_before=now + PER_S)])
                    continue
                self._convictions.append(now)
                self.forget(each)
                self._strikes_to_prove = [
                    other for other in self._strikes_to_prove if not _overlap(each, other)
                ]
                guilty.append(each)
        return guilty

    def _strike(self, parcel: Parcel) -> None:
        struck = self._suspect_of(parcel)
        if struck is None:
            return
        last = self._last_struck
        if self._proven:
            marked = struck._replace(own_strikes=struck.own_strikes + 1, strikes=struck.strikes + 1)
            self._proven = False
            self.hurries = True
        else:
            marked = struck._replace(own_strikes=max(struck.own_strikes, 1))
            is_part = last is not None and _is_part(struck, last)
            self.hurries = is_part and not self.blames_broker
            self.blames_broker = not self.hurries
        self._last_struck = marked
        self._strikes_to_prove = [*self._strikes_to_prove, marked][-MOST_SUSPECTS:]
        self._replace(struck, [marked])

    def _suspect_of(self, parcel: Parcel) -> Suspect | None:
        assert parcel.rows is not None
        for each in self._suspects:
            if (each.epoch, each.rows) == (parcel.epoch, parcel.rows):
                return each
        if len(self._suspects) >= MOST_SUSPECTS:
            return None
        self._suspects.append(Suspect(parcel.epoch, parcel.rows, parcel.salvaged))
        return self._suspects[-1]

    def _take_back_all(self, now: float) -> None:
        pause_s = min(DOUBT_PAUSE_S * 2 ** min(self._doubts, 10), DOUBT_PAUSE_MAX_S)
        self._doubts += 1
        self._suspects = [
            each._replace(strikes=0, own_strikes=0, not_before=now + pause_s) if each.struck else each
            for each in self._suspects
        ]
        self._strikes_to_prove.clear()
        self._proven = True
        self._last_struck = None
        self.blames_broker = False

    def _replace(self, suspect: Suspect, parts: list[Suspect]) -> None:
        at = self._suspects.index(suspect)
        self._suspects[at : at + 1] = parts


def _is_part(part: Suspect, whole: Suspect) -> bool:
    inside = whole.rows[0] <= part.rows[0] and part.rows[1] <= whole.rows[1]
    return part.epoch == whole.epoch and inside and part.rows != whole.rows


def _overlap(one: Suspect, other: Suspect) -> bool:
    apart = one.rows[1] < other.rows[0] or other.rows[1] < one.rows[0]
    return one.epoch == other.epoch and not apart
