"""A decoder written from the contract alone (section 4); it shares nothing with the agent."""

import json
import zlib
from typing import Any


def decode(payload: bytes) -> list[dict[str, Any]]:
    """Return the rows of a batch, each with its epoch; None where a value is not known."""
    document = json.loads(zlib.decompress(payload) if payload[:1] == b"\x78" else payload)
    if isinstance(document, list):
        return document
    columns = {}
    for key, column in document["c"].items():
        name, _slash, divisor = key.partition("/")
        columns[name] = _expand(column, document["n"], int(divisor) if divisor else None)
    rows = zip(*columns.values(), strict=True)
    return [{"epoch": document["epoch"], **dict(zip(columns, row, strict=True))} for row in rows]


def _expand(column: Any, n: int, divisor: int | None) -> list[Any]:
    if not isinstance(column, list):
        return [column / divisor if divisor and column is not None else column] * n
    if isinstance(column[0], list):
        return [value for value, length in column for _ in range(length)]
    values, total = [], 0
    for difference in column:
        if difference is not None:
            total += difference
        values.append(None if difference is None else total / divisor if divisor else total)
    return values
