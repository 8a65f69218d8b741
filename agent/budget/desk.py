"""Where speed tests are allowed, paid for and written down, for the agent and for `sinyal speedtest` alike.

    offer ──▶ begin (the most it may cost is charged) ──▶ the test ──▶ finish (the rest is given back)

Whoever dies in between leaves the full price on the bill.
"""

import sqlite3
from collections.abc import Callable, Mapping
from typing import Any

from agent import screen
from agent.budget import tables
from agent.budget.ledger import Ledger
from agent.budget.speed_size import OOKLA_REFUSED, SpeedSize, speed_size
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

OOKLA = "speedtest-cli"

OOKLA_PAUSE_S = 86400.0
"""So long Ookla is left alone after it has refused."""

SERVERS_KEPT_S = 30 * 86400.0
MOST_SERVERS = 5

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


class OnPause(SinyalError):
    """Ookla has refused, and is not asked for a while."""


class Desk:
    """The tests of one gateway. Methods raise StoreUnusable when the database fails.

    interface: tells the interface that a test leaves by, None where the routes decide.
    """

    def __init__(
        self,
        ledger: Ledger,
        records: Records,
        config: ThroughputConfig,
        gateway_id: str,
        interface: Callable[[], str | None] = lambda: None,
    ) -> None:
        self.ledger = ledger
        self.config = config
        self.gateway_id = gateway_id
        self._records = records
        self._interface = interface

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

    def planned(self) -> str:
        """Return whether tests come by themselves: `on`, or `off`, `no_server`, `clock` (not trusted)."""
        if self.config.tests_per_day == 0:
            return "off"
        if not self.is_configured(self.config.engine):
            return "no_server"
        return "on" if self.ledger.clock_is_trusted() else "clock"

    def history(self, limit: int) -> list[dict[str, Any]]:
        """Return the newest tests, the newest first."""
        return self._records.read(lambda connection: tables.newest_tests(connection, limit))

    def tested_windows(self, first_day: int) -> set[tuple[int, str]]:
        """Return (day, window) of planned tests since a day that were begun or given up."""
        return self._records.read(lambda connection: tables.tested_windows(connection, first_day))

    def offer(self, engine: str, *, asked: bool, now_ts: float) -> SpeedSize:
        """Return the size of a test that may begin now; raises UsageMistake, OverBudget, OnPause."""
        if engine not in ENGINES:
            raise UsageMistake(_("{engine} is no way to test the speed").format(engine=engine))
        if not self.is_configured(engine):
            raise UsageMistake(
                _("throughput.url is empty: there is no server to test against"),
                _("sinyal config set throughput.url ADDRESS, or: sinyal speedtest --engine passive"),
            )
        if engine == OOKLA and not self._url_of(engine):
            self._require_no_pause(now_ts)
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
        size = self.offer(engine, asked=why == "asked", now_ts=now_ts)
        day = self.ledger.hold("throughput", size.cost_bytes)
        number = self._write_test(why, engine, now_ts, day, reserved=size.cost_bytes)
        request = {
            "engine": engine,
            "url": self._url_of(engine),
            "servers": self._servers(engine, now_ts),
            "interface": self._interface(),
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
        _number, ts, day, reserved = running
        used = reserved if result["bytes"] is None else int(result["bytes"])
        written = {name: result[name] for name in result if name != "servers"} | {"bytes": used}
        servers = result.get("servers")

        def write(connection: sqlite3.Connection) -> None:
            tables.finish_test(connection, number, written)
            if servers is not None:
                tables.keep_servers(connection, servers, ts)

        self._records.write(write)
        self.ledger.settle(day, "throughput", held=reserved, used=used)
        return written

    def skip(self, window: str, day: int, engine: str, reason: str, now_ts: float) -> None:
        """Write that a planned test was given up, and why."""
        self._write_test(window, engine, now_ts, day, reserved=0, reason=reason)

    def _url_of(self, engine: str) -> str:
        # One address serves one engine; Ookla's own servers are a choice somebody makes.
        return self.config.url if engine in ("https", self.config.engine) else ""

    def _require_no_pause(self, now_ts: float) -> None:
        ended = self._records.read(lambda connection: tables.last_end(connection, OOKLA))
        if ended is not None and ended[1] == OOKLA_REFUSED and 0 <= now_ts - ended[0] < OOKLA_PAUSE_S:
            raise OnPause(
                _("Ookla has refused this gateway; it is asked again after {time}").format(
                    time=screen.wib(ended[0] + OOKLA_PAUSE_S)
                ),
                _("use throughput.engine https and a server of your own"),
            )

    def _servers(self, engine: str, now_ts: float) -> list[dict[str, Any]] | None:
        if engine != OOKLA or self._url_of(engine):
            return None
        since_ts, servers = self._records.read(tables.known_servers)
        return servers if servers and 0 <= now_ts - since_ts < SERVERS_KEPT_S else None

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
    servers = _checked_servers(result.get("servers"), failed=result["state"] == "failed")
    return kept if servers is None else {**kept, "servers": servers}


def _checked_servers(servers: object, *, failed: bool) -> list[dict[str, Any]] | None:
    """Return the servers to remember: empty to forget those that are known, None to leave them."""
    if not isinstance(servers, list):
        return None
    good = [
        {name: str(server.get(name, ""))[:255] for name in ("url", "host", "id", "name")} | {"d": 0.0}
        for server in servers[:MOST_SERVERS]
        if isinstance(server, dict) and str(server.get("url", "")).startswith(("http://", "https://"))
    ]
    return good if good or failed else None


def _is_possible(value: Any) -> bool:
    return bool(0 <= value < 1e12)
