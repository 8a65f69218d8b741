"""`sinyal-provision ca init|sign|revoke|crl|renew|list`: the province's own certificate authority."""

import argparse
import time
from pathlib import Path

from agent import screen
from agent.errors import SinyalError, UsageMistake
from agent.language import N_, _, ngettext
from provisioning.authority.folder import CA_FILE, CRL_FILE, NotSigned, create, fingerprint, read_certificate
from provisioning.authority.index import REASONS, Index, Issued
from provisioning.authority.passphrase import passphrase
from provisioning.authority.requests import MAX_BYTES, read_request
from provisioning.authority.session import opened
from provisioning.cli.actions import (
    actions_of,
    add_authority,
    add_json,
    add_sites,
    host,
    note,
    print_json,
    say,
)
from provisioning.inventory.checks import require_good
from provisioning.inventory.register import load_register
from provisioning.inventory.sites import Site
from provisioning.whole_files import disk_faults_told, only_user_of, write_whole

STATE_WORDS = {
    "good": N_("good"),
    "due": N_("to renew"),
    "ended": N_("ended"),
    "revoked": N_("withdrawn"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add init, sign, revoke, crl, renew and list."""
    add = actions_of(parser)
    init = add("init", _("make a new authority"), "init --name 'Sinyal Jambi'")
    init.add_argument("--name", default="Sinyal CA", metavar=_("NAME"), help=_("name in its certificate"))
    sign = add("sign", _("give the certificate that a request asks for"), "sign gw-1.csr")
    sign.add_argument(
        "requests", type=Path, nargs="+", metavar=_("FILE"), help=_("certificate request (CSR)")
    )
    sign.add_argument("--out", type=Path, metavar=_("FOLDER"), help=_("where certificates go; else beside"))
    sign.add_argument(
        "--kind",
        choices=("gateway", "centre", "server"),
        default="gateway",
        help=_("whose it is: a gateway of the list, a program of the centre, or the broker"),
    )
    sign.add_argument(
        "--host",
        type=host,
        action="append",
        default=[],
        metavar=_("NAME"),
        help=_("name or address of a server"),
    )
    sign.add_argument(
        "--replace", action="store_true", help=_("the box has a new key; what it had before is withdrawn")
    )
    revoke = add("revoke", _("withdraw all certificates of a name"), "revoke gw-1 --reason stolen")
    revoke.add_argument("name", metavar=_("NAME"), help=_("gateway_id, or another name in a certificate"))
    revoke.add_argument("--reason", choices=REASONS, required=True, help=_("why"))
    crl = add("crl", _("write the list of what is withdrawn"), "crl --out /etc/mosquitto/sinyal/crl.pem")
    crl.add_argument("--out", type=Path, metavar=_("FILE"), help=_("write a copy here, too"))
    renew = add("renew", _("new certificates for keys that stay where they are"), "renew --due --out new")
    renew.add_argument("names", nargs="*", metavar=_("NAME"), help=_("gateway_id"))
    renew.add_argument(
        "--due", action="store_true", help=_("every gateway with a third of the time or less left")
    )
    renew.add_argument("--out", type=Path, required=True, metavar=_("FOLDER"), help=_("where they go"))
    shown = add("list", _("every certificate and how it stands; needs no passphrase"), "list --due")
    shown.add_argument("--due", action="store_true", help=_("only what should be renewed"))
    add_json(shown)
    for action in (init, sign, revoke, crl, renew, shown):
        add_authority(action)
    for action in (sign, renew):
        add_sites(action)


def run(args: argparse.Namespace) -> int:
    """Do what `args.action` names; return the exit code."""
    return {
        "init": _init,
        "sign": _sign,
        "revoke": _revoke,
        "crl": _crl,
        "renew": _renew,
        "list": _list,
    }[args.action](args)


def _init(args: argparse.Namespace) -> int:
    if not args.name.isprintable() or not 1 <= len(args.name) <= 64:
        raise UsageMistake(_("--name takes one line of at most 64 characters"))
    if args.ca.exists() and any(args.ca.iterdir() if args.ca.is_dir() else [args.ca]):
        # Before anybody thinks of a passphrase.
        raise UsageMistake(
            _("{folder} is not empty").format(folder=args.ca),
            _("name a new folder; an authority is never overwritten"),
        )
    typed = passphrase(args.passphrase_file, twice=True)
    with disk_faults_told(args.ca):
        authority = create(args.ca, args.name, typed)
    say(_("the authority is in {folder}").format(folder=args.ca))
    say(_("its fingerprint: {digits}").format(digits=fingerprint(authority.certificate)))
    say(_("Next step:") + " " + _("copy the folder to two sticks, and keep the passphrase apart from them"))
    return 0


def _sign(args: argparse.Namespace) -> int:
    if args.kind == "server" and not args.host:
        raise UsageMistake(
            _("a server's certificate needs the names it is reached by"), _("add --host, once for each")
        )
    if args.host and args.kind != "server":
        raise UsageMistake(_("--host belongs to --kind server"))
    sites = require_good(args.sites, load_register(args.register)) if args.kind == "gateway" else []
    requests = [(file, read_request(_content(file))) for file in args.requests]
    refused = 0
    with opened(args.ca, args.passphrase_file) as authority:
        for file, request in requests:
            try:
                if args.kind == "gateway":
                    require_site(sites, request.common_name)
                signed = authority.sign(request, kind=args.kind, hosts=args.host, replace=args.replace)
            except NotSigned as refusal:
                # Of twenty boxes one may be wrong; the others are waiting.
                refused += 1
                note(screen.failure_line(refusal, "sinyal-provision"))
                continue
            target = (args.out or file.parent) / f"{request.common_name}.pem"
            write_whole(target, signed.pem)
            word = _("signed") if signed.is_new else _("signed before")
            say(f"{request.common_name}: {word}, {_until(signed.issued)}: {target}")
    return 1 if refused else 0


def require_site(sites: list[Site], name: str) -> Site:
    """Return the site a name belongs to; raises NotSigned when the list has none in use."""
    for site in sites:
        if site.gateway_id == name:
            if site.state != "retired":
                return site
            raise NotSigned(
                _("{name} is retired").format(name=name),
                _("give the box a gateway_id of its own in the list"),
            )
    raise NotSigned(
        _("{name!r} is in no row of the list of sites").format(name=name[:80]),
        _("add the site to the list first; the name of a request is never taken on trust"),
    )


def _content(file: Path) -> bytes:
    try:
        with file.open("rb") as opened_file:
            return opened_file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageMistake(
            _("{path}: {reason}").format(path=file, reason=error.strerror), _("check the path")
        ) from None


def _revoke(args: argparse.Namespace) -> int:
    with opened(args.ca, args.passphrase_file) as authority:
        known = authority.index.of(args.name)
        if not known:
            raise UsageMistake(
                _("{name} never had a certificate of this authority").format(name=args.name),
                _("see all names: sinyal-provision ca list"),
            )
        withdrawn = authority.revoke(args.name, args.reason)
    count = len(withdrawn)
    say(
        ngettext("{name}: {n} certificate withdrawn", "{name}: {n} certificates withdrawn", count).format(
            name=args.name, n=count
        )
    )
    tell_where_crl_goes(args.ca)
    return 0


def tell_where_crl_goes(folder: Path) -> None:
    """Say what is still to be done before a withdrawal counts."""
    say(
        _("Next step:")
        + " "
        + _("copy {file} to the broker and restart it: only then is a connection that stands ended").format(
            file=folder / CRL_FILE
        )
    )


def _crl(args: argparse.Namespace) -> int:
    with opened(args.ca, args.passphrase_file) as authority:
        file = authority.write_crl()
        if args.out is not None:
            write_whole(args.out, file.read_bytes())
        count = sum(issued.revoked_ts is not None for issued in authority.index.all())
    say(
        ngettext("{file}: {n} withdrawn certificate", "{file}: {n} withdrawn certificates", count).format(
            file=args.out or file, n=count
        )
    )
    return 0


def _renew(args: argparse.Namespace) -> int:
    if bool(args.names) == args.due:
        raise UsageMistake(_("ca renew takes names, or --due"), _("see which are due: ca list --due"))
    sites = require_good(args.sites, load_register(args.register))
    failed = 0
    with opened(args.ca, args.passphrase_file) as authority:
        due = [each.name for each in authority.index.due(time.time()) if each.kind == "gateway"]
        for name in args.names or due:
            try:
                require_site(sites, name)
                signed = authority.renew(name)
            except SinyalError as refusal:
                failed += 1
                note(screen.failure_line(refusal, "sinyal-provision"))
                continue
            target = args.out / f"{name}.pem"
            write_whole(target, signed.pem)
            say(f"{name}: {_('renewed')}, {_until(signed.issued)}: {target}")
        if not args.names and not due:
            say(_("nothing is due"))
    return 1 if failed else 0


def _list(args: argparse.Namespace) -> int:
    certificate = read_certificate(args.ca)
    now_ts = time.time()
    with disk_faults_told(args.ca), only_user_of(args.ca):
        index = Index(args.ca)
    shown = index.due(now_ts) if args.due else index.all()
    if args.json:
        print_json(
            {
                "authority": fingerprint(certificate),
                "ends_ts": int(certificate.not_valid_after_utc.timestamp()),
                "certificates": [
                    {**_fields(issued), "standing": _standing(issued, now_ts)} for issued in shown
                ],
            }
        )
        return 0
    # Those of `broker check` are good for an hour; a year of checks would hide the gateways.
    own = [issued for issued in shown if issued.kind in ("check", "withdrawn")]
    for issued in shown:
        if issued in own:
            continue
        standing = _(STATE_WORDS[_standing(issued, now_ts)])
        say(f"{issued.name:<26} {issued.kind:<8} {standing:<10} {_until(issued)}")
    if own:
        say(_("and {n} of broker check: --json shows them").format(n=len(own)))
    say(_("fingerprint of {file}: {digits}").format(file=CA_FILE, digits=fingerprint(certificate)))
    return 0


def _fields(issued: Issued) -> dict[str, object]:
    return {name: getattr(issued, name) for name in issued.__dataclass_fields__}


def _standing(issued: Issued, now_ts: float) -> str:
    if issued.revoked_ts is not None:
        return "revoked"
    if issued.ends_ts <= now_ts:
        return "ended"
    return "due" if issued.is_due(now_ts) else "good"


def _until(issued: Issued) -> str:
    return _("until {date}").format(date=time.strftime("%Y-%m-%d", time.gmtime(issued.ends_ts)))
