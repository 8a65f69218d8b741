"""The metric catalogue: every field of a reading, its type, unit, range and precision.

`catalogue.json` is the one place where a metric is described. The table of the buffer, the scales of
the wire format, the JSON Schemas, `docs/asyncapi.yaml` and `docs/fields.md` follow from it.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

Value = int | float | str | None
"""One field of a reading; None means "not known"."""

Row = dict[str, Value]
"""One reading: metric name to value. A metric that is absent is not known."""

CATALOGUE_FILE = Path(__file__).with_name("catalogue.json")


@dataclass(frozen=True, slots=True)
class Metric:
    """One field of a reading.

    type: integer, number, text, or flag (0/1). decimals: digits after the point that are kept, stored
    and sent (0 for whole). minimum/maximum: what physics or the field width allows, inclusive.
    values: the allowed words of a text metric, empty when any text may come.
    fold: how rows are folded into a rollup (mean, last, max, sum).
    kept: reading (one per row), envelope (of the batch), inventory (sent on change), local (never sent).
    level: public, restricted or internal (Satu Data).
    """

    name: str
    group: str
    kept: Literal["reading", "envelope", "inventory", "local"]
    type: Literal["integer", "number", "text", "flag"]
    unit: str | None
    decimals: int
    minimum: float | None
    maximum: float | None
    values: tuple[str, ...]
    fold: Literal["mean", "last", "max", "sum"]
    level: Literal["public", "restricted", "internal"]

    @property
    def divisor(self) -> int:
        """Return the power of ten that makes every kept value a whole number."""
        return int(10**self.decimals)

    def clean(self, value: object) -> Value:
        """Return `value` rounded to the kept precision, or None when it cannot be true.

        Wrong type, not finite, outside the range, or an unlisted word: all give None, because a
        reading must never carry a value that was not measured.
        """
        if value is None or isinstance(value, bool):
            return None
        if self.type == "text":
            if not isinstance(value, str) or not value or _is_broken_text(value):
                return None
            return value if not self.values or value in self.values else None
        if not isinstance(value, int | float) or not math.isfinite(value):
            return None
        if self.minimum is not None and value < self.minimum:
            return None
        if self.maximum is not None and value > self.maximum:
            return None
        if self.decimals == 0:
            return round(value)
        return round(value * self.divisor) / self.divisor


def _is_broken_text(text: str) -> bool:
    """Return whether a text holds half a surrogate pair, which neither SQLite nor JSON can carry."""
    return any("\ud800" <= character <= "\udfff" for character in text)


class Catalogue:
    """All metrics, in the order of the file.

    `id` is eight hexadecimal digits of the file's SHA-256; the gateway names it in its inventory.
    """

    def __init__(self, text: bytes) -> None:
        document = json.loads(text)
        self.id = hashlib.sha256(text).hexdigest()[:8]
        self.metrics = tuple(_metric(entry) for entry in document["metrics"])
        self._by_name = {metric.name: metric for metric in self.metrics}

    def __getitem__(self, name: str) -> Metric:
        """Return the metric called `name`; an unknown name raises KeyError."""
        return self._by_name[name]

    def get(self, name: str) -> Metric | None:
        """Return the metric called `name`, or None: another version may know more metrics."""
        return self._by_name.get(name)

    @property
    def reading_metrics(self) -> tuple[Metric, ...]:
        """Return the metrics that one row of the buffer holds, `seq` first."""
        return tuple(metric for metric in self.metrics if metric.kept == "reading")

    def clean(self, values: Mapping[str, object]) -> Row:
        """Return the known, possible values of `values` at kept precision.

        A name outside the catalogue raises KeyError: it is a mistake in a collector, not in the field.
        """
        cleaned: Row = {}
        for name, value in values.items():
            kept = self._by_name[name].clean(value)
            if kept is not None:
                cleaned[name] = kept
        return cleaned

    def names(self, kept: str) -> Iterable[str]:
        """Return the names of the metrics kept as `kept`."""
        return (metric.name for metric in self.metrics if metric.kept == kept)


def _metric(entry: Mapping[str, Any]) -> Metric:
    return Metric(
        name=entry["name"],
        group=entry["group"],
        kept=entry["kept"],
        type=entry["type"],
        unit=entry["unit"],
        decimals=entry.get("decimals", 0),
        minimum=entry.get("minimum"),
        maximum=entry.get("maximum"),
        values=tuple(entry.get("values", ())),
        fold=entry["fold"],
        level=entry["level"],
    )


@cache
def catalogue() -> Catalogue:
    """Return the catalogue of this version of the agent, read once."""
    return Catalogue(CATALOGUE_FILE.read_bytes())
