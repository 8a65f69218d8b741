"""Where speed tests are allowed, paid for and written down, for the agent and for `sinyal speedtest` alike.

    offer ──▶ begin (the most it may cost is charged) ──▶ the test ──▶ finish (the rest is given back)

Whoever dies in between leaves the full price on the bill.
"""

from collections.abc import Mapping
from typing import Any

from agent.budget import tables
from agent.budget.ledger import Ledger
from agent.budget.speed_size import SpeedSize, speed_size
from agent.budget.tables import Records
from agent.config.model import ThroughputConfig
from agent.errors import SinyalError, UsageMistake
from agent.language import _, current_language

ENGINES = ("https", "speedtest-cli")

RUNS_AT_MOST_S = 120
"""A test that did not come back within this time never will."""

PEAK_ROWS = 1440
"""Newest readings among which the passive peak is looked for: a day of them at one a minute."""

UNKNOWN_CAPACITY_KBIT_S = 1000.0
"""Capacity assumed before anything was measured."""

FAILED: Mapping[str, Any] = {
    "state": "failed",
    "server": "",
    "bytes": None,
    "seconds": None,
    "rtt_ms": None,
    "down_kbit_s": None,
    "up_kbit_s": None,
}
"""The result of a test that told nothing; reason is to be added."""


class OverBudget(SinyalError):
    """The test does not fit into what is left of the month."""


class Desk:
    """The tests of one gateway. Methods raise StoreUnusable when the database fails."""

    def __init__(self, ledger: Ledger, records: Records, config: ThroughputConfig, gateway_id: str) -> None:
        self.ledger = ledger
        self.config = config
        self.gateway_id = gateway_id
        self._records = records

    def is_configured(self, engine: str) -> bool:
        """Return whether there is something to test against."""
        return engine == "speedtest-cli" or bool(self.config.url)

    def size(self, engine: str) -> SpeedSize:
        """Return the size of the next test."""
        unlimited = self.ledger.limits.month_bytes is None
        return speed_size(self._records.read(tables.last_rates_kbit_s)[0], engine, unlimited=unlimited)

    def capacity_kbit_s(self) -> float:
        """Return what the link could carry: the last test's rate, else the passive peak, else a guess."""
        peak = self.peak()
        measured = self._records.read(tables.last_rates_kbit_s)[0] or (peak[0] if peak is not None else None)
        return measured or UNKNOWN_CAPACITY_KBIT_S

    def peak(self) -> tuple[float, float] | None:
        """Return the passive peak down and up in kbit/s, from the busiest five minutes of a day, or None."""
        return self._records.read(lambda connection: tables.peak_rates_kbit_s(connection, PEAK_ROWS))

    def history(self, limit: int) -> list[dict[str, Any]]:
        """Return the newest tests, the newest first."""
        return self._records.read(lambda connection: tables.newest_tests(connection, limit))

    def tested_windows(self, first_day: int) -> set[tuple[int, str]]:
        """Return (day, window) of planned tests since a day that were begun or given up."""
        return self._records.read(lambda connection: tables.tested_windows(connection, first_day))

    def offer(self, engine: str, *, asked: bool) -> SpeedSize:
        """Return the size of a test that may begin now; raises UsageMistake, OverBudget or SinyalError."""
        if engine not in ENGINES:
            raise UsageMistake(_("{engine} is no way to test the speed").format(engine=engine))
        if not self.is_configured(engine):
            raise UsageMistake(
                _("throughput.url is empty: there is no server to test against"),
                _("sinyal config set throughput.url ADDRESS, or: sinyal speedtest --engine passive"),
            )
        size = self.size(engine)
        if not self.ledger.may_test(size.cost_bytes, asked=asked):
            raise OverBudget(
                _("a speed test of up to {kilobytes} kB does not fit into the budget of this month").format(
                    kilobytes=-(-size.cost_bytes // 1000)
                ),
                _("see what it was used for: sinyal budget"),
            )
        return size

    def begin(self, why: str, engine: str, now_ts: float) -> dict[str, Any]:
        """Charge a test and return its number with the request for the child; raises as offer() does."""
        running = self._records.read(tables.running_test)
        if running is not None:
            if 0 <= now_ts - running[1] < RUNS_AT_MOST_S:
                raise SinyalError(_("a speed test is running already"), _("try again in two minutes"))
            self.finish(running[0], {**FAILED, "reason": "abandoned"})
        size = self.offer(engine, asked=why == "asked")
        day = self.ledger.hold("throughput", size.cost_bytes)
        number = self._write_test(why, engine, now_ts, day, reserved=size.cost_bytes)
        request = {
            "engine": engine,
            # One address serves one engine; Ookla's own servers are a choice somebody makes.
            "url": self.config.url if engine in ("https", self.config.engine) else "",
            "ca_file": str(self.config.ca_file) if self.config.ca_file else None,
            "down_bytes": size.down_bytes,
            "up_bytes": size.up_bytes,
            "cost_bytes": size.cost_bytes,
            "language": current_language(),
        }
        return {"number": number, "request": request}

    def finish(self, number: int, result: Mapping[str, Any]) -> dict[str, Any]:
        """Write what a test found, settle its price and return it; bytes None leaves the full price."""
        running = self._records.read(lambda connection: tables.running_test(connection, number))
        if running is None:
            raise UsageMistake(_("no speed test number {number} is running").format(number=number))
        _number, _ts, day, reserved = running
        used = reserved if result["bytes"] is None else int(result["bytes"])
        written = {**result, "bytes": used}
        self._records.write(lambda connection: tables.finish_test(connection, number, written))
        self.ledger.settle(day, "throughput", held=reserved, used=used)
        return written

    def skip(self, window: str, day: int, engine: str, reason: str, now_ts: float) -> None:
        """Write that a planned test was given up, and why."""
        self._write_test(window, engine, now_ts, day, reserved=0, reason=reason)

    def _write_test(
        self, why: str, engine: str, now_ts: float, day: int, *, reserved: int, reason: str | None = None
    ) -> int:
        test = {
            "ts": int(now_ts),
            "day": day,
            "why": why,
            "engine": engine,
            "server": "",
            "state": "running" if reason is None else "skipped",
            "reason": reason,
            "reserved_bytes": reserved,
            "bytes": reserved,
        }
        return self._records.write(lambda connection: tables.insert_test(connection, test))


def checked_result(result: object) -> dict[str, Any]:
    """Return the result of a test as it is stored; anything that cannot be one raises UsageMistake."""
    if not isinstance(result, dict) or result.get("state") not in ("done", "failed"):
        raise UsageMistake(_("this is not the result of a speed test"))
    kept: dict[str, Any] = {"state": result["state"], "server": str(result.get("server") or "")[:255]}
    reason = result.get("reason")
    kept["reason"] = None if reason is None else str(reason)[:500].encode(errors="replace").decode()
    kept["server"] = kept["server"].encode(errors="replace").decode()
    for name in ("bytes", "seconds", "rtt_ms", "down_kbit_s", "up_kbit_s"):
        value = result.get(name)
        # isinstance() would take True for a number.
        kept[name] = value if type(value) in (int, float) and _is_possible(value) else None
    if kept["bytes"] is not None:
        kept["bytes"] = int(kept["bytes"])
    return kept


def _is_possible(value: Any) -> bool:
    return bool(0 <= value < 1e12)
