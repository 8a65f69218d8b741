"""The command `sinyal`: finds subcommand, language and configuration, and ends every failure well.

Only the module of the command that was typed is imported: `sinyal status` on a small router must not
wait for MQTT or the serial port to load, nor for what makes dataclasses.
"""

import argparse
import atexit
import gc
import importlib
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, NoReturn

from agent import __version__, language, screen
from agent.cli.configuration import Configuration
from agent.errors import SinyalError, UsageMistake
from agent.language import N_, _, system_reason


class Command(NamedTuple):
    """One subcommand: its module in `agent.cli` has add_arguments(parser) and run(args) -> exit code."""

    name: str
    module: str
    summary: str
    example: str


COMMANDS = (
    Command("menu", "menu", N_("choose by number, for those who remember no command"), "sinyal menu"),
    Command("run", "run", N_("run the agent in the foreground"), "sinyal run"),
    Command(
        "demo", "demo", N_("show a whole gateway at work, nothing installed"), "sinyal demo --uplink-cut 20"
    ),
    Command("status", "status", N_("how the gateway is doing, on one screen"), "sinyal status"),
    Command("doctor", "doctor", N_("find what is wrong, and say what to do next"), "sinyal doctor -v"),
    Command("watch", "watch", N_("the same, live, with the signal of the last hour"), "sinyal watch"),
    Command("budget", "budget", N_("what measuring has used of the data quota"), "sinyal budget"),
    Command("speedtest", "speedtest", N_("one bounded speed test"), "sinyal speedtest --yes"),
    Command("modem", "modem", N_("read the modem, find it, talk to it"), "sinyal modem read"),
    Command("aim", "aim", N_("turn an antenna to where the signal is best"), "sinyal aim --sound bell"),
    Command("gpio", "gpio", N_("test lights, relay, inputs and button step by step"), "sinyal gpio test"),
    Command("buffer", "buffer", N_("what is stored; take it along, or send it again"), "sinyal buffer stats"),
    Command("send", "send", N_("send what waits to the centre now"), "sinyal send"),
    Command("pause", "pause", N_("send no readings for a while; they are kept"), "sinyal pause 30"),
    Command("outages", "outages", N_("what failed, when and why"), "sinyal outages --from 2026-11-01"),
    Command(
        "availability",
        "availability",
        N_("how much of a month the internet and the power were there"),
        "sinyal availability --month 2026-11",
    ),
    Command(
        "page", "page", N_("the village page: write it, or show it on the network"), "sinyal page --serve"
    ),
    Command("accept", "accept", N_("the acceptance test at the village"), "sinyal accept"),
    Command("wipe", "wipe", N_("forget who this gateway was"), "sinyal wipe"),
    Command("config", "config", N_("check, show or change the configuration"), "sinyal config check"),
    Command("identity", "identity", N_("who this gateway is; numbers masked"), "sinyal identity"),
    Command(
        "support-bundle",
        "support_bundle",
        N_("one file for whoever helps, without secrets"),
        "sinyal support-bundle",
    ),
    Command("enrol", "enrol", N_("this gateway's key and certificate"), "sinyal enrol request"),
    Command("decode", "decode", N_("turn MQTT batches into rows"), "sinyal decode batch.bin --format csv"),
    Command("version", "version", N_("the version of the agent and of what it runs on"), "sinyal version"),
)

ARGPARSE_WORDS = (
    N_("usage: "),
    N_("positional arguments"),
    N_("options"),
    N_("show this help message and exit"),
    N_("show program's version number and exit"),
    N_("the following arguments are required: %s"),
    N_("unrecognized arguments: %s"),
    N_("expected one argument"),
    N_("expected at least one argument"),
    N_("argument %(argument_name)s: %(message)s"),
    N_("invalid %(type)s value: %(value)r"),
    N_("invalid choice: %(value)r (choose from %(choices)s)"),
    N_("not allowed with argument %s"),
    N_("ignored explicit argument %r"),
    N_("ambiguous option: %(option)s could match %(matches)s"),
)
"""What argparse itself says to a person, named here so that it is translated with the rest."""

HELP_COLUMNS = 80


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Help as wide as COLUMNS or the terminal says, else 80 columns.

    argparse makes a formatter for every argument that is added, and loads shutil with all its kinds of
    compression when it has to find out the width itself.
    """

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_help_columns() - 2)


def _help_columns() -> int:
    try:
        columns = int(os.environ.get("COLUMNS", "0"))
        return columns if columns > 0 else os.get_terminal_size().columns or HELP_COLUMNS
    except (ValueError, OSError):
        return HELP_COLUMNS


class Parser(argparse.ArgumentParser):
    """An argument parser whose mistakes are one line with a next step (exit code 2)."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        # Words for people: argparse would say "invalid float value".
        self.register("type", float, _number)
        self.register("type", int, _whole_number)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError:
            import difflib

            near = difflib.get_close_matches(str(value), map(str, action.choices or ()))
            if not near:
                raise
            text = _("{typed!r} is not known; perhaps you mean: {near}")
            raise argparse.ArgumentError(action, text.format(typed=value, near=", ".join(near))) from None

    def error(self, message: str) -> NoReturn:
        """Raise UsageMistake instead of printing the usage text and leaving."""
        raise UsageMistake(message, _("see `{command} --help`").format(command=self.prog))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(_("{text!r} is not a number").format(text=text)) from None


def _whole_number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(_("{text!r} is not a whole number").format(text=text)) from None


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code (contract, section 1)."""
    # The memory goes with the process; to search all of it for cycles at the end would only take time.
    atexit.register(gc.freeze)
    arguments = list(sys.argv[1:] if argv is None else argv)
    configuration = Configuration(_option(arguments, "--config"))
    try:
        _choose_language(arguments, configuration)
        args = _parse(arguments)
        args.configuration = configuration
        module = importlib.import_module(f"agent.cli.{args.module}")
        gc.enable()
        with _interruptible():
            code = int(module.run(args))
            if sys.stdout is not None:  # it is None when the shell closed it (>&-)
                sys.stdout.flush()
    except SinyalError as error:
        _say(error)
        if _stdout_fails():
            _drop_stdout()
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader (head, less) has left; what follows at exit must not complain either.
        _drop_stdout()
        return 0
    except Exception as error:  # noqa: BLE001 -- the last edge: no traceback ever reaches a technician
        # A line end more does no harm, and shows whether it was the output.
        if isinstance(error, OSError) and _stdout_fails("\n"):
            return _say_unwritable(error)
        return _say_unexpected(error, arguments)
    return code


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C raise KeyboardInterrupt while a command works, where `agent.__main__` has put it off.

    Before and after, Ctrl-C ends the process at once: in the middle of an import nobody could catch it.
    """
    is_put_off = signal.getsignal(signal.SIGINT) is signal.SIG_DFL
    if is_put_off:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        if is_put_off:
            signal.signal(signal.SIGINT, signal.SIG_DFL)


def _choose_language(arguments: Sequence[str], configuration: Configuration) -> None:
    wanted = _option(arguments, "--lang") or os.environ.get("SINYAL_LANG") or configuration.language()
    language.use_language(language.DEFAULT_LANGUAGE)
    if wanted not in language.LANGUAGES:
        raise UsageMistake(
            _("the language {wanted!r} is not known").format(wanted=wanted),
            _("choose --lang id or --lang en"),
        )
    language.use_language(wanted)
    # argparse looks its own words ("usage:", "show this help …") up in these module globals.
    vars(argparse)["_"] = language._
    vars(argparse)["ngettext"] = language.ngettext


def _option(arguments: Sequence[str], name: str) -> str | None:
    """Return the last value of an option that may stand before or after the command, or None."""
    value = None
    for at, argument in enumerate(arguments):
        if argument == "--":
            break
        if argument == name and at + 1 < len(arguments):
            value = arguments[at + 1]
        elif argument.startswith(name + "="):
            value = argument[len(name) + 1 :]
    return value


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    args, unknown = make_parser(arguments).parse_known_args(arguments)
    if unknown:
        raise UsageMistake(
            _("unrecognized arguments: %s") % " ".join(unknown),
            _("see `{command} --help`").format(command=f"sinyal {args.command}"),
        )
    return args


def make_parser(arguments: Sequence[str] | None) -> argparse.ArgumentParser:
    """Return the parser for a command line; None makes the parsers of all commands with all they take."""
    common = Parser(add_help=False, argument_default=argparse.SUPPRESS, formatter_class=HelpFormatter)
    common.add_argument(
        "--config", metavar=_("PATH"), help=_("configuration file (default /etc/sinyal/sinyal.toml)")
    )
    common.add_argument("--lang", choices=language.LANGUAGES, help=_("language of the screen"))
    common.add_argument("--debug", action="store_true", help=argparse.SUPPRESS)
    parser = Parser(
        prog="sinyal",
        parents=[common],
        description=_("Sinyal, the agent on village internet gateways."),
        epilog=_("Each command has its own help: sinyal status --help"),
        formatter_class=HelpFormatter,
    )
    parser.add_argument(
        "--version",
        action="version",
        version=f"sinyal {__version__}",
        help=_("show program's version number and exit"),
    )
    commands = parser.add_subparsers(metavar=_("COMMAND"), required=True, dest="command", parser_class=Parser)
    typed = {command.name for command in COMMANDS} if arguments is None else set(arguments)
    first = (arguments or ())[:1]
    # With the command in front no other one can be meant, and making the parsers of all takes time.
    for command in [each for each in COMMANDS if each.name in first] or COMMANDS:
        sub = commands.add_parser(
            command.name,
            parents=[common],
            help=_(command.summary),
            description=screen.as_sentence(_(command.summary)),
            epilog=_("example: {example}").format(example=command.example),
            formatter_class=HelpFormatter,
        )
        sub.set_defaults(module=command.module)
        if command.name in typed:
            importlib.import_module(f"agent.cli.{command.module}").add_arguments(sub)
    return parser


def _say(error: SinyalError) -> None:
    print(screen.failure_line(error), file=sys.stderr)


def _stdout_fails(more: str = "") -> bool:
    """Return whether what was printed, and `more`, cannot be written."""
    try:
        if sys.stdout is not None:
            sys.stdout.write(more)
            sys.stdout.flush()
    except OSError:
        return True
    return False


def _drop_stdout() -> None:
    """Let what is still to be printed go nowhere, so that nothing complains of it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _say_unwritable(error: OSError) -> int:
    _drop_stdout()
    what = _("the output cannot be written: {reason}").format(reason=system_reason(error.strerror))
    _say(SinyalError(what, _("make room on the disk, or send the output elsewhere")))
    return 1


def _say_unexpected(error: Exception, arguments: Sequence[str]) -> int:
    if "--debug" in arguments:
        import traceback

        traceback.print_exc()
    what = _("unexpected fault in Sinyal: {name}: {error}").format(name=type(error).__name__, error=error)
    _say(SinyalError(what, _("send this line to the maintainers; --debug shows more")))
    return 1
