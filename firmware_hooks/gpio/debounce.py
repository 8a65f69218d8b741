"""An input that bounces: which level it really has, and since when."""


class Debounce:
    """Takes a level for true once it has held for stable_s. Times are time.monotonic() seconds."""

    def __init__(self, level: bool, stable_s: float) -> None:
        self.level = level
        self._stable_s = stable_s
        self._new_since: float | None = None

    def edge(self, level: bool, at: float) -> None:
        """Take in a level that was seen at `at`; the same level again changes nothing."""
        if level == self.level:
            self._new_since = None
        elif self._new_since is None:
            self._new_since = at

    def settle(self, now: float) -> float | None:
        """Return the moment of the edge when the level has just become another one, else None."""
        since = self._new_since
        if since is None or now < since + self._stable_s:
            return None
        self.level, self._new_since = not self.level, None
        return since

    @property
    def due(self) -> float | None:
        """Return when `settle` should be asked, None when nothing is under way."""
        return None if self._new_since is None else self._new_since + self._stable_s
