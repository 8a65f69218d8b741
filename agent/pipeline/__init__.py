"""The one place where the stages are wired: collectors and modem into the buffer, the buffer into publish."""

from agent.late_modules import DAEMON_NEVER_NEEDS, load_late

load_late(DAEMON_NEVER_NEEDS)
