"""Bytes and microseconds of a reading on the wire, beside JSON and a plain encoder of the same contract."""

import json
import time
import zlib
from collections.abc import Callable, Sequence
from typing import Any

from agent.contract.catalogue import catalogue
from agent.wire.columns import decode_batch, encode_batch
from tests.bench.line import Line
from tests.wire import reference_week

LIMITS = {15: (54.0, 48.0), 60: (28.0, 24.0)}
"""Batch size: what must be met, and what we would like."""

Rows = Sequence[dict[str, Any]]


def _plain_columns(rows: Rows) -> bytes:
    """Return the contract's batch as the shortest reading of its rules gives it: catalogue order, zlib-9."""
    columns: dict[str, Any] = {}
    for metric in catalogue().reading_metrics:
        values = [row.get(metric.name) for row in rows]
        if all(value is None for value in values):
            continue
        key = metric.name if metric.divisor == 1 else f"{metric.name}/{metric.divisor}"
        if len(set(values)) == 1:
            columns[key] = (
                values[0] if metric.type == "text" else round(float(values[0] or 0) * metric.divisor)
            )
        elif metric.type == "text":
            runs: list[list[Any]] = []
            for value in values:
                if runs and runs[-1][0] == value:
                    runs[-1][1] += 1
                else:
                    runs.append([value, 1])
            columns[key] = runs
        else:
            before = 0
            differences: list[int | None] = []
            for value in values:
                if value is None:
                    differences.append(None)
                    continue
                whole = round(value * metric.divisor)
                differences.append(whole - before)
                before = whole
            columns[key] = differences
    document = {"v": 1, "epoch": rows[0]["epoch"], "n": len(rows), "late": 0, "c": columns}
    return zlib.compress(json.dumps(document, separators=(",", ":")).encode(), 9)


def _json_objects(rows: Rows) -> bytes:
    known = [{name: value for name, value in row.items() if value is not None} for row in rows]
    return json.dumps(known, separators=(",", ":")).encode()


def _bytes_a_reading(batches: Sequence[Rows], encode: Callable[[Rows], bytes]) -> float:
    return sum(len(encode(batch)) for batch in batches) / sum(map(len, batches))


def _ours(rows: Rows) -> bytes:
    return encode_batch(str(rows[0]["epoch"]), rows, late=False)


def run() -> list[Line]:
    """Encode the reference week at both batch sizes, and time both directions."""
    if not reference_week.FILE.exists():
        return [Line("payload bytes a reading", "not measured", f"{reference_week.FILE.name} is absent")]
    week = reference_week.rows()
    lines = []
    for size, (must, wish) in LIMITS.items():
        batches = [week[at : at + size] for at in range(0, len(week), size)]
        ours, plain = (_bytes_a_reading(batches, encode) for encode in (_ours, _plain_columns))
        objects = _bytes_a_reading(batches, _json_objects)
        packed = _bytes_a_reading(batches, lambda rows: zlib.compress(_json_objects(rows), 9))
        beside = f"plain encoder {plain:.1f}, JSON {objects:.0f}, JSON + zlib {packed:.1f}"
        lines.append(
            Line(
                f"payload bytes a reading, {size} a batch",
                f"{ours:.2f}",
                beside,
                f"{ours / plain:.2f} x plain",
                f"<= {must:.0f} (wish {wish:.0f})",
                ours > must,
            )
        )
    return [*lines, _speed(week)]


def _speed(week: Rows) -> Line:
    batches = [week[at : at + 60] for at in range(0, 6000, 60)]
    began = time.perf_counter()
    payloads = [_ours(batch) for batch in batches]
    encoded = time.perf_counter()
    for payload in payloads:
        decode_batch(payload)
    decoded = time.perf_counter()
    texts = [zlib.compress(_json_objects(batch), 9) for batch in batches]
    json_encoded = time.perf_counter()
    for text in texts:
        json.loads(zlib.decompress(text))
    json_decoded = time.perf_counter()
    ours_us = [(encoded - began) / 6000 * 1e6, (decoded - encoded) / 6000 * 1e6]
    json_us = [(json_encoded - decoded) / 6000 * 1e6, (json_decoded - json_encoded) / 6000 * 1e6]
    return Line(
        "encode + decode, microseconds a reading",
        f"{ours_us[0]:.1f} + {ours_us[1]:.1f}",
        f"JSON + zlib {json_us[0]:.1f} + {json_us[1]:.1f}",
        f"{sum(ours_us) / sum(json_us):.2f} x",
    )
