"""What a visitor of the demo sees: one line a reading, decoded from what the broker received."""

import json
import textwrap
from pathlib import Path
from typing import NamedTuple

from agent import __version__, screen
from agent.contract.catalogue import Row
from agent.errors import BatchUnreadable
from agent.language import _, ngettext
from agent.wire.columns import Batch

HEADER_EVERY = 18
"""Readings between two headers, so that one is always on a screen of 24 lines."""

BAR_WIDTH = 8


class Cost(NamedTuple):
    """What the agent took of this machine: memory (RSS), and the share of one processor since its start."""

    memory_bytes: int
    processor_share: float


class View:
    """Prints the demo line by line, so that it reads the same on a terminal, in a pipe and in a log."""

    def __init__(self) -> None:
        self._rows = 0
        self._messages = 0
        self._bytes = 0
        self._seqs: set[tuple[str, int]] = set()
        self._late = 0
        self._draining = False
        self._state = ""

    def welcome(self, folder: Path) -> None:
        """Say what is about to be seen."""
        _say("")
        _say(screen.fit((f"Sinyal {__version__}", _("a village gateway at work"), _("Ctrl-C ends it"))))
        _say("")
        _say(_("  simulated modem --> agent --> cable --> MQTT 5 broker --> this screen"))
        _say("")
        _say(_("The agent asks the modem every 2 seconds, keeps each reading in its database and"))
        _say(_("sends two at a time. Each line below is a reading the broker has received."))
        _say(screen.fit((_("All of it lives in {folder} and is removed at the end.").format(folder=folder),)))
        _say("")

    def status(self, payload: bytes) -> None:
        """Show that the gateway came or went."""
        try:
            state = json.loads(payload).get("state")
        except (ValueError, AttributeError):
            return
        words = {
            "online": _("the gateway has connected"),
            "offline": _("the gateway says goodbye"),
            "lost": _("the gateway is gone without a goodbye"),
        }
        # A gateway that reconnects says "online" again; a visitor wants to know it once.
        if state in words and state != self._state:
            self._state = state
            _rule(words[state])

    def batch(self, batch: Batch, payload_bytes: int) -> None:
        """Show the readings of one message; a reading that came before is not counted twice."""
        self._messages += 1
        self._bytes += payload_bytes
        for row in batch.rows:
            key = (batch.epoch, int(row["seq"] or 0))
            if key in self._seqs:
                continue
            self._seqs.add(key)
            if self._rows % HEADER_EVERY == 0:
                _say(
                    _row_text(
                        _("time WIB"), _("no."), _("operator"), _("signal"), "", _("quality"), _("queue"), ""
                    )
                )
            self._rows += 1
            self._late += batch.late
            _say(_reading_text(row, late=batch.late))
        if self._draining and batch.rows and not batch.late and _queue_of(batch.rows[-1]) <= len(batch.rows):
            self._draining = False
            _rule(
                _("the queue is empty again: nothing was lost")
                if not self._gaps()
                else _("readings are missing")
            )

    def unreadable(self, problem: BatchUnreadable) -> None:
        """Show that a message was no batch of readings."""
        _rule(problem.what)

    def cable_cut(self, seconds: float) -> None:
        """Say that the uplink is cut now."""
        _rule(
            _("the uplink is cut for {seconds} seconds; the gateway goes on measuring").format(
                seconds=f"{seconds:.0f}"
            )
        )

    def agent_says(self, line: str) -> None:
        """Show a warning from the agent's own log."""
        for part in textwrap.wrap(line, screen.COLUMNS - 4):
            _say("    " + part)

    def queue_grows(self, waiting: int) -> None:
        """Show how many readings wait on the gateway."""
        text = ngettext("{n} reading waits on the gateway", "{n} readings wait on the gateway", waiting)
        _say(f"  {'#' * min(waiting, 40):<2} " + text.format(n=waiting))

    def cable_mended(self, waiting: int) -> None:
        """Say that the uplink is back."""
        self._draining = waiting > 0
        _rule(_("the uplink is back; the newest readings come first, then the waiting ones"))

    def goodbye(self, cost: Cost | None) -> None:
        """Sum up what arrived, and what the agent has cost."""
        _say("")
        if not self._rows:
            _say(_("No reading has arrived."))
            return
        each = screen.number(self._bytes / self._rows)
        _say(
            _(
                "{rows} readings arrived in {messages} messages, {each} bytes a reading; {late} of them late."
            ).format(rows=self._rows, messages=self._messages, each=each, late=self._late)
        )
        missing = self._gaps()
        _say(
            _("Reading numbers without a gap: nothing was lost.")
            if not missing
            else ngettext("{n} reading is missing.", "{n} readings are missing.", missing).format(n=missing)
        )
        if cost is not None:
            _say(
                _(
                    "The agent took {memory} MB of memory and {cpu} % of one processor, its start included."
                ).format(
                    memory=screen.number(cost.memory_bytes / 1024 / 1024, 1),
                    cpu=screen.number(100 * cost.processor_share, 1),
                )
            )

    def _gaps(self) -> int:
        seqs = [seq for _epoch, seq in self._seqs]
        return max(seqs) - min(seqs) + 1 - len(seqs) if seqs else 0


def _reading_text(row: Row, *, late: bool) -> str:
    level = screen.level_bar(dict(row), BAR_WIDTH)
    technology = screen.TECHNOLOGIES.get(str(row.get("access_technology")), "")
    operator = " ".join(part for part in (str(row.get("operator_name") or "-"), technology) if part)
    return _row_text(
        screen.wib_clock(float(row["ts"] or 0)),
        str(row["seq"]),
        operator,
        level[0] if level else screen.word("modem_state", row.get("modem_state")),
        f"[{level[1]}]" if level else "",
        screen.word("signal_class", row.get("signal_class")) if level else "",
        str(row.get("buffer_unsent", "-")),
        _("late") if late else "",
    )


def _row_text(*cells: str) -> str:
    widths = (8, 5, 18, 8, BAR_WIDTH + 2, 12, 5, 7)
    aligned = (f"{cell[:width]:<{width}}" for cell, width in zip(cells, widths, strict=True))
    return " ".join(aligned).rstrip()[: screen.COLUMNS]


def _queue_of(row: Row) -> int:
    return int(row.get("buffer_unsent") or 0)


def _rule(text: str) -> None:
    _say(f"--- {text} ".ljust(screen.COLUMNS, "-")[: screen.COLUMNS])


def _say(line: str) -> None:
    print(line, flush=True)
