"""Asking about the budget: the daemon when it runs, else the files it left.

Both spend from one purse. Without a daemon each question opens the database for its own moment only, so that
a daemon which starts during a speed test finds it free, and the test's end is then told to that daemon.
"""

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agent.budget import tables
from agent.budget.billing import billing_day, billing_month
from agent.budget.desk import Desk
from agent.budget.ledger import Ledger, month_state
from agent.budget.limits import limits_of
from agent.budget.report import budget_document
from agent.buffer.opening import file_bytes, log_file
from agent.buffer.store import Store
from agent.collectors.clock import AGENT_BIRTH_TS
from agent.config.model import Config
from agent.errors import NoPermission, SinyalError, StoreUnusable
from agent.language import _
from agent.pipeline.budget_control import budget_answerers
from agent.pipeline.control_client import ask_daemon
from agent.pipeline.snapshot import daemon_runs

DATABASE_NAME = "sinyal.db"


def ask_budget(config: Config, ask: str, **details: object) -> dict[str, Any]:
    """Return the answer to a question of budget_answerers; raises SinyalError."""
    if _daemon_runs(config):
        answer = ask_daemon(config.paths.runtime, ask, **details)
        return {name: value for name, value in answer.items() if name not in ("v", "ok")}
    with open_store(config) as store:
        ledger = Ledger(store, limits_of(config.budget), _now)
        ledger.load()
        desk = Desk(ledger, store, config.throughput, config.gateway.id)
        answer = dict(budget_answerers(desk)[ask](details))
        ledger.close()
        return answer


@contextlib.contextmanager
def open_store(config: Config) -> Iterator[Store]:
    """Open the database of an agent that does not run; raises NoPermission, StoreUnusable or SinyalError."""
    _require_folder(config.paths.state)
    store = Store(
        config.paths.state / DATABASE_NAME,
        max_bytes=config.buffer.max_bytes,
        commit_interval_s=config.effective_commit_interval_s(),
        commit_readings=config.buffer.commit_readings,
        keep_days=config.buffer.keep_days,
    )
    try:
        store.open()
        yield store
    finally:
        store.close()
        _give_to_owner(config.paths.state)


def budget_document_now(config: Config) -> dict[str, Any]:
    """Return the budget's document; without a daemon it is read, and nothing is changed."""
    if _daemon_runs(config):
        return ask_budget(config, "budget")
    limits = limits_of(config.budget)
    now_ts = time.time()
    day = billing_day(now_ts)
    database = config.paths.state / DATABASE_NAME
    days: dict[int, dict[str, int]] = {}
    if _exists(database):
        first = billing_month(day, limits.begins_on).first
        days, reserve = _read(database, first)
        if reserve:
            uses = days.setdefault(day, {})
            uses["other"] = uses.get("other", 0) + reserve
    return budget_document(month_state(days, limits, day), limits, now_ts)


def _now() -> tuple[float, bool]:
    ts = time.time()
    return ts, ts >= AGENT_BIRTH_TS


def _daemon_runs(config: Config) -> bool:
    return daemon_runs(config.paths.runtime)


def _read(database: Path, first_day: int) -> tuple[dict[int, dict[str, int]], int]:
    # Without a log nothing is missing, and an immutable file gets no side files that somebody else would own.
    has_log = file_bytes(log_file(database)) > 0
    failure: sqlite3.Error | None = None
    for mode in ("mode=ro", "immutable=1") if has_log else ("immutable=1",):
        try:
            uri = f"{database.absolute().as_uri()}?{mode}"
            connection = sqlite3.connect(uri, uri=True, timeout=1.0)
            try:
                return tables.used_since(connection, first_day), tables.reserve(connection)
            finally:
                connection.close()
        except sqlite3.Error as error:
            failure = error
    if not os.access(database, os.R_OK, effective_ids=True):
        raise NoPermission(
            _("no permission to read {path}").format(path=database),
            _("use sudo, or add this user to the group sinyal"),
        )
    raise StoreUnusable(
        _("The reading database {path} cannot be read: {reason}").format(path=database, reason=failure),
        _("start the agent, then ask again"),
    )


def _exists(path: Path) -> bool:
    try:
        path.stat()
    except PermissionError:
        raise NoPermission(
            _("no permission to read {path}").format(path=path),
            _("use sudo, or add this user to the group sinyal"),
        ) from None
    except OSError:
        return False
    return True


def _require_folder(state: Path) -> None:
    if not _exists(state):
        raise SinyalError(
            _("there is no folder {folder}").format(folder=state),
            _("start the agent once, or correct paths.state"),
        )
    if not os.access(state, os.W_OK | os.X_OK, effective_ids=True):
        raise NoPermission(
            _("no permission to write in {folder}").format(folder=state),
            _("run as the user sinyal or with sudo"),
        )


def _give_to_owner(state: Path) -> None:
    """Let a database that root has just made belong to the agent's user, as its folder does."""
    if os.geteuid() == 0:
        owner = state.stat()
        for file in state.glob(f"{DATABASE_NAME}*"):
            os.chown(file, owner.st_uid, owner.st_gid)
