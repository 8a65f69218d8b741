"""Lines of rows on stdout: UTF-8 whatever the terminal says, and one clear error when they find no place."""

import os
import sys
from collections.abc import Iterable

from agent.errors import SinyalError
from agent.language import _, system_reason


def write_lines(lines: Iterable[str]) -> None:
    """Write lines, each with its newline, and flush; raises BrokenPipeError or SinyalError."""
    out = sys.stdout.buffer
    try:
        out.writelines(line.encode("utf-8") for line in lines)
        # Whoever watches a live subscription waits for these rows.
        out.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        # What is still waiting to be written must not complain again when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SinyalError(
            _("the rows cannot be written: {reason}").format(reason=system_reason(error.strerror)),
            _("check the space and the place where stdout goes"),
        ) from None
