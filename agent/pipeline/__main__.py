"""The daemon itself, as `sinyal run` begins it: `python -m agent.pipeline DESCRIPTOR …` (see `handover`)."""

import sys

import agent.pipeline.a_lean_start  # noqa: F401 -- before sqlite3 is loaded by anybody else

# isort: split
from agent.config.model import config_of
from agent.errors import SinyalError
from agent.language import leave_catalogues_on_disk, use_language
from agent.pipeline.handover import take_over
from agent.pipeline.start import run_daemon


def main(arguments: list[str]) -> int:
    """Run the daemon with the configuration that waits in a pipe; return the exit code."""
    try:
        handed = take_over(int(arguments[0]))
    except (IndexError, ValueError, OSError):
        print("sinyal: this module is begun by the agent itself. Next step: sinyal run", file=sys.stderr)
        return 2
    leave_catalogues_on_disk()
    use_language(handed.language)
    try:
        return run_daemon(config_of(handed.values), file=handed.file)
    except SinyalError as error:
        from agent.screen import failure_line

        print(failure_line(error), file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
