"""`sinyal modem simulate`: a modem made of a transcript, for work without hardware."""

import argparse
import errno
import hashlib
import os
import signal
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from agent.config.toml_text import one_line
from agent.errors import NoPermission, SinyalError, UsageMistake
from agent.language import _
from agent.modem.simulator import Behaviour, SimulatedModem
from agent.modem.transcript import Transcript, read_transcript

GARBAGE = b"\x00\xff\xfe~\x7e$\r\n\xa5garbage\r\nRDY\r\n"
"""What a modem that is just starting, or a wrong speed, can leave on the line."""

_LOOK_EVERY_S = 0.2
_MAX_NUMBER = 1_000_000
_PTY_FOLDER = Path("/dev/pts")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the transcript and options of `sinyal modem simulate`."""
    parser.add_argument("transcript", type=Path, metavar="TRANSCRIPT", help=_("what the modem answers"))
    parser.add_argument(
        "--link", type=Path, metavar=_("PATH"), help=_("a name for the port, the same at each start")
    )
    parser.add_argument("--echo", action="store_true", help=_("send each command back"))
    parser.add_argument("--bytewise", action="store_true", help=_("answer one byte at a time"))
    parser.add_argument(
        "--delay-ms",
        type=int,
        default=0,
        metavar="N",
        help=_("wait before each line, with --bytewise before each byte"),
    )
    parser.add_argument(
        "--urc",
        action="append",
        default=[],
        metavar="TEXT",
        help=_("send this unsolicited line between answer lines now and then; may be repeated"),
    )
    parser.add_argument("--hang-after", type=int, metavar="N", help=_("fall silent after N commands"))
    parser.add_argument(
        "--flood-after", type=int, metavar="N", help=_("babble without an end after N commands")
    )
    parser.add_argument("--garbage", action="store_true", help=_("send garbage whenever the port is opened"))
    parser.add_argument(
        "--unplug-after", type=int, metavar="N", help=_("vanish in the middle of an answer after N commands")
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help=_("another seed puts unsolicited lines elsewhere")
    )


def run(args: argparse.Namespace) -> int:
    """Serve the transcript until Ctrl-C, SIGTERM or --unplug-after."""
    behaviour = _behaviour(args)
    transcript = read_transcript(args.transcript)
    if args.link is not None:
        _check_link(args.link)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup wants it
            signal.signal(number, lambda *_signal: stop.set())
    modem = SimulatedModem(transcript, behaviour, args.link)
    with ExitStack() as ended:
        try:
            ended.enter_context(_alone_at(args.link))
            ended.enter_context(modem)
        except OSError as fault:
            raise _no_port(args.link, fault) from None
        _say_how_to_use(transcript, modem.path)
        while not stop.wait(_LOOK_EVERY_S):
            if not modem.is_plugged_in:
                print(_("The modem has vanished, as wanted."))
                break
    return 0


def _behaviour(args: argparse.Namespace) -> Behaviour:
    for name in ("delay_ms", "hang_after", "flood_after", "unplug_after", "seed"):
        value = getattr(args, name)
        if value is not None and not 0 <= value <= _MAX_NUMBER:
            option = "--" + name.replace("_", "-")
            raise UsageMistake(
                _("{option} takes a whole number from 0 to {largest}").format(
                    option=option, largest=_MAX_NUMBER
                ),
                _("see `{command} --help`").format(command="sinyal modem simulate"),
            )
    if any(not text.isprintable() or not text for text in args.urc):
        raise UsageMistake(
            _("--urc takes one line of printable characters"), _("for several lines repeat --urc")
        )
    delay_s = args.delay_ms / 1000
    return Behaviour(
        echo=args.echo,
        bytewise=args.bytewise,
        byte_delay_s=delay_s if args.bytewise else 0.0,
        line_delay_s=0.0 if args.bytewise else delay_s,
        # A backslash means itself here, not the beginning of an escape.
        notices=tuple(text.replace("\\", "\\\\") for text in args.urc),
        seed=args.seed,
        garbage_at_open=GARBAGE if args.garbage else b"",
        hang_after=args.hang_after,
        flood_after=args.flood_after,
        unplug_after=args.unplug_after,
    )


def _check_link(link: Path) -> None:
    """Raise UsageMistake rather than bend a link away from a real port, NoPermission where none may be."""
    try:
        target = link.resolve() if link.is_symlink() and link.exists() else None
    except OSError as fault:
        raise _no_port(link, fault) from None
    if target is not None and _PTY_FOLDER not in target.parents:
        raise UsageMistake(
            _("{link} points at {target}").format(link=link, target=target),
            _("choose another name for the port"),
        )


@contextmanager
def _alone_at(link: Path | None) -> Iterator[None]:
    """Hold the name of a port; raises UsageMistake when another simulated modem has it.

    What holds it is a socket without a file: it ends with its process, however that ends.
    """
    if link is None:
        yield
        return
    with socket.socket(socket.AF_UNIX) as holding:
        whole = os.path.join(os.path.realpath(link.parent), link.name)  # noqa: PTH118 -- the link itself stays
        name = b"\0sinyal-modem-" + hashlib.sha256(os.fsencode(whole)).hexdigest().encode()
        try:
            holding.bind(name)
        except OSError as fault:
            if fault.errno != errno.EADDRINUSE:
                raise
            raise UsageMistake(
                _("{link} is the port of another simulated modem (process {pid})").format(
                    link=link, pid=_holder(name)
                ),
                _("end that one, or choose another name for the port"),
            ) from None
        holding.listen(1)
        yield


def _holder(name: bytes) -> int | str:
    """Return the process that listens at a socket, "?" when it has just gone."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.setblocking(False)
        try:
            asking.connect(name)
            told = asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        except OSError:
            return "?"
    return int(struct.unpack("3i", told)[0])


def _no_port(link: Path | None, fault: OSError) -> SinyalError:
    what = _("the port {link} cannot be made: {reason}").format(link=link or "", reason=fault.strerror)
    if isinstance(fault, PermissionError):
        return NoPermission(what, _("choose a folder of your own"))
    return UsageMistake(what, _("choose another name for the port"))


def _say_how_to_use(transcript: Transcript, port: Path) -> None:
    modem = transcript.header.get("modem", "?")
    print(_("modem:  {name}, {count} commands").format(name=one_line(modem), count=len(transcript.answers)))
    print(_("port:   {port}").format(port=port))
    print(_("try:    {command}").format(command=f"sinyal modem read --port {port}"))
    print(_("Ctrl-C ends it."), flush=True)
