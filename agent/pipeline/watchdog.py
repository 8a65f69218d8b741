"""Notices a worker that hangs, so that the process ends and the supervisor starts it anew.

    sampler, prober, keeper ── pulse ──┐
    forwarder ── left behind, hanging ─┼──▶ looked at every five seconds by the main thread ──▶ systemd
                                       │                          │
    main thread ───────────────────────┴── the kernel's alarm clock, which it must put off, else it rings

Each worker says by when it will show itself again (`agent.pulse`). systemd hears of us only while all keep
their word (WatchdogSec=). procd has no such thing, and a main thread that hangs cannot end anything: hence
the alarm, which needs no thread of ours.
"""

import contextlib
import faulthandler
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping, MutableMapping

from agent import pulse
from agent.language import _
from agent.pulse import Pulse

log = logging.getLogger("sinyal.watchdog")

MOST_LEFT_BEHIND = 3
"""A forwarder that hangs is replaced (see `steady_forwarder`), and keeps its memory while it hangs."""

NOTIFY_VARIABLE = "NOTIFY_SOCKET"


def put_off_alarm(seconds: float | None = None) -> None:
    """Show that the main thread lives; unless it does so again in time, SIGALRM ends the process.

    Before that, stderr gets where the main thread stands; no other thread may be looked at while it runs.
    """
    with contextlib.suppress(RuntimeError, ValueError):  # no stderr to write to
        faulthandler.register(signal.SIGALRM, all_threads=False, chain=True)
    signal.setitimer(signal.ITIMER_REAL, pulse.WORK_LIMIT_S if seconds is None else seconds)


class Supervisor:
    """systemd, as sd_notify(3) talks to it; nobody where NOTIFY_SOCKET is not set.

    environment loses that variable, so that no child speaks for us.
    """

    def __init__(self, environment: MutableMapping[str, str]) -> None:
        named = environment.pop(NOTIFY_VARIABLE, "")
        # "@" stands for the zero byte with which an abstract address begins.
        self._address = "\0" + named[1:] if named.startswith("@") else named

    def tell(self, *lines: str) -> None:
        """Send lines such as READY=1; waits for nothing, and a supervisor that is gone is no fault."""
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as speaker:
            speaker.setblocking(False)
            speaker.sendto("\n".join(lines).encode(), self._address)


class Watchdog:
    """Looks after the workers named in `pulses`; to be asked by the main thread every few seconds.

    left_behind: returns how many forwarders hang in memory that others have replaced.
    """

    def __init__(
        self, pulses: Mapping[str, Pulse], supervisor: Supervisor, *, left_behind: Callable[[], int]
    ) -> None:
        self._pulses = pulses
        self._supervisor = supervisor
        self._left_behind = left_behind

    def begin(self) -> None:
        """Say that all workers have begun."""
        self._supervisor.tell("READY=1")
        put_off_alarm()

    def all_well(self) -> bool:
        """Return whether every worker has kept its word; the supervisor is told so, or the log which has not.

        The log then also gets where every thread stands: nothing else tells why.
        """
        put_off_alarm()
        now = time.monotonic()
        silent = [name for name, one in self._pulses.items() if now > one.due_monotonic]
        for name in silent:
            log.critical(
                _("the worker {name} hangs: it does not come back from what it does").format(name=name)
            )
        hanging = self._left_behind()
        if hanging >= MOST_LEFT_BEHIND:
            log.critical(
                _("sending hangs again and again; {count} attempts do not end").format(count=hanging)
            )
        if not silent and hanging < MOST_LEFT_BEHIND:
            self._supervisor.tell("WATCHDOG=1")
            return True
        log.critical(_("the agent ends so that it is started anew; where its threads stand follows"))
        with contextlib.suppress(RuntimeError, ValueError):
            faulthandler.dump_traceback()
        return False

    def end(self, within_s: float, *, then_rests: bool = False) -> None:
        """Say that the agent stops; a stop that hangs is cut short after within_s.

        then_rests: the process stays; systemd would kill one that has said that it stops.
        """
        self._supervisor.tell("WATCHDOG=1" if then_rests else "STOPPING=1")
        put_off_alarm(within_s)

    def rest(self) -> None:
        """Say that the process lives while it does no work, for want of power."""
        self._supervisor.tell("WATCHDOG=1", "STATUS=battery low, waiting for power")
        put_off_alarm()


def systemd_of_process() -> Supervisor:
    """Return the supervisor of this process."""
    return Supervisor(os.environ)
