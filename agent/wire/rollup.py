"""The columns that a rollup of old readings has beside the fields: extremes, counts, shares of flags.

`<field>_min` and `<field>_max` are values of the field; `<field>_count` says how many of the `folded_rows`
readings knew it, `<flag>_mean` in which share of those it was 1.
"""

from agent.contract.catalogue import Metric, catalogue

EXTREMES = ("_min", "_max")
COUNT = "_count"
MEAN = "_mean"


def field_of(name: str) -> str:
    """Return the field that a column tells of: its own name, or that before its ending.

    A metric of the catalogue may end so itself, as clients_count does.
    """
    known = catalogue()
    if known.get(name) is None:
        for suffix in (*EXTREMES, COUNT, MEAN):
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
    return name.endswith(COUNT) and field_of(name) != name
