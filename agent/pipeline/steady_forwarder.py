"""A forwarder that comes back: one whose thread has died or hangs is left behind, and another begins.

paho, a name server or a driver may hold a thread for ever; readings must flow again without anybody's help.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import replace

from agent.language import _
from agent.publish.forwarder import Forwarder, LinkHealth
from agent.publish.problems import LinkProblem

log = logging.getLogger("sinyal.publish")

HANGS_AFTER_S = 50.0
"""A forwarder shows a turn every ten seconds, but while a name server or a connect keeps it waiting."""


class SteadyForwarder:
    """The forwarder of the daemon; make returns a new one, not started.

    What an earlier one has counted (connects, bytes, rows) is not forgotten. With held_back nothing is ever
    sent, and health() says why.
    """

    def __init__(
        self,
        make: Callable[[], Forwarder],
        *,
        hangs_after_s: float = HANGS_AFTER_S,
        held_back: LinkProblem | None = None,
    ) -> None:
        self._make = make
        self._held_back = held_back
        self._hangs_after_s = hangs_after_s
        self._forwarder = make()
        self._started = False
        self._before = self._forwarder.health()
        self._hanging: list[Forwarder] = []
        self.rebuilt = 0
        """How often another one had to begin."""

    def start(self) -> None:
        """Begin to connect, unless held back."""
        if self._held_back is not None:
            return
        self._started = True
        self._forwarder.start()

    def stop(self, timeout_s: float) -> None:
        """Send what is unsent, say goodbye and end, within timeout_s."""
        self._started = False
        self._forwarder.stop(timeout_s)

    def wake(self, *, urgent: bool = False) -> None:
        """Say that a new reading is stored; urgent: an event."""
        self._forwarder.wake(urgent=urgent)

    def send_now(self) -> None:
        """Let the readings gathered so far go at once."""
        self._forwarder.send_now()

    def hurry(self) -> None:
        """Try now what a pause has put off: the uplink, or the clock, has just become good."""
        self._forwarder.hurry()

    def left_behind(self) -> int:
        """Return how many have been replaced and still hang."""
        self._hanging = [one for one in self._hanging if one.is_alive()]
        return len(self._hanging)

    def health(self) -> LinkHealth:
        """Return how the connection is doing, counted from the start of the process."""
        now, before = self._forwarder.health(), self._before
        if self._held_back is not None:
            return replace(now, last_problem=self._held_back.what, last_problem_code=self._held_back.code)
        return replace(
            now,
            connects=before.connects + now.connects,
            wire_bytes=before.wire_bytes + now.wire_bytes,
            rows_sent=before.rows_sent + now.rows_sent,
            batches_refused=before.batches_refused + now.batches_refused,
            last_ack_ts=now.last_ack_ts or before.last_ack_ts,
        )

    def look_after(self) -> None:
        """Begin anew when the thread has died or shows no turn; called every few seconds."""
        if not self._started:
            return
        silent_s = time.monotonic() - self._forwarder.last_turn_monotonic
        if self._forwarder.is_alive() and silent_s < self._hangs_after_s:
            return
        log.error(
            _("sending has stopped by itself and begins anew")
            if not self._forwarder.is_alive()
            else _("sending has hung for {seconds} s and begins anew").format(seconds=round(silent_s))
        )
        self._before = self.health()
        # One that hangs ends by itself when it is let go, and touches no row then.
        self._forwarder.stop(0.0)
        self._hanging.append(self._forwarder)
        self._forwarder = self._make()
        self.rebuilt += 1
        self._forwarder.start()
