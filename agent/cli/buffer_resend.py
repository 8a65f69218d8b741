"""`sinyal buffer resend FROM TO`: let stored rows be sent again, to fill a hole at the centre."""

import argparse
import json
import sys

from agent.buffer.history import MAX_SEQ
from agent.cli.buffer_source import buffer_source
from agent.errors import UsageMistake
from agent.language import _, ngettext

BYTES_A_READING = 28
"""In batches of 60, measured with 38 fields; see the wire benchmark."""

NOT_DONE = 1

YES = ("y", "yes", "ya")
"""In both languages, whichever is on the screen."""


def run(args: argparse.Namespace) -> int:
    """Ask and mark; return 1 when the person said no, or when nothing of the range is stored."""
    _check_range(args)
    source = buffer_source(args)
    stats = source.stats()
    stored_first, stored_last = stats["first_seq"] or 0, stats["last_seq"] or 0
    first, last = max(args.first_seq, stored_first), min(args.last_seq, stored_last)
    counted = source.count(first, last) if stored_first else {"stored": 0, "unsent": 0}
    again = counted["stored"] - counted["unsent"]
    document = {
        "first_seq": args.first_seq,
        "last_seq": args.last_seq,
        "stored": counted["stored"],
        "waiting_already": counted["unsent"],
        "bytes": again * BYTES_A_READING,
        "rows": 0,
    }
    if not counted["stored"]:
        _show(args, document, _nothing_stored(args, stored_first, stored_last))
        return NOT_DONE
    if not again:
        _show(args, document, _("all stored rows of this range are waiting to be sent already"))
        return 0
    if not args.yes and not _is_wanted(again):
        _show(args, document, _("nothing was changed"))
        return NOT_DONE
    document["rows"] = source.resend(first, last)
    text = ngettext(
        "{n} row will be sent again, some {size}",
        "{n} rows will be sent again, some {size}",
        document["rows"],
    )
    _show(args, document, text.format(n=document["rows"], size=_size(document["rows"])))
    return 0


def _check_range(args: argparse.Namespace) -> None:
    if not (1 <= args.first_seq <= MAX_SEQ and 1 <= args.last_seq <= MAX_SEQ):
        raise UsageMistake(
            _("FROM and TO take a seq: a whole number from 1"), _("see the seqs with: sinyal buffer stats")
        )
    if args.first_seq > args.last_seq:
        raise UsageMistake(
            _("FROM is behind TO"),
            _("swap them: {command}").format(
                command=f"sinyal buffer resend {args.last_seq} {args.first_seq}"
            ),
        )


def _nothing_stored(args: argparse.Namespace, stored_first: int, stored_last: int) -> str:
    if not stored_first:
        return _("no row is stored at all")
    return _("no row of {first} to {last} is stored; stored are {stored_first} to {stored_last}").format(
        first=args.first_seq, last=args.last_seq, stored_first=stored_first, stored_last=stored_last
    )


def _is_wanted(rows: int) -> bool:
    """Ask the person; raises UsageMistake where nobody can answer."""
    if sys.stdin is None or not sys.stdin.isatty():
        raise UsageMistake(
            ngettext(
                "{n} row would be sent again, some {size}",
                "{n} rows would be sent again, some {size}",
                rows,
            ).format(n=rows, size=_size(rows)),
            _("if you want that, add --yes"),
        )
    question = ngettext(
        "Send {n} row again, some {size} of data? [y/N]",
        "Send {n} rows again, some {size} of data? [y/N]",
        rows,
    )
    print(question.format(n=rows, size=_size(rows)), end=" ", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in YES


def _size(rows: int) -> str:
    return f"{max(1, round(rows * BYTES_A_READING / 1000))} kB"


def _show(args: argparse.Namespace, document: dict[str, int], text: str) -> None:
    if args.json:
        print(json.dumps(document))
    else:
        print(text[:1].upper() + text[1:] + ".")
