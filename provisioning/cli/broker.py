"""`sinyal-provision broker render|check`: a ready set-up for mosquitto; what a running broker really does."""

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from agent.config.keys import RULES
from agent.errors import UsageMistake
from agent.language import N_, _, ngettext
from provisioning.authority.folder import CA_FILE, CHECK_NAMES
from provisioning.authority.session import opened
from provisioning.broker.check import Outcome, probe_broker
from provisioning.broker.ears import WAIT_S, Identity, Probe
from provisioning.broker.identities import foreign_identity, own_identities, withdrawn_identity
from provisioning.broker.render import CONFIG_FILE, BrokerPlan
from provisioning.broker.setup import write_setup
from provisioning.cli.actions import actions_of, add_authority, add_json, host, print_json, say

VERDICTS = {"pass": N_("PASS"), "fail": N_("FAIL"), "skip": N_("SKIP")}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add render and check."""
    add = actions_of(parser)
    render = add("render", _("write the set-up of mosquitto"), "render out --host broker.example")
    render.add_argument("out", type=Path, metavar=_("FOLDER"), help=_("where to write it"))
    render.add_argument(
        "--host",
        type=host,
        action="append",
        required=True,
        metavar=_("NAME"),
        help=_("name or address that gateways use; the first is the main one"),
    )
    render.add_argument(
        "--at",
        type=PurePosixPath,
        default=PurePosixPath("/etc/mosquitto/sinyal"),
        metavar=_("FOLDER"),
        help=_("where the files will lie on the broker (/etc/mosquitto/sinyal)"),
    )
    render.add_argument(
        "--state",
        type=PurePosixPath,
        default=PurePosixPath("/var/lib/mosquitto"),
        metavar=_("FOLDER"),
        help=_("where the broker keeps its state (/var/lib/mosquitto)"),
    )
    render.add_argument("--port", type=_port, default=8883, metavar=_("PORT"), help=_("port (8883)"))
    render.add_argument(
        "--gateways", type=_count, default=200, metavar="N", help=_("how many gateways it is sized for (200)")
    )
    render.add_argument(
        "--centre",
        action="append",
        metavar=_("NAME"),
        help=_("name in the certificate of a program that reads all (pusat)"),
    )
    render.add_argument("--user", default="", metavar=_("NAME"), help=_("system user the broker runs as"))
    check = add("check", _("probe a running broker"), "check broker.example")
    check.add_argument("host", metavar=_("HOST"), help=_("name of the broker, as gateways use it"))
    check.add_argument("--port", type=_port, default=8883, metavar=_("PORT"), help=_("port (8883)"))
    check.add_argument(
        "--ca-file", type=Path, metavar=_("FILE"), help=_("the authority's certificate, without its folder")
    )
    for option, meaning in (
        ("--cert1", _("certificate of a gateway to probe with")),
        ("--key1", _("its key")),
        ("--cert2", _("certificate of a second gateway")),
        ("--key2", _("its key")),
    ):
        check.add_argument(option, type=Path, metavar=_("FILE"), help=meaning)
    check.add_argument(
        "--wait",
        type=_seconds,
        default=WAIT_S,
        metavar="S",
        help=_("how long to wait for an answer, in s (15)"),
    )
    check.add_argument(
        "--plain-port",
        type=_port,
        default=1883,
        metavar=_("PORT"),
        help=_("where nobody may answer without TLS, beside --port (1883)"),
    )
    add_json(check)
    for action in (render, check):
        add_authority(action)


def run(args: argparse.Namespace) -> int:
    """Do what `args.action` names; return the exit code."""
    return {"render": _render, "check": _check}[args.action](args)


def _render(args: argparse.Namespace) -> int:
    centre = tuple(args.centre or ("pusat",))
    for name in centre:
        try:
            RULES["gateway"]["id"].accept(name)
        except ValueError:
            raise UsageMistake(
                _("--centre {name!r} cannot be a name in a certificate").format(name=name),
                RULES["gateway"]["id"].allowed(),
            ) from None
    plan = BrokerPlan(
        folder=args.at,
        port=args.port,
        gateways=args.gateways,
        centre=centre,
        state=args.state,
        user=args.user,
    )
    for value in (str(args.at), str(args.state), args.user):
        if not value.isprintable():
            raise UsageMistake(_("a path holds signs that cannot be shown"))
    with opened(args.ca, args.passphrase_file) as authority:
        is_new = write_setup(args.out, plan, authority, args.host)
    say(_("the set-up is in {folder}").format(folder=args.out))
    if is_new:
        say(_("the server has a new certificate for {hosts}").format(hosts=", ".join(args.host)))
    say(
        _("Next step:")
        + " "
        + _("copy the folder to {at} on the broker and run: mosquitto -c {at}/{file}").format(
            at=args.at, file=CONFIG_FILE
        )
    )
    say(_("Other brokers, and fleets beyond one machine: docs/brokers.md"))
    return 0


def _check(args: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory(prefix="sinyal-check-") as folder, _probe(args, Path(folder)) as probe:
        started = time.monotonic()
        outcomes = []
        for outcome in probe_broker(probe):
            outcomes.append(outcome)
            if not args.json:
                _print_outcome(outcome)
    failed = sum(outcome.verdict == "fail" for outcome in outcomes)
    if args.json:
        print_json(
            {
                "broker": f"{args.host}:{args.port}",
                "fine": not failed,
                "probes": [outcome._asdict() for outcome in outcomes],
            }
        )
        return 1 if failed else 0
    took_s = round(time.monotonic() - started)
    say(
        ngettext(
            "{n} probe in {s} s, {failed} failed", "{n} probes in {s} s, {failed} failed", len(outcomes)
        ).format(n=len(outcomes), s=took_s, failed=failed)
    )
    if outcomes[0].verdict == "fail":
        say(_("what was not tried is open: correct the first failure, then repeat the command"))
    say(_("not probed: whether acknowledged messages survive a power cut of the broker"))
    return 1 if failed else 0


def _print_outcome(outcome: Outcome) -> None:
    say(f"{_(VERDICTS[outcome.verdict]):<6} {outcome.question}: {outcome.seen}")
    if outcome.verdict == "fail" and outcome.next_step:
        say(f"{'':<6} {_('Next step:')} {outcome.next_step}")


@contextmanager
def _probe(args: argparse.Namespace, folder: Path) -> Iterator[Probe]:
    """Give the probe; with the authority at hand its certificates are made for this run alone."""
    given = [args.cert1, args.key1, args.cert2, args.key2]
    address = (args.host, args.port)
    folder.chmod(0o700)
    if any(given):
        if not all(given) or args.ca_file is None:
            raise UsageMistake(_("--cert1, --key1, --cert2, --key2 and --ca-file are given together"))
        first, second = (
            Identity(_name_in(cert), cert, key)
            for cert, key in ((args.cert1, args.key1), (args.cert2, args.key2))
        )
        foreign = foreign_identity(folder, first.name)
        yield Probe(
            address,
            args.ca_file,
            first,
            second,
            foreign,
            wait_s=args.wait,
            plain_port=args.plain_port,
        )
        return
    with opened(args.ca, args.passphrase_file) as authority:
        first, second, listener = own_identities(authority, folder)
    yield Probe(
        address,
        args.ca / CA_FILE,
        first,
        second,
        foreign_identity(folder, CHECK_NAMES[0]),
        listener,
        withdrawn_identity(args.ca),
        wait_s=args.wait,
        plain_port=args.plain_port,
    )


def _name_in(cert: Path) -> str:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    try:
        made = x509.load_pem_x509_certificate(cert.read_bytes())
        return str(made.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise UsageMistake(
            _("{path}: {reason}").format(path=cert, reason=reason), _("check the path")
        ) from None
    except (ValueError, IndexError):
        raise UsageMistake(
            _("{path} holds no certificate with a name").format(path=cert), _("name a PEM file")
        ) from None


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(_("a whole number from 1 to 65535"))
    return int(text)


def _seconds(text: str) -> float:
    if not text.replace(".", "", 1).isdecimal() or not 0 < float(text) <= 3600:
        raise argparse.ArgumentTypeError(_("a number up to 3600"))
    return float(text)


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 100_000:
        raise argparse.ArgumentTypeError(_("a whole number from 1 to 100000"))
    return int(text)
