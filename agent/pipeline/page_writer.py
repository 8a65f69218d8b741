"""Has the village page written every few minutes, by a process that lives for a moment.

In the daemon itself the code of the page would stay in memory for good; so it is `sinyal page` that asks
the daemon, writes, and ends. It is started by posix_spawn: no copy of the daemon, no `subprocess`.
"""

import contextlib
import logging
import os
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from agent.buffer.keeper import Keeper
from agent.config.model import PageConfig
from agent.language import _, current_language
from agent.link.tables import Correct
from agent.pipeline.control import Answerer, Question

log = logging.getLogger("sinyal.page")

LIMIT_S = 120.0
"""A page that is not written by then never will be."""

CHANGE_PAUSE_S = 20.0
"""After a writing, a change of state is written no sooner than this."""


def page_answerers(
    keeper: Keeper, corrector: Callable[[sqlite3.Connection], Correct]
) -> Mapping[str, Answerer]:
    """Return what is done for the question of the process that writes the page."""

    def page(_question: Question) -> Mapping[str, Any]:
        # Where no page is wanted, nothing of it is loaded.
        from agent.pipeline.page_facts import page_facts

        return keeper.read(lambda connection: page_facts(connection, corrector(connection), time.time()))

    return {"page": page}


class PageWriter:
    """Used by the daemon's main thread.

    file: the configuration, for the process that writes. state: when what it gives changes, the page is
    written at once.
    """

    def __init__(self, page: PageConfig, file: Path, state: Callable[[], object]) -> None:
        self._is_wanted = page.folder is not None
        self._interval_s = page.interval_s
        self._file = file
        self._state = state
        self._written_state: object = None
        self._began_s: float | None = None
        self._process: int | None = None

    def tick(self) -> None:
        """Begin a writing where one is due; to be called every few seconds."""
        if not self._is_wanted:
            return
        now_s = time.monotonic()
        if self._process is not None:
            self._look_after(now_s)
        state = self._state()
        since_s = now_s - self._began_s if self._began_s is not None else self._interval_s
        has_changed = state != self._written_state and since_s >= CHANGE_PAUSE_S
        if self._process is None and (since_s >= self._interval_s or has_changed):
            self._began_s, self._written_state = now_s, state
            self._begin()

    def close(self) -> None:
        """End a writing that is under way: the page of before stays."""
        if self._process is not None:
            with contextlib.suppress(OSError):
                os.kill(self._process, signal.SIGKILL)
                os.waitpid(self._process, 0)
            self._process = None

    def _begin(self) -> None:
        home = str(Path(__file__).parents[2])
        known = os.environ.get("PYTHONPATH")
        environment = {**os.environ, "PYTHONPATH": f"{home}{os.pathsep}{known}" if known else home}
        command = [sys.executable, "-P", "-m", "agent", "page"]
        if self._file.exists():  # else everything comes from the environment
            command += ["--config", str(self._file)]
        nothing = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
        try:
            self._process = os.posix_spawn(
                sys.executable, [*command, "--lang", current_language()], environment, file_actions=nothing
            )
        except OSError as error:
            log.warning(_("the village page cannot be written: {reason}").format(reason=error))

    def _look_after(self, now_s: float) -> None:
        assert self._process is not None
        assert self._began_s is not None
        try:
            process, status = os.waitpid(self._process, os.WNOHANG)
        except OSError:
            self._process = None
            return
        if process:
            self._process = None
            code = os.waitstatus_to_exitcode(status)
            if code:
                log.warning(_("the village page was not written (exit code {code})").format(code=code))
        elif now_s - self._began_s > LIMIT_S:
            self.close()
            log.warning(
                _("the writing of the village page took more than {seconds} s").format(seconds=round(LIMIT_S))
            )
