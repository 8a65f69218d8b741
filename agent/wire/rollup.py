"""The columns that a rollup of old readings has beside the fields: extremes and counts.

`<field>_min` and `<field>_max` are values of the field; `<field>_count` says how many of the `folded_rows`
readings knew it.
"""

from agent.contract.catalogue import Metric, catalogue

FOLDED_ROWS = "folded_rows"
"""How many readings a rollup was made of."""

EXTREMES = ("_min", "_max")
COUNT = "_count"


def field_of(name: str) -> str:
    """Return the field that a column tells of: its own name, or that before `_min`, `_max` or `_count`.

    A metric of the catalogue may end so itself, as clients_count does.
    """
    known = catalogue()
    if known.get(name) is None:
        for suffix in (*EXTREMES, COUNT):
            field = name.removesuffix(suffix)
            if field != name and known.get(field) is not None:
                return field
    return name


def value_metric(name: str) -> Metric | None:
    """Return the metric whose values a column holds, None for a count and for what is not known."""
    known = catalogue()
    metric = known.get(name)
    if metric is None and name.endswith(EXTREMES):
        metric = known.get(field_of(name))
    return metric


def is_count(name: str) -> bool:
    """Return whether a column counts readings."""
    if catalogue().get(name) is not None:
        return False
    return name == FOLDED_ROWS or (name.endswith(COUNT) and field_of(name) != name)
