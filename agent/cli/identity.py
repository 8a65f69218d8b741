"""`sinyal identity`: which gateway, board, certificate, modem and SIM card this is; numbers masked."""

import argparse
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from agent import __version__, screen
from agent.cli.modem_line import add_port, configured, open_modem
from agent.cli.modem_read import KEPT, masked
from agent.cli.wrapping import beside, wrapped
from agent.enrolment.board import read_enrolled, standing
from agent.errors import SinyalError
from agent.language import N_, _
from agent.publish.certificate import Certificate, read_certificate

LABEL_COLUMNS = 16

PHONE_KEPT = 5
"""Country and operator of a phone number, such as +62812."""

_OWN_NUMBER = re.compile(r'\+CNUM: *(?:"[^"]*")? *, *"?(\+?[0-9]{6,15})"?')
"""3GPP TS 27.007, 7.1."""

BOARD_WORDS = {
    "same": N_("the enrolled board"),
    "cloned": N_("NOT the enrolled board: this SD card was copied or moved"),
    "unknown": N_("whether it is the enrolled board cannot be told"),
}
NONE_ENROLLED = N_("no board was enrolled yet")

FINGERPRINT_SIGNS = 32
"""So many hexadecimal digits of a fingerprint stand on one line, in groups of four."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --reveal, --json and --port."""
    parser.add_argument("--reveal", action="store_true", help=_("IMEI, ICCID, IMSI and phone number in full"))
    parser.add_argument("--json", action="store_true", help=_("one JSON document on stdout"))
    add_port(parser)


def run(args: argparse.Namespace) -> int:
    """Print the identity; return 0 also when a part of it cannot be known."""
    values = configured(args)
    state: Path = values["paths.state"]
    document: dict[str, Any] = {
        "version": __version__,
        **{name: values[f"gateway.{name}"] for name in ("kode_desa", "kode_edisi", "site_name", "role")},
        "gateway_id": values["gateway.id"],
        **_board(state),
        "problems": [],
        "revealed": args.reveal,
    }
    document["certificate"] = _certificate(values, document["problems"])
    document["modem"], document["sim"] = _modem(args, document["problems"])
    if args.json:
        print(json.dumps(document, ensure_ascii=False))
    else:
        for line in _lines(document):
            print(_printable(line))
    return 0


def _board(state: Path) -> dict[str, Any]:
    enrolled, found = read_enrolled(state), standing(state)
    return {
        "board_serial": found.here,
        "board": found.verdict,
        "board_enrolled": found.enrolled,
        "enrolled_ts": enrolled.enrolled_ts if enrolled is not None else None,
    }


def _certificate(values: Mapping[str, Any], problems: list[str]) -> dict[str, Any] | None:
    if values["broker.cert_file"] is None:
        return None
    try:
        found: Certificate = read_certificate(values["broker.cert_file"])
    except SinyalError as fault:
        problems.append(fault.what)
        return None
    return found._asdict()


def _modem(args: argparse.Namespace, problems: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what the modem and its card tell of themselves, masked unless --reveal."""
    try:
        with open_modem(args) as line:
            answer = line.read()
            phone = _phone(line.at("AT+CNUM", may_write=False)["lines"]) if answer["identity"] else None
    except SinyalError as fault:
        problems.append(fault.what)
        return {}, {}
    if answer["problem"] is not None:
        problems.append(str(answer["problem"]["what"]))
    known: Mapping[str, Any] = {**answer["fields"], **answer["identity"], "phone": phone}
    kept = {**KEPT, "phone": PHONE_KEPT}

    def shown(*names: str) -> dict[str, Any]:
        return {
            name: masked(str(known[name]), kept[name])
            if name in kept and known.get(name) and not args.reveal
            else known.get(name)
            for name in names
        }

    return (
        shown("manufacturer", "model", "firmware", "imei"),
        shown("iccid", "imsi", "phone", "operator_name", "operator_mccmnc"),
    )


def _phone(lines: list[str]) -> str | None:
    return next((match[1] for line in lines if (match := _OWN_NUMBER.match(line))), None)


def _lines(document: Mapping[str, Any]) -> Iterator[str]:
    modem, sim = document["modem"], document["sim"]
    is_new = document["board"] == "unknown" and document["board_enrolled"] is None
    village = screen.fit((str(document["kode_desa"]), str(document["kode_edisi"])), 60)
    rows = [
        (_("Gateway"), screen.fit((document["gateway_id"] or "-", str(document["role"])), 60)),
        (_("Site"), document["site_name"]),
        (_("Village code"), village),
        (_("Board"), document["board_serial"]),
        ("", _(NONE_ENROLLED if is_new else BOARD_WORDS[document["board"]])),
        *_certificate_rows(document["certificate"]),
        (
            _("Modem"),
            " ".join(str(modem[part]) for part in ("manufacturer", "model", "firmware") if modem.get(part)),
        ),
        ("IMEI", modem.get("imei")),
        (
            _("SIM operator"),
            screen.fit((str(sim.get("operator_name") or ""), str(sim.get("operator_mccmnc") or "")), 60),
        ),
        ("ICCID", sim.get("iccid")),
        ("IMSI", sim.get("imsi")),
        (_("Phone number"), sim.get("phone")),
    ]
    yield screen.fit((f"Sinyal {document['version']}",))
    width = screen.columns()
    for label, text in rows:
        yield from beside(label, LABEL_COLUMNS, text or "-", width)
    for problem in document["problems"]:
        yield from wrapped(f"! {problem}", width)


def _certificate_rows(certificate: Mapping[str, Any] | None) -> Iterator[tuple[str, str]]:
    if certificate is None:
        yield _("Certificate"), ""
        return
    yield (
        _("Certificate"),
        _("{subject}, by {issuer}").format(subject=certificate["subject"], issuer=certificate["issuer"]),
    )
    begins, ends = (screen.wib(certificate[name]) for name in ("begins_ts", "ends_ts"))
    yield _("Valid"), _("from {begins} to {ends}").format(begins=begins, ends=ends)
    digits = certificate["sha256"]
    for at in range(0, len(digits), FINGERPRINT_SIGNS):
        part = digits[at : at + FINGERPRINT_SIGNS]
        groups = " ".join(part[group : group + 4] for group in range(0, len(part), 4))
        yield ("SHA-256" if at == 0 else ""), groups


def _printable(text: str) -> str:
    return "".join(sign if sign.isprintable() else "?" for sign in text)
