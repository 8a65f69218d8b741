"""What the running daemon shows of itself: one small JSON file in the runtime folder (memory, not flash).

The daemon holds the reading database exclusively, so `sinyal status` reads this file instead. A lock
beside it tells whether the daemon lives: the kernel lets go of it however the process ends.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.errors import NoPermission, SinyalError
from agent.language import _

SNAPSHOT_NAME = "status.json"
LOCK_NAME = "sinyal.lock"

QUEUE_NAMES = (
    "stored", "unsent", "oldest_unsent_ts", "last_seq", "last_sent_ts", "bytes_used", "quarantined",
    "events_unsent", "folded", "dropped", "stored_seq",
)  # fmt: skip
LINK_NAMES = (
    "state", "since_ts", "last_ack_ts", "connects", "last_problem", "last_problem_code", "last_reason",
    "last_reason_code", "last_reason_ts", "wire_bytes", "attempts", "rows_sent", "batches_refused",
    "suspects", "stored_seq",
)  # fmt: skip
"""What the snapshot shows of BufferCounts and LinkHealth, under the same names."""

LOCK_PATIENCE_S = 1.0
"""`sinyal status` holds the lock for a blink to see whether anybody has it; a daemon waits that out."""


class DaemonLock:
    """Held by the one daemon of a runtime folder for as long as its process lives."""

    def __init__(self, runtime: Path) -> None:
        self._path = runtime / LOCK_NAME
        self._descriptor: int | None = None

    def take(self) -> None:
        """Take the lock; raises SinyalError naming the process that has it, or NoPermission."""
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except PermissionError:
            raise NoPermission(
                _("no permission to write {path}").format(path=self._path),
                _("run as the user sinyal or with sudo"),
            ) from None
        except OSError as fault:
            raise SinyalError(
                _("{path} cannot be written: {reason}").format(path=self._path, reason=fault.strerror),
                _("look at that disk with `df -h` and `dmesg`, or move paths.runtime"),
            ) from None
        if not _locked_within(descriptor, LOCK_PATIENCE_S):
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
            raise SinyalError(
                _("the agent already runs here (process {pid}, {path})").format(
                    pid=holder or "?", path=self._path
                ),
                _("stop that one first, or give this one its own paths.runtime and paths.state"),
            )
        with contextlib.suppress(OSError):  # a full disk: the lock holds all the same, without its name
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Let go of the lock; the file stays, because removing it would let two daemons in."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _locked_within(descriptor: int, patience_s: float) -> bool:
    until = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() >= until:
                return False
            time.sleep(0.05)
        else:
            return True


def daemon_runs(runtime: Path) -> bool:
    """Return whether a daemon holds the lock of this folder; raises NoPermission when it is closed to us."""
    try:
        descriptor = os.open(runtime / LOCK_NAME, os.O_RDONLY | os.O_CLOEXEC)
    except PermissionError:
        raise NoPermission(
            _("no permission to look into {folder}").format(folder=runtime),
            _("run as the user sinyal or with sudo"),
        ) from None
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


def shown_queue(counts: Any) -> dict[str, Any]:
    """Return how BufferCounts stand in the snapshot under "buffer"."""
    return {name: getattr(counts, name) for name in QUEUE_NAMES}


def shown_link(link: Any) -> dict[str, Any]:
    """Return how LinkHealth stands in the snapshot under "link"."""
    return {name: getattr(link, name) for name in LINK_NAMES}


def write_snapshot(runtime: Path, shown: Mapping[str, Any]) -> None:
    """Replace the snapshot in one step; a reader sees the old or the new one. Raises OSError."""
    target = runtime / SNAPSHOT_NAME
    beside = target.with_suffix(".new")
    import json

    # No fsync: the runtime folder is memory, and a power cut ends the daemon as well.
    beside.write_text(json.dumps(shown, ensure_ascii=False), encoding="utf-8")
    beside.replace(target)


def read_snapshot(runtime: Path) -> dict[str, Any] | None:
    """Return what the daemon last showed, or None when it showed nothing readable since boot."""
    with contextlib.suppress(OSError, ValueError):
        written = (runtime / SNAPSHOT_NAME).read_text(encoding="utf-8")
        # Only now: before an agent ever ran, `sinyal status` has no use for it.
        import json

        shown = json.loads(written)
        if isinstance(shown, dict):
            return shown
    return None
