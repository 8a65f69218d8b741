"""Rows out of answers that print "label: value" instead of columns.

The label becomes a column name: "RSRP (dBm)" is rsrp_dbm, "LTE SCC1 bw" is lte_scc1_bw.
"""

import re
from collections.abc import Iterable, Iterator

from agent.modem.dialect import Row, Split

WORDS = re.compile(r"\b(\w{1,40}):(?:[ \t]*(?!\w{1,40}:)([^\s,:]+))?")
"""Labels and values of one word each, after anything else: "NL KPN Cc:204 RSRP:-90.00", "mcc:222,mnc:88"."""

PHRASES = re.compile(
    r"\b([A-Za-z][^:\t]{0,39}?)[ \t]{0,20}:[ \t]*(.*?)(?=[ \t]{2,}[A-Za-z][^:\t]{0,59}:|\t|$)"
)
"""Labels and values with single blanks inside, in columns set by tabs or several blanks."""

_NOT_OF_A_NAME = re.compile(r"[^a-z0-9]+")


def labelled(columns: str, pair: re.Pattern[str], *, starts: Iterable[str] | None = None) -> Split:
    """Return a split whose rows have these columns, filled from the labels; unknown labels are passed over.

    starts: the labels that begin a new row, their name standing in the column "part" (the row before the
    first of them has "" there); None: each line is a row of its own. Within a row the first value of
    a label counts.
    """
    names = columns.split()
    places = {name: place for place, name in enumerate(names)}
    beginnings = frozenset(starts or ())

    def split(answers: Iterable[str]) -> Iterator[Row]:
        row = [""] * len(names)
        for answer in answers:
            for label, value in pair.findall(answer):
                name = _NOT_OF_A_NAME.sub("_", label.lower()).strip("_")
                if name in beginnings:
                    yield row
                    row = [""] * len(names)
                    row[places["part"]] = name
                place = places.get(name)
                if place is not None and not row[place]:
                    row[place] = value.strip()
            if starts is None:
                yield row
                row = [""] * len(names)
        if starts is not None:
            yield row

    return split
