"""`sinyal run` that waits an hour from one try to connect to the next: python -m … CONFIG."""

import os
import sys
from pathlib import Path

from agent.config.load import load_config
from agent.language import use_language
from agent.pipeline.start import run_daemon
from agent.publish.backoff import Backoff


def main(config: str) -> int:
    """Run the agent."""
    setattr(Backoff, "next_s", lambda _backoff: 3600.0)  # noqa: B010 -- mypy minds the other way
    use_language("en")
    return run_daemon(load_config(Path(config), os.environ).config, file=Path(config))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
