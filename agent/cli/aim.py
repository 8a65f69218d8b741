"""`sinyal aim`: turning an antenna in front of a terminal; level, best so far, trend, marked directions."""

import argparse
import contextlib
import json
import queue
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from agent import screen
from agent.aim.aiming import Aiming
from agent.aim.sessions import mark_document, session_document
from agent.cli import aim_screen, aim_sound
from agent.cli.aim_terminal import AimTerminal
from agent.cli.aim_watch import Look, ModemWatch
from agent.cli.modem_line import add_port, configured, open_modem
from agent.errors import SinyalError, UsageMistake
from agent.language import _, ngettext

LONGEST_MINUTES = 30.0

TICK_S = 0.1
"""Keys and signals are heard at least so often."""

YES = {"y", "ya", "yes"}

NOTHING_HEARD = 1

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `sinyal aim`."""
    add_port(parser)
    parser.add_argument(
        "--minutes",
        type=float,
        default=LONGEST_MINUTES,
        metavar=_("N"),
        help=_("end by itself after so many minutes (default and most: 30)"),
    )
    parser.add_argument(
        "--sound",
        choices=("off", "bell", "buzzer"),
        default="off",
        help=_("bell: the terminal rings faster nearer to the best; buzzer: a higher tone is a higher level"),
    )
    parser.add_argument(
        "--traffic",
        action="store_true",
        help=_("keep the modem sending a little, so that it shows the level under load; costs data"),
    )
    parser.add_argument("--yes", action="store_true", help=_("do not ask before spending data"))
    parser.add_argument("--history", action="store_true", help=_("show the last aimings instead"))
    parser.add_argument(
        "--json", action="store_true", help=_("one JSON document at the end: the result and all looks")
    )


def run(args: argparse.Namespace) -> int:
    """Aim until Ctrl-C, q or the end of the time; return 0, or 1 when no level was heard at all."""
    if not 0 < args.minutes <= LONGEST_MINUTES:
        raise UsageMistake(
            _("--minutes takes a number above 0, up to {most}").format(most=round(LONGEST_MINUTES)),
            _("leave it out for {most} minutes").format(most=round(LONGEST_MINUTES)),
        )
    if args.history:
        return _show_history(args)
    values = configured(args)
    traffic = _traffic(args)
    sound = aim_sound.sound_of(args.sound, values["paths.runtime"])
    began = time.monotonic()
    aiming = Aiming()
    looks: list[dict[str, Any]] = []
    with (
        _signals() as has_to_stop,
        open_modem(args) as line,
        ModemWatch(line.glance, began) as watch,
        traffic,
    ):
        ends_at = began + args.minutes * 60
        try:
            _aim(
                args,
                values,
                aiming,
                watch,
                sound,
                looks,
                lambda: has_to_stop() or time.monotonic() >= ends_at,
            )
        except OSError:  # the terminal is gone: what was found is kept all the same
            _leave_output()
    session = session_document(aiming, time.monotonic() - began)
    if not aiming.looks:
        raise watch.problem or SinyalError(
            _("no level was heard"), _("look at antenna and cable, then at: sinyal modem read")
        )
    _keep(args, session)
    _print_result(args, aiming, session, looks)
    return 0


def _aim(
    args: argparse.Namespace,
    values: Mapping[str, Any],
    aiming: Aiming,
    watch: ModemWatch,
    sound: aim_sound.Sound,
    looks: list[dict[str, Any]],
    is_over: Callable[[], bool],
) -> None:
    first = _first_look(watch, is_over)
    if first is None:
        return
    if args.json or not (sys.stdout.isatty() and sys.stdin.isatty()):
        _print_looks(args, aiming, watch, sound, looks, is_over, first)
        return
    place = (str(values["gateway.site_name"]), str(values["gateway.kode_desa"]))
    with AimTerminal(sys.stdin.fileno()) as terminal:
        drawing = aim_screen.AimScreen(aiming, place, args.minutes * 60)
        look: Look | None = first
        while not (is_over() or drawing.wants_to_end):
            if look is not None:
                drawing.note(look)
                _take_in(aiming, look, sound)
            for key in terminal.keys(TICK_S):
                drawing.press(key, watch.now_s())
            terminal.draw(drawing.lines(watch.now_s(), terminal.columns()))
            look = watch.next(0)


def _first_look(watch: ModemWatch, is_over: Callable[[], bool]) -> Look | None:
    """Wait for what the modem says first; one that fails at once fails the command."""
    if sys.stderr is not None and sys.stderr.isatty():
        print(_("asking the modem …"), file=sys.stderr, flush=True)
    while not is_over():
        look = watch.next(TICK_S)
        if look is not None:
            if look.problem is not None:
                raise look.problem
            return look
    return None


def _take_in(aiming: Aiming, look: Look, sound: aim_sound.Sound) -> bool:
    if look.fields is None or not aiming.add(look.at_s, look.fields):
        return False
    seen = aiming.view(look.at_s)
    if seen is not None:
        sound.tell(seen)
    return True


def _print_looks(
    args: argparse.Namespace,
    aiming: Aiming,
    watch: ModemWatch,
    sound: aim_sound.Sound,
    looks: list[dict[str, Any]],
    is_over: Callable[[], bool],
    first: Look,
) -> None:
    """Print a line for each look, or with --json gather them; what goes wrong goes to stderr, once."""
    look: Look | None = first
    said = ""
    while not is_over():
        if look is not None:
            what = look.problem.what if look.problem is not None else ""
            if not what and not _take_in(aiming, look, sound):
                what = _("the modem tells no level")
            if what and what != said:
                print(f"sinyal: {what}.", file=sys.stderr, flush=True)
            said = what
            if not what:
                _print_look(args, aiming, look, looks)
        look = watch.next(TICK_S)


def _print_look(args: argparse.Namespace, aiming: Aiming, look: Look, looks: list[dict[str, Any]]) -> None:
    seen = aiming.view(look.at_s)
    assert seen is not None
    if not args.json:
        print(aim_screen.plain_line(seen), flush=True)
        return
    if sys.stderr is not None and sys.stderr.isatty():
        print(aim_screen.plain_line(seen), file=sys.stderr, flush=True)
    moment = aiming.moment(look.at_s)
    assert moment is not None
    document = {
        **mark_document(moment),
        "at_s": round(look.at_s, 1),
        "best_dbm": None if seen.best_dbm is None else round(seen.best_dbm, 1),
        "trend": seen.trend,
        "trend_db": round(seen.trend_db, 1),
        "cell_changed": seen.came_from is not None,
    }
    del document["azimuth_deg"]
    looks.append(document)


def _traffic(args: argparse.Namespace) -> contextlib.AbstractContextManager[object]:
    """Return what sends while it is entered: nothing without --traffic. Asks first."""
    if not args.traffic:
        return contextlib.nullcontext()
    from agent.cli.aim_traffic import AimTraffic, most_bytes

    config = args.configuration.load().config
    kilobytes = most_bytes(args.minutes) // 1000
    what = _("this traffic uses up to {kilobytes} kB of the data budget").format(kilobytes=kilobytes)
    if not args.yes:
        if not sys.stdin.isatty():
            raise UsageMistake(what, _("nobody can be asked here: add --yes"))
        question = screen.as_sentence(what) + " " + _("Go on? [y/N]")
        print(question + " ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() not in YES:
            raise SinyalError(_("nothing was sent"), _("aim without --traffic: sinyal aim"))
    return AimTraffic(config)


@contextlib.contextmanager
def _signals() -> Iterator[Callable[[], bool]]:
    """Let Ctrl-C, SIGTERM and a dropped line end the aiming in order; give what tells whether one came."""
    came: queue.SimpleQueue[int] = queue.SimpleQueue()
    before = {number: signal.getsignal(number) for number in _STOPPING}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, lambda came_number, _frame: came.put(came_number))
    try:
        yield lambda: not came.empty()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave_output() -> None:
    """Let what is still to be printed go nowhere: nobody reads it any more."""
    from agent.cli.main import _drop_stdout

    _drop_stdout()


def _keep(args: argparse.Namespace, session: Mapping[str, Any]) -> None:
    """Keep the session where this gateway has a place for it; aiming works without."""
    if args.configuration.is_unconfigured():
        return
    from agent.pipeline.aim_history import keep_session

    try:
        keep_session(args.configuration.load().config, session)
    except SinyalError as fault:
        note = _("the result is not kept: {what}").format(what=fault.what)
        with contextlib.suppress(OSError):
            print(screen.note(f"sinyal: {note}."), file=sys.stderr)


def _print_result(
    args: argparse.Namespace, aiming: Aiming, session: Mapping[str, Any], looks: list[dict[str, Any]]
) -> None:
    if args.json:
        print(json.dumps({"session": session, "looks": looks}, ensure_ascii=False))
        return
    for line in aim_screen.result_lines(session):
        print(screen.note(line, 1))
    for told in aim_screen.result_notes(aiming):
        print(screen.note(f"sinyal: {told}."), file=sys.stderr)


def _show_history(args: argparse.Namespace) -> int:
    from agent.pipeline.aim_history import sessions

    found = sessions(args.configuration.load().config)
    if args.json:
        print(json.dumps({"sessions": found}, ensure_ascii=False))
        return 0
    if not found:
        print(_("No aiming is recorded."))
    for session in found:
        when = screen.wib(session["ts"])
        if session["ts_quality"] == "unset":
            when += " " + _("(clock not certain yet)")
        changes = int(session["cell_changes"] or 0)
        told = ngettext("{n} change of cell", "{n} changes of cell", changes).format(n=changes)
        print(screen.fit((when, screen.span(session["seconds"] or 0), told if changes else "")))
        for line in aim_screen.best_lines(session):
            print(screen.note(line, 1))
    return 0
