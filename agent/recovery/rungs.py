"""The rungs of the ladder, from the gentlest to the hardest."""

from typing import Literal, NamedTuple

RungName = Literal["reopen", "other_port", "soft_reset", "usb", "relay", "reboot"]

Trouble = Literal["hung", "missing", "uplink"]
"""What is wrong: a modem that does not answer, that is not there, or that answers and carries nothing."""


class Rung(NamedTuple):
    """One step.

    waits: how many times recovery.wait_s must pass before it. per_hour, per_day: how often it is done at
    most. cuts: it ends a connection that may still work, so it is kept for when there is none. against: the
    troubles it may help with.
    """

    name: RungName
    waits: float
    per_hour: int
    per_day: int
    cuts: bool
    against: tuple[Trouble, ...]


RUNGS = (
    Rung("reopen", 1, 3, 8, False, ("hung", "missing")),
    Rung("other_port", 1, 2, 6, False, ("hung",)),
    Rung("soft_reset", 2, 2, 6, True, ("hung", "uplink")),
    Rung("usb", 2, 1, 4, True, ("hung", "missing", "uplink")),
    Rung("relay", 3, 1, 4, True, ("hung", "missing", "uplink")),
    Rung("reboot", 10, 1, 1, True, ("hung", "missing", "uplink")),
)

UPLINK_WAITS = 10.0
"""So much longer an uplink is left to itself first: mostly it is the operator who repairs it."""

MOST_ROUNDS = 4
"""Each round in vain doubles the waits of the next one, so many times."""

HOUR_S = 3600.0
DAY_S = 86400.0
