"""The budget in the running agent: the ledger from the first byte on, all else when it is needed.

Two speed tests a day and a command now and then do not justify their code in memory all day long.
"""

import contextlib
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from agent.budget.ledger import Ledger, Now
from agent.budget.limits import limits_of
from agent.budget.tables import Records, last_rates_kbit_s
from agent.config.model import Config
from agent.errors import StoreUnusable
from agent.language import _
from agent.pipeline.control import Answerer, Question

if TYPE_CHECKING:
    from agent.budget.desk import Desk
    from agent.budget.speed_tester import SpeedTester

log = logging.getLogger("sinyal.budget")

ASKS = (
    "budget",
    "aim_traffic",
    "speedtest_offer",
    "speedtest_begin",
    "speedtest_finish",
    "speedtest_history",
    "speedtest_peak",
)
"""The questions that budget_answerers() knows."""


class Measuring:
    """What the agent spends, and its planned speed tests.

    uplink_bytes and is_online: see SpeedTester. interface: tells through which one a test leaves.
    """

    def __init__(
        self,
        config: Config,
        records: Records,
        now: Now,
        uplink_bytes: Callable[[], int | None],
        is_online: Callable[[], bool],
        interface: Callable[[], str | None],
    ) -> None:
        self.ledger = Ledger(records, limits_of(config.budget), now)
        self._config = config
        self._records = records
        self._now = now
        self._uplink_bytes = uplink_bytes
        self._is_online = is_online
        self._interface = interface
        self._made_desk: Desk | None = None
        self._tester: SpeedTester | None = None
        throughput = config.throughput
        can_test = bool(throughput.url) or throughput.engine == "speedtest-cli"
        self._plans_tests = can_test and throughput.tests_per_day > 0

    def answerers(self) -> Mapping[str, Answerer]:
        """Return what is done for each question of a command."""
        return dict.fromkeys(ASKS, self._answer)

    def tick(self, *, may_test: bool = True) -> None:
        """Count, and go on with a planned speed test; to be called every few seconds once all is loaded.

        may_test: False while power has to be saved; a test under way is ended.
        """
        self.ledger.take_counts()
        if not may_test and self._tester is not None:
            self._tester.close()
        if not self._plans_tests or not may_test:
            return
        if self._tester is None:
            from agent.budget.speed_tester import SpeedTester

            self._tester = SpeedTester(
                self._desk(), self._config.paths.runtime, self._now, self._uplink_bytes, self._is_online
            )
        try:
            self._tester.tick()
        except Exception:  # the edge of the daemon's loop: no speed test may end the agent
            self._plans_tests = False
            log.exception(_("unexpected fault in a speed test; no more are planned until the next start"))

    def shown(self) -> dict[str, Any]:
        """Return what the snapshot tells of the budget."""
        state = self.ledger.state()
        return shown_budget(state.used, self.ledger.limits.month_bytes, state.stage)

    def last_rates_kbit_s(self) -> tuple[float | None, float | None]:
        """Return the newest measured download and upload in kbit/s, None where there is none."""
        try:
            return self._records.read(last_rates_kbit_s)
        except StoreUnusable:
            return None, None

    def close(self) -> None:
        """End a running test and write the exact figures: nothing is sent any more."""
        if self._tester is not None:
            self._tester.close()
        with contextlib.suppress(StoreUnusable):
            self.ledger.close()

    def _answer(self, question: Question) -> Mapping[str, Any]:
        from agent.pipeline.budget_control import budget_answerers

        return budget_answerers(self._desk())[str(question["ask"])](question)

    def _desk(self) -> "Desk":
        if self._made_desk is None:
            from agent.budget.desk import Desk

            throughput, gateway_id = self._config.throughput, self._config.gateway.id
            self._made_desk = Desk(self.ledger, self._records, throughput, gateway_id, self._interface)
        return self._made_desk


def shown_budget(used_bytes: int, max_bytes: int | None, stage: str) -> dict[str, Any]:
    """Return how the budget of this month stands in the snapshot; max_bytes is None without a cap."""
    return {"used_bytes": used_bytes, "max_bytes": max_bytes, "stage": stage}
