"""Readings as anybody may see them: the fields of level "public" alone, few devices as "<5".

What the catalogue calls restricted or internal says where a cell stands, who subscribes, or how full a
household is; so does everything that the catalogue does not know.
"""

from collections.abc import Iterable

from agent.contract.catalogue import Row, Value, catalogue
from agent.contract.publication import published_clients_count
from agent.wire.rollup import field_of, is_count

WHOSE = "gateway"
"""The one column of a decoded row that is no field of the catalogue and stays."""


def is_public(column: str) -> bool:
    """Return whether a column of an export, or of a rollup in it, may be seen by anybody."""
    metric = catalogue().get(field_of(column))
    return column == WHOSE or (metric is not None and metric.level == "public")


def public_row(row: Row) -> Row:
    """Return what anybody may see of a row."""
    return {name: _published(name, value) for name, value in row.items() if is_public(name)}


def public_columns(columns: Iterable[str]) -> list[str]:
    """Return those of the columns that anybody may see."""
    return [column for column in columns if is_public(column)]


def _published(column: str, value: Value) -> Value:
    if field_of(column) == "clients_count" and not is_count(column) and isinstance(value, int | float):
        return published_clients_count(value)
    return value
