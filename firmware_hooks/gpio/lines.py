"""A line: one wire at the processor; and what every adapter can do with one.

Everything above an adapter speaks of active and inactive, never of high and low: a "!" in front of the
line's name says that the wiring turns it around.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from agent.errors import SinyalError
from agent.language import _

Changed = Callable[[bool, float], None]
"""Is told an input's new level and the time.monotonic() of the edge, from any thread."""


class LineTrouble(SinyalError):
    """A line, or the whole adapter, cannot be used."""

    exit_code = 3


class Line(NamedTuple):
    """A line by its name in the configuration.

    chip: "gpiochip0" unless another is named, "led" for a kernel LED. name: the number on the chip, or the
    LED's name.
    """

    chip: str
    name: str
    is_active_low: bool

    @property
    def number(self) -> int:
        """Return the number on its chip; raises LineTrouble for a kernel LED."""
        if self.chip == "led":
            raise LineTrouble(
                _("the kernel LED {name} can only be a light").format(name=self.name),
                _("give this role a line with a number"),
            )
        return int(self.name)

    def __str__(self) -> str:
        """Return it as it stands in the configuration."""
        return f"{'!' if self.is_active_low else ''}{self.chip}:{self.name}"


def parse_line(text: str) -> Line:
    """Return the line that `text`, checked by the configuration already, names."""
    bare = text.removeprefix("!")
    chip, colon, name = bare.partition(":")
    return Line(chip, name, bare != text) if colon else Line("gpiochip0", bare, bare != text)


class Output(Protocol):
    """A line that is driven. Closing it leaves it to its pull resistor: the relay's contact closes."""

    def write(self, active: bool) -> None:
        """Set the level; raises LineTrouble when the device is gone."""

    def close(self) -> None:
        """Give the line back."""


class Input(Protocol):
    """A line that is watched."""

    def read(self) -> bool:
        """Return the level now, not debounced."""

    def close(self) -> None:
        """Give the line back; nothing is told any more."""


class Sounder(Protocol):
    """A line with a buzzer."""

    def sound(self, pitch_hz: float | None) -> None:
        """Sound at a pitch until told otherwise; None is silence."""

    def close(self) -> None:
        """Fall silent and give the line back."""


class Adapter(Protocol):
    """Who gives lines out. All three raise LineTrouble."""

    def output(self, line: Line) -> Output:
        """Return a line as an output that is inactive from the first moment."""

    def input(self, line: Line, changed: Changed) -> Input:
        """Return a line as an input with a pull towards inactive."""

    def sounder(self, line: Line) -> Sounder:
        """Return a line as a buzzer that is silent."""

    def close(self) -> None:
        """Give back all that was given out."""
