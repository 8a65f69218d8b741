"""`sinyal-provision gateway new|check|retire`: the bundle of one box; the end of one."""

import argparse
from pathlib import Path

from agent.config.keys import RULES
from agent.errors import UsageMistake
from agent.language import _, ngettext
from provisioning.authority.folder import fingerprint, read_certificate
from provisioning.authority.session import opened
from provisioning.bundle.folder import Fleet, bundle_files, write_bundle
from provisioning.bundle.label import label_code
from provisioning.bundle.seal import LIST_FILE, check_bundle
from provisioning.bundle.settings import fleet_settings
from provisioning.cli.actions import actions_of, add_authority, add_sites, say
from provisioning.cli.ca import require_site, tell_where_crl_goes
from provisioning.inventory.checks import require_good, site_of
from provisioning.inventory.register import load_register
from provisioning.inventory.sites import with_state, write_sites


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add new, check and retire."""
    add = actions_of(parser)
    new = add("new", _("make the bundle of one gateway"), "new gw-1 --broker broker.example")
    new.add_argument("site", metavar=_("SITE"), help=_("gateway_id, or a village code with one gateway"))
    add_fleet(new)
    check = add("check", _("say whether a bundle is as it was sealed"), "check bundles/gw-1")
    check.add_argument("folder", type=Path, metavar=_("FOLDER"), help=_("folder of the bundle"))
    retire = add("retire", _("withdraw a gateway's certificates and end it in the list"), "retire gw-1")
    retire.add_argument("site", metavar=_("SITE"), help=_("gateway_id, or a village code with one gateway"))
    retire.add_argument(
        "--reason", choices=("retired", "lost", "stolen"), default="retired", help=_("why (retired)")
    )
    for action in (new, check, retire):
        add_authority(action)
    for action in (new, retire):
        add_sites(action)


def add_fleet(parser: argparse.ArgumentParser) -> None:
    """Add what all bundles share."""
    parser.add_argument("--broker", required=True, metavar="HOST[:PORT]", help=_("the broker, port 8883"))
    parser.add_argument(
        "--settings", type=Path, metavar=_("FILE"), help=_("TOML with keys of sinyal.toml for all gateways")
    )
    parser.add_argument(
        "--out", type=Path, default=Path("bundles"), metavar=_("FOLDER"), help=_("where bundles go (bundles)")
    )


def fleet_of(args: argparse.Namespace) -> Fleet:
    """Return what all bundles share, by the options; raises UsageMistake, ConfigMistake."""
    host, colon, port = args.broker.rpartition(":")
    if not colon or "]" in port:
        host, port = args.broker, "8883"
    host = host.strip("[]")
    try:
        RULES["broker"]["host"].accept(host)
        number = RULES["broker"]["port"].accept(int(port) if port.isdecimal() else port)
    except ValueError:
        raise UsageMistake(
            _("--broker {text!r} is no address").format(text=args.broker[:100]),
            _("for example broker.example:8883"),
        ) from None
    if not host:
        raise UsageMistake(_("--broker is empty"), _("for example broker.example:8883"))
    assert isinstance(number, int)
    return Fleet(host, number, fleet_settings(args.settings))


def run(args: argparse.Namespace) -> int:
    """Do what `args.action` names; return the exit code."""
    return {"new": _new, "check": _check, "retire": _retire}[args.action](args)


def _new(args: argparse.Namespace) -> int:
    register = load_register(args.register)
    fleet = fleet_of(args)
    sites = require_good(args.sites, register)
    site = require_site(sites, site_of(sites, args.site).gateway_id)
    folder = args.out / site.gateway_id
    was_there = (folder / LIST_FILE).exists()
    with opened(args.ca, args.passphrase_file) as authority:
        is_new = write_bundle(folder, bundle_files(site, fleet, register, authority), authority)
        digits = fingerprint(authority.certificate)
    if is_new and was_there:
        say(
            _("the bundle in {folder} has changed: copies of the old one are out of date").format(
                folder=folder
            )
        )
    else:
        say(
            (_("the bundle is in {folder}") if is_new else _("{folder} was there already")).format(
                folder=folder
            )
        )
    say(
        _("label code {code}, authority {digits}").format(
            code=label_code(site.gateway_id), digits=digits[:19]
        )
    )
    say(
        _("Next step:")
        + " "
        + _("carry the folder to the box and run: sh install.sh; bring back {id}.csr for `ca sign`").format(
            id=site.gateway_id
        )
    )
    return 0


def _check(args: argparse.Namespace) -> int:
    check_bundle(args.folder, read_certificate(args.ca))
    say(_("{folder} is as it was sealed").format(folder=args.folder))
    return 0


def _retire(args: argparse.Namespace) -> int:
    register = load_register(args.register)
    sites = require_good(args.sites, register)
    site = site_of(sites, args.site)
    # First the certificate: a list that says "retired" beside a box that may still speak would be a lie.
    with opened(args.ca, args.passphrase_file) as authority:
        count = len(authority.revoke(site.gateway_id, args.reason))
        authority.write_crl()
    if site.state != "retired":
        write_sites(args.sites, with_state(sites, site.gateway_id, "retired"))
    say(
        ngettext(
            "{id}: retired, {n} certificate withdrawn", "{id}: retired, {n} certificates withdrawn", count
        ).format(id=site.gateway_id, n=count)
    )
    tell_where_crl_goes(args.ca)
    if args.reason == "retired":
        say(_("On the box, before it leaves: sinyal wipe"))
    return 0
