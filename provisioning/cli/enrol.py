"""`sinyal-provision enrol token|serve`: enrolment of boxes that send their request instead of carrying it."""

import argparse
import contextlib
import tempfile
import threading
import time
from pathlib import Path

from agent.errors import SinyalError, UsageMistake
from agent.language import _
from provisioning.authority.folder import CA_FILE, read_certificate
from provisioning.authority.session import opened
from provisioning.cli.actions import actions_of, add_authority, add_sites, host, note
from provisioning.cli.ca import require_site
from provisioning.enrolment.desk import Desk
from provisioning.enrolment.endpoint import Endpoint, server_context
from provisioning.enrolment.tokens import LIFE_S, Tokens
from provisioning.inventory.checks import require_good
from provisioning.inventory.register import load_register
from provisioning.whole_files import SECRET_MODE, disk_faults_told, only_user_of, write_whole

EVERYWHERE = "0.0.0.0"  # noqa: S104 -- gateways come from every network
MOST_HOURS = 24 * 30


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add token and serve."""
    add = actions_of(parser)
    token = add("token", _("make a one-time token for one gateway"), "token gw-1")
    token.add_argument("gateway_id", metavar="GATEWAY_ID", help=_("gateway of the list"))
    token.add_argument(
        "--hours", type=float, default=LIFE_S / 3600, metavar="H", help=_("how long it is good (72)")
    )
    serve = add("serve", _("take requests with tokens over HTTPS"), "serve --host centre.example")
    serve.add_argument(
        "--host",
        type=host,
        action="append",
        required=True,
        metavar=_("NAME"),
        help=_("name or address that gateways use"),
    )
    serve.add_argument(
        "--listen", default=EVERYWHERE, metavar=_("ADDRESS"), help=_("address to listen on (all)")
    )
    serve.add_argument("--port", type=int, default=8444, metavar=_("PORT"), help=_("port (8444)"))
    for action in (token, serve):
        add_authority(action)
        add_sites(action)


def run(args: argparse.Namespace) -> int:
    """Do what `args.action` names; return the exit code."""
    return {"token": _token, "serve": _serve}[args.action](args)


def _token(args: argparse.Namespace) -> int:
    if not 0 < args.hours <= MOST_HOURS:
        raise UsageMistake(_("--hours takes a number up to {n}").format(n=MOST_HOURS))
    read_certificate(args.ca)
    require_site(require_good(args.sites, load_register(args.register)), args.gateway_id)
    with disk_faults_told(args.ca), only_user_of(args.ca, wait_s=5):
        token = Tokens(args.ca).make(args.gateway_id, args.hours * 3600)
    # The token alone on stdout; it is shown this once.
    print(token)
    ends = time.strftime("%Y-%m-%d %H:%M", time.localtime(time.time() + args.hours * 3600))
    note(
        _("one key of {id}, until {ends}; give it to the technician by voice, not in writing").format(
            id=args.gateway_id, ends=ends
        )
    )
    return 0


def _serve(args: argparse.Namespace) -> int:
    if not 0 <= args.port <= 65535:
        raise UsageMistake(_("--port takes a whole number from 1 to 65535"))
    register = load_register(args.register)
    require_good(args.sites, register)
    with tempfile.TemporaryDirectory(prefix="sinyal-enrol-") as name:
        folder = Path(name)
        with opened(args.ca, args.passphrase_file) as authority:
            cert, key = authority.sign_own(args.host[0], kind="server", hosts=args.host)
        write_whole(folder / "server.pem", cert)
        write_whole(folder / "server.key", key, SECRET_MODE)
        context = server_context(args.ca / CA_FILE, folder / "server.pem", folder / "server.key")

        def is_site(gateway_id: str) -> bool:
            # Read each time: the list grows while the endpoint runs.
            try:
                require_site(require_good(args.sites, register), gateway_id)
            except SinyalError:
                return False
            return True

        try:
            endpoint = Endpoint((args.listen, args.port), context, Desk(authority, is_site), said=_tell)
        except OSError as error:
            raise SinyalError(
                _("{address}:{port} cannot be listened on: {reason}").format(
                    address=args.listen, port=args.port, reason=error.strerror
                ),
                _("take another --port, or end the program that has it"),
            ) from None
        address = _("taking requests: sinyal enrol send https://{host}:{port}").format(
            host=args.host[0], port=endpoint.server_address[1]
        )
        print(address, flush=True)
        with contextlib.closing(endpoint.socket):
            _until_interrupted(endpoint)
    return 0


def _until_interrupted(endpoint: Endpoint) -> None:
    thread = threading.Thread(target=endpoint.serve_forever, name="endpoint", daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(1)
    except KeyboardInterrupt:
        endpoint.shutdown()


def _tell(address: str, gateway_id: str, word: str) -> None:
    at = time.strftime("%Y-%m-%d %H:%M:%S")
    print(f"{at} {address} {gateway_id} {word}", flush=True)
