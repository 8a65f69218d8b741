"""Keeping and reading aimings from a command: through the running agent, else in the file it left."""

from collections.abc import Mapping
from typing import Any

from agent.aim.sessions import checked_session, keep, kept_sessions
from agent.buffer import DATABASE_NAME
from agent.config.model import Config
from agent.pipeline.aim_control import SESSIONS_AN_ANSWER, beginning_of
from agent.pipeline.budget_client import open_store
from agent.pipeline.control_client import ask_daemon
from agent.pipeline.link_history import left_behind
from agent.pipeline.snapshot import daemon_runs


def keep_session(config: Config, session: Mapping[str, Any]) -> None:
    """Keep a session that ends now; raises SinyalError."""
    if daemon_runs(config.paths.runtime):
        ask_daemon(config.paths.runtime, "aim_keep", session=session)
        return
    kept = checked_session(session)
    uptime_s, ts = beginning_of(kept)
    with open_store(config) as store:
        store.write(lambda connection: keep(connection, kept, store.boot, uptime_s, ts))


def sessions(config: Config) -> list[dict[str, Any]]:
    """Return the sessions that were kept, the newest first; raises SinyalError."""
    if daemon_runs(config.paths.runtime):
        found: list[dict[str, Any]] = ask_daemon(config.paths.runtime, "aim_history")["sessions"]
        return found
    with left_behind(config.paths.state / DATABASE_NAME) as opened:
        return [] if opened is None else kept_sessions(*opened, SESSIONS_AN_ANSWER)
