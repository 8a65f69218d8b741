"""What each light shows, as a table: the poster explains these and no others.

A pattern is a sequence of (lit, seconds) that goes round for ever; one step means steady.
"""

from collections.abc import Mapping

Pattern = tuple[tuple[bool, float], ...]

OFF: Pattern = ((False, 1.0),)
STEADY: Pattern = ((True, 1.0),)
SLOW: Pattern = ((True, 1.0), (False, 1.0))
FAST: Pattern = ((True, 0.1), (False, 0.1))
LONG_SHORT: Pattern = ((True, 1.0), (False, 0.3), (True, 0.2), (False, 0.5))

FLASH_S = 0.2
BETWEEN_S = 0.3
REST_S = 1.5
"""After a group of flashes, so that a person can count them."""


def flashes(count: int) -> Pattern:
    """Return groups of `count` short flashes, with a rest between the groups."""
    return ((True, FLASH_S), (False, BETWEEN_S)) * (count - 1) + ((True, FLASH_S), (False, REST_S))


LIGHTS: Mapping[str, Mapping[str, Pattern]] = {
    "power": {
        "mains": STEADY,
        "unknown": STEADY,  # without an input for mains it still tells that the agent runs
        "battery": SLOW,
        "low": FAST,
        "undervoltage": flashes(2),
        "technician": LONG_SHORT,
    },
    "modem": {
        "ok": STEADY,
        "busy": SLOW,
        "missing": flashes(1),
        "hung": flashes(2),
        "sim": flashes(3),
        "recovering": FAST,
        "unknown": OFF,
    },
    "signal": {
        "excellent": STEADY,
        "good": flashes(4),
        "fair": flashes(3),
        "poor": flashes(2),
        "very_poor": flashes(1),
        "none": OFF,
    },
    "link": {"up": STEADY, "down": SLOW, "unknown": OFF},
    "unsent": {"none": OFF, "waiting": flashes(1), "unstorable": FAST},
}
"""Role of a light, state, pattern."""

CODES = {
    "fine": 1,
    "modem": 2,
    "sim": 3,
    "signal": 4,
    "link": 5,
    "unsent": 6,
    "power": 7,
}
"""Flashes (and beeps) after a short press of the button: the first thing that is wrong, else 1."""


def code_pattern(count: int) -> Pattern:
    """Return slow flashes that tell a code, with a rest before and after."""
    return ((False, 1.0), *(((True, 0.4), (False, 0.4)) * count), (False, 1.0))


def seconds_of(pattern: Pattern) -> float:
    """Return how long a pattern takes to come round."""
    return sum(seconds for _lit, seconds in pattern)
