"""`sinyal modem record`: a poll of the modem as a transcript, without the numbers of persons and cards."""

import argparse
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from agent.cli.modem_line import configured as configured_values
from agent.config.toml_text import one_line
from agent.errors import ModemUnavailable, NoPermission, SinyalError, UsageMistake
from agent.language import _
from agent.pipeline.snapshot import daemon_runs

if TYPE_CHECKING:
    from agent.modem.recording import Recording

STDOUT = "-"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the file and options of `sinyal modem record`."""
    parser.add_argument("file", metavar="FILE", help=_("the transcript to write; - is stdout"))
    parser.add_argument("--port", metavar="PORT", help=_("the modem's port; default modem.port"))
    parser.add_argument(
        "--hide-cells", action="store_true", help=_("hide which cells it hears, too: they tell the place")
    )
    parser.add_argument("--yes", action="store_true", help=_("write over a file that exists"))


def run(args: argparse.Namespace) -> int:
    """Record the modem; the file appears whole or not at all, without the end when the modem fails."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)  # ends it as Ctrl-C does, and tidily
    port = _free_port(args)
    with _whole_file(args.file, may_replace=args.yes) as out:
        _note(_("asking the modem everything once; this can take a minute"))
        recording = _record(port, hide_cells=args.hide_cells)
        out.write(recording.text)
    if recording.left_out:
        _note(
            _("{count} questions were left out, the modem being too slow or gone").format(
                count=recording.left_out
            )
        )
    if args.file != STDOUT:
        print(
            _("{count} questions and their answers are in {file}").format(
                count=recording.questions, file=one_line(args.file)
            )
        )
        print(_("Look through it before you give it away. It can be replayed with:"))
        print(f"  sinyal modem simulate {one_line(args.file)}")
    if recording.fault is not None:
        what = recording.fault.what
        raise ModemUnavailable(
            _("the recording ends early, what came until then is kept: {what}").format(
                what=what if port in what else f"{port}: {what}"
            ),
            recording.fault.next_step,
        )
    return 0


def _record(port: str, *, hide_cells: bool) -> "Recording":
    # A mistake in what was typed is told before the serial port is loaded.
    from agent.modem.recording import record_modem

    try:
        return record_modem(port, hide_cells=hide_cells)
    except ModemUnavailable as fault:
        if port in fault.what:
            raise
        raise ModemUnavailable(f"{port}: {fault.what}", fault.next_step) from None


def _free_port(args: argparse.Namespace) -> str:
    """Return the port to open; raises ModemUnavailable when it is the running agent's."""
    values = configured_values(args)
    configured = str(values["modem.port"])
    wanted = args.port or configured
    if wanted == configured and daemon_runs(values["paths.runtime"]):
        raise ModemUnavailable(
            _("the agent runs and reads this modem"),
            _("stop the agent, record, and start it again: sudo service sinyal stop"),
        )
    return wanted


@contextmanager
def _whole_file(name: str, *, may_replace: bool) -> Iterator[TextIO]:
    """Give a file to write, which gets its name only when all is written; stdout for `-`.

    Raises UsageMistake before anything is asked when it exists already, or cannot be made there.
    """
    if name == STDOUT:
        if sys.stdout is None:
            raise UsageMistake(
                _("the output is closed (>&-), nothing can be written there"), _("name a file instead of -")
            )
        yield sys.stdout
        return
    file = Path(name)
    if file.exists() and not file.is_file():
        raise UsageMistake(
            _("{file} is no file that could be written").format(file=one_line(name) or '""'),
            _("choose another name"),
        )
    if file.exists() and not may_replace:
        raise UsageMistake(
            _("{file} exists already").format(file=one_line(name)),
            _("choose another name, or add --yes to write over it"),
        )
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        out = beside.open("w", encoding="utf-8")
    except (OSError, ValueError) as fault:
        raise _unwritable(name, fault) from None
    try:
        with out:
            yield out
        beside.replace(file)
    except OSError as fault:
        raise _unwritable(name, fault) from None
    finally:
        beside.unlink(missing_ok=True)


def _unwritable(name: str, fault: OSError | ValueError) -> SinyalError:
    reason = (fault.strerror if isinstance(fault, OSError) else None) or str(fault)
    what = _("{file} cannot be written: {reason}").format(file=one_line(name), reason=reason)
    if isinstance(fault, PermissionError):
        return NoPermission(what, _("choose a folder of your own"))
    return UsageMistake(what, _("check the folder and the space in it"))


def _note(text: str) -> None:
    print(f"sinyal: {text}.", file=sys.stderr, flush=True)
