"""Is the link good enough for a video meeting? One line, and which input decided."""

from typing import Any, NamedTuple

from agent.language import N_


class Thresholds(NamedTuple):
    """What a meeting needs: at most so much delay, variation and loss, at least so much speed."""

    max_rtt_ms: float
    max_jitter_ms: float
    max_loss_ratio: float
    min_down_kbit_s: float
    min_up_kbit_s: float


class Readiness(NamedTuple):
    """enough: True, False, or None when not even the probes are known.

    decided_by names the input: the first that fails, else the one nearest to its threshold; value is what was
    measured, limit the threshold. missing: inputs that are not known.
    """

    enough: bool | None
    decided_by: str | None
    value: float | None
    limit: float | None
    missing: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """Return it for programs."""
        return {
            "enough": self.enough,
            "decided_by": self.decided_by,
            "value": self.value,
            "limit": self.limit,
            "missing": list(self.missing),
        }


NAMES = {
    "link_up": N_("the connection"),
    "rtt_ms": N_("the round trip time"),
    "jitter_ms": N_("the delay variation"),
    "loss_ratio": N_("the packet loss"),
    "down_kbit_s": N_("the download speed"),
    "up_kbit_s": N_("the upload speed"),
}
"""The inputs, for people, in the order in which they are looked at."""


def readiness(
    thresholds: Thresholds,
    *,
    link_up: float | None,
    rtt_ms: float | None,
    jitter_ms: float | None,
    loss_ratio: float | None,
    down_kbit_s: float | None = None,
    up_kbit_s: float | None = None,
) -> Readiness:
    """Judge the link; a speed that was never measured is named as missing and decides nothing."""
    values = {
        "link_up": link_up,
        "rtt_ms": rtt_ms,
        "jitter_ms": jitter_ms,
        "loss_ratio": loss_ratio,
        "down_kbit_s": down_kbit_s,
        "up_kbit_s": up_kbit_s,
    }
    missing = tuple(name for name, value in values.items() if value is None)
    if link_up == 0:
        return Readiness(enough=False, decided_by="link_up", value=0, limit=1, missing=missing)
    highest = {
        "rtt_ms": thresholds.max_rtt_ms,
        "jitter_ms": thresholds.max_jitter_ms,
        "loss_ratio": thresholds.max_loss_ratio,
    }
    lowest = {"down_kbit_s": thresholds.min_down_kbit_s, "up_kbit_s": thresholds.min_up_kbit_s}
    strain: dict[str, float] = {}
    for name, limit in highest.items():
        value = values[name]
        if value is not None:
            strain[name] = _share(value, limit)
    for name, limit in lowest.items():
        value = values[name]
        if value is not None:
            strain[name] = _share(limit, value)
    limits = {**highest, **lowest}
    failing = [name for name in strain if strain[name] > 1]
    needed = {"link_up", "rtt_ms", "loss_ratio"} - set(missing)
    if not failing and len(needed) < 3:
        return Readiness(enough=None, decided_by=None, value=None, limit=None, missing=missing)
    decided_by = failing[0] if failing else max(strain, key=lambda name: strain[name])
    return Readiness(
        enough=not failing,
        decided_by=decided_by,
        value=values[decided_by],
        limit=limits[decided_by],
        missing=missing,
    )


def _share(part: float, whole: float) -> float:
    """Return how much of what is allowed is used; more than 1 is too much."""
    if whole > 0:
        return part / whole
    return 0.0 if part <= 0 else float("inf")
