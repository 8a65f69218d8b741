"""CSV files as people's programs write them: byte-order marks, semicolons, Latin-1, UTF-16; read strictly.

A row's number is the one that a spreadsheet shows: the header is row 1, empty rows count.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from agent.errors import SinyalError, UsageMistake
from agent.language import _

MAX_FILE_BYTES = 64 * 1024 * 1024
MAX_CELL_CHARS = 1000
_BYTE_ORDER_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


class TableUnreadable(SinyalError):
    """A file is no table of rows with one header."""


class Row(NamedTuple):
    """One row: its number in a spreadsheet, and its cells without blanks around them."""

    number: int
    cells: tuple[str, ...]


class Table(NamedTuple):
    """A table: names of the columns as the header has them, rows that are not empty, the coding."""

    header: tuple[str, ...]
    rows: list[Row]
    encoding: str


def read_table(file: Path) -> Table:
    """Return the table in a file; raises UsageMistake, TableUnreadable."""
    text, encoding = _text_of(file)
    rows = _rows_of(file, text)
    header = next(rows, None)
    if header is None:
        raise TableUnreadable(
            _("{file} is empty").format(file=file), _("the first row must name the columns")
        )
    names = tuple(cell.casefold() for cell in header.cells)
    doubled = sorted({name for name in names if name and names.count(name) > 1})
    if doubled:
        raise TableUnreadable(
            _("{file}, row {n}: the column {name} is there twice").format(
                file=file, n=header.number, name=doubled[0]
            ),
            _("delete one of them"),
        )
    return Table(header.cells, list(rows), encoding)


def _text_of(file: Path) -> tuple[str, str]:
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise UsageMistake(
            _("there is no file {path}").format(path=file),
            _("check the path; a list of sites is made by: sinyal-provision inventory import FILE"),
        ) from None
    except OSError as error:
        raise UsageMistake(
            _("{path}: {reason}").format(path=file, reason=error.strerror), _("check the path")
        ) from None
    if len(content) > MAX_FILE_BYTES:
        raise TableUnreadable(
            _("{file} has more than {n} MB").format(file=file, n=MAX_FILE_BYTES >> 20),
            _("split it by province"),
        )
    if content.startswith(b"PK\x03\x04"):
        raise TableUnreadable(
            _("{file} is an Excel workbook, not CSV").format(file=file),
            _('save it as "CSV UTF-8" in the spreadsheet program'),
        )
    for mark, encoding in (*_BYTE_ORDER_MARKS, (b"", "utf-8")):
        if content.startswith(mark):
            try:
                return content.decode(encoding), encoding
            except UnicodeDecodeError:
                break
    # What Excel writes as "CSV" on a Windows machine of western or Indonesian setting.
    return content.decode("cp1252", errors="replace"), "cp1252"


def _rows_of(file: Path, text: str) -> Iterator[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    csv.field_size_limit(MAX_CELL_CHARS * 4)
    number = 0
    try:
        for cells in reader:
            number += 1
            stripped = tuple(cell.strip() for cell in cells)
            if number == 1 and stripped[:1] and stripped[0].casefold().startswith("sep="):
                # Excel's own line about the separator; Excel does not show it as a row.
                number = 0
                continue
            if any(stripped):
                yield Row(number, stripped)
    except csv.Error as error:
        raise TableUnreadable(
            _("{file}, row {n}: this is no CSV: {reason}").format(file=file, n=number + 1, reason=error),
            _("save it as CSV again, with quotes around texts that hold quotes or line ends"),
        ) from None


def _delimiter(text: str) -> str:
    """Return what separates the names in the first line that is not empty."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    if first.casefold().startswith("sep=") and len(first) >= 5:
        return first[4]
    return max(",;\t", key=first.count)


def table_text(header: Sequence[str], rows: Sequence[Sequence[str]]) -> bytes:
    """Return a table as plain CSV: UTF-8, commas, line feeds."""
    written = io.StringIO(newline="")
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return written.getvalue().encode()
