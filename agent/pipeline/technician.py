"""Whether a technician is at work: then the agent restarts no modem."""

import time
from collections.abc import Mapping
from typing import Any

from agent.pipeline.control import Answerer, Question

LINGERS_S = 300.0
"""So long after the last question somebody counts as still there: reading, thinking, up on the mast."""

AT_WORK = ("modem_", "aim", "gpio_try", "gpio_beep")
"""How the questions begin that a person asks who works at modem, antenna or box,"""

ASKED_BY_PROGRAMS = ("modem_port",)
"""but for these."""


class Technician:
    """Notices the questions of a person, and the technician mode of the button."""

    def __init__(self) -> None:
        self._asking = 0
        self._here_until = 0.0

    def noticing(self, answerers: Mapping[str, Answerer]) -> dict[str, Answerer]:
        """Return the same answerers; from the questions of a person at work the presence is noticed."""
        return {
            ask: self._noticed(one) if ask.startswith(AT_WORK) and ask not in ASKED_BY_PROGRAMS else one
            for ask, one in answerers.items()
        }

    def stay(self, seconds: float) -> None:
        """Count as here for so long from now."""
        self._here_until = max(self._here_until, time.monotonic() + seconds)

    def leave(self) -> None:
        """Count as gone."""
        self._here_until = 0.0

    @property
    def is_here(self) -> bool:
        """Return whether somebody is at work."""
        return self._asking > 0 or time.monotonic() < self._here_until

    def _noticed(self, answerer: Answerer) -> Answerer:
        def answer(question: Question) -> Mapping[str, Any]:
            self._asking += 1
            try:
                return answerer(question)
            finally:
                self._asking -= 1
                self.stay(LINGERS_S)

        return answer
