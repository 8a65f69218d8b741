"""Decoded rows as JSON lines, CSV and InfluxDB line protocol.

Texts in a batch come from strangers: whatever they hold, a row stays one line, a cell stays a cell, and no
cell becomes a formula.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from agent.contract.catalogue import Row, Value, catalogue
from agent.language import _
from agent.wire.columns import Batch
from agent.wire.public import is_public
from agent.wire.rollup import COUNT, EXTREMES, MEAN, field_of, is_count, value_metric

IDENTITY = ("gateway", "epoch", "seq", "late")
"""Every row begins with these."""

FORMULA_SIGNS = ("=", "+", "-", "@")
"""A text cell that begins so is computed by a spreadsheet; it gets an apostrophe in front."""

INFLUX_MAX_TS = (2**63 - 2) // 10**9
"""InfluxDB keeps time as 64-bit nanoseconds; in seconds this is the last, its negative the first."""

NAMED_AT_MOST = 100
"""So many columns outside the CSV header are named in notes; a stranger could send new ones for ever."""

_BREAKS_LINES = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_IS_PUNCTUATION_OF_INFLUX = re.compile("[,= ]")

Note = Callable[[str], None]
"""Takes one sentence about rows or values that could not be written."""

Formatter = Callable[[Sequence[Row]], Iterator[str]]
"""Gives the lines, each with its newline, of rows that identified_rows has made."""


def identified_rows(batch: Batch, gateway: str | None) -> list[Row]:
    """Return the rows of a batch with their whole identity, in the order of the catalogue.

    gateway None means not known; late is 0 or 1. What a rollup adds follows its field. Columns that the
    catalogue does not know come last, in the order of the batch.
    """
    found = dict.fromkeys(name for row in batch.rows for name in row)
    names = [*(name for name in _columns_with_rollups(found) if name in found), *found]
    late = int(batch.late)
    return [
        {"gateway": gateway, "epoch": batch.epoch, "seq": row["seq"], "late": late}
        | {name: row[name] for name in names if name in row}
        for row in batch.rows
    ]


def json_lines(rows: Sequence[Row]) -> Iterator[str]:
    """Yield one JSON object a line, in ASCII; what is not known is left out, an unknown gateway is null."""
    for row in rows:
        # Of ASCII's control characters JSON leaves this one alone.
        yield json.dumps(row, separators=(",", ":"), allow_nan=False).replace("\x7f", r"\u007f") + "\n"


class CsvLines:
    """CSV after RFC 4180 with Unix line ends; a header first, an empty cell where not known.

    The header is written with the first rows: all columns of the catalogue, then those that these rows have
    beside them; with `public` only those that anybody may see. A column that first comes later is left out,
    and `note` says so once for each.
    """

    def __init__(self, note: Note, *, public: bool = False) -> None:
        self._note = note
        self._public = public
        self._columns: tuple[str, ...] = ()
        self._left_out: set[str] = set()

    def __call__(self, rows: Sequence[Row]) -> Iterator[str]:
        """Yield the lines of these rows, before the first ones the header."""
        if not rows:
            return
        found = dict.fromkeys(name for row in rows for name in row)
        if not self._columns:
            columns = dict.fromkeys((*IDENTITY, *_known_columns(), *found))
            self._columns = tuple(name for name in columns if not self._public or is_public(name))
            yield csv_line(self._columns)
        self._say_what_is_left_out(found.keys() - self._columns)
        for row in rows:
            yield csv_line(row.get(name) for name in self._columns)

    def _say_what_is_left_out(self, names: Iterable[str]) -> None:
        for name in sorted(set(names) - self._left_out):
            if len(self._left_out) < NAMED_AT_MOST:
                self._left_out.add(name)
                self._note(
                    _("the CSV header is written and has no column {name}; jsonl keeps it").format(
                        name=ascii(name)
                    )
                )


def influx_lines(note: Note, rows: Sequence[Row]) -> Iterator[str]:
    """Yield InfluxDB line protocol: measurement `sinyal`, the gateway as its only tag, ts in nanoseconds.

    A field is an integer (suffix i) where the catalogue calls it an integer or flag, else a float also when
    it is whole: InfluxDB refuses a field that changes its type. Rows without a ts that InfluxDB can hold
    are left out, and `note` says so once. Source: InfluxDB line protocol reference, v2.
    """
    timeless = [row for row in rows if _influx_ts(row) is None]
    if timeless:
        note(
            _("{count} rows without a possible time are left out, first {epoch} seq {seq}").format(
                count=len(timeless), epoch=timeless[0]["epoch"], seq=timeless[0]["seq"]
            )
        )
    for row in rows:
        ts = _influx_ts(row)
        if ts is not None:
            gateway = row["gateway"]
            tag = f",gateway={_influx_name(gateway)}" if isinstance(gateway, str) and gateway else ""
            yield f"sinyal{tag} {','.join(_influx_fields(row))} {ts}000000000\n"


FORMATS: dict[str, Callable[[Note], Formatter]] = {
    "jsonl": lambda _note: json_lines,
    "csv": CsvLines,
    "influx": lambda note: partial(influx_lines, note),
}
"""The formats by name; a stream of rows needs a formatter of its own."""


def _known_columns() -> list[str]:
    return [metric.name for metric in catalogue().reading_metrics]


def _columns_with_rollups(found: Iterable[str]) -> list[str]:
    fields = {field_of(name) for name in found}
    names = []
    for name in _known_columns():
        names.append(name)
        if name in fields:
            spans = (MEAN,) if catalogue()[name].type == "flag" else EXTREMES
            names += [f"{name}{suffix}" for suffix in (*spans, COUNT)]
    return names


def _one_line(text: str) -> str:
    r"""Return `text` with control characters and line ends as \n, \x1b, \u2028."""
    return _BREAKS_LINES.sub(lambda found: ascii(found[0])[1:-1], text)


def csv_line(cells: Iterable[Value]) -> str:
    """Return one line of CSV with its newline; None gives an empty cell."""
    return ",".join(map(_csv_cell, cells)) + "\n"


def _csv_cell(value: Value) -> str:
    if not isinstance(value, str):
        return "" if value is None else str(value)
    text = _one_line(value)
    if text.startswith(FORMULA_SIGNS):
        text = f"'{text}"
    # In quotes an empty text differs from what is not known.
    if not text or '"' in text or "," in text:
        return '"' + text.replace('"', '""') + '"'
    return text


def _influx_ts(row: Row) -> int | None:
    ts = row.get("ts")
    return ts if isinstance(ts, int) and abs(ts) <= INFLUX_MAX_TS else None


def _influx_fields(row: Row) -> Iterator[str]:
    for name, value in row.items():
        # A readings/json object may have a key "", which line protocol cannot say.
        if name and name not in ("gateway", "ts") and value is not None:
            yield f"{_influx_name(name)}={_influx_value(name, value)}"


def _influx_name(name: str) -> str:
    # A backslash at the end of a name would swallow the sign that ends it; no escape helps against that.
    return _IS_PUNCTUATION_OF_INFLUX.sub(r"\\\g<0>", _one_line(name.replace("\\", r"\x5c")))


def _influx_value(name: str, value: float | str) -> str:
    if isinstance(value, str):
        return '"' + _one_line(value).replace("\\", r"\\").replace('"', r"\"") + '"'
    return f"{value}i" if isinstance(value, int) and _is_whole(name) else str(value)


def _is_whole(name: str) -> bool:
    if name == "late":
        return True
    metric = value_metric(name)
    return is_count(name) or (metric is not None and metric.type in ("integer", "flag"))
