"""`sinyal run` in which one worker hangs for ever: python -m tests.pipeline.hanging_agent WORKER CONFIG.

The limits are those of a hasty world, so that a test need not wait for a minute.
"""

import importlib
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent import pulse
from agent.config.load import load_config
from agent.language import use_language
from agent.pipeline import daemon, start
from agent.pipeline.steady_forwarder import SteadyForwarder

WORK_LIMIT_S = 6.0

STEPS = {
    "sampler": ("agent.collectors.host", "HostCollector", "collect"),
    "prober": ("agent.link.prober", "Prober", "_probe"),
    "keeper": ("agent.buffer.store", "Store", "append"),
    "forwarder": ("agent.publish.mqtt", "Connection", "open"),
    "main": ("agent.pipeline.measuring", "Measuring", "tick"),
}
"""The step in which each worker hangs, the second time it is taken."""


def hang(worker: str) -> None:
    """Let a step of this worker wait for a lock that nobody lets go."""
    module, class_name, name = STEPS[worker]
    owner = getattr(importlib.import_module(module), class_name)
    step: Callable[..., Any] = getattr(owner, name)
    lock = threading.Lock()
    lock.acquire()
    taken: list[None] = []

    def hanging(*args: Any, **kwargs: Any) -> Any:
        taken.append(None)
        if len(taken) > 1:
            lock.acquire()
        return step(*args, **kwargs)

    setattr(owner, name, hanging)


def main(worker: str, config: str) -> int:
    """Run the agent; WORKER "none" hangs nobody."""
    pulse.WORK_LIMIT_S = WORK_LIMIT_S
    daemon.LOOK_AFTER_S = 0.5
    defaults = SteadyForwarder.__init__.__kwdefaults__
    assert defaults is not None
    defaults["hangs_after_s"] = 2.0
    if worker in STEPS:
        hang(worker)
    use_language("en")
    return start.run_daemon(load_config(Path(config), os.environ).config, file=Path(config))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
