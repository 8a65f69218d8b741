"""What the operating system tells: the uplink is up, the time is known, a modem came or went.

hook ──▶ control socket ──▶ noted (answered at once) ──▶ "events" (a thread that lives while there is work)

A hook waits for nothing, and the same event in a burst (a modem brings six ports) is worked on once.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

from agent.errors import UsageMistake
from agent.language import _
from agent.pipeline.control import Answerer, Question

log = logging.getLogger("sinyal")

ASK = "event"

Steps = tuple[tuple[float, Callable[[], bool | None]], ...]
"""What is done for an event: each step after a pause in seconds; one that returns True was enough."""

MAX_SHOWN_CHARS = 64


class SystemEvents:
    """Does what events ask for, in a thread of its own; reactions: the steps for each event's name."""

    def __init__(self, reactions: Mapping[str, Steps]) -> None:
        self._reactions = reactions
        self._lock = threading.Lock()
        self._waiting: dict[str, None] = {}
        self._is_working = False
        self._stop = threading.Event()

    def answerers(self) -> Mapping[str, Answerer]:
        """Return what is done for the question that a hook asks."""
        return {ASK: self._note}

    def stop(self) -> None:
        """Begin nothing more."""
        self._stop.set()

    def _note(self, question: Question) -> Mapping[str, Any]:
        name = question.get("name")
        if not isinstance(name, str) or name not in self._reactions:
            raise UsageMistake(
                _("the running agent knows no event of this name"),
                _("use one of: {names}").format(names=", ".join(self._reactions)),
            )
        detail = question.get("detail")
        shown = detail[:MAX_SHOWN_CHARS] if isinstance(detail, str) and detail.isprintable() else ""
        with self._lock:
            is_news = name not in self._waiting
            self._waiting[name] = None
            starts = not self._is_working
            self._is_working = True
        if is_news:
            log.info(_("the system tells: {name} {detail}").format(name=name, detail=shown).rstrip())
        if starts:
            try:
                threading.Thread(target=self._work, name="events", daemon=True).start()
            except RuntimeError:  # no room for a thread: the next event tries again
                with self._lock:
                    self._is_working = False
                raise
        return {"noted": name}

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting or self._stop.is_set():
                    self._is_working = False
                    return
                name = next(iter(self._waiting))
                del self._waiting[name]
            try:
                self._react(name)
            except Exception:  # the edge of the thread: the next event is worked on all the same
                log.exception(_("unexpected fault after the event {name}").format(name=name))

    def _react(self, name: str) -> None:
        for pause_s, step in self._reactions[name]:
            if (pause_s and self._stop.wait(pause_s)) or step() or self._stop.is_set():
                return
            if name in self._waiting:  # it has happened again: begin anew
                return
