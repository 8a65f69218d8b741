"""Climbs the ladder for `recovering`: what is due, who forbids it, and the hands for each rung.

Loaded when something is wrong, or was within the last day.
"""

import logging
import threading
import time
from collections.abc import Callable

from agent.buffer.keeper import Keeper
from agent.config.model import RecoveryConfig
from agent.errors import SinyalError
from agent.language import _
from agent.modem.poll import ModemPoller
from agent.recovery.attempts import Attempts
from agent.recovery.ladder import Ladder, Outcome
from agent.recovery.rungs import DAY_S, Rung, RungName, Trouble
from agent.recovery.usb_reset import reset_usb

log = logging.getLogger("sinyal.recovery")


def _uptime_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Climber:
    """The ladder with hands. cut_modem, reboot: see Recovering. Raises StoreUnusable."""

    def __init__(
        self,
        config: RecoveryConfig,
        keeper: Keeper,
        modem: ModemPoller,
        *,
        cut_modem: Callable[[], bool] | None,
        reboot: Callable[[], None],
    ) -> None:
        self._config = config
        self._keeper = keeper
        self._modem = modem
        self._cut_modem = cut_modem
        self._reboot = reboot
        self._attempts = Attempts(keeper, keeper.boot, _uptime_s)
        self._ladder = Ladder(config.wait_s, self._possible())
        self._climbing: threading.Thread | None = None
        self._has_told_giving_up = False
        self._said_held = ""

    @property
    def is_working(self) -> bool:
        """Return whether a rung is being done now."""
        return self._climbing is not None and self._climbing.is_alive()

    def shown(self) -> dict[str, object] | None:
        """Return what `sinyal status` says of the ladder, None while all is well."""
        if self._ladder.lasts_since_s is None:
            return None
        return {
            "last": self._ladder.last,
            "working": self.is_working,
            "held_by": self._said_held or None,
            "given_up": self._ladder.has_given_up,
        }

    def look(self, trouble: Trouble | None, *, held_by: str | None, is_offline: bool) -> None:
        """Take in what is wrong now, and begin what is due. held_by: see Recovering."""
        attempts, ladder = self._attempts, self._ladder
        attempts.save_clock()
        now_s = attempts.now_s()
        if trouble is None:
            self._note_end(ladder.end(now_s))
            return
        self._note_end(ladder.begin(trouble, now_s))
        if held_by is not None:
            ladder.hold(now_s)
            self._say_held(held_by)
            return
        self._said_held = ""
        rung = ladder.due(now_s, attempts.count_since, may_cut=is_offline)
        if rung is not None:
            self._begin(rung, trouble)
        elif ladder.has_given_up and not self._has_told_giving_up:
            self._has_told_giving_up = True
            log.error(
                _("the modem could not be revived; it is tried again now and then. Next step: look at it")
            )
            self._keeper.note_event("modem", "recovery_given_up", {"trouble": trouble})

    def _possible(self) -> list[RungName]:
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

    def _note_end(self, outcome: Outcome | None) -> None:
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

    def _begin(self, rung: Rung, trouble: Trouble) -> None:
        attempts, ladder = self._attempts, self._ladder
        attempts.charge(rung.name)
        now_s = attempts.now_s()
        since_s = ladder.lasts_since_s
        lasted_s = now_s - (now_s if since_s is None else since_s)
        ladder.note_done(rung, now_s)
        in_day = attempts.count_since(rung.name, now_s - DAY_S)
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

    def _do(self, rung: RungName) -> None:
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

    def _hands(self) -> dict[RungName, Callable[[], str]]:
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
