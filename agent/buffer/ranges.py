"""Sets of seqs as a few ranges: 20,000 sent rows are one pair of numbers."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

SeqRange = tuple[int, int]
"""First and last seq, both included."""


class SeqRanges:
    """A set of whole numbers, held as ascending ranges that neither overlap nor touch."""

    def __init__(self, ranges: Iterable[SeqRange] = ()) -> None:
        self._ranges: list[SeqRange] = []
        for first, last in ranges:
            self.add(first, last)

    def __iter__(self) -> Iterator[SeqRange]:
        """Give the ranges in ascending order."""
        return iter(self._ranges)

    def __reversed__(self) -> Iterator[SeqRange]:
        """Give the ranges in descending order."""
        return reversed(self._ranges)

    def add(self, first: int, last: int) -> SeqRange:
        """Add all of first to last; return the range that holds them now."""
        left = bisect_left(self._ranges, first - 1, key=lambda known: known[1])
        right = bisect_right(self._ranges, last + 1, key=lambda known: known[0])
        for known in self._ranges[left:right]:
            first, last = min(first, known[0]), max(last, known[1])
        self._ranges[left:right] = [(first, last)]
        return first, last

    def remove(self, first: int, last: int) -> None:
        """Take all of first to last out of the set."""
        kept = []
        for known_first, known_last in self._ranges:
            if known_last < first or known_first > last:
                kept.append((known_first, known_last))
                continue
            if known_first < first:
                kept.append((known_first, first - 1))
            if known_last > last:
                kept.append((last + 1, known_last))
        self._ranges = kept

    def gaps(self, first: int, last: int) -> list[SeqRange]:
        """Return the ranges within first to last that are not in the set, ascending."""
        found = []
        for known_first, known_last in self._ranges[bisect_left(self._ranges, first, key=lambda r: r[1]) :]:
            if known_first > last:
                break
            if known_first > first:
                found.append((first, known_first - 1))
            first = known_last + 1
        if first <= last:
            found.append((first, last))
        return found
