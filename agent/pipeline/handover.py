"""From the command line to the daemon: the same process, begun anew with what a daemon needs and no more.

Reading the command line and the configuration takes argparse, tomllib and the tables of every key, and their
memory never comes back. `sinyal run` therefore replaces itself (execve keeps the process id) and hands the
checked values on through a pipe; nothing of them can be seen in the list of processes.
"""

import fcntl
import json
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from agent.language import current_language

log = logging.getLogger("sinyal")

MODULE = "agent.pipeline"


class Handed(NamedTuple):
    """What the daemon is given: every value by "section.key", the file they came from, the language."""

    values: Mapping[str, Any]
    file: Path
    language: str


def hand_over(values: Mapping[str, Any], file: Path, arguments: Sequence[str]) -> None:
    """Become the daemon; arguments are for whoever looks at the list of processes.

    Returns only where that is not possible: the caller then goes on as it is.
    """
    document = {"values": values, "file": str(file), "language": current_language()}
    content = json.dumps(document, default=str).encode()
    reader, writer = os.pipe()
    try:
        # The pipe has to hold all of it: nobody reads before the new beginning.
        if fcntl.fcntl(writer, fcntl.F_GETPIPE_SZ) > len(content) and sys.executable:
            os.write(writer, content)
            os.close(writer)
            writer = -1
            os.set_inheritable(reader, True)
            home = str(Path(__file__).parents[2])
            known = os.environ.get("PYTHONPATH")
            environment = {**os.environ, "PYTHONPATH": f"{home}{os.pathsep}{known}" if known else home}
            # -P: a folder called "agent" where somebody happens to stand is not ours.
            begun = [sys.executable, "-P", "-m", MODULE, str(reader), *arguments]
            sys.stdout.flush()
            sys.stderr.flush()
            os.execve(sys.executable, begun, environment)  # noqa: S606 -- no shell is the point
    except OSError:
        log.debug("no new beginning", exc_info=True)
    for end in (reader, writer):
        if end >= 0:
            os.close(end)


def take_over(descriptor: int) -> Handed:
    """Return what was handed over through the pipe `descriptor`; raises OSError or ValueError."""
    with os.fdopen(descriptor, "rb") as pipe:
        document = json.loads(pipe.read())
    return Handed(document["values"], Path(document["file"]), document["language"])
