"""Whether the modem needs reviving: looked at every few seconds, at little cost; `climbing` does the rest."""

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from agent.buffer.keeper import Keeper
from agent.config.model import Config
from agent.contract.catalogue import Row
from agent.errors import StoreUnusable
from agent.language import _
from agent.modem.poll import ModemPoller

if TYPE_CHECKING:
    from agent.pipeline.climbing import Climber
    from agent.recovery.rungs import Trouble

log = logging.getLogger("sinyal.recovery")

CURABLE_CAUSES = ("modem", "no_service", "bearer", "backhaul", "unknown")
"""Causes of an outage of the link that a fresh start of the modem may end; not a broker that is away."""

STALE_SLOTS = 3
"""A reading older than so many slots says nothing of now."""


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
        self._climber: Climber | None = None
        self._has_looked = False

    @property
    def is_working(self) -> bool:
        """Return whether a rung is being done now."""
        return self._climber is not None and self._climber.is_working

    def shown(self) -> "dict[str, object] | None":
        """Return what `sinyal status` says of it, None while all is well."""
        return None if self._climber is None else self._climber.shown()

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
        if self._climber is None:
            if trouble is None and not self._was_in_trouble_lately():
                return
            from agent.pipeline.climbing import Climber

            self._climber = Climber(
                self._config, self._keeper, self._modem, cut_modem=self._cut_modem, reboot=self._reboot
            )
        is_offline = self._lasting_cause() is not None
        self._climber.look(trouble, held_by=self._held_by(), is_offline=is_offline)

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

    def _was_in_trouble_lately(self) -> bool:
        """Return, once a start, whether limits of before are still to be counted."""
        if self._has_looked or not self._keeper.boot:
            return False
        query = "SELECT count(*) FROM sqlite_master WHERE name = 'recovery_attempts'"
        found = self._keeper.read(lambda connection: connection.execute(query).fetchone()[0])
        self._has_looked = True
        return bool(found)


SYSTEMD_RUNS = Path("/run/systemd/system")


def run_program(name: str, runtime: Path, systemd: Path = SYSTEMD_RUNS) -> None:
    """Start `poweroff` or `reboot` and do not wait; one that cannot be started is logged.

    An ordinary user under systemd asks for it: a file in the runtime folder starts `sinyal-power@NAME.path`.
    """
    # posix_spawn: subprocess alone takes 0.5 MB.
    try:
        if os.geteuid() != 0 and systemd.is_dir():
            (runtime / f"ask-{name}").touch()
            return
        os.posix_spawnp(name, [name], os.environ)
    except OSError as fault:
        log.error(_("{program} cannot be started: {reason}").format(program=name, reason=fault.strerror))  # noqa: TRY400 -- a sentence
