"""The way to the modem: through the running daemon when it holds the port, else straight to the port."""

import argparse
import contextlib
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from agent.config.load import DEFAULT_CONFIG_FILE
from agent.errors import ConfigMistake, SinyalError, UsageMistake
from agent.language import _
from agent.pipeline.snapshot import daemon_runs

SEARCH_LIMIT_S = 210.0
"""More than the daemon allows a search of all networks, with the wait for those before it."""

Answer = Mapping[str, Any]
"""As `agent.pipeline.modem_control` gives it."""


class ModemLine(Protocol):
    """What can be asked of a modem; all may raise SinyalError."""

    def read(self) -> Answer:
        """Take one reading."""

    def glance(self) -> Answer:
        """Read only the serving cell, quickly."""

    def cells(self) -> Answer:
        """Read all cells."""

    def at(self, command: str, *, may_write: bool) -> Answer:
        """Send one AT command."""


class _ThroughDaemon:
    def __init__(self, runtime: Path) -> None:
        self._runtime = runtime

    def read(self) -> Answer:
        return self._ask("modem_read")

    def glance(self) -> Answer:
        return self._ask("modem_glance")

    def cells(self) -> Answer:
        return self._ask("modem_cells")

    def at(self, command: str, *, may_write: bool) -> Answer:
        from agent.modem.typed_command import is_network_search

        details = {"command": command, "may_write": may_write}
        return self._ask("modem_at", SEARCH_LIMIT_S if is_network_search(command) else None, details)

    def _ask(
        self, ask: str, limit_s: float | None = None, details: Mapping[str, object] | None = None
    ) -> Answer:
        from agent.pipeline.control_client import ANSWER_LIMIT_S, ask_daemon_within

        return ask_daemon_within(self._runtime, limit_s or ANSWER_LIMIT_S, ask, details or {})


class _OwnPort:
    def __init__(self, port: str) -> None:
        from agent.modem.poll import ModemPoller

        # What the poller logs is said by the command itself. It enters no PIN: that is the daemon's.
        logging.getLogger("sinyal").addHandler(logging.NullHandler())
        self._modem = ModemPoller(port, sim_pin="", memory_file=None)

    def read(self) -> Answer:
        from agent.pipeline.modem_control import take_look

        return take_look(self._modem)

    def glance(self) -> Answer:
        from agent.pipeline.modem_control import take_glance

        return take_glance(self._modem)

    def cells(self) -> Answer:
        from agent.pipeline.modem_control import read_cells

        return read_cells(self._modem)

    def at(self, command: str, *, may_write: bool) -> Answer:
        from agent.pipeline.modem_control import run_at

        return run_at(self._modem, command, may_write=may_write)

    def close(self) -> None:
        self._modem.close()


def add_port(parser: argparse.ArgumentParser) -> None:
    """Add --port."""
    parser.add_argument("--port", metavar=_("PORT"), help=_("the modem's port (default: modem.port)"))


def configured(args: argparse.Namespace) -> Mapping[str, Any]:
    """Return the values of the configuration, the defaults on a box before its set-up."""
    try:
        values: Mapping[str, Any] = args.configuration.load().values
    except ConfigMistake:
        if not args.configuration.is_unconfigured():
            raise
        from agent.config.load import build_config

        return build_config({}, DEFAULT_CONFIG_FILE, os.environ).values
    return values


@contextlib.contextmanager
def open_modem(args: argparse.Namespace) -> Iterator[ModemLine]:
    """Give the way to the modem that --port, else the configuration, names."""
    values = configured(args)
    if args.port is not None and not args.port:
        raise UsageMistake(_("--port is empty"), _("find the modem's port with: sinyal modem find"))
    runtime = values["paths.runtime"]
    if is_of_running_daemon(values, args.port):
        yield _ThroughDaemon(runtime)
        return
    line = _OwnPort(args.port or values["modem.port"])
    try:
        yield line
    finally:
        line.close()


def is_of_running_daemon(values: Mapping[str, Any], port: str | None) -> bool:
    """Return whether a daemon runs that has this port, None for the configured one."""
    return daemon_runs(values["paths.runtime"]) and (port is None or _is_of_daemon(values, port))


def port_of_daemon(values: Mapping[str, Any]) -> tuple[str, int | None]:
    """Return the port that the running daemon uses or looks for, and its process id.

    The configured port and None when it does not tell.
    """
    try:
        told = _told(values["paths.runtime"])
    except SinyalError:
        return str(values["modem.port"]), None
    pid = told.get("pid")
    return str(told.get("port")), pid if isinstance(pid, int) else None


def _told(runtime: Path) -> Answer:
    from agent.pipeline.control_client import ask_daemon

    return ask_daemon(runtime, "modem_port")


def _is_of_daemon(values: Mapping[str, Any], port: str) -> bool:
    """Return whether the running daemon has this port; raises SinyalError when it should and is silent."""
    try:
        return is_same_port(str(_told(values["paths.runtime"]).get("port")), port)
    except SinyalError:
        if is_same_port(str(values["modem.port"]), port):
            raise
        return False


def is_same_port(one: str, other: str) -> bool:
    """Return whether two paths lead to the same device; links are followed."""
    return os.path.realpath(one) == os.path.realpath(other)
