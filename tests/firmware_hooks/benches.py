"""A bench for GPIO: lines that a test moves and looks at, and a clock that only moves when told."""

from dataclasses import dataclass, field

from firmware_hooks.gpio.lines import Changed, Line


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@dataclass
class BenchLine:
    """An output with its history, or an input with who is told of it."""

    clock: Clock
    level: bool = False
    history: list[tuple[float, bool]] = field(default_factory=list)
    changed: Changed | None = None
    is_closed: bool = False
    pitches: list[tuple[float, float | None]] = field(default_factory=list)
    fails: bool = False

    def write(self, active: bool) -> None:
        if self.fails:
            raise OSError("the chip is gone")
        self.level = active
        self.history.append((self.clock.now, active))

    def read(self) -> bool:
        return self.level

    def sound(self, pitch_hz: float | None) -> None:
        self.pitches.append((round(self.clock.now, 3), pitch_hz))

    def close(self) -> None:
        self.is_closed = True

    def drive(self, level: bool) -> None:
        """Make an edge."""
        self.level = level
        assert self.changed is not None
        self.changed(level, self.clock.now)


class BenchAdapter:
    """Gives out BenchLines, by the name of the line."""

    def __init__(self, clock: Clock, **levels: bool) -> None:
        self.clock = clock
        self.levels = levels
        self.lines: dict[str, BenchLine] = {}
        self.is_closed = False

    def output(self, line: Line) -> BenchLine:
        return self._line(line)

    def input(self, line: Line, changed: Changed) -> BenchLine:
        found = self._line(line)
        found.level = self.levels.get(f"line{line.name}", False)
        found.changed = changed
        return found

    def sounder(self, line: Line) -> BenchLine:
        return self._line(line)

    def close(self) -> None:
        self.is_closed = True

    def _line(self, line: Line) -> BenchLine:
        return self.lines.setdefault(line.name, BenchLine(self.clock))
