"""What making room has cost: counted in the file for ever, and told in at most one event an hour of a kind.

What is not told yet is counted in the file too, in the transaction that folds or drops: a gateway whose power
fails every day still tells all of it, and a year offline makes no flood of events.
"""

import sqlite3
from typing import Final

from agent.contract.events import Evidence

TELL_EVERY_S = 3600.0
FOLDED: Final = "folded"
DROPPED: Final = "dropped"
FULL: Final = "full"
KINDS = (FOLDED, DROPPED, FULL)
"""As `what` of event/buffer; full: readings met a full file and waited until room was made."""


def count(connection: sqlite3.Connection, kind: str, rows: int, first_seq: int, last_seq: int) -> None:
    """Count `rows` readings of first_seq to last_seq, inside the caller's transaction.

    A reading counts once: one that is folded again, from minutes into an hour, is not to be in `rows`.
    """
    if not rows:
        return
    add = "INSERT INTO counters VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = "
    connection.execute(f"{add}value + excluded.value", (kind, rows))
    connection.execute(f"{add}value + excluded.value", (f"{kind}_untold", rows))
    connection.execute(f"{add}min(value, excluded.value)", (f"{kind}_untold_first", first_seq))
    connection.execute(f"{add}max(value, excluded.value)", (f"{kind}_untold_last", last_seq))


class RoomCosts:
    """Decides when what was counted is told; both methods may raise sqlite3.Error."""

    def __init__(self) -> None:
        self._told_at: dict[str, float] = {}
        self._telling: set[str] = set()

    def news(self, connection: sqlite3.Connection, now_s: float) -> dict[str, Evidence]:
        """Return what to tell now, by kind; the caller writes it together with `write`."""
        untold = dict(connection.execute("SELECT name, value FROM counters WHERE name GLOB '*_untold*'"))
        found: dict[str, Evidence] = {}
        for kind in KINDS:
            rows = untold.get(f"{kind}_untold", 0)
            due = now_s - self._told_at.get(kind, float("-inf")) >= TELL_EVERY_S
            if rows and due and kind not in self._telling:
                first, last = untold[f"{kind}_untold_first"], untold[f"{kind}_untold_last"]
                found[kind] = {"rows": rows, "seq_first": first, "seq_last": last}
                self._told_at[kind] = now_s
                self._telling.add(kind)
        return found

    def write(self, connection: sqlite3.Connection) -> None:
        """Take what `news` gave as told, inside the transaction that writes the events, before `count`."""
        for kind in self._telling:
            connection.execute("DELETE FROM counters WHERE name GLOB ?", (f"{kind}_untold*",))

    def note_written(self) -> None:
        """Forget what was to be told: the transaction is committed."""
        self._telling.clear()
