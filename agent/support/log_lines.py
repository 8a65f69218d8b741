"""The agent's log, from wherever this system keeps it."""

import os
import shutil
import subprocess

from agent.errors import SinyalError
from agent.language import _

LINES = 2000
MOST_BYTES = 400_000
LIMIT_S = 8.0

SOURCES = (
    ("journalctl", "--unit=sinyal", "--no-pager", "--quiet", "--output=short-iso", f"--lines={LINES}"),
    ("logread", "-e", "sinyal", "-l", str(LINES)),
)
"""systemd's journal, OpenWrt's ring in memory."""


def read_log() -> str:
    """Return the newest lines; raises SinyalError when no log can be read, saying why."""
    why = _("neither journalctl nor logread is here")
    for command in SOURCES:
        program = shutil.which(command[0])
        if program is None:
            continue
        try:
            done = subprocess.run(
                [program, *command[1:]],
                capture_output=True,
                timeout=LIMIT_S,
                check=False,
                stdin=subprocess.DEVNULL,
                env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"},
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            why = f"{command[0]}: {error}"
            continue
        text = done.stdout[-MOST_BYTES:].decode("utf-8", "replace")
        if text.strip():
            return text
        why = f"{command[0]}: {done.stderr.decode('utf-8', 'replace').strip() or _('no lines of the agent')}"
    raise SinyalError(why, _("use sudo, or add this user to the group systemd-journal"))
