"""`sinyal buffer export`: stored rows as JSON lines or CSV, on stdout or in a file that is whole."""

import argparse
import errno
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from agent import screen
from agent.buffer.history import MAX_SEQ, Selection
from agent.cli.buffer_source import buffer_source
from agent.cli.stdout_lines import write_lines
from agent.config.toml_text import one_line
from agent.contract.catalogue import Row
from agent.errors import NoPermission, SinyalError, UsageMistake
from agent.language import _, ngettext, system_reason
from agent.wire.formats import csv_line, json_lines
from agent.wire.public import public_columns, public_row

STDOUT = "-"

PART_SUFFIX = ".part"
"""Added to the name of a file that is not whole yet."""

QUIET_S = 1.0
REDRAW_S = 0.5
"""An export that takes longer than QUIET_S says how far it is, on a terminal, every REDRAW_S."""

DAY_S = 86400

Write = Callable[[Iterable[str]], None]

Pages = Iterable[tuple[list[str], list[Row]]]
"""Some rows at a time, with the columns that they may have."""


def run(args: argparse.Namespace) -> int:
    """Write the wanted rows; return 0 also when there are none."""
    selection = _selection(args)
    is_csv = (args.format or _format_of(args.file)) == "csv"
    pages = buffer_source(args).pages(selection)
    if args.public:
        pages = ((public_columns(columns), list(map(public_row, rows))) for columns, rows in pages)
    if args.file == STDOUT:
        count = _export(pages, write_lines, is_csv=is_csv, tells=not sys.stdout.isatty())
    else:
        file = Path(args.file)
        _check_file(file, may_replace=args.yes)
        with _whole_file(file) as write:
            count = _export(pages, write, is_csv=is_csv, tells=True)
        text = ngettext("{n} row written to {file}", "{n} rows written to {file}", count)
        _note(text.format(n=count, file=one_line(args.file)))
    if not count:
        _note(_("no stored row was wanted; see what there is: sinyal buffer stats"))
    return 0


def _export(pages: Pages, write: Write, *, is_csv: bool, tells: bool) -> int:
    count = 0
    header: list[str] = []
    left_out: set[str] = set()
    progress = _Progress(tells=tells)
    try:
        for columns, rows in pages:
            if is_csv and not header:
                header = columns
                write([csv_line(header)])
            write(_csv_lines(header, rows) if is_csv else json_lines(rows))
            if is_csv:
                left_out |= set(columns) - set(header)
            count += len(rows)
            progress.show(count)
    finally:
        progress.clear()
    if left_out:
        _note(_("not in the CSV header: {names}; jsonl has them").format(names=", ".join(sorted(left_out))))
    return count


def _csv_lines(header: Sequence[str], rows: Iterable[Row]) -> Iterator[str]:
    return (csv_line(row.get(name) for name in header) for row in rows)


def _note(text: str) -> None:
    print(f"sinyal: {text}.", file=sys.stderr, flush=True)


class _Progress:
    """One line on stderr that is written over; none where nobody looks or where it would mix with rows."""

    def __init__(self, *, tells: bool) -> None:
        self._tells = tells and sys.stderr is not None and sys.stderr.isatty()
        self._next_at = time.monotonic() + QUIET_S
        self._width = 0

    def show(self, count: int) -> None:
        """Say that so many rows are written."""
        if not self._tells or time.monotonic() < self._next_at:
            return
        self._next_at = time.monotonic() + REDRAW_S
        text = ngettext("{n} row …", "{n} rows …", count).format(n=count)
        self._width = len(text)
        print(f"\r{text}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Take the line away."""
        if self._width:
            print(f"\r{'':{self._width}}\r", end="", file=sys.stderr, flush=True)


# What was typed


def _format_of(file: str) -> str:
    return "csv" if file.lower().endswith(".csv") else "jsonl"


def _selection(args: argparse.Namespace) -> Selection:
    first = 1 if args.first_seq is None else args.first_seq
    last = MAX_SEQ if args.last_seq is None else args.last_seq
    since, until = _moment(args.since, "--since", 0), _moment(args.until, "--until", DAY_S - 1)
    help_step = _("see `{command} --help`").format(command="sinyal buffer export")
    if not (0 <= first <= MAX_SEQ and 0 <= last <= MAX_SEQ):
        raise UsageMistake(_("--from and --to take a seq: a whole number from 1"), help_step)
    if first > last:
        raise UsageMistake(_("--from is behind --to"), _("give the smaller seq to --from"))
    if since is not None and until is not None and since > until:
        raise UsageMistake(_("--since is later than --until"), _("give the earlier time to --since"))
    return Selection(max(first, 1), last, since, until, args.unsent)


def _moment(text: str | None, option: str, seconds_of_day: int) -> int | None:
    """Return a typed time as UTC seconds; a date alone means its first second, or seconds_of_day later."""
    if text is None:
        return None
    # Only who types a time waits for it to load.
    from datetime import datetime, timedelta, timezone

    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise UsageMistake(
            _("{option}: {text} is no date or time").format(option=option, text=ascii(text)),
            _("write it like 2026-11-21, 2026-11-21T09:30 (WIB) or 2026-11-21T02:30Z"),
        ) from None
    if at.tzinfo is None:
        at = at.replace(tzinfo=timezone(timedelta(seconds=screen.WIB_OFFSET_S)))
    is_date = len(text) <= len("2026-11-21")
    return int(at.timestamp()) + (seconds_of_day if is_date else 0)


# The file


def _check_file(file: Path, *, may_replace: bool) -> None:
    shown = one_line(str(file))
    try:
        if not file.exists() and not file.is_symlink():
            return
        if not file.is_file():
            raise UsageMistake(
                _("{file} is no ordinary file").format(file=shown), _("name a file that is to be made")
            )
    except (OSError, ValueError) as error:
        raise _not_written(file, error) from None
    if not may_replace:
        raise UsageMistake(
            _("{file} is there already").format(file=shown),
            _("name another file, or add --yes to replace it"),
        )


@contextmanager
def _whole_file(file: Path) -> Iterator[Write]:
    """Give a way to write into a file beside `file`, which takes its place when all went well."""
    target = Path(os.path.realpath(file))
    part = target.with_name(target.name + PART_SUFFIX)
    try:
        with _opened(file, part) as opened:

            def write(lines: Iterable[str]) -> None:
                with _explained(file):
                    opened.writelines(line.encode("utf-8") for line in lines)

            yield write
            with _explained(file):
                opened.flush()
                os.fsync(opened.fileno())
        with _explained(file):
            part.replace(target)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise


@contextmanager
def _opened(file: Path, part: Path) -> Iterator[IO[bytes]]:
    with _explained(file):
        opened = part.open("wb")
    try:
        yield opened
    finally:
        # What could not be written at a full disk fails again here.
        with suppress(OSError):
            opened.close()


@contextmanager
def _explained(file: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        raise _not_written(file, error) from None


def _not_written(file: Path, error: OSError | ValueError) -> SinyalError:
    shown = one_line(str(file))
    reason = system_reason((error.strerror if isinstance(error, OSError) else None) or error)
    what = _("{file} cannot be written: {reason}").format(file=shown, reason=reason)
    if isinstance(error, PermissionError):
        return NoPermission(what, _("choose a folder of your own, or use sudo"))
    if isinstance(error, FileNotFoundError | NotADirectoryError | ValueError):
        return UsageMistake(what, _("check the path"))
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return SinyalError(what, _("free some space there, or write to another disk"))
    return SinyalError(what, _("check the disk, or write to another one"))
