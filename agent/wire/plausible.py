"""Decoded values that cannot be: of the wrong type, or outside what the catalogue allows.

A batch comes from a stranger. A text where a number belongs would fix the type of a field in InfluxDB for
ever, and a number that physics does not allow would bend every mean that it goes into.
"""

from collections import Counter
from dataclasses import replace

from agent.contract.catalogue import Metric, Row, Value
from agent.wire.columns import Batch
from agent.wire.rollup import is_count, value_metric


def without_impossible_values(batch: Batch) -> tuple[Batch, Counter[str]]:
    """Return the batch without what cannot be, and how many values of which column were left out.

    Words that the catalogue does not list stay, as do unknown columns: a newer gateway may send them.
    """
    left_out: Counter[str] = Counter()
    rows = tuple(_possible(row, left_out) for row in batch.rows)
    return (replace(batch, rows=rows), left_out) if left_out else (batch, left_out)


def _possible(row: Row, left_out: Counter[str]) -> Row:
    wrong = [name for name, value in row.items() if name != "seq" and not _is_possible(name, value)]
    if not wrong:
        return row
    left_out.update(wrong)
    return {name: value for name, value in row.items() if name not in wrong}


def _is_possible(name: str, value: Value) -> bool:
    if is_count(name):
        return isinstance(value, int) and value >= 0
    metric = value_metric(name)
    if metric is None or value is None:
        return True
    if metric.type == "text":
        return isinstance(value, str)
    return not isinstance(value, str) and _is_in_range(metric, value)


def _is_in_range(metric: Metric, value: float) -> bool:
    if metric.decimals == 0 and value != int(value):
        return False
    above = metric.minimum is None or value >= metric.minimum
    return above and (metric.maximum is None or value <= metric.maximum)
