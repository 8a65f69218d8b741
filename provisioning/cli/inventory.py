"""`sinyal-provision inventory check|show|import`: the list of sites against the register of villages."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from agent import screen
from agent.errors import UsageMistake
from agent.language import N_, _, ngettext
from provisioning.cli.actions import actions_of, add_json, add_register, add_sites, note, print_json, say
from provisioning.inventory.checks import check_sites, findings_of, require_good, site_of
from provisioning.inventory.importing import merge, with_ids
from provisioning.inventory.register import Register, load_register
from provisioning.inventory.sites import COLUMNS, STATES, Finding, read_sites, with_state, write_sites

MOST_LINES = 100

STATE_WORDS = {
    "planned": N_("planned"),
    "installed": N_("installed"),
    "accepted": N_("accepted"),
    "retired": N_("retired"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add check, show and import."""
    add = actions_of(parser)
    check = add("check", _("say what is wrong in a list, each with its row"), "check sites.csv")
    show = add("show", _("the sites of a list"), "show sites.csv --state planned")
    for action in (check, show):
        action.add_argument(
            "sites",
            type=Path,
            nargs="?",
            default=Path("sites.csv"),
            metavar=_("FILE"),
            help=_("list of sites"),
        )
        add_json(action)
        add_register(action)
    check.add_argument("--all", action="store_true", help=_("show every line, however many"))
    show.add_argument("--state", choices=STATES, help=_("only sites in this state"))
    show.add_argument("--find", default="", metavar=_("TEXT"), help=_("only rows that hold this text"))
    take = add("import", _("take the rows of a spreadsheet's CSV into the list"), "import export.csv")
    take.add_argument("file", type=Path, metavar=_("FILE"), help=_("CSV file to take rows from"))
    take.add_argument(
        "--into", type=Path, default=Path("sites.csv"), metavar=_("FILE"), help=_("list of sites (sites.csv)")
    )
    take.add_argument(
        "--replace", action="store_true", help=_("let rows with a known gateway_id take the old one's place")
    )
    add_json(take)
    add_register(take)

    mark = add("mark", _("say how far a gateway is"), "mark gw-1 installed")
    mark.add_argument("site", metavar=_("SITE"), help=_("gateway_id, or a village code with one gateway"))
    # "retired" is the business of `gateway retire`, which withdraws the certificate, too.
    mark.add_argument("state", choices=STATES[:3], help=_("how far it is now"))
    add_sites(mark)


def run(args: argparse.Namespace) -> int:
    """Do what `args.action` names; return the exit code."""
    register = load_register(args.register)
    return {"check": _check, "show": _show, "import": _import, "mark": _mark}[args.action](args, register)


def _mark(args: argparse.Namespace, register: Register) -> int:
    sites = require_good(args.sites, register)
    site = site_of(sites, args.site)
    if site.state == "retired":
        raise UsageMistake(
            _("{name} is retired").format(name=site.gateway_id),
            _("give the box a gateway_id of its own in the list"),
        )
    if site.state != args.state:
        write_sites(args.sites, with_state(sites, site.gateway_id, args.state))
    say(f"{site.gateway_id}: {_(STATE_WORDS[args.state])}")
    return 0


def _check(args: argparse.Namespace, register: Register) -> int:
    sites, findings = check_sites(args.sites, register)
    mistakes = sum(finding.is_mistake for finding in findings)
    if args.json:
        print_json(
            {
                "fine": not mistakes,
                "rows": len(sites),
                "mistakes": mistakes,
                "findings": [_as_json(finding) for finding in findings],
            }
        )
        return 1 if mistakes else 0
    _print_findings(findings, len(findings) if args.all else MOST_LINES)
    print(_summary(args.sites, len(sites), findings))
    return 1 if mistakes else 0


def _summary(file: Path, rows: int, findings: Sequence[Finding]) -> str:
    mistakes = sum(finding.is_mistake for finding in findings)
    parts = [
        ngettext("{n} row", "{n} rows", rows).format(n=rows),
        ngettext("{n} to correct", "{n} to correct", mistakes).format(n=mistakes),
        _("{n} to look at twice").format(n=len(findings) - mistakes),
    ]
    return f"{file}: {', '.join(parts)}"


def _print_findings(findings: Sequence[Finding], most: int) -> None:
    # What is to correct comes first: a list of hundred look-alikes must not hide it.
    ordered = sorted(findings, key=lambda finding: (not finding.is_mistake, finding.row))
    for finding in ordered[:most]:
        mark = _("correct") if finding.is_mistake else _("look")
        say(_("row {n}, {mark}: {what}").format(n=finding.row, mark=mark, what=finding.what))
    if len(ordered) > most:
        print(_("… and {n} more; --all shows them").format(n=len(ordered) - most))


def _as_json(finding: Finding) -> dict[str, object]:
    return {
        "row": finding.row,
        "code": finding.code,
        "what": finding.what,
        "level": "mistake" if finding.is_mistake else "look",
    }


def _show(args: argparse.Namespace, register: Register) -> int:
    sites, _findings = read_sites(args.sites)
    wanted = args.find.casefold()
    shown = [
        site
        for site in sites
        if (args.state is None or site.state == args.state)
        and wanted in " ".join(site.cells()[:-1]).casefold()
    ]
    if args.json:
        print_json({"sites": [dict(zip(COLUMNS, site.cells(), strict=True)) for site in shown]})
        return 0
    width = max([len(site.gateway_id) for site in shown], default=0)
    width = min(max(width, 10), 24)
    for site in shown:
        village = register.village(site.kode_desa)
        place = f"{village.kecamatan}, {village.kabupaten}" if village else _("unknown code")
        state = _(STATE_WORDS.get(site.state, site.state))
        line = f"{site.gateway_id:<{width}} {site.kode_desa:<13} {state:<12} {site.site_name} · {place}"
        print(line if len(line) <= screen.COLUMNS else line[: screen.COLUMNS - 1] + "…")
    print(ngettext("{n} site", "{n} sites", len(shown)).format(n=len(shown)))
    return 0


def _import(args: argparse.Namespace, register: Register) -> int:
    present = read_sites(args.into)[0] if args.into.exists() else []
    coming, findings = read_sites(args.file)
    if not coming:
        raise UsageMistake(_("{file} holds no row below its header").format(file=args.file))
    coming = with_ids(coming, register, present)
    findings += findings_of(coming, register)
    merged = merge(present, coming, replace_rows=args.replace)
    findings += merged.findings
    mistakes = [finding for finding in findings if finding.is_mistake]
    if not mistakes and merged.added + merged.changed:
        # Doubles between the old rows and the new ones show only in the whole.
        whole = [finding for finding in findings_of(merged.sites, register) if finding.is_mistake]
        mistakes += [finding for finding in whole if finding not in findings]
        findings += mistakes
    if not mistakes:
        write_sites(args.into, merged.sites)
    if args.json:
        print_json(
            {
                "fine": not mistakes,
                "added": 0 if mistakes else len(merged.added),
                "changed": 0 if mistakes else len(merged.changed),
                "findings": [_as_json(finding) for finding in sorted(findings)],
            }
        )
        return 1 if mistakes else 0
    _print_findings(findings, MOST_LINES)
    if mistakes:
        print(_summary(args.file, len(coming), findings))
        note(_("nothing was taken over; correct these rows, then repeat the command"))
        return 1
    print(
        _("{file}: {added} added, {changed} changed, {same} as they were").format(
            file=args.into,
            added=len(merged.added),
            changed=len(merged.changed),
            same=len(coming) - len(merged.added) - len(merged.changed),
        )
    )
    return 0
