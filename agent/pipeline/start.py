"""How the daemon begins: folders, log and locks; then the daemon has the process until it ends."""

import logging
import os
import sys
import time
from pathlib import Path

from agent import __version__
from agent.config.model import Config
from agent.errors import ConfigMistake, NoPermission, SinyalError
from agent.language import _
from agent.pipeline.daemon import Daemon
from agent.pipeline.heap import keep_one_arena
from agent.pipeline.snapshot import DaemonLock
from agent.pipeline.state_lock import StateLock
from agent.pipeline.stop_signal import StopSignal
from agent.pipeline.watchdog import put_off_alarm

log = logging.getLogger("sinyal")


def run_daemon(config: Config, *, file: Path) -> int:
    """Run the agent until it is told to stop; return the exit code. file is where `config` came from.

    Raises ConfigMistake without a gateway id, NoPermission when a folder cannot be made or written, and
    SinyalError when another agent already runs in these folders.
    """
    if not config.gateway.id:
        raise ConfigMistake(
            _("{file}: gateway.id is empty; the agent must know which gateway it is").format(file=file),
            _("sinyal config set gateway.id NAME"),
        )
    # A disk that hangs may hold us before there is anything to watch.
    put_off_alarm()
    _make_folder(config.paths.state, may_be_read_only=True)
    _make_folder(config.paths.runtime)
    keep_one_arena()
    _log_to_stderr()
    stop = StopSignal()
    lock, state_lock = DaemonLock(config.paths.runtime), StateLock(config.paths.state)
    lock.take()
    try:
        state_lock.take()
        log.info(
            _("sinyal {version} starts for gateway {id}").format(version=__version__, id=config.gateway.id)
        )
        daemon = Daemon(config, file, stop)
        code = daemon.run()
    finally:
        state_lock.release()
        lock.release()
    daemon.rest_until_power()
    return code


def _make_folder(folder: Path, *, may_be_read_only: bool = False) -> None:
    """Make a folder; one on a disk that became read-only does for the time being if may_be_read_only."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except PermissionError:
        raise NoPermission(
            _("no permission to make the folder {folder}").format(folder=folder),
            _("run as the user sinyal or with sudo, or move paths.state and paths.runtime"),
        ) from None
    except OSError as error:
        raise SinyalError(
            _("the folder {folder} cannot be made: {reason}").format(folder=folder, reason=error.strerror),
            _("check the disk, or move paths.state and paths.runtime"),
        ) from None
    if may_be_read_only and os.statvfs(folder).f_flag & os.ST_RDONLY:
        return
    if not os.access(folder, os.W_OK | os.X_OK):
        raise NoPermission(
            _("no permission to write in {folder}").format(folder=folder),
            _("run as the user sinyal or with sudo"),
        )


def _log_to_stderr() -> None:
    handler = logging.StreamHandler(sys.stderr)
    # Under systemd and procd the log has its own time; elsewhere UTC is written out.
    stamped = "JOURNAL_STREAM" not in os.environ
    formatter = logging.Formatter(
        "%(asctime)s %(levelname)s %(name)s: %(message)s"
        if stamped
        else "%(levelname)s %(name)s: %(message)s",
        "%Y-%m-%dT%H:%M:%SZ",
    )
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
