"""The thread that probes: three small probes a slot, both targets often once one has failed.

good:     A ── B ── A ── │ A ── B ── A ── │      one every third of the slot
suspect:  AB ─ AB ─ AB ─                         both, each ten seconds, until one answers
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from agent.language import _
from agent.link.detector import Change, Detector
from agent.link.probe import NO_ADDRESS, TIMEOUT_S, Outcome, Target, probe
from agent.link.slot_figures import Probed, slot_figures
from agent.pulse import Pulse
from agent.uplink_socket import is_address, look_up, lookup_bytes

log = logging.getLogger("sinyal.link")

PROBES_A_SLOT = 3
_ORDER = (0, 1, 0)

KEPT_PROBES = 720
"""Probes that wait for the sampler, at most: an hour of the frequent ones for both targets."""

RESOLVE_AGAIN_S = 3600.0
RESOLVE_FAILED_AGAIN_S = 60.0
RESOLVE_KNOWN_AGAIN_S = 600.0
"""A name that failed is asked for again so soon; with a last known address of each it is not urgent."""

RESOLVE_WAIT_S = 5.0


class Watch(Protocol):
    """Who wants to know; called in the prober's thread, and free to take a few seconds."""

    def note_change(self, change: Change) -> None:
        """Take in that the link went down or came back."""

    def tick(self, now_s: float, *, is_down: bool) -> None:
        """Do what is due, after each round of probes (seconds since boot)."""


class Addresses:
    """The addresses of the targets. A name is asked for in a thread of its own: it may take half a minute.

    The last known address is used until a newer one is known.
    """

    def __init__(self, targets: Sequence[Target]) -> None:
        self._targets = targets
        self._known = [one.host if is_address(one.host) else "" for one in targets]
        self._names = [number for number, address in enumerate(self._known) if not address]
        self._again_at_s = 0.0
        self._thread: threading.Thread | None = None
        self.wire_bytes = 0

    def of(self, number: int) -> str:
        """Return the address of a target, "" as long as none is known."""
        return self._known[number]

    def refresh(self, now_s: float) -> None:
        """Look names up that are due; waits only for one that has no address yet."""
        if not self._names or now_s < self._again_at_s or (self._thread and self._thread.is_alive()):
            return
        self._again_at_s = now_s + RESOLVE_FAILED_AGAIN_S
        self._thread = threading.Thread(target=self._resolve, args=(now_s,), name="names", daemon=True)
        self._thread.start()
        if not all(self._known):
            self._thread.join(RESOLVE_WAIT_S)

    def _resolve(self, now_s: float) -> None:
        found_all = True
        for number in self._names:
            host = self._targets[number].host
            began = time.monotonic()
            try:
                found = look_up(host)
            except (OSError, UnicodeError):
                self.wire_bytes += lookup_bytes(host, found=False, seconds=time.monotonic() - began)
                found_all = False
                continue
            self.wire_bytes += lookup_bytes(host, found=True)
            self._known[number] = str(found[0][4][0])
        if found_all:
            self._again_at_s = now_s + RESOLVE_AGAIN_S
        elif all(self._known):
            self._again_at_s = now_s + RESOLVE_KNOWN_AGAIN_S


class Prober:
    """Probes two targets for ever, and is the collector of what the probes of a slot say.

    interval_s: length of a slot. suspect_interval_s: pause between rounds once a probe has failed.
    interface: tells the uplink's interface, or None. reach: makes one probe; the real one but in tests.
    rarer: tells how many times more rarely to probe than usual, by the data budget; 0 for not at all. Then
    free_look tells what costs nothing: True when the internet answers somebody, False when there is no way
    out, None when that is not known.
    """

    name = "link"

    def __init__(
        self,
        targets: Sequence[Target],
        watch: Watch,
        *,
        interval_s: float,
        suspect_interval_s: float,
        interface: Callable[[], str | None],
        reach: Callable[..., Outcome] = probe,
        rarer: Callable[[], float] = lambda: 1.0,
        free_look: Callable[[], bool | None] = lambda: None,
    ) -> None:
        self.targets = tuple(targets)
        self.addresses = Addresses(self.targets)
        self._watch = watch
        self._interval_s = interval_s
        self._suspect_interval_s = suspect_interval_s
        self._interface = interface
        self._reach = reach
        self._rarer = rarer
        self._free_look = free_look
        self._slower = 1.0
        self._detector = Detector(len(self.targets))
        self._lock = threading.Lock()
        self._probes: list[Probed] = []
        self._before_ms: dict[int, float] = {}
        self._last: tuple[float, int] | None = None
        self._recent: tuple[float, dict[str, float | int]] | None = None
        self._said_dead: frozenset[int] = frozenset()
        self._bytes = 0
        self._stop = threading.Event()
        self._roused = threading.Event()
        self.pulse = Pulse()
        self._thread = threading.Thread(target=self._work, name="prober", daemon=True)
        self.how = ""
        """`icmp` or `tcp`: how the last probe was made."""

    @property
    def is_down(self) -> bool:
        """Return whether there is an outage now."""
        return self._detector.is_down

    def start(self, *, down_since_s: float | None = None) -> None:
        """Begin; down_since_s: an outage that began then (seconds since boot) still lasts."""
        if down_since_s is not None:
            self._detector.resume_down(down_since_s)
        self._thread.start()

    def ask_to_stop(self) -> None:
        """Send no further probe; one under way ends by itself."""
        self._stop.set()
        self._roused.set()

    def probe_now(self) -> None:
        """Probe at once instead of when the next probe is due; any thread."""
        self._roused.set()

    def stop(self, timeout_s: float) -> None:
        """Ask to stop, and wait so long for it."""
        self.ask_to_stop()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def bytes_used(self) -> int:
        """Return what probing has cost since the start, both ways, IP headers and name look-ups included."""
        return self._bytes + self.addresses.wire_bytes

    def charge(self, wire_bytes: int) -> None:
        """Add what a look around has cost."""
        self._bytes += wire_bytes

    def collect(self) -> Mapping[str, float | int]:
        """Return what the probes since the last call say; link_up is also there when it is known from before.

        Anything else is absent in a slot without probes.
        """
        with self._lock:
            probes, self._probes = self._probes, []
            figures = slot_figures(probes, self._before_ms, self._detector.dead)
            for target, rtt_ms in probes:
                if rtt_ms is not None:
                    self._before_ms[target] = rtt_ms
            now_s = boot_clock_s()
            if probes:
                self._recent = (now_s, dict(figures))
            elif self._last is not None:
                at_s, link_up = self._last
                if now_s - at_s <= self._interval_s * self._slower:
                    figures["link_up"] = link_up
        return figures

    def recent(self) -> Mapping[str, float | int]:
        """Return what the newest slot with probes said, nothing when it is older than two slots."""
        with self._lock:
            if self._recent is None or boot_clock_s() - self._recent[0] > 2 * self._interval_s * self._slower:
                return {}
            return self._recent[1]

    def _work(self) -> None:
        turn = 0
        next_at_s = boot_clock_s()
        while not self._stop_comes_before(next_at_s):
            began_s = boot_clock_s()
            try:
                self.pulse.begins()
                rarer = self._rarer()
                self._slower = max(rarer, 1.0)
                is_frequent = self._round(turn) if rarer else self._look_for_free()
            except Exception:  # the edge of the thread: probing must go on
                log.exception(_("unexpected fault while probing the link; the next probe goes on"))
                is_frequent = False
            turn = (turn + 1) % PROBES_A_SLOT
            pause_s = self._suspect_interval_s if is_frequent else self._interval_s / PROBES_A_SLOT
            next_at_s = max(began_s + pause_s * self._slower, boot_clock_s())
        self.pulse.ends()

    def _stop_comes_before(self, moment_s: float) -> bool:
        """Wait until `moment_s`, or less when a probe is wanted now; return whether the stop has come."""
        left_s = max(0.0, moment_s - boot_clock_s())
        self.pulse.rests(left_s)
        self._roused.wait(left_s)
        self._roused.clear()
        return self._stop.is_set()

    def _round(self, turn: int) -> bool:
        """Probe one target, or all when something is wrong; return whether the next round shall be soon."""
        detector = self._detector
        self.addresses.refresh(boot_clock_s())
        everyone = range(len(self.targets))
        both = detector.is_suspect or detector.is_down
        for target in everyone if both else (self._whose_turn(turn),):
            change = self._probe(target)
            if change is not None:
                self._watch.note_change(change)
            if self._stop.is_set():
                return False
        self._say_dead()
        self.pulse.begins()
        self._watch.tick(boot_clock_s(), is_down=detector.is_down)
        return detector.is_suspect or detector.is_down

    def _look_for_free(self) -> bool:
        """Take what can be known without a byte for a probe; nothing known is no failure."""
        answered, at_s = self._free_look(), boot_clock_s()
        changes: list[Change | None] = []
        if answered is not None:
            with self._lock:
                targets = range(1 if answered else len(self.targets))
                changes += [self._detector.note(target, at_s, answered=answered) for target in targets]
                if answered or self._detector.is_down:
                    self._last = (at_s, int(answered))
        for change in changes:
            if change is not None:
                self._watch.note_change(change)
        self._watch.tick(boot_clock_s(), is_down=self._detector.is_down)
        return False

    def _whose_turn(self, turn: int) -> int:
        # Two of three go to the first target that lives, so that the median compares like with like.
        alive_first = sorted(range(len(self.targets)), key=lambda one: one in self._detector.dead)
        return alive_first[_ORDER[turn] % len(alive_first)]

    def _probe(self, target: int) -> Change | None:
        self.pulse.begins()
        address = self.addresses.of(target)
        sent_s = boot_clock_s()
        if address:
            outcome = self._reach(
                address, self.targets[target].port, interface=self._interface(), timeout_s=TIMEOUT_S
            )
        else:
            outcome = NO_ADDRESS
        self._bytes += outcome.wire_bytes
        self.how = outcome.how or self.how
        answered = outcome.rtt_ms is not None
        with self._lock:
            self._probes.append(Probed(target, outcome.rtt_ms))
            del self._probes[:-KEPT_PROBES]
            change = self._detector.note(target, sent_s, answered=answered)
            # One failure while the other target answers does not make the link down.
            if answered or self._detector.is_down:
                self._last = (sent_s, int(answered))
        return change

    def _say_dead(self) -> None:
        dead = self._detector.dead
        for number in dead - self._said_dead:
            log.warning(
                _("the probe target {host} does not answer while another does; it no longer counts").format(
                    host=self.targets[number].host
                )
            )
        self._said_dead = dead


def boot_clock_s() -> float:
    """Return the seconds since boot, sleep included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
