"""A gateway's folder and what its daemon shows, for the tests of screens."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agent.pipeline.snapshot import DaemonLock

NOW_TS = 1_795_918_350
"""29 Nov 2026 09:12:30 WIB."""


def gateway(folder: Path, extra: str = "") -> Path:
    config = folder / "sinyal.toml"
    config.write_text(
        '[gateway]\nid = "gw-1"\nkode_desa = "15.02.01.2001"\nsite_name = "Renah Kemumu"\n'
        f'[paths]\nstate = "{folder}/state"\nruntime = "{folder}"\n{extra}'
    )
    return config


def snapshot(now_ts: int = NOW_TS, **changes: Any) -> dict[str, Any]:
    """Return the snapshot of a healthy gateway; reading={…} changes fields of its reading."""
    reading = {
        "seq": 7, "ts": now_ts, "ts_quality": "ntp", "modem_state": "ok", "sim_state": "ready",
        "registration": "home", "operator_name": "Telkomsel", "operator_mccmnc": "51010",
        "access_technology": "lte", "band": "B3", "rsrp_dbm": -97, "sinr_db": 7.5, "signal_class": "fair",
        "modem_temperature_c": 41.5, "cpu_pct": 3, "mem_used_pct": 44, "disk_used_pct": 26,
        "soc_temp_c": 48.2, "link_up": 1, "mains_present": 1, "battery_v": 13.1, "battery_pct": 95,
    }  # fmt: skip
    reading.update(changes.pop("reading", {}))
    shown = {
        "v": 1, "pid": 1, "version": "0", "state": "running", "ts": now_ts, "started_ts": now_ts - 3600,
        "interval_s": 60, "reading": reading, "modem": {"manufacturer": "Quectel", "model": "EC25"},
        "link": {"state": "connected", "last_ack_ts": now_ts - 60, "last_problem": None},
        "store_problem": None,
        "buffer": {"stored": 7, "unsent": 2, "oldest_unsent_ts": now_ts - 120, "last_seq": 7},
        "internet": {"outage": None},
        "today": {"outages": 0, "down_s": 0, "power_outages": 0, "last_end_ts": None},
        "hour": {"field": "rsrp_dbm", "levels_dbm": [None] * 10 + [-97 + minute % 9 for minute in range(50)]},
        "budget": {"used_bytes": 12_345_678, "max_bytes": 300_000_000, "stage": "all"},
    }  # fmt: skip
    return {**shown, **changes}


TROUBLED: dict[str, Any] = {
    "reading": {
        "link_up": 0, "mains_present": 0, "battery_v": 11.4, "battery_pct": 31, "rsrp_dbm": -118,
        "sinr_db": -4.5, "signal_class": "very_poor", "registration": "searching", "ts_quality": "unset",
        "clock_offset_s": 5400, "operator_name": None, "operator_mccmnc": None, "band": None,
    },
    "internet": {"outage": {
        "kind": "link", "cause": "weak_signal", "inferred": False, "start_ts": NOW_TS - 1800,
    }},
    "today": {"outages": 3, "down_s": 2520, "power_outages": 1, "last_end_ts": NOW_TS - 7200},
    "link": {
        "state": "offline", "connects": 12, "last_ack_ts": NOW_TS - 1860, "last_reason": None,
        "last_problem": "broker.pusat.example:8883: no answer within 10 s", "last_problem_code": "timeout",
    },
    "buffer": {
        "stored": 200_000, "unsent": 123_456, "oldest_unsent_ts": NOW_TS - 400_000, "quarantined": 60,
        "events_unsent": 12, "folded": 123_456, "dropped": 7_890,
    },
    "budget": {"used_bytes": 296_000_000, "max_bytes": 300_000_000, "stage": "liveness_only"},
}  # fmt: skip
"""Changes of a snapshot: nearly everything is wrong at once."""


@contextmanager
def daemon_of(folder: Path) -> Iterator[None]:
    """Let it seem that a daemon runs in this runtime folder."""
    lock = DaemonLock(folder)
    lock.take()
    try:
        yield
    finally:
        lock.release()
