"""docs/fields.md: every field for people, made from the metric catalogue."""

import html
from collections.abc import Sequence

from agent.contract.catalogue import Metric
from docs.catalogue_fields import Field

GROUPS = {
    "identity": "Identity",
    "time": "Time",
    "modem": "Modem",
    "radio": "Radio",
    "link": "Uplink",
    "power": "Power",
    "host": "Board and village network",
    "agent": "The agent itself",
    "inventory": "Inventory",
}

FIELDS_HEAD = """\
<!-- Written by docs/generate.py from agent/contract/catalogue.json. -->
# Fields

Every field that Sinyal measures, from metric catalogue `{catalogue}`. How they travel is in
[asyncapi.yaml](asyncapi.yaml); the same facts for programs are the JSON Schemas in
[agent/contract/schemas](../agent/contract/schemas).

- **A field that is absent or null is not known.** No number ever stands for "unknown", and what physics does
  not allow is not known either.
- *Value*: type and unit, least and greatest, precision; or the words that may come.
- *Level* is our suggestion after Satu Data: public, restricted, or internal (names a subscriber).
- *Kept*: reading (one value a reading), envelope (once a batch), inventory (sent when it changes), local
  (never leaves the gateway).
- *Rollup*: how a value stands for many readings, when old unsent ones are folded into rows of 5 minutes or an
  hour: their mean, max or sum, or the last known one. Such a row says in `folded_rows` how many they are;
  beside a mean or a max it has `<field>_min` and `<field>_max`. **A flag** stays 0 or 1 (the last one; for
  max the greatest), and `<flag>_mean` is the share of the readings in which it was 1. `<field>_count` says
  how many readings knew the field, where not all of them did. More in [decoding.md](decoding.md).
"""

TABLE_HEAD = """\
| field | value | meaning | source | level | kept | rollup |
|---|---|---|---|---|---|---|
"""


def fields_page(fields: Sequence[Field], catalogue_id: str) -> str:
    """Return docs/fields.md: one table for each group of the catalogue."""
    page = FIELDS_HEAD.format(catalogue=catalogue_id)
    for group, title in GROUPS.items():
        rows = "".join(_table_row(each) for each in fields if each.metric.group == group)
        page += f"\n## {title}\n\n{TABLE_HEAD}{rows}"
    return page


def _table_row(described: Field) -> str:
    metric = described.metric
    label = f"**{described.label['en']}** · *{described.label['id']}*"
    cells = (
        f"`{metric.name}`",
        _value(metric),
        f"{label}<br>{html.escape(described.definition['en'], quote=False)}",
        html.escape(described.source, quote=False),
        metric.level,
        metric.kept,
        metric.fold if metric.kept == "reading" else "",
    )
    return f"| {' | '.join(cells)} |\n"


def _value(metric: Metric) -> str:
    if metric.type == "flag":
        return "0 or 1"
    if metric.type == "text":
        return " ".join(f"`{word}`" for word in metric.values) or "text"
    bounds = f"{_bound(metric.minimum)} to {_bound(metric.maximum)}"
    precision = ("whole", "one decimal", "two decimals", "three decimals")[metric.decimals]
    return ", ".join(filter(None, (metric.type, metric.unit, bounds, precision)))


def _bound(bound: float | None) -> str:
    """Return a bound for people; a very wide one as the power of two that it is close to."""
    if bound is None:
        return "any"
    sign = "-" if bound < 0 else ""
    size = int(abs(bound)) if bound == int(bound) else abs(bound)
    if size < 2**32:
        return f"{sign}{size}"
    power = round(size).bit_length() - (round(size).bit_count() == 1)
    less = 2**power - size
    return f"{sign}2^{power}" + (f" - {less}" if less else "")
