"""The failures a person can meet: each names what happened, where, and one next step.

The base class carries the exit code that the command line ends with (contract, section 1).
Texts are already in the person's language when an error is made.
"""


class SinyalError(Exception):
    """A failure with a next step.

    what names what happened and where, as one sentence without a final stop; next_step is one
    thing the person can do now, or "" when there is none.
    """

    exit_code = 1

    def __init__(self, what: str, next_step: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.next_step = next_step


class UsageMistake(SinyalError):
    """The command was typed in a way that cannot be carried out."""

    exit_code = 2


class ConfigMistake(SinyalError):
    """The configuration names an impossible thing; nothing was changed."""

    exit_code = 2


class NoPermission(SinyalError):
    """The user may not touch the file or device."""

    exit_code = 3


class ModemUnavailable(SinyalError):
    """The modem's port is missing, silent, or held by another program."""

    exit_code = 4


class BrokerUnreachable(SinyalError):
    """No connection to the MQTT broker could be made."""

    exit_code = 5


class StoreUnusable(SinyalError):
    """The reading database cannot be opened or written."""


class BatchUnreadable(SinyalError):
    """A payload is not a batch of readings by the contract's rules; it gives no rows at all."""
