"""What a command may ask of the reading database that the daemon holds; each answer is a short slice."""

import contextlib
import json
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from agent.buffer.keeper import Keeper
from agent.errors import StoreUnusable, UsageMistake
from agent.language import _
from agent.pipeline.control import MAX_ANSWER_BYTES, Answerer, Question

if TYPE_CHECKING:
    from agent.buffer.history import Page, Selection

Answer = TypeVar("Answer")

PAGE_ROWS = 60
"""Some 20 kB, and a millisecond or two of the keeper's time; a larger page only costs the daemon memory."""

NEWEST_EVENTS = 200

PAGE_BYTES = MAX_ANSWER_BYTES - 4096


def buffer_answerers(keeper: Keeper, database: Path, max_bytes: int) -> Mapping[str, Answerer]:
    """Return what is done for each question about the database."""

    def count(question: Question) -> Mapping[str, Any]:
        from agent.buffer.history import count_slice

        first, last = _range_in(question)
        return _read(keeper, database, lambda connection: count_slice(connection, first, last))

    return {
        "buffer_stats": lambda _question: _stats(keeper, database, max_bytes),
        "buffer_page": lambda question: _page(keeper, database, question),
        "buffer_count": count,
        "buffer_events": lambda _question: {"events": _newest_events(keeper, database)},
        "buffer_resend": lambda question: _resend(keeper, question),
    }


def _stats(keeper: Keeper, database: Path, max_bytes: int) -> Mapping[str, Any]:
    # Seldom needed, and the daemon has to be small.
    from agent.buffer.history import overview
    from agent.buffer.room import room_of

    _write_what_waits(keeper)
    seen = _read(keeper, database, overview)
    counts = keeper.counts()
    return {
        **seen,
        "stored": counts.stored,
        "unsent": counts.unsent,
        "quarantined": counts.quarantined,
        **room_of(database),
        "max_bytes": max_bytes,
    }


def _page(keeper: Keeper, database: Path, question: Question) -> Mapping[str, Any]:
    from agent.buffer.history import START, columns_of, read_page

    selection, after = _selection_in(question), _cursor_in(question)
    if after == START:
        _write_what_waits(keeper)
    columns, page = _read(
        keeper,
        database,
        lambda connection: (
            columns_of(connection),
            read_page(connection, selection, after, limit=PAGE_ROWS),
        ),
    )
    return _page_document(page, columns)


def _page_document(page: "Page", columns: list[str]) -> dict[str, Any]:
    """Return a page as it is told: {"columns", "rows": a list of values for each, "after"}.

    A page too long for an answer is cut, and then `after` says where it was.
    """
    from agent.buffer.history import cursor_of

    names = list(dict.fromkeys(("epoch", *columns, *(name for row in page.rows for name in row))))
    rows, after = page.rows, page.after
    while True:
        told = {"columns": names, "rows": [[row.get(name) for name in names] for row in rows], "after": after}
        if len(rows) <= 1 or len(json.dumps(told)) <= PAGE_BYTES:
            return told
        rows = rows[: len(rows) // 2]
        after = cursor_of(rows[-1])


def _newest_events(keeper: Keeper, database: Path) -> list[dict[str, Any]]:
    """Return the newest events, as many as an answer holds."""
    from agent.buffer.event_log import newest_events

    events = _read(keeper, database, lambda connection: newest_events(connection, NEWEST_EVENTS))
    while events and len(json.dumps(events)) > PAGE_BYTES:
        events = events[len(events) // 4 + 1 :]
    return events


def _resend(keeper: Keeper, question: Question) -> Mapping[str, Any]:
    from agent.buffer.history import COUNTED_AT_ONCE

    first, last = _range_in(question)
    last = min(last, first + COUNTED_AT_ONCE - 1)
    return {"rows": keeper.resend(first, last), "last_seq": last}


def _read(keeper: Keeper, database: Path, ask: Callable[[sqlite3.Connection], Answer]) -> Answer:
    from agent.buffer.faults import damaged
    from agent.buffer.history import UNREADABLE

    try:
        return keeper.read(ask)
    except UNREADABLE:
        raise damaged(database) from None


def _write_what_waits(keeper: Keeper) -> None:
    # A disk that takes nothing more can still be read.
    with contextlib.suppress(StoreUnusable):
        keeper.commit()


def _range_in(question: Question) -> tuple[int, int]:
    first, last = _whole(question, "first_seq"), _whole(question, "last_seq")
    if first is None or last is None or not 1 <= first <= last:
        raise _not_understood()
    return first, last


def _selection_in(question: Question) -> "Selection":
    from agent.buffer.history import Selection

    bounds = {name: _whole(question, name) for name in ("first_seq", "last_seq", "since_ts", "until_ts")}
    known: dict[str, Any] = {name: value for name, value in bounds.items() if value is not None}
    return Selection(**known, unsent_only=question.get("unsent_only") is True)


def _cursor_in(question: Question) -> tuple[str, int]:
    match question.get("after"):
        case [str() as epoch, seq]:
            return epoch, _checked(seq)
    raise _not_understood()


def _whole(question: Question, name: str) -> int | None:
    value = question.get(name)
    return None if value is None else _checked(value)


def _checked(value: object) -> int:
    # isinstance() would take True for an int.
    if type(value) is not int or abs(value) >= 2**63:
        raise _not_understood()
    return value


def _not_understood() -> UsageMistake:
    return UsageMistake(
        _("the running agent does not know this question"),
        _("it may be of another version; restart it: sudo service sinyal restart"),
    )
