"""A modem's dialect as a table, and the one engine that reads it.

A `Query` is a command with the layouts its answer rows can have. A `Layout` names the columns in the
order of the manual's syntax line, says by which words or numbers it is recognised, and which field
comes from which column. A row is a line of comma-separated columns; `labels` makes rows of answers
that print "label: value". A `Dialect` is the tuple of queries for a family, best source first. A
family that differs in one column gets its own `Query`; nothing is inherited.
"""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from agent.contract.catalogue import Value
from agent.modem.conversions import Code, decimal, hexadecimal, plmn, whole
from agent.modem.identity import IdentityQuery
from agent.modem.ranges import RADIO_FIELDS, RANGES, is_possible

Convert = Callable[..., Value]
Test = Callable[[str], bool]
Row = list[str]
Split = Callable[[Iterable[str]], Iterator[Row]]


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a reading: the columns it needs and the function that makes it of their texts."""

    columns: tuple[str, ...]
    convert: Convert


def whole_number(column: str) -> Field:
    """Read a decimal whole number."""
    return Field((column,), whole)


def number(column: str) -> Field:
    """Read a number that may have decimals."""
    return Field((column,), decimal)


def hex_number(column: str) -> Field:
    """Read a hexadecimal number, with or without 0x."""
    return Field((column,), hexadecimal)


def coded(column: str, code: Code) -> Field:
    """Read an index on a coded scale."""
    return Field((column,), code.value)


def network_code(mcc: str, mnc: str) -> Field:
    """Read the network code from its two columns."""
    return Field((mcc, mnc), plmn)


def converted(column: str, convert: Convert) -> Field:
    """Read a column with its own conversion."""
    return Field((column,), convert)


def worded(column: str, words: Mapping[str, str]) -> Field:
    """Read one of the words of a table (capitals)."""
    return Field((column,), lambda text: words.get(text.upper()))


def constant(value: Value) -> Field:
    """Give the same value wherever the layout fits."""
    return Field((), lambda: value)


Technologies = frozenset[str | None]

_Reader = tuple[str, tuple[int, ...], Convert]


@dataclass(frozen=True, slots=True)
class Layout:
    """One shape of an answer row; made by `layout`.

    marks: column number to the test its text must pass. technologies: the access technologies during
    which the row counts, None among them meaning "not known yet"; None = any.
    """

    marks: tuple[tuple[int, Test], ...]
    min_columns: int
    technologies: Technologies | None
    readers: tuple[_Reader, ...]

    def counts_in(self, access_technology: str | None) -> bool:
        """Return True when rows of this shape are read while this technology serves the modem."""
        return self.technologies is None or access_technology in self.technologies

    def fits(self, columns: Row, access_technology: str | None) -> bool:
        """Return True when a row has this shape."""
        if len(columns) < self.min_columns:
            return False
        return self.counts_in(access_technology) and all(test(columns[number]) for number, test in self.marks)

    def read(self, columns: Row) -> dict[str, Value]:
        """Return the fields of a row of this shape; a column that is missing reads as empty."""
        count = len(columns)
        fields: dict[str, Value] = {}
        for name, numbers, convert in self.readers:
            value = convert(*(columns[number] if number < count else "" for number in numbers))
            if value is not None:
                fields[name] = value
        return fields


def one_of(words: Iterable[str]) -> Test:
    """Return a test for one of some words, given in capitals."""
    capitals = frozenset(words)
    return lambda text: text.upper() in capitals


def between(lowest: float, highest: float) -> Test:
    """Return a test for a number in a range, both ends included: what can physically stand there."""

    def is_between(text: str) -> bool:
        value = decimal(text)
        return value is not None and lowest <= value <= highest

    return is_between


def layout(
    columns: str,
    *,
    fields: Mapping[str, Field],
    marks: Mapping[str, Iterable[str] | Test] | None = None,
    technologies: Iterable[str | None] | None = None,
    min_columns: int | None = None,
) -> Layout:
    """Make a layout from column names in the order of the manual's syntax line.

    marks: by column, the words (capitals) of which one must stand there, or a test of the text.
    min_columns: shorter rows have another shape; by default all marked columns must be there.
    A misspelt column raises ValueError when the module is imported.
    """
    names = columns.split()
    marked = tuple(
        (names.index(name), wanted if callable(wanted) else one_of(wanted))
        for name, wanted in (marks or {}).items()
    )
    return Layout(
        marks=marked,
        min_columns=min_columns or max((number for number, _ in marked), default=0) + 1,
        technologies=None if technologies is None else frozenset(technologies),
        readers=tuple(
            (name, tuple(names.index(column) for column in field.columns), field.convert)
            for name, field in fields.items()
        ),
    )


@dataclass(frozen=True, slots=True)
class Query:
    """A command that only reads, and how its answer is read; made by `query`.

    prefixes: what answer lines begin with, "" for lines without any. split: makes rows of the texts
    after the prefix. keep: how two rows with the same field are settled, where it is not that the later
    one wins. deadline_s: the longest wait for the final result.
    """

    command: str
    prefixes: tuple[str, ...]
    layouts: tuple[Layout, ...]
    split: Split
    keep: Mapping[str, Callable[[Any, Any], Value]]
    deadline_s: float

    def is_worth_asking(self, access_technology: str | None, known: Container[str]) -> bool:
        """Return True unless better sources already gave all that this one could add."""
        possible = RANGES[access_technology]
        return any(
            name not in known and (name in possible or name not in RADIO_FIELDS)
            for shape in self.layouts
            if shape.counts_in(access_technology)
            for name, _numbers, _convert in shape.readers
        )

    def gives(self, wanted: Container[str]) -> bool:
        """Return True when one of its layouts has a wanted field."""
        return any(name in wanted for shape in self.layouts for name, _numbers, _convert in shape.readers)

    def layout_of(self, row: Row, access_technology: str | None) -> Layout | None:
        """Return the first layout that a row fits."""
        return next((shape for shape in self.layouts if shape.fits(row, access_technology)), None)


def split_columns(text: str) -> Row:
    """Return the comma-separated columns of an answer, without quotes and surrounding blanks.

    A comma inside quotes belongs to the column.
    """
    if '"' not in text:
        return [column.strip() for column in text.split(",")]
    columns: list[str] = []
    column = ""
    for position, part in enumerate(text.split('"')):
        if position % 2:
            column += part
            continue
        first, *rest = part.split(",")
        column += first
        for following in rest:
            columns.append(column.strip())
            column = following
    columns.append(column.strip())
    return columns


def lines_of_columns(answers: Iterable[str]) -> Iterator[Row]:
    """Make a row of each line."""
    return map(split_columns, answers)


def groups_of_columns(head: int, size: int) -> Split:
    """Return a split for lines that repeat a group: `head` columns once, then the groups of `size`.

    Each row is the head, the number of the group from 0, and the group.
    """

    def split(answers: Iterable[str]) -> Iterator[Row]:
        for answer in answers:
            columns = split_columns(answer)
            for turn, start in enumerate(range(head, len(columns) - size + 1, size)):
                yield [*columns[:head], str(turn), *columns[start : start + size]]

    return split


def query(
    command: str,
    prefix: str | tuple[str, ...],
    *layouts: Layout,
    split: Split = lines_of_columns,
    keep: Mapping[str, Callable[[Any, Any], Value]] | None = None,
    deadline_s: float = 3.0,
) -> Query:
    """Make a query. prefix "" stands for lines without a prefix; several may be given."""
    prefixes = (prefix,) if isinstance(prefix, str) else prefix
    return Query(command, prefixes, layouts, split, keep or {}, deadline_s)


@dataclass(frozen=True, slots=True)
class Dialect:
    """A family of modems; `agent.modem.dialects` tells for which makers and models.

    queries: of the serving cell and the modem itself, best source first. technology_codes: <AcT> numbers
    of 3GPP TS 27.007 to which this family gives a meaning of its own. cell_queries: secondary carriers
    and neighbours, asked on demand only (see `agent.modem.cells`). identity: card numbers that the
    standard commands do not give. set_up: settings without which the queries stay empty.
    """

    name: str
    queries: tuple[Query, ...]
    technology_codes: Mapping[int, str] = field(default_factory=dict)
    cell_queries: tuple[Query, ...] = ()
    identity: tuple[IdentityQuery, ...] = ()
    set_up: tuple[str, ...] = ()


# A more exact word for the same cell: the vendor's line says "GSM", +CGREG says EGPRS.
_REFINEMENTS: Mapping[str, frozenset[str]] = {
    "gsm": frozenset(("gprs", "edge")),
    "gprs": frozenset(("edge",)),
    "umts": frozenset(("hspa",)),
}


def refine(known: str | None, heard: str | None) -> str | None:
    """Return the access technology after one more source: the first one heard, or its refinement."""
    if known is None or (heard is not None and heard in _REFINEMENTS.get(known, ())):
        return heard
    return known


def read_answer(asked: Query, answers: Iterable[str], access_technology: str | None) -> dict[str, Value]:
    """Return the possible fields of an answer; of two rows with the same field the later wins.

    answers: the texts after the prefix. access_technology: what is known of the serving cell so far;
    a row that names it decides how the rows after it are read (in EN-DC the NR line is a leg). A
    value outside physics is left out, so that the next source can give the field.
    """
    found: dict[str, Value] = {}
    for row in asked.split(answers):
        shape = asked.layout_of(row, access_technology)
        if shape is None:
            continue
        fields = shape.read(row)
        named = fields.get("access_technology")
        if isinstance(named, str):
            access_technology = named
        for name, value in fields.items():
            if is_possible(access_technology, name, value):
                settle = asked.keep.get(name)
                found[name] = settle(found[name], value) if settle and name in found else value
    return found
