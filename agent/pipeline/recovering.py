"""Revives a sick modem in the running agent: what is wrong, who forbids it, and the hands for each rung.

The room `recovery` is loaded when something is wrong, or was within the last day.
"""

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from agent.buffer.keeper import Keeper
from agent.config.model import Config
from agent.contract.catalogue import Row
from agent.errors import SinyalError, StoreUnusable
from agent.language import _
from agent.modem.poll import ModemPoller

if TYPE_CHECKING:
    from agent.recovery.attempts import Attempts
    from agent.recovery.ladder import Ladder, Outcome
    from agent.recovery.rungs import Rung, RungName, Trouble

log = logging.getLogger("sinyal.recovery")

CURABLE_CAUSES = ("modem", "no_service", "bearer", "backhaul", "unknown")
"""Causes of an outage of the link that a fresh start of the modem may end; not a broker that is away."""

STALE_SLOTS = 3
"""A reading older than so many slots says nothing of now."""


def _uptime_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Recovering:
    """The ladder in the daemon; `tick` is called every few seconds.

    last_row: the newest reading and the time.monotonic() it was taken. lasting_cause: the cause of the link's
    outage, None while there is none. held_by: why nothing may be done now, None when it may.
    cut_modem: takes the modem's power away for a while, None without a relay. reboot: stops the agent and
    restarts the box. modem_expected: whether this gateway has a modem at all.
    """

    def __init__(
        self,
        config: Config,
        keeper: Keeper,
        modem: ModemPoller,
        *,
        last_row: Callable[[], tuple[Row | None, float | None]],
        lasting_cause: Callable[[], str | None],
        held_by: Callable[[], str | None],
        modem_expected: Callable[[], bool],
        cut_modem: Callable[[], bool] | None,
        reboot: Callable[[], None],
    ) -> None:
        self._config = config.recovery
        self._stale_s = (
            STALE_SLOTS * max(config.readings.interval_s, config.power.low_power_interval_s) + 30.0
        )
        self._keeper = keeper
        self._modem = modem
        self._last_row = last_row
        self._lasting_cause = lasting_cause
        self._held_by = held_by
        self._modem_expected = modem_expected
        self._cut_modem = cut_modem
        self._reboot = reboot
        self._attempts: Attempts | None = None
        self._ladder: Ladder | None = None
        self._climbing: threading.Thread | None = None
        self._has_looked = False
        self._has_told_giving_up = False
        self._said_held = ""

    @property
    def is_working(self) -> bool:
        """Return whether a rung is being done now."""
        return self._climbing is not None and self._climbing.is_alive()

    def tick(self) -> None:
        """See whether something is wrong, and do what is due; never raises."""
        if not self._config.enabled or self.is_working:
            return
        try:
            self._look()
        except StoreUnusable:
            pass  # limits that cannot be kept are no limits: nothing is done
        except Exception:  # the edge of the daemon's loop
            log.exception(_("unexpected fault while reviving the modem"))

    def _look(self) -> None:
        trouble = self._trouble()
        if trouble is None and self._ladder is None and not self._was_in_trouble_lately():
            return
        attempts, ladder = self._loaded()
        attempts.save_clock()
        now_s = attempts.now_s()
        if trouble is None:
            self._note_end(ladder.end(now_s))
            return
        self._note_end(ladder.begin(trouble, now_s))
        held_by = self._held_by()
        if held_by is not None:
            ladder.hold(now_s)
            self._say_held(held_by)
            return
        self._said_held = ""
        rung = ladder.due(now_s, attempts.count_since, may_cut=self._is_offline())
        if rung is not None:
            self._begin(rung, trouble, attempts, ladder)
        elif ladder.has_given_up and not self._has_told_giving_up:
            self._has_told_giving_up = True
            log.error(
                _("the modem could not be revived; it is tried again now and then. Next step: look at it")
            )
            self._keeper.note_event("modem", "recovery_given_up", {"trouble": trouble})

    def _trouble(self) -> "Trouble | None":
        row, taken_at = self._last_row()
        if row is None or taken_at is None or time.monotonic() - taken_at > self._stale_s:
            return None
        state = row.get("modem_state")
        if state in ("hung", "missing"):
            if not self._modem_expected():
                return None
            return "hung" if state == "hung" else "missing"
        if state == "busy" or not self._modem_expected():
            return None
        return "uplink" if self._lasting_cause() in CURABLE_CAUSES else None

    def _is_offline(self) -> bool:
        return self._lasting_cause() is not None

    def _was_in_trouble_lately(self) -> bool:
        """Return, once a start, whether limits of before are still to be counted."""
        if self._has_looked or not self._keeper.boot:
            return False
        query = "SELECT count(*) FROM sqlite_master WHERE name = 'recovery_attempts'"
        found = self._keeper.read(lambda connection: connection.execute(query).fetchone()[0])
        self._has_looked = True
        return bool(found)

    def _loaded(self) -> "tuple[Attempts, Ladder]":
        if self._attempts is None or self._ladder is None:
            from agent.recovery.attempts import Attempts
            from agent.recovery.ladder import Ladder

            self._attempts = Attempts(self._keeper, self._keeper.boot, _uptime_s)
            self._ladder = Ladder(self._config.wait_s, self._possible())
        return self._attempts, self._ladder

    def _possible(self) -> "list[RungName]":
        rungs: list[RungName] = ["reopen", "other_port", "soft_reset", "usb"]
        if self._cut_modem is not None:
            rungs.append("relay")
        if self._config.reboot:
            rungs.append("reboot")
        return rungs

    def _say_held(self, held_by: str) -> None:
        if held_by != self._said_held:
            self._said_held = held_by
            reasons = {
                "technician": _("a technician is at work"),
                "mains": _("mains power is away"),
            }
            log.info(_("the modem is left alone: {reason}").format(reason=reasons.get(held_by, held_by)))

    def _note_end(self, outcome: "Outcome | None") -> None:
        if outcome is None:
            return
        self._has_told_giving_up = False
        if outcome.last is None:
            return
        log.info(
            _("the modem works again, {minutes} min after it failed; last step: {rung}").format(
                minutes=round(outcome.lasted_s / 60), rung=outcome.last
            )
        )
        evidence = {"rung": outcome.last, "lasted_s": round(outcome.lasted_s), "steps": outcome.steps}
        self._keeper.note_event("modem", "revived", evidence)

    def _begin(self, rung: "Rung", trouble: "Trouble", attempts: "Attempts", ladder: "Ladder") -> None:
        attempts.charge(rung.name)
        now_s = attempts.now_s()
        since_s = ladder.lasts_since_s
        lasted_s = now_s - (now_s if since_s is None else since_s)
        ladder.note_done(rung, now_s)
        in_day = attempts.count_since(rung.name, now_s - 86400.0)
        log.warning(
            _("trouble for {seconds} s ({trouble}): step {rung}, {count} of {most} today").format(
                seconds=round(lasted_s), trouble=trouble, rung=rung.name, count=in_day, most=rung.per_day
            )
        )
        evidence = {
            "rung": rung.name, "trouble": trouble, "lasted_s": round(lasted_s),
            "in_day": in_day, "per_day": rung.per_day,
        }  # fmt: skip
        self._keeper.note_event("modem", "recovery", evidence)
        self._climbing = threading.Thread(target=self._do, args=(rung.name,), name="recovery", daemon=True)
        self._climbing.start()

    # ---- its own thread, while a rung is being done ----

    def _do(self, rung: "RungName") -> None:
        try:
            problem = self._hands()[rung]()
        except SinyalError as fault:
            problem = fault.what
        except OSError as fault:
            problem = str(fault)
        except Exception:  # the edge of the thread
            log.exception(_("unexpected fault while reviving the modem"))
            return
        if problem:
            log.warning(_("step {rung} was not possible: {reason}").format(rung=rung, reason=problem))

    def _hands(self) -> "dict[RungName, Callable[[], str]]":
        return {
            "reopen": self._reopen,
            "other_port": self._use_other_port,
            "soft_reset": self._soft_reset,
            "usb": self._reset_usb,
            "relay": self._cut,
            "reboot": self._restart_box,
        }

    def _reopen(self) -> str:
        self._modem.reopen()
        return ""

    def _use_other_port(self) -> str:
        port = self._modem.use_other_port()
        if port is None:
            return _("no other port of the modem answers")
        log.info(_("the modem is now asked at {port}").format(port=port))
        return ""

    def _soft_reset(self) -> str:
        self._modem.restart_modem()
        return ""

    def _reset_usb(self) -> str:
        from agent.recovery.usb_reset import reset_usb

        device = self._modem.usb_device
        if device is None:
            return _("the modem is not on USB, or was never seen")
        self._modem.reopen()
        reset_usb(device)
        return ""

    def _cut(self) -> str:
        if self._cut_modem is None or not self._cut_modem():
            return _("the relay has cut the power a moment ago")
        return ""

    def _restart_box(self) -> str:
        self._reboot()
        return ""


def run_program(name: str) -> None:
    """Start `poweroff` or `reboot` and do not wait; one that cannot be started is logged."""
    # posix_spawn: subprocess alone takes 0.5 MB.
    try:
        os.posix_spawnp(name, [name], os.environ)
    except OSError as fault:
        log.error(_("{program} cannot be started: {reason}").format(program=name, reason=fault.strerror))  # noqa: TRY400 -- a sentence
