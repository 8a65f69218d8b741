"""The metric catalogue with what it says to people, as the generated documents show it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from agent.contract.catalogue import Catalogue, Metric


@dataclass(frozen=True, slots=True)
class Field:
    """A metric and what the catalogue says of it to people; label and definition by language (en, id)."""

    metric: Metric
    label: Mapping[str, str]
    definition: Mapping[str, str]
    source: str

    @property
    def has_extremes(self) -> bool:
        """Return whether a rollup may add `<field>_min`, `<field>_max` and `<field>_count`."""
        return self.metric.type in {"integer", "number"} and self.metric.fold != "last"

    @property
    def has_count(self) -> bool:
        """Return whether a rollup may add `<field>_count`."""
        return self.has_extremes or self.metric.type == "flag"


def read_fields(text: bytes) -> tuple[Field, ...]:
    """Return all fields of a catalogue file, in its order."""
    entries = json.loads(text)["metrics"]
    return tuple(
        Field(metric, entry["label"], entry["definition"], entry["source"])
        for metric, entry in zip(Catalogue(text).metrics, entries, strict=True)
    )
