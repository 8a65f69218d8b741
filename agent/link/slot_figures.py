"""What the probes of one slot say together: round trip, delay variation, loss (RFC 3393, RFC 7680)."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple


class Probed(NamedTuple):
    """One probe: which target, and its round trip, None without an answer."""

    target: int
    rtt_ms: float | None


def slot_figures(
    probes: Sequence[Probed], before_ms: Mapping[int, float], dead: frozenset[int] = frozenset()
) -> dict[str, float | int]:
    """Return link_up, rtt_ms (median), rtt_p95_ms, jitter_ms and loss_ratio of a slot, unknown ones absent.

    before_ms: the last round trip of each target before the slot. Jitter is the mean difference between
    successive round trips of one target, because two targets lie at different distances. dead: targets that
    have long been silent while another answers; their silence is theirs, not the link's.
    """
    if not probes:
        return {}
    answered = [one.rtt_ms for one in probes if one.rtt_ms is not None]
    counted = [one for one in probes if one.target not in dead or one.rtt_ms is not None]
    figures: dict[str, float | int] = {"link_up": int(bool(answered))}
    if counted:
        lost = sum(one.rtt_ms is None for one in counted)
        figures["loss_ratio"] = lost / len(counted)
    if answered:
        answered.sort()
        figures["rtt_ms"] = median(answered)
        figures["rtt_p95_ms"] = answered[math.ceil(0.95 * len(answered)) - 1]
    differences = list(_differences(probes, before_ms))
    if differences:
        figures["jitter_ms"] = sum(differences) / len(differences)
    return figures


def median(ordered: Sequence[float]) -> float:
    """Return the middle of values that are in order, the mean of the two middle ones of an even number."""
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def _differences(probes: Sequence[Probed], before_ms: Mapping[int, float]) -> Iterable[float]:
    last = dict(before_ms)
    for target, rtt_ms in probes:
        if rtt_ms is None:
            last.pop(target, None)
            continue
        if target in last:
            yield abs(rtt_ms - last[target])
        last[target] = rtt_ms
