"""`sinyal run`: the agent in the foreground, as a service manager starts it."""

import argparse
import sys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `sinyal run`: none beside the common ones."""


def run(args: argparse.Namespace) -> int:
    """Run the agent until SIGTERM or Ctrl-C."""
    loaded = args.configuration.load()
    # A mistake in the configuration is told before MQTT, the serial port and the database are loaded.
    from agent.pipeline.handover import hand_over

    hand_over(loaded.values, loaded.path, ["sinyal", *sys.argv[1:]])
    # This platform cannot begin anew: it goes on as it is.
    from agent.pipeline.start import run_daemon

    return run_daemon(loaded.config, file=loaded.path)
