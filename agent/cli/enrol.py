"""`sinyal enrol request|install|send|show`: this gateway's own key and the certificate for it."""

import argparse
import json
import sys
import time
from pathlib import Path

from agent import screen
from agent.cli.wrapping import beside
from agent.enrolment.board import Standing, board_serial, standing, write_enrolled
from agent.enrolment.identity_files import (
    Certificate,
    IdentityFiles,
    accept_certificate,
    certificate_in_use,
    identity_files,
    make_request,
    put_in_use,
)
from agent.errors import NoPermission, SinyalError, UsageMistake
from agent.language import _

MAX_TYPED_CHARS = 200


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add request, install, send and show; each takes the options that `parser` has so far, too."""
    options = argparse.ArgumentParser(add_help=False, parents=[parser])
    actions = parser.add_subparsers(dest="action", required=True, metavar="request|install|send|show")

    def add_action(name: str, summary: str, example: str) -> argparse.ArgumentParser:
        return actions.add_parser(
            name,
            parents=[options],
            add_help=False,
            help=summary,
            description=screen.as_sentence(summary),
            epilog=_("example: {example}").format(example=example),
        )

    ask = add_action(
        "request", _("write a certificate request to carry"), "sinyal enrol request /mnt/gw-1.csr"
    )
    ask.add_argument(
        "file", nargs="?", metavar=_("FILE"), help=_("where to; - is the screen (GATEWAY_ID.csr)")
    )
    send = add_action(
        "send", _("send the request to the centre"), "sinyal enrol send https://centre.example:8444"
    )
    send.add_argument("url", metavar="URL", help=_("address of the centre's endpoint"))
    send.add_argument(
        "--renew",
        action="store_true",
        help=_("with the certificate in use instead of a token; nothing if not due"),
    )
    for action in (ask, send):
        action.add_argument(
            "--new-key", action="store_true", help=_("make a new key; the old one works until then")
        )
    install = add_action("install", _("put the certificate in use"), "sinyal enrol install gw-1.pem")
    install.add_argument("file", metavar=_("FILE"), help=_("the certificate; - is the keyboard"))
    show = add_action("show", _("key, certificate and board of this gateway"), "sinyal enrol show")
    show.add_argument("--json", action="store_true", help=_("one JSON document on stdout"))


def run(args: argparse.Namespace) -> int:
    """Do what `args.action` names; return the exit code."""
    config = args.configuration.load().config
    broker = {key: getattr(config.broker, key) for key in ("ca_file", "cert_file", "key_file")}
    files = identity_files(config.gateway.id, broker, config.paths.state)
    state: Path = config.paths.state
    if args.action == "request":
        return _request(args, files)
    if args.action == "send":
        return _send(args, files, state)
    if args.action == "install":
        return _install(files, state, _content(args.file))
    return _show(args, files, state)


def _request(args: argparse.Namespace, files: IdentityFiles) -> int:
    pem = make_request(files, new_key=args.new_key)
    if args.file == "-":
        sys.stdout.write(pem.decode())
        return 0
    target = Path(args.file or f"{files.gateway_id}.csr")
    try:
        target.write_bytes(pem)
    except OSError as error:
        raise SinyalError(
            _("{file} cannot be written: {reason}").format(file=target, reason=error.strerror),
            _("name another file"),
        ) from None
    print(_("the request is in {file}; the key stays here").format(file=target))
    print(
        _("Next step:"),
        _("carry it to the centre; then: sinyal enrol install {id}.pem").format(id=files.gateway_id),
    )
    return 0


def _send(args: argparse.Namespace, files: IdentityFiles, state: Path) -> int:
    from agent.enrolment.sending import plain_token, send_request

    present = certificate_in_use(files)
    if args.renew:
        if present is None:
            raise UsageMistake(
                _("there is no certificate to renew"), _("sinyal enrol send URL, with a token")
            )
        if not present.is_due(time.time()) and not args.new_key:
            print(_("nothing to do: the certificate is good until {date}").format(date=_date(present)))
            return 0
        return _renew(args, files, state)
    token = plain_token(_typed_token())
    request = make_request(files, new_key=args.new_key)
    return _install(files, state, send_request(args.url, request, ca_file=files.ca_file, token=token))


def _renew(args: argparse.Namespace, files: IdentityFiles, state: Path) -> int:
    from agent.enrolment.sending import send_request

    def send(request: bytes) -> bytes:
        return send_request(
            args.url, request, ca_file=files.ca_file, cert_file=files.cert_file, key_file=files.key_file
        )

    request = make_request(files, new_key=args.new_key)
    is_new_key = files.waiting_key.exists()
    code = _install(files, state, send(request))
    if is_new_key:
        # Shown with the new certificate, the request says that it arrived; only now the old one is withdrawn.
        try:
            send(request)
        except SinyalError as failure:
            print(
                _("the old certificate is not withdrawn yet: {reason}").format(reason=failure.what),
                file=sys.stderr,
            )
    return code


def _typed_token() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline(MAX_TYPED_CHARS)
    from getpass import getpass

    try:
        return getpass(_("One-time token: "))
    except EOFError:
        raise UsageMistake(_("no token was typed"), _("repeat the command")) from None


def _content(name: str) -> bytes:
    try:
        if name == "-":
            return sys.stdin.buffer.read(1 << 20)
        with Path(name).open("rb") as opened:
            return opened.read(1 << 20)
    except OSError as error:
        raise UsageMistake(
            _("{path}: {reason}").format(path=name, reason=error.strerror), _("check the path")
        ) from None


def _install(files: IdentityFiles, state: Path, pem: bytes) -> int:
    accepted = accept_certificate(files, pem)
    # First the board: a certificate without it would let a copy of the card speak, and nobody would know.
    try:
        write_enrolled(state, files.gateway_id, board_serial())
    except PermissionError:
        raise NoPermission(
            _("no permission for {path}").format(path=state), _("repeat the command with sudo")
        ) from None
    except FileNotFoundError:
        raise SinyalError(
            _("paths.state: the folder {path} is not there").format(path=state),
            _("install the package of Sinyal, which makes it, then repeat the command"),
        ) from None
    except OSError as error:
        raise SinyalError(
            _("{file} cannot be written: {reason}").format(file=state, reason=error.strerror),
            _("make room or repair the disk, then repeat the command"),
        ) from None
    put_in_use(files, accepted)
    certificate = accepted.certificate
    print(
        _("{id} is enrolled; its certificate is good until {date}").format(
            id=files.gateway_id, date=_date(certificate)
        )
    )
    return 0


def _show(args: argparse.Namespace, files: IdentityFiles, state: Path) -> int:
    certificate = certificate_in_use(files)
    board = standing(state)
    due = certificate is None or certificate.is_due(time.time())
    fine = certificate is not None and not due and board.verdict != "cloned"
    if args.json:
        document = {
            "gateway_id": files.gateway_id,
            "key": files.key_file.exists(),
            "waiting_key": files.waiting_key.exists(),
            "certificate_for": certificate.name if certificate else None,
            "certificate_ends_ts": int(certificate.ends_ts) if certificate else None,
            "due": due,
            "board": board.verdict,
            "board_serial": board.here,
        }
        print(json.dumps(document, ensure_ascii=False))
        return 0 if fine else 1
    rows = [
        (_("Gateway"), files.gateway_id),
        (_("Key"), _("made here") if files.key_in_use() else _("none yet: sinyal enrol request")),
        (_("Certificate"), _certificate_words(certificate, due=due)),
        (_("Board"), _board_words(board)),
    ]
    width = max(len(label) for label, _text in rows)
    for label, text in rows:
        print("\n".join(beside(label, width + 2, text, screen.columns())))
    return 0 if fine else 1


def _certificate_words(certificate: Certificate | None, *, due: bool) -> str:
    if certificate is None:
        return _("none yet: carry or send the request to the centre")
    if certificate.days_left(time.time()) < 0:
        return _("ended on {date}: renew it").format(date=_date(certificate))
    if due:
        return _("good until {date}: renew it now").format(date=_date(certificate))
    return _("good until {date}").format(date=_date(certificate))


def _board_words(board: Standing) -> str:
    if board.enrolled is None and board.here is not None:
        return _("none was enrolled yet; this is {serial}").format(serial=board.here)
    return {
        "same": _("the one that was enrolled"),
        "cloned": _("another one than was enrolled: this card is a copy"),
        "unknown": _("cannot be told"),
    }[board.verdict]


def _date(certificate: Certificate) -> str:
    return screen.wib(certificate.ends_ts)
