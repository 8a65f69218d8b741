"""The serial port: the only place that knows pyserial.

Every wait is bounded, and everything a port can do wrong becomes one of five errors with a next step.
pyserial's own `readline` is not used: its timeout counts per byte. What can come out of pyserial:
SerialException, a bare OSError, and termios.error, which is no OSError.
"""

import contextlib
import fcntl
import os
import select
import stat
import termios
import time
from dataclasses import dataclass
from errno import EACCES, EAGAIN, EBUSY, EPERM
from pathlib import Path

import serial

from agent.errors import ModemUnavailable, NoPermission, SinyalError
from agent.language import _

BAUD_RATE = 115200
"""Means something on a real serial line only; USB modems ignore it."""

WRITE_TIMEOUT_S = 2.0
READ_BYTES = 4096
_SLICE_S = 0.25
"""How soon a wait notices that the port was given up from another thread."""

_PORT_FAULTS = (serial.SerialException, OSError, termios.error)
OWN_PROGRAM = "sinyal"
_OWN_MODULES = frozenset((b"agent", b"agent.pipeline"))
_PTY_MAJORS = range(136, 144)


class PortMissing(ModemUnavailable):
    """There is no such port, or it is no serial port."""


class PortForbidden(NoPermission):
    """The port belongs to other users."""


class PortBusy(ModemUnavailable):
    """Another program holds the port."""


class PortLost(ModemUnavailable):
    """The port went away, or can no longer be used, while it was open."""


class PortStuck(ModemUnavailable):
    """The port is there, but the modem takes no bytes from it."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that has the port open."""

    pid: int
    program: str


class SerialPort:
    """An open serial port that nobody else has. path is a device file or a link to one.

    Raises PortMissing, PortForbidden or PortBusy.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._given_up = False
        _check_is_a_serial_port(path)
        try:
            self._serial = serial.Serial(
                path, BAUD_RATE, timeout=0, write_timeout=WRITE_TIMEOUT_S, exclusive=True
            )
        except (*_PORT_FAULTS, ValueError) as fault:
            raise _why_not_opened(path, fault) from None
        self._fd: int = self._serial.fileno()
        holding = holders(path)
        if holding:
            self.close()
            raise busy(path, holding)
        self._keep_others_out()

    def read(self, timeout_s: float) -> bytes:
        """Return what has arrived, waiting up to timeout_s for the first byte; b"" when nothing came.

        At most READ_BYTES at once. Raises PortLost.
        """
        ends_at = time.monotonic() + timeout_s
        try:
            while True:
                if self._given_up:
                    raise self._lost()
                wait_s = max(0.0, ends_at - time.monotonic())
                ready, _w, _x = select.select([self._fd], [], [], min(wait_s, _SLICE_S))
                if ready:
                    return bytes(self._serial.read(READ_BYTES))
                if wait_s <= _SLICE_S:
                    return b""
        except (*_PORT_FAULTS, ValueError):
            raise self._lost() from None

    def write(self, command: bytes) -> None:
        """Send bytes; raises PortLost, or PortStuck when the modem takes none for WRITE_TIMEOUT_S."""
        try:
            self._serial.write(command)
        except serial.SerialTimeoutException:
            raise PortStuck(
                _("the modem at {port} takes no commands").format(port=self.path),
                _("take the modem's power away for ten seconds, then look again"),
            ) from None
        except _PORT_FAULTS:
            raise self._lost() from None

    def give_up(self) -> None:
        """Make a read that another thread waits in raise PortLost within a quarter of a second."""
        self._given_up = True

    def close(self) -> None:
        """Close the port; what was not yet sent is thrown away, or closing could wait for half a minute."""
        with contextlib.suppress(*_PORT_FAULTS):
            termios.tcflush(self._fd, termios.TCOFLUSH)
            fcntl.ioctl(self._fd, termios.TIOCNXCL)
        # Closing a device that is gone may fail; the descriptor is free all the same.
        with contextlib.suppress(*_PORT_FAULTS):
            self._serial.close()

    def _lost(self) -> PortLost:
        return PortLost(
            _("the modem's port {port} went away").format(port=self.path),
            _("check the modem's cable and power"),
        )

    def _keep_others_out(self) -> None:
        # ModemManager ignores the file lock that pyserial takes, but respects this. Not on a
        # pseudo-terminal: there the mark outlives a killed owner, and the next start would be refused.
        if os.major(os.fstat(self._fd).st_rdev) in _PTY_MAJORS:
            return
        with contextlib.suppress(OSError):  # wwan ports do not know it; the file lock is there
            fcntl.ioctl(self._fd, termios.TIOCEXCL)


def _check_is_a_serial_port(path: str) -> None:
    """Raise before a FIFO, a folder or an ordinary file would be opened."""
    try:
        mode = Path(path).stat().st_mode
    except PermissionError as fault:
        raise _why_not_opened(path, fault) from None
    except (OSError, ValueError):
        raise PortMissing(
            _("there is no port {port}").format(port=path),
            _("plug the modem in, or find its port with: sinyal modem find"),
        ) from None
    if not stat.S_ISCHR(mode):
        raise PortMissing(
            _("{port} is not a serial port").format(port=path),
            _("find the modem's port with: sinyal modem find"),
        )


def _why_not_opened(path: str, fault: Exception) -> SinyalError:
    code = getattr(fault, "errno", None)
    if code in (EACCES, EPERM):
        return PortForbidden(
            _("no permission to open {port}").format(port=path),
            _("run as the user sinyal or add this user to the group dialout"),
        )
    if code in (EBUSY, EAGAIN):
        return busy(path, holders(path))
    return PortMissing(
        _("{port} cannot be opened as a serial port").format(port=path),
        _("plug the modem in, or find its port with: sinyal modem find"),
    )


def busy(path: str, holding: tuple[Holder, ...]) -> PortBusy:
    """Return the error that names who holds the port; an ordinary user cannot see every holder."""
    if not holding:
        return PortBusy(
            _("{port} is held by another program").format(port=path),
            _("ask as root which one: fuser -v {port}").format(port=path),
        )
    holder = holding[0]
    if holder.program == OWN_PROGRAM:
        return PortBusy(
            _("{port} is held by sinyal itself (process {pid})").format(port=path, pid=holder.pid),
            _("if that is the agent, ask it: add --config with its configuration file; else wait a moment"),
        )
    what = _("{port} is held by {program} (process {pid})").format(
        port=path, program=holder.program, pid=holder.pid
    )
    if holder.program == "ModemManager":
        return PortBusy(
            what,
            _(
                "where it does not make the data connection: sudo systemctl disable --now ModemManager; "
                "else give the port a udev rule with ID_MM_PORT_IGNORE"
            ),
        )
    return PortBusy(what, _("stop that program, or give sinyal another port of the modem"))


def holders(path: str, proc: Path = Path("/proc")) -> tuple[Holder, ...]:
    """Return the other processes that have the port open, as far as this user may see them.

    The program behind a pseudo-terminal (it holds the other side) is not counted.
    """
    try:
        port = Path(path).stat()
    except OSError:
        return ()
    found = []
    for entry in _names(proc):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        links = [f"{proc}/{entry}/fd/{number}" for number in _names(proc / entry / "fd")]
        if any(_is_same_device(link, port) for link in links) and not _is_behind_pty(port, links):
            found.append(Holder(int(entry), _program(proc / entry)))
    return tuple(found)


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 -- thousands of names: no Path object for each
    except OSError:
        return []  # the process has ended, or belongs to another user


def _is_same_device(link: str, port: os.stat_result) -> bool:
    try:
        opened = os.stat(link)  # noqa: PTH116 -- as above
    except OSError:
        return False
    if not stat.S_ISCHR(opened.st_mode) or opened.st_rdev != port.st_rdev:
        return False
    # Each container has its own pseudo-terminals under the same numbers.
    return os.major(port.st_rdev) not in _PTY_MAJORS or opened.st_dev == port.st_dev


def _is_behind_pty(port: os.stat_result, links: list[str]) -> bool:
    if os.major(port.st_rdev) not in _PTY_MAJORS:
        return False
    return any(_target(link).endswith("ptmx") for link in links)


def _is_own(process: Path) -> bool:
    """Return whether a process is Sinyal itself, which the kernel knows as python."""
    try:
        arguments = (process / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    names = [argument.rpartition(b"/")[2] for argument in arguments[:3]]
    is_module = b"-m" in arguments[:4] and bool(_OWN_MODULES.intersection(arguments[:5]))
    return is_module or b"sinyal" in names


def _target(link: str) -> str:
    try:
        return os.readlink(link)  # noqa: PTH115 -- as above
    except OSError:
        return ""


def _program(process: Path) -> str:
    if _is_own(process):
        return OWN_PROGRAM
    try:
        return (process / "comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return "?"
