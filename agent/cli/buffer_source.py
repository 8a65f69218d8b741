"""The way to the reading database: through the running daemon, which holds it, else straight to the file."""

import argparse
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from agent.buffer import DATABASE_NAME
from agent.buffer.history import (
    START,
    Cursor,
    Selection,
    columns_of,
    count_all,
    count_slice,
    overview,
    read_page,
)
from agent.buffer.room import room_of
from agent.buffer.untouched import check, opened_untouched
from agent.config.keys import DEFAULTS
from agent.contract.catalogue import Row, Value
from agent.errors import ConfigMistake, NoPermission, SinyalError, StoreUnusable
from agent.language import _
from agent.pipeline.control_client import DaemonSilent, ask_daemon
from agent.pipeline.snapshot import daemon_runs

PAGE_ROWS = 500

CHANGE_S = 3.0
"""An agent that is starting or stopping is given this time."""

LOOK_AGAIN_S = 0.2

Answer = Mapping[str, Any]
"""As `agent.pipeline.buffer_control` gives it."""


class BufferSource:
    """The database of one gateway; a daemon that starts or ends between two calls changes nothing.

    values: the configuration. All methods raise SinyalError.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values
        self._runtime: Path = values["paths.runtime"]
        self._path: Path = values["paths.state"] / DATABASE_NAME

    def stats(self) -> Answer:
        """Return what the database holds, as `buffer stats --json` shows it."""
        return self._read("buffer_stats", self._stats_here)

    def pages(self, selection: Selection) -> Iterator[tuple[list[str], list[Row]]]:
        """Give the wanted rows, some at a time, each time with the columns that rows may have."""
        after: Cursor | None = START
        while after is not None:
            at = after
            page = self._read(
                "buffer_page",
                lambda connection, at=at: _page_here(connection, selection, at),  # type: ignore[misc]
                after=at,
                **selection._asdict(),
            )
            names = page["columns"]
            yield names, [_known(names, values) for values in page["rows"]]
            after = tuple(page["after"]) if page["after"] else None

    def count(self, first_seq: int, last_seq: int) -> dict[str, int]:
        """Count the rows of a range: {"stored", "unsent", "quarantined"}."""
        total = {"stored": 0, "unsent": 0, "quarantined": 0}
        while first_seq <= last_seq:
            at = first_seq
            counted = self._read(
                "buffer_count",
                lambda connection, at=at: count_slice(connection, at, last_seq),  # type: ignore[misc]
                first_seq=at,
                last_seq=last_seq,
            )
            total = {name: total[name] + int(counted[name]) for name in total}
            first_seq = int(counted["last_seq"]) + 1
        return total

    def resend(self, first_seq: int, last_seq: int) -> int:
        """Let the rows of a range be sent again; return how many were not waiting already."""
        rows = 0
        while first_seq <= last_seq:
            done = self._either(
                "buffer_resend",
                partial(self._resend_here, first_seq, last_seq),
                first_seq=first_seq,
                last_seq=last_seq,
            )
            rows += int(done["rows"])
            first_seq = int(done["last_seq"]) + 1
        return rows

    # ---- through the daemon, or not ----

    def _read(self, ask: str, here: Callable[[sqlite3.Connection], Answer], **details: object) -> Answer:
        """Ask the daemon; without one, or when its own disk trouble keeps it from reading, read the file."""
        try:
            return self._either(ask, partial(self._opened, here), **details)
        except SinyalError as problem:
            if problem.exit_code != StoreUnusable.exit_code or isinstance(problem, StoreUnusable):
                raise
            try:
                return self._opened(here)
            except SinyalError:
                raise problem from None

    def _either(self, ask: str, here: Callable[[], Answer], **details: object) -> Answer:
        ends_at = time.monotonic() + CHANGE_S
        while True:
            runs = daemon_runs(self._runtime)
            try:
                return self._ask(ask, details) if runs else here()
            except (DaemonSilent, StoreUnusable):
                # An agent that starts has the lock a moment before it hears and opens its database.
                is_changing = runs or daemon_runs(self._runtime)
                if not is_changing or time.monotonic() > ends_at:
                    raise
            time.sleep(LOOK_AGAIN_S)

    def _ask(self, ask: str, details: Mapping[str, object]) -> Answer:
        return ask_daemon(self._runtime, ask, **details)

    # ---- straight to the file ----

    def _opened(self, here: Callable[[sqlite3.Connection], Answer]) -> Answer:
        with opened_untouched(self._path) as connection:
            return here(connection)

    def _stats_here(self, connection: sqlite3.Connection) -> Answer:
        seen = overview(connection)
        counted = count_all(connection, seen["first_seq"] or 1, seen["last_seq"] or 0)
        return {**seen, **counted, **room_of(self._path), "max_bytes": self._values["buffer.max_bytes"]}

    def _resend_here(self, first_seq: int, last_seq: int) -> Answer:
        # The store would move a damaged file aside; that is for the agent to do, which then salvages it.
        with opened_untouched(self._path) as connection:
            check(connection, self._path)
        for written in (self._path, self._path.parent):
            if not os.access(written, os.W_OK):
                raise NoPermission(
                    _("no permission to write {path}").format(path=written),
                    _("run as the user sinyal or with sudo"),
                )
        # Only now: nothing else here writes.
        from agent.buffer.store import Store

        # What the store logs is said here.
        logging.getLogger("sinyal").addHandler(logging.NullHandler())
        store = Store(
            self._path,
            max_bytes=self._values["buffer.max_bytes"],
            commit_interval_s=0,
            commit_readings=1,
            keep_days=self._values["buffer.keep_days"],
        )
        store.open()
        try:
            return {"rows": store.resend(first_seq, last_seq), "last_seq": last_seq}
        finally:
            store.close()


def _page_here(connection: sqlite3.Connection, selection: Selection, after: Cursor) -> Answer:
    page = read_page(connection, selection, after, limit=PAGE_ROWS)
    names = ["epoch", *columns_of(connection)]
    return {
        "columns": names,
        "rows": [[row.get(name) for name in names] for row in page.rows],
        "after": page.after,
    }


def _known(names: Sequence[str], values: Sequence[Value]) -> Row:
    return {name: value for name, value in zip(names, values, strict=True) if value is not None}


def buffer_source(args: argparse.Namespace) -> BufferSource:
    """Return the database that the configuration names, or on a box before its set-up the default one."""
    try:
        return BufferSource(args.configuration.load().values)
    except ConfigMistake:
        if not args.configuration.is_unconfigured():
            raise
        return BufferSource(DEFAULTS)
