"""What `outages` and `availability` share: they ask the running agent, else its database."""

import argparse
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from agent.buffer import DATABASE_NAME
from agent.config.load import LoadedConfig
from agent.errors import NoPermission, SinyalError
from agent.language import _
from agent.link.tables import Correct
from agent.pipeline.snapshot import daemon_runs

Answer = TypeVar("Answer")


def loaded(args: argparse.Namespace) -> LoadedConfig:
    """Return the configuration; raises ConfigMistake."""
    found = args.configuration.load()
    assert isinstance(found, LoadedConfig)
    return found


def answer(
    config: LoadedConfig,
    ask: Callable[[Path], Answer],
    look: Callable[[sqlite3.Connection, Correct], Answer],
) -> Answer | None:
    """Return what the running agent answers, else what its database tells, None before it ever ran.

    ask gets the runtime folder. Raises SinyalError.
    """
    runtime, state = config.config.paths.runtime, config.config.paths.state
    if daemon_runs(runtime):
        return ask(runtime)
    from agent.pipeline.link_history import left_behind

    try:
        with left_behind(state / DATABASE_NAME) as opened:
            return None if opened is None else look(*opened)
    except PermissionError:
        raise NoPermission(
            _("no permission to look into {folder}").format(folder=state),
            _("use sudo, or add this user to the group sinyal"),
        ) from None


def never_ran() -> SinyalError:
    """Return the problem of a gateway on which the agent never ran."""
    return SinyalError(
        _("there are no readings yet: the agent has never run here"), _("sudo service sinyal start")
    )
