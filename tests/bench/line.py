"""One line of the bench table."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Line:
    """What was measured, our figure, a peer's or the floor's in the same run, their ratio, and the limit."""

    what: str
    ours: str
    beside: str = ""
    ratio: str = ""
    limit: str = ""
    missed: bool = False

    COLUMNS: ClassVar[tuple[str, ...]] = ("what", "ours", "beside", "ratio", "limit")
