"""`sinyal modem record`: a poll of the modem as a transcript, without the numbers of persons and cards."""

import argparse
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from agent.cli.modem_line import Answer, configured, is_of_running_daemon
from agent.config.toml_text import one_line
from agent.errors import ModemUnavailable, NoPermission, SinyalError, UsageMistake
from agent.language import _, system_reason

STDOUT = "-"

DAEMON_LIMIT_S = 100.0
"""More than a recording of the running agent takes, the wait for its own reading included."""


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
    port, runtime = _way_to_modem(args)
    with _whole_file(args.file, may_replace=args.yes) as out:
        _note(_("asking the modem everything once; this can take a minute"))
        recording = _record(args, port, runtime)
        out.write(recording["text"])
    if recording["left_out"]:
        _note(
            _("{count} questions were left out, the modem being too slow or gone").format(
                count=recording["left_out"]
            )
        )
    if args.file != STDOUT:
        print(
            _("{count} questions and their answers are in {file}").format(
                count=recording["questions"], file=one_line(args.file)
            )
        )
        print(_("Look through it before you give it away. It can be replayed with:"))
        print(f"  sinyal modem simulate {one_line(args.file)}")
    problem = recording["problem"]
    if problem is not None:
        what, used = str(problem["what"]), str(recording["port"])
        raise ModemUnavailable(
            _("the recording ends early, what came until then is kept: {what}").format(
                what=what if used in what else f"{used}: {what}"
            ),
            str(problem["next_step"]),
        )
    return 0


def _record(args: argparse.Namespace, wanted: str, runtime: Path | None) -> Answer:
    """Record through the agent that runs in this folder, else straight from the port."""
    if runtime is not None:
        from agent.pipeline.control_client import ask_daemon_within

        return ask_daemon_within(runtime, DAEMON_LIMIT_S, "modem_record", {"hide_cells": args.hide_cells})
    # A mistake in what was typed is told before the serial port is loaded.
    from agent.modem.recording import record_modem
    from agent.pipeline.control import fault_document

    try:
        recording = record_modem(wanted, hide_cells=args.hide_cells)
    except ModemUnavailable as fault:
        if wanted in fault.what:
            raise
        raise ModemUnavailable(f"{wanted}: {fault.what}", fault.next_step) from None
    return {
        "text": recording.text,
        "questions": recording.questions,
        "left_out": recording.left_out,
        "problem": None if recording.fault is None else fault_document(recording.fault),
        "port": wanted,
    }


def _way_to_modem(args: argparse.Namespace) -> tuple[str, Path | None]:
    """Return the port, and the runtime folder of the running agent when it is the agent's port."""
    values = configured(args)
    wanted = args.port or str(values["modem.port"])
    runtime: Path = values["paths.runtime"]
    return wanted, runtime if is_of_running_daemon(values, args.port) else None


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
    reason = system_reason((fault.strerror if isinstance(fault, OSError) else None) or fault)
    what = _("{file} cannot be written: {reason}").format(file=one_line(name), reason=reason)
    if isinstance(fault, PermissionError):
        return NoPermission(what, _("choose a folder of your own"))
    return UsageMistake(what, _("check the folder and the space in it"))


def _note(text: str) -> None:
    print(f"sinyal: {text}.", file=sys.stderr, flush=True)
