"""Which rung is due now: a state machine that is told what is wrong, and the time.

Times are seconds of powered time (`attempts`), which no wrong clock can move.
"""

from collections.abc import Callable, Collection
from typing import NamedTuple

from agent.recovery.rungs import DAY_S, HOUR_S, MOST_ROUNDS, RUNGS, UPLINK_WAITS, Rung, RungName, Trouble

CountSince = Callable[[RungName, float], int]
"""Tells how often a rung was done since a moment."""


class Outcome(NamedTuple):
    """What an episode of trouble came to. last: the last rung that was done, None when it passed by itself.

    lasted_s: from its beginning. steps: rungs that were done.
    """

    last: RungName | None
    lasted_s: float
    steps: int


class Ladder:
    """Climbs while something is wrong, and begins from below in the next trouble.

    wait_s: see Rung.waits. possible: the rungs that this box has.
    """

    def __init__(self, wait_s: float, possible: Collection[RungName]) -> None:
        self._wait_s = wait_s
        self._rungs = tuple(rung for rung in RUNGS if rung.name in possible)
        self._trouble: Trouble | None = None
        self._since_s = 0.0
        self._next = 0
        self._not_before_s = self._rests_until_s = 0.0
        self._rounds = 0
        self._done: list[RungName] = []
        self._has_given_up = False

    @property
    def lasts_since_s(self) -> float | None:
        """Return when the trouble began, None while all is well."""
        return None if self._trouble is None else self._since_s

    @property
    def last(self) -> RungName | None:
        """Return the last rung that was done in this trouble."""
        return self._done[-1] if self._done else None

    @property
    def has_given_up(self) -> bool:
        """Return whether every rung was tried in this trouble; now and then one still is."""
        return self._has_given_up

    def begin(self, trouble: Trouble, now_s: float) -> Outcome | None:
        """Take in what is wrong; return what an earlier trouble came to that has just given way to this one.

        A modem that is now hung and now missing is one trouble; one that answers while the uplink stays dead
        is another, which waits its own time.
        """
        outcome = None
        if self._trouble is not None and "uplink" in (trouble, self._trouble) and trouble != self._trouble:
            outcome = self.end(now_s)
        if self._trouble is None:
            self._since_s = now_s
            self._next, self._rounds, self._has_given_up = 0, 0, False
            self._done = []
            self._rests_until_s = 0.0
            self._not_before_s = now_s + (UPLINK_WAITS * self._wait_s if trouble == "uplink" else 0)
        self._trouble = trouble
        return outcome

    def end(self, now_s: float) -> Outcome | None:
        """Take in that all is well; return what the trouble came to, None when there was none."""
        if self._trouble is None:
            return None
        self._trouble = None
        return Outcome(self.last, now_s - self._since_s, len(self._done))

    def hold(self, now_s: float) -> None:
        """Do nothing for now; what is due waits for at least one wait after the hold."""
        if self._trouble is not None:
            self._not_before_s = max(self._not_before_s, now_s)

    def due(self, now_s: float, count_since: CountSince, *, may_cut: bool) -> Rung | None:
        """Return the rung to do now, None while none is due. may_cut: see Rung.cuts.

        A rung whose limits are used up, or that does not help, is passed over.
        """
        if self._trouble is None or not self._rungs or now_s < self._rests_until_s:
            return None
        patience = self._wait_s * 2**self._rounds
        while self._next < len(self._rungs):
            rung = self._rungs[self._next]
            if self._trouble not in rung.against or not _is_within_limits(rung, now_s, count_since):
                self._next += 1
                continue
            if rung.cuts and not may_cut:
                # The village is online: what could cut it off waits, and so does all above it.
                self._not_before_s = now_s
                return None
            return rung if now_s >= self._not_before_s + rung.waits * patience else None
        if now_s < self._not_before_s + patience:
            return None  # the last rung may still show its effect
        # Nothing is left: a rest, then from below again, more slowly each time.
        self._has_given_up = True
        self._rounds = min(self._rounds + 1, MOST_ROUNDS)
        self._next, self._not_before_s = 0, now_s
        self._rests_until_s = now_s + patience
        return None

    def note_done(self, rung: Rung, now_s: float) -> None:
        """Take in that a rung was tried: the next one comes after its own wait."""
        self._done.append(rung.name)
        self._next = self._rungs.index(rung) + 1
        self._not_before_s = now_s


def _is_within_limits(rung: Rung, now_s: float, count_since: CountSince) -> bool:
    in_hour, in_day = count_since(rung.name, now_s - HOUR_S), count_since(rung.name, now_s - DAY_S)
    return in_hour < rung.per_hour and in_day < rung.per_day
