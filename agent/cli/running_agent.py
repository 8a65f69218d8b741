"""What only the running agent can do: where it is asked, or that it does not run."""

import argparse
from pathlib import Path

from agent.cli.modem_line import configured
from agent.errors import SinyalError
from agent.language import _
from agent.pipeline.snapshot import daemon_runs


def runtime_of_running(args: argparse.Namespace) -> Path:
    """Return the runtime folder of the agent that runs; raises SinyalError when none does."""
    runtime: Path = configured(args)["paths.runtime"]
    if not daemon_runs(runtime):
        raise SinyalError(
            _("the agent does not run, only it can do this"), _("start it: sudo service sinyal start")
        )
    return runtime
