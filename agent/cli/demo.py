"""`sinyal demo`: what `make run` starts."""

import argparse

from agent.errors import UsageMistake
from agent.language import _


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `sinyal demo`."""
    parser.add_argument(
        "--uplink-cut",
        type=float,
        metavar=_("SECONDS"),
        help=_("cut the uplink for this long after a while, to see the queue grow and drain"),
    )
    parser.add_argument(
        "--for", type=float, dest="run_for_s", metavar=_("SECONDS"), help=_("end by itself after this long")
    )


def run(args: argparse.Namespace) -> int:
    """Show the demo until Ctrl-C."""
    for name, seconds in (("--uplink-cut", args.uplink_cut), ("--for", args.run_for_s)):
        if seconds is not None and not 0 < seconds <= 86400:
            raise UsageMistake(
                _("{name} takes seconds, more than 0 and at most 86400").format(name=name),
                _("see `{command} --help`").format(command="sinyal demo"),
            )
    from agent.demo.show import show

    return show(uplink_cut_s=args.uplink_cut, run_for_s=args.run_for_s)
