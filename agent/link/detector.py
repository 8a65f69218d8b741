"""When an outage begins and ends (contract, section 5): no clock, no socket, only results of probes.

An outage = three failed probes in a row on two independent targets; it starts with the first failed probe and
ends with the first success.
"""

from typing import NamedTuple

FAILED_IN_ROW = 3

DEAD_AFTER_FAILURES = 6
"""A target silent for so many probes of its own, while another answered, is taken for dead itself."""


class Change(NamedTuple):
    """The link went down, or came back, at at_s; precision_s: how much earlier it may really have been.

    precision_s is None when nothing was known before.
    """

    is_down: bool
    at_s: float
    precision_s: float | None


class Detector:
    """Follows the probes of `targets` targets. Times are seconds of one steady clock."""

    def __init__(self, targets: int) -> None:
        self._targets = targets
        self._failed: set[int] = set()
        self._failures = 0
        self._own_failures = [0] * targets
        self._first_failed_s = 0.0
        self._last_failed_s: float | None = None
        self._last_answered_s: float | None = None
        self.is_down = False

    @property
    def is_suspect(self) -> bool:
        """Return whether the last probe failed, and not only because its target is dead."""
        return bool(self._failed - self.dead)

    @property
    def dead(self) -> frozenset[int]:
        """Return the targets that are silent while another answers."""
        silent = {one for one, count in enumerate(self._own_failures) if count >= DEAD_AFTER_FAILURES}
        return frozenset(silent) if len(silent) < self._targets and not self.is_down else frozenset()

    def note(self, target: int, at_s: float, *, answered: bool) -> Change | None:
        """Take in one probe, sent at at_s; return what it changed."""
        if answered:
            self._own_failures[target] = 0
            return self._note_answer(at_s)
        self._own_failures[target] += 1
        if not self._failures:
            self._first_failed_s = at_s
        self._failures += 1
        self._failed.add(target)
        self._last_failed_s = at_s
        if self.is_down or self._failures < FAILED_IN_ROW or len(self._failed) < min(2, self._targets):
            return None
        self.is_down = True
        before_s = self._last_answered_s
        return Change(
            True, self._first_failed_s, None if before_s is None else self._first_failed_s - before_s
        )

    def _note_answer(self, at_s: float) -> Change | None:
        was_down, self.is_down = self.is_down, False
        self._failures = 0
        self._failed.clear()
        self._last_answered_s = at_s
        if not was_down:
            return None
        assert self._last_failed_s is not None
        return Change(False, at_s, at_s - self._last_failed_s)

    def resume_down(self, at_s: float) -> None:
        """Go on with an outage that the agent before this one has seen begin; at_s: its last sign of life."""
        self.is_down = True
        self._failures = FAILED_IN_ROW
        self._failed = set(range(self._targets))
        self._last_failed_s = at_s
