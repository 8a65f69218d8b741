"""What a person may ask of the running agent as a whole: how it does, to send now, to pause."""

import logging
import math
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from agent.buffer.keeper import Keeper
from agent.errors import UsageMistake
from agent.language import _
from agent.pipeline.control import Answerer, Question
from agent.pipeline.steady_forwarder import SteadyForwarder

log = logging.getLogger("sinyal")

LONGEST_PAUSE_MINUTES = 1440
"""A day; who forgets a pause loses no reading, and no more than a day of freshness."""


class Pause:
    """A time in which no readings are sent; it ends by itself, and with the agent.

    Status, inventory and events go on: the centre must know that the gateway lives.
    """

    def __init__(self) -> None:
        self._until = -math.inf
        self._was_on = False

    def begin(self, seconds: float) -> None:
        """Pause for so long from now on, whatever was asked before; 0 ends it."""
        self._until = time.monotonic() + seconds
        self._was_on = True

    def is_on(self) -> bool:
        """Return whether readings wait."""
        return time.monotonic() < self._until

    def until_ts(self) -> int | None:
        """Return the UTC second of its end by the clock of now, None without a pause."""
        left_s = self._until - time.monotonic()
        return round(time.time() + left_s) if left_s > 0 else None

    def has_just_ended(self) -> bool:
        """Return True once after each end."""
        if not self._was_on or self.is_on():
            return False
        self._was_on = False
        return True


class Shown(NamedTuple):
    """What the daemon tells of itself: its snapshot made anew, the last reading with its age in seconds.

    refresh writes the snapshot for those who read its file.
    """

    snapshot: Callable[[], Mapping[str, Any]]
    last_reading: Callable[[], Mapping[str, Any]]
    refresh: Callable[[], None]


def sending_answerers(
    keeper: Keeper, forwarder: SteadyForwarder, pause: Pause, shown: Shown
) -> Mapping[str, Answerer]:
    """Return what is done for each question."""

    def send_now(_question: Question) -> Mapping[str, Any]:
        keeper.commit()
        counts = keeper.counts()
        if not pause.is_on():
            forwarder.send_now()
        health = forwarder.health()
        return {
            "state": health.state,
            "problem": health.last_problem,
            "attempts": health.attempts,
            "unsent": counts.unsent,
            "last_seq": counts.last_seq,
            "paused_until_ts": pause.until_ts(),
        }

    def begin_pause(question: Question) -> Mapping[str, Any]:
        minutes = question.get("minutes")
        is_number = isinstance(minutes, int | float) and not isinstance(minutes, bool)
        if not is_number or not 0 <= float(str(minutes)) <= LONGEST_PAUSE_MINUTES:
            raise UsageMistake(
                _("a pause takes 1 to {most} minutes, or off").format(most=LONGEST_PAUSE_MINUTES),
                _("say it like this: {example}").format(example="sinyal pause 30"),
            )
        pause.begin(float(str(minutes)) * 60)
        if minutes:
            log.info(_("no readings are sent for {minutes} minutes: asked for").format(minutes=minutes))
        else:
            forwarder.wake()
        shown.refresh()
        return {"paused_until_ts": pause.until_ts()}

    return {
        "status": lambda _question: {"status": dict(shown.snapshot())},
        "live": lambda _question: dict(shown.last_reading()),
        "send_now": send_now,
        "pause": begin_pause,
    }
