"""`sinyal modem find`: every port a modem may have, what it is, who holds it, and which one `auto` takes."""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from agent import screen
from agent.cli.modem_line import configured, is_same_port, port_of_daemon
from agent.errors import ModemUnavailable, SinyalError
from agent.language import N_, _
from agent.modem.find import AUTO, FoundPort, Voice, find_ports, voice_of
from agent.modem.port import OWN_PROGRAM, Holder, PortBusy, PortForbidden, busy, holders
from agent.pipeline.snapshot import daemon_runs

LOOKED_AT = ("/dev/ttyUSB*", "/dev/ttyACM*", "/dev/wwan*at*")

PROBE_LIMIT_S = 15.0
"""So long ports are asked, all together; what is left is listed without having been asked."""

_KINDS = {
    "2c7c": {0: "diag", 1: "nmea"},
    "1e0e": {0: "diag", 1: "nmea"},
    "1199": {0: "diag", 2: "nmea"},
}
"""USB vendor (Quectel, SIMCom, Sierra) to what its usual interfaces are when they are not the AT port."""

ROLE_WORDS = {
    "at": N_("AT commands"),
    "nmea": N_("GPS (NMEA)"),
    "diag": N_("diagnostics"),
    "other": N_("something else"),
    "unknown": N_("not known"),
}


class Seen(NamedTuple):
    """A port and what was found out.

    answers: None when it was not asked. problem: why it was not. thief: who else has the agent's port.
    """

    port: FoundPort
    role: str
    holder: str
    pid: int | None
    answers: bool | None
    problem: str
    thief: Holder | None = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --json."""
    parser.add_argument("--json", action="store_true", help=_("one JSON document on stdout"))


def run(args: argparse.Namespace) -> int:
    """List the ports; return 4 when none of them is a modem's."""
    values = configured(args)
    ends_at = time.monotonic() + PROBE_LIMIT_S
    used, pid = port_of_daemon(values) if daemon_runs(values["paths.runtime"]) else (None, None)
    seen = [_look_at(port, used, pid, ends_at) for port in _ports(str(values["modem.port"]))]
    auto = _auto(seen)
    if args.json:
        document = {
            "ports": [_document(one, auto) for one in seen],
            "auto": auto,
            "configured": str(values["modem.port"]),
            "looked_at": LOOKED_AT,
        }
        print(json.dumps(document, ensure_ascii=False))
    else:
        for line in _lines(seen, auto):
            print(line)
    _tell_who_holds(seen)
    if not any(one.role == "at" for one in seen):
        raise _nothing_found(seen)
    return 0


def _ports(wanted: str) -> list[FoundPort]:
    """Return what the kernel knows, and the configured port if that is another one."""
    ports = list(find_ports())
    if wanted != AUTO and not any(is_same_port(port.device, wanted) for port in ports):
        ports.append(FoundPort(wanted, "", None, "", "unknown"))
    return ports


def _look_at(port: FoundPort, used_by_daemon: str | None, pid: int | None, ends_at: float) -> Seen:
    holding = holders(port.device)
    # A port that is gone is not in use, whatever the daemon last had.
    is_used = (
        used_by_daemon is not None
        and is_same_port(used_by_daemon, port.device)
        and Path(port.device).exists()
    )
    role: str = port.role
    if role == "other":
        role = _KINDS.get(port.usb_id.partition(":")[0], {}).get(port.interface or 0, "other")
    if holding or is_used:
        agents = [one for one in holding if (one.pid == pid if pid else one.program == OWN_PROGRAM)]
        others = [one for one in holding if one not in agents[:1]]
        first = (agents or others or [Holder(0, OWN_PROGRAM)])[0]
        thief = others[0] if is_used and others else None
        if is_used:
            first = Holder(pid or (agents[0].pid if agents else 0), OWN_PROGRAM)
        # The daemon opens only what speaks AT.
        return Seen(
            port, "at" if is_used else role, _printable(first.program), first.pid or None, None, "", thief
        )
    voice, problem = (None, "") if port.role == "other" else _listen(port.device, ends_at)
    answers = None if voice is None else voice == "at"
    return Seen(port, role if voice in (None, "none") else str(voice), "", None, answers, problem)


def _listen(device: str, ends_at: float) -> tuple[Voice | None, str]:
    """Return what the port says, None when it could not be asked, and why it could not."""
    if time.monotonic() >= ends_at:
        return None, _("not asked: no time left")
    try:
        return voice_of(device, ends_at), ""
    except SinyalError as fault:
        is_there = isinstance(fault, PortBusy | PortForbidden)
        return (None if is_there else "none"), fault.what


def _tell_who_holds(seen: list[Seen]) -> None:
    """Say what to do about another program that has a modem's port."""
    for one in seen:
        is_foreign = one.pid is not None and one.holder != OWN_PROGRAM and one.role in ("at", "unknown")
        other = one.thief or (Holder(one.pid or 0, one.holder) if is_foreign else None)
        if other is not None:
            held = busy(one.port.device, (other,))
            print(f"sinyal: {held.what}. {_('Next step:')} {held.next_step}.", file=sys.stderr)
            return


def _auto(seen: list[Seen]) -> str | None:
    """Return the port that `port = "auto"` would take, as PortFinder chooses."""
    on_bus = [one for one in seen if one.port.location]
    known = next((one for one in on_bus if one.port.role == "at"), None)
    chosen = known or next((one for one in on_bus if one.answers or one.holder == OWN_PROGRAM), None)
    return None if chosen is None else chosen.port.device


def _document(seen: Seen, auto: str | None) -> Mapping[str, Any]:
    port = seen.port
    return {
        "port": port.device,
        "usb_id": port.usb_id or None,
        "interface": port.interface,
        "product": port.product or None,
        "path": port.location or None,
        "role": seen.role,
        "in_use_by": {"program": seen.holder, "pid": seen.pid} if seen.holder else None,
        "also_used_by": seen.thief and {"program": _printable(seen.thief.program), "pid": seen.thief.pid},
        "answers": seen.answers,
        "problem": seen.problem or None,
        "auto": port.device == auto,
    }


def _lines(seen: list[Seen], auto: str | None) -> Iterator[str]:
    for one in seen:
        port = one.port
        mark = "*" if port.device == auto else " "
        yield screen.fit((f"{mark} {_printable(port.device)}", _(ROLE_WORDS[one.role]), _state(one)))
        interface = "" if port.interface is None else _("interface {number}").format(number=port.interface)
        details = screen.fit((_printable(port.product), port.usb_id, interface, port.location), 76)
        if details:
            yield f"    {details}"
        if one.problem:
            yield screen.fit((f"    {_printable(one.problem)}",))
    if auto is not None:
        yield screen.fit((_('* = what port = "auto" takes'),))


def _state(seen: Seen) -> str:
    if seen.thief is not None:
        return _("in use by {program} (process {pid}) and by {other} (process {other_pid})").format(
            program=seen.holder, pid=seen.pid or "?", other=seen.thief.program, other_pid=seen.thief.pid
        )
    if seen.holder and seen.pid is None:
        return _("in use by {program}").format(program=seen.holder)
    if seen.holder:
        return _("in use by {program} (process {pid})").format(program=seen.holder, pid=seen.pid)
    if seen.answers is None:
        return _("not asked")
    return _("answers") if seen.answers else _("does not answer")


def _printable(text: str) -> str:
    return "".join(sign if sign.isprintable() else "?" for sign in text)


def _nothing_found(seen: list[Seen]) -> ModemUnavailable:
    if not seen:
        return ModemUnavailable(
            _("no port of a modem found; looked at {places}").format(places=", ".join(LOOKED_AT)),
            _("plug the modem in and check its power; then look at: dmesg | tail"),
        )
    return ModemUnavailable(
        _("none of the {count} ports speaks AT").format(count=len(seen)),
        _("check the modem's power, or name its port: sinyal modem read --port PORT"),
    )
