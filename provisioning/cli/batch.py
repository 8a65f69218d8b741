"""`sinyal-provision batch sites.csv`: the bundles of many sites; run again, it goes on where it stopped."""

import argparse
import time
from collections import Counter
from pathlib import Path

from agent import screen
from agent.errors import UsageMistake
from agent.language import N_, _
from provisioning.authority.session import opened
from provisioning.batch.report import FILE_NAME
from provisioning.batch.run import Progress, run_batch
from provisioning.batch.transport import LeftInFolder, Ssh, Stick, Transport
from provisioning.cli.actions import add_authority, add_json, add_register, note, print_json, say
from provisioning.cli.gateway import add_fleet, fleet_of
from provisioning.inventory.checks import require_good
from provisioning.inventory.register import load_register
from provisioning.inventory.sites import Site

RESULT_WORDS = {"done": N_("done"), "same": N_("as it was"), "failed": N_("failed")}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the list, which sites, and how bundles travel."""
    parser.add_argument("sites", type=Path, metavar=_("FILE"), help=_("list of sites"))
    parser.add_argument("--year", metavar=_("YEAR"), help=_("only sites of this batch_year"))
    parser.add_argument(
        "--only", action="append", metavar="GATEWAY_ID", help=_("only this gateway; may be repeated")
    )
    ways = parser.add_mutually_exclusive_group()
    ways.add_argument(
        "--stick", type=Path, metavar=_("FOLDER"), help=_("copy each bundle to this folder, too")
    )
    ways.add_argument(
        "--ssh", metavar="USER@HOST", help=_("install over SSH; {gateway_id} stands for the gateway_id")
    )
    add_fleet(parser)
    add_authority(parser)
    add_register(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Make and bring the bundles; return 1 when one of them failed."""
    register = load_register(args.register)
    fleet = fleet_of(args)
    chosen = _chosen(args, require_good(args.sites, register))
    started = time.monotonic()
    results: list[Progress] = []
    transport = _transport(args)
    try:
        with opened(args.ca, args.passphrase_file) as authority:
            for progress in run_batch(chosen, fleet, register, authority, out=args.out, transport=transport):
                results.append(progress)
                if not args.json:
                    _print_progress(progress, len(chosen))
    except KeyboardInterrupt:
        note(
            _("stopped after {n} of {all}. Next step: repeat the command: it goes on there").format(
                n=len(results), all=len(chosen)
            )
        )
        raise
    counts = Counter(progress.result for progress in results)
    if args.json:
        print_json(
            {
                **{result: counts[result] for result in RESULT_WORDS},
                "report": str(args.out / FILE_NAME),
                "failures": {
                    progress.site.gateway_id: progress.failure.what
                    for progress in results
                    if progress.failure
                },
            }
        )
        return 1 if counts["failed"] else 0
    say(
        _("{done} done, {same} as they were, {failed} failed in {s} s; report: {file}").format(
            done=counts["done"],
            same=counts["same"],
            failed=counts["failed"],
            s=round(time.monotonic() - started),
            file=args.out / FILE_NAME,
        )
    )
    if counts["failed"]:
        note(_("Next step:") + " " + _("repeat the command: only what failed is done again"))
    return 1 if counts["failed"] else 0


def _chosen(args: argparse.Namespace, sites: list[Site]) -> list[Site]:
    only = set(args.only or ())
    unknown = sorted(only - {site.gateway_id for site in sites})
    if unknown:
        raise UsageMistake(_("{wanted} is in no row of the list").format(wanted=unknown[0]))
    # What is installed has its bundle; what is retired gets none.
    chosen = [
        site
        for site in sites
        if (site.gateway_id in only if only else site.state == "planned")
        and site.state != "retired"
        and (args.year is None or site.batch_year == args.year)
    ]
    if not chosen:
        raise UsageMistake(
            _("{file} holds no site that is planned").format(file=args.sites),
            _("see what it holds: sinyal-provision inventory show {file}").format(file=args.sites),
        )
    return chosen


def _transport(args: argparse.Namespace) -> Transport:
    if args.stick is not None:
        return Stick(args.stick)
    if args.ssh is not None:
        return Ssh(args.ssh)
    return LeftInFolder()


def _print_progress(progress: Progress, total: int) -> None:
    site = progress.site
    place = f"{site.gateway_id} {site.site_name}"
    say(
        screen.fit([f"{progress.number:>3}/{total}", _(RESULT_WORDS[progress.result]), place], separator="  ")
    )
    if progress.failure is not None:
        step = progress.failure.next_step
        note(f"        {progress.failure.what}." + (f" {_('Next step:')} {step}." if step else ""))
