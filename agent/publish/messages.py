"""The two retained messages of a gateway: `status` and `inventory` (contract, section 4)."""

import json
from collections.abc import Mapping
from typing import Literal

from agent.contract.catalogue import catalogue

State = Literal["online", "offline", "lost"]

INVENTORY_FACTS = (
    "kode_desa",
    "kode_edisi",
    "site_name",
    "role",
    "modem_manufacturer",
    "modem_model",
    "modem_firmware",
    "operator_name",
    "operator_mccmnc",
)
"""Everything of a gateway that may leave it. IMEI, IMSI and ICCID are not here: they name a subscriber."""


def status_message(
    state: State, *, ts: int, since_ts: int, epoch: str, last_seq: int | None, version: str, interval_s: float
) -> bytes:
    """Return a `status` payload.

    ts is now and since_ts when this state began (UTC seconds; in the will both are the time of connecting,
    as nobody can know when it will be said). last_seq is the newest stored row, None when it is not known.
    """
    message: dict[str, object] = {"v": 1, "state": state, "ts": ts, "since": since_ts, "epoch": epoch}
    if last_seq is not None:
        message["last_seq"] = last_seq
    message["version"] = version
    message["interval_s"] = int(interval_s) if interval_s == int(interval_s) else interval_s
    return _compact(message)


def inventory_facts(known: Mapping[str, object], *, version: str, epoch: str) -> dict[str, object]:
    """Return what `inventory` says, without its time: of `known` only the listed, non-empty texts."""
    facts: dict[str, object] = {}
    for name in INVENTORY_FACTS:
        text = known.get(name)
        if isinstance(text, str) and text:
            facts[name] = text
    return {**facts, "agent_version": version, "catalogue": catalogue().id, "epoch": epoch}


def inventory_message(facts: Mapping[str, object], *, ts: int) -> bytes:
    """Return an `inventory` payload; ts in UTC seconds."""
    return _compact({"v": 1, "ts": ts, **facts})


def _compact(message: Mapping[str, object]) -> bytes:
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
