"""The gateway under an acceptance test: the running agent, what it shows, keeps and answers."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

from agent.buffer.history import Selection
from agent.cli.buffer_source import BufferSource
from agent.config.model import Config
from agent.errors import SinyalError
from agent.language import _
from agent.pipeline.control_client import ask_daemon
from agent.pipeline.snapshot import daemon_runs, read_snapshot

READY_WAIT_S = 120.0
"""After a boot the agent is given this long to take its first reading."""

LOOK_EVERY_S = 0.5

GAP_WAIT_S = 20.0
"""After a boot the agent writes down what lay before it within a few seconds."""


class GatewayAtWork:
    """One gateway whose agent runs. All methods raise SinyalError."""

    def __init__(self, config: Config) -> None:
        self.config = config
        gateway = config.gateway
        self.identity = {
            name: getattr(gateway, name) for name in ("id", "kode_desa", "kode_edisi", "site_name", "role")
        }
        self._rows = BufferSource(
            {
                "paths.runtime": config.paths.runtime,
                "paths.state": config.paths.state,
                "buffer.max_bytes": config.buffer.max_bytes,
                "buffer.keep_days": config.buffer.keep_days,
            }
        )

    def require_running(self) -> None:
        """Wait for the agent's first reading of this boot; raises SinyalError when there is none."""
        ends_at = time.monotonic() + READY_WAIT_S
        while True:
            if not daemon_runs(self.config.paths.runtime):
                raise SinyalError(
                    _("the agent does not run, so there is nothing to accept"), _("sudo service sinyal start")
                )
            shown = self.shown()
            if shown.get("reading") and shown.get("buffer"):
                return
            if time.monotonic() > ends_at:
                raise SinyalError(_("the agent has not taken a reading yet"), "sinyal status")
            time.sleep(LOOK_EVERY_S)

    def shown(self) -> Mapping[str, Any]:
        """Return the snapshot, {} while there is none."""
        return read_snapshot(self.config.paths.runtime) or {}

    def boot(self) -> int:
        """Return the number of this boot as the agent counts it, 0 when not known."""
        return int(self.shown().get("boot") or 0)

    def readings(self) -> Iterator[Mapping[str, Any]]:
        """Give the newest reading again and again, about twice a second."""
        while True:
            self.require_running()
            yield self.shown().get("reading") or {}
            time.sleep(LOOK_EVERY_S)

    def stored_up_to(self, last_seq: int) -> int:
        """Return how many rows up to a seq are kept."""
        return self._rows.count(1, last_seq)["stored"]

    def before_the_cut(self) -> dict[str, Any]:
        """Return what must be there again afterwards."""
        last_seq = int((self.shown().get("buffer") or {}).get("last_seq") or 0)
        return {
            "boot": self.boot(),
            "last_seq": last_seq,
            "stored": self.stored_up_to(last_seq),
            "outage": max((int(one["number"]) for one in self.outages()), default=0),
            "ts": round(time.time()),
        }

    def outages(self, after: int = 0) -> list[Mapping[str, Any]]:
        """Return the outages behind a number, as `sinyal outages --json` has them."""
        found: list[Mapping[str, Any]] = []
        more = True
        while more:
            part = ask_daemon(
                self.config.paths.runtime, "outages", after=found[-1]["number"] if found else after
            )
            found += part["outages"]
            more = bool(part["more"] and part["outages"])
        return found

    def gap_after(self, number: int) -> Mapping[str, Any] | None:
        """Return the gateway's own newest outage behind a number; waits for the agent to have written it."""
        ends_at = time.monotonic() + GAP_WAIT_S
        while True:
            gaps = [one for one in self.outages(number) if one["kind"] == "gateway"]
            if gaps or time.monotonic() > ends_at:
                return gaps[-1] if gaps else None
            time.sleep(LOOK_EVERY_S)

    def first_uptime_after(self, seq: int, boot: int) -> float | None:
        """Return how long after its start this boot's first reading was taken, None when there is none."""
        for _names, rows in self._rows.pages(Selection(first_seq=seq + 1)):
            for row in rows:
                uptime_s = row.get("uptime_s")
                if row.get("boot") == boot and isinstance(uptime_s, int | float):
                    return float(uptime_s)
        return None
