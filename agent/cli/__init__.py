"""What a person types: one file per command, `main.py` holds the table of them."""

from agent.late_modules import DAEMON_NEVER_NEEDS, load_late

load_late(DAEMON_NEVER_NEEDS)
