"""The planned speed tests: waits for their time and an idle line, and starts a child for each.

Has no thread: the agent's main thread calls tick() every few seconds, and nothing here waits.
"""

import contextlib
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.budget.desk import FAILED, Desk, OnPause, OverBudget, checked_result
from agent.budget.ledger import Now
from agent.budget.speed_size import OOKLA_REFUSED
from agent.budget.speed_times import RETRIES, RETRY_S, window_due
from agent.errors import SinyalError, StoreUnusable, UsageMistake
from agent.language import _

log = logging.getLogger("sinyal.throughput")

OUTPUT_NAME = "throughput.jsonl"

IDLE_FOR_S = 10.0
BUSY_SHARE = 0.1
"""The line is watched so long, and busy above this share of what it last carried."""

CHILD_LIMIT_S = 60.0


@dataclass(slots=True)
class _Attempt:
    """A planned test on its way. Without a pid the line is watched, or next_at is waited for."""

    day: int
    window: str
    tries: int = 0
    next_at: float = 0.0
    watched_from: tuple[float, int] | None = None
    pid: int | None = None
    number: int = 0
    ends_at: float = 0.0


class SpeedTester:
    """The planned tests. uplink_bytes gives the uplink's running count, None while there is no uplink."""

    def __init__(
        self,
        desk: Desk,
        runtime: Path,
        now: Now,
        uplink_bytes: Callable[[], int | None],
        is_online: Callable[[], bool],
    ) -> None:
        self._desk = desk
        self._output = runtime / OUTPUT_NAME
        self._now = now
        self._uplink_bytes = uplink_bytes
        self._is_online = is_online
        self._attempt: _Attempt | None = None
        self._started_ts: float | None = None
        self._done: set[tuple[int, str]] | None = None

    def tick(self) -> None:
        """Do what is due; a database that fails is asked again at the next call."""
        try:
            self._tick()
        except StoreUnusable as problem:
            log.debug("%s", problem.what)
        except SinyalError as problem:  # the database was replaced during a test
            self._attempt = None
            log.warning(problem.what)

    def close(self) -> None:
        """End a test that is running."""
        attempt = self._attempt
        if attempt is not None and attempt.pid is not None:
            self._kill(attempt.pid)
            with contextlib.suppress(SinyalError):
                self._desk.finish(attempt.number, {**FAILED, "reason": "stopped"})
        self._attempt = None

    def _tick(self) -> None:
        if self._attempt is None:
            self._attempt = self._due()
        attempt = self._attempt
        if attempt is None:
            return
        if attempt.pid is not None:
            self._look_after(attempt, attempt.pid)
        elif attempt.watched_from is not None:
            self._look_at_line(attempt, attempt.watched_from)
        elif time.monotonic() >= attempt.next_at:
            self._begin_to_watch(attempt)

    def _due(self) -> _Attempt | None:
        engine = self._desk.config.engine
        ts, trusted = self._now()
        if not trusted or not self._desk.is_configured(engine):
            return None
        if self._started_ts is None:
            self._started_ts = ts
        due = window_due(self._desk.gateway_id, ts, self._started_ts, self._desk.config.tests_per_day)
        if due is None:
            return None
        if self._done is None or all(day < due[0] for day, _window in self._done):
            self._done = self._desk.tested_windows(due[0])
        return None if due in self._done else _Attempt(*due)

    def _begin_to_watch(self, attempt: _Attempt) -> None:
        try:
            self._desk.offer(self._desk.config.engine, asked=False, now_ts=self._now()[0])
        except OverBudget:
            self._give_up(attempt, "over_budget")
            return
        except OnPause:
            self._give_up(attempt, OOKLA_REFUSED)
            return
        carried = self._uplink_bytes()
        if carried is None or not self._is_online():
            self._try_later(attempt, "offline")
            return
        attempt.watched_from = (time.monotonic(), carried)

    def _look_at_line(self, attempt: _Attempt, watched_from: tuple[float, int]) -> None:
        seconds = time.monotonic() - watched_from[0]
        if seconds < IDLE_FOR_S:
            return
        attempt.watched_from = None
        carried = self._uplink_bytes()
        if carried is None or carried < watched_from[1]:
            self._try_later(attempt, "offline")
            return
        kbit_s = (carried - watched_from[1]) * 8 / 1000 / seconds
        if kbit_s > BUSY_SHARE * self._desk.capacity_kbit_s():
            self._try_later(attempt, "busy")
            return
        self._start(attempt)

    def _start(self, attempt: _Attempt) -> None:
        try:
            begun = self._desk.begin(attempt.window, self._desk.config.engine, self._now()[0])
        except OverBudget:
            self._give_up(attempt, "over_budget")
            return
        except StoreUnusable:
            raise
        except SinyalError:  # somebody tests by hand
            self._try_later(attempt, "busy")
            return
        attempt.number = begun["number"]
        attempt.ends_at = time.monotonic() + CHILD_LIMIT_S
        self._note_done(attempt)
        try:
            attempt.pid = self._spawn(begun["request"])
        except OSError as fault:
            self._finish(attempt, {**FAILED, "bytes": 0, "reason": str(fault)})

    def _spawn(self, request: Mapping[str, Any]) -> int:
        # subprocess would cost the daemon a megabyte for two tests a day.
        command = [sys.executable, "-W", "ignore", "-m", "agent.budget.speed_child", json.dumps(request)]
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        to_file = (os.POSIX_SPAWN_OPEN, 1, str(self._output), flags, 0o600)
        return os.posix_spawn(sys.executable, command, os.environ, file_actions=[to_file])

    def _look_after(self, attempt: _Attempt, pid: int) -> None:
        try:
            ended, _status = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:  # whoever started the agent collects its children
            ended = pid
        if ended:
            self._finish(attempt, self._told())
        elif time.monotonic() >= attempt.ends_at:
            self._kill(pid)
            self._finish(attempt, {**FAILED, "reason": "too_slow"})

    def _told(self) -> Mapping[str, Any]:
        """Return what the child said last."""
        with contextlib.suppress(OSError, ValueError, UsageMistake, IndexError):
            return checked_result(json.loads(self._output.read_text(encoding="utf-8").splitlines()[-1]))
        return {**FAILED, "reason": "ended_early"}

    def _finish(self, attempt: _Attempt, result: Mapping[str, Any]) -> None:
        self._attempt = None
        found = self._desk.finish(attempt.number, result)
        kilobytes = found["bytes"] // 1000
        if found["state"] == "done":
            log.info(
                _("speed test: {down} kbit/s down, {up} kbit/s up, {kilobytes} kB used").format(
                    down=found["down_kbit_s"], up=found["up_kbit_s"], kilobytes=kilobytes
                )
            )
        else:
            log.warning(
                _("speed test failed: {reason}; {kilobytes} kB used").format(
                    reason=found["reason"], kilobytes=kilobytes
                )
            )

    def _try_later(self, attempt: _Attempt, reason: str) -> None:
        attempt.tries += 1
        attempt.next_at = time.monotonic() + RETRY_S
        if attempt.tries > RETRIES:
            self._give_up(attempt, reason)

    def _give_up(self, attempt: _Attempt, reason: str) -> None:
        self._desk.skip(attempt.window, attempt.day, self._desk.config.engine, reason, self._now()[0])
        self._note_done(attempt)
        self._attempt = None
        log.info(_("speed test of this window given up: {reason}").format(reason=reason))

    def _note_done(self, attempt: _Attempt) -> None:
        self._done = (self._done or set()) | {(attempt.day, attempt.window)}

    def _kill(self, pid: int) -> None:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
