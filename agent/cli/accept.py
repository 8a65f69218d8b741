"""`sinyal accept`: the acceptance test at the village, part by part, over the power cut it asks for."""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

from agent import __version__, screen
from agent.acceptance.record import PARTS, Record
from agent.cli import accept_parts
from agent.cli.accept_gateway import GatewayAtWork
from agent.cli.typed_answer import is_wanted, require_terminal, typed
from agent.cli.wrapping import beside, say
from agent.errors import SinyalError, UsageMistake
from agent.language import N_, _

SIGNAL_MINUTES = 30.0

CODE_TRIES = 3

LABEL_COLUMNS = 14

NAMES = {
    "signal": N_("Signal"),
    "throughput": N_("Speed"),
    "broker": N_("Centre"),
    "power": N_("Pulled plug"),
    "reboot": N_("Restart"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `sinyal accept`."""
    parser.add_argument(
        "--output", metavar=_("FILE"), help=_("where to write the page (default: by gateway and day)")
    )
    parser.add_argument("--print", dest="only_page", action="store_true", help=_("only write the page again"))
    parser.add_argument("--restart", action="store_true", help=_("begin anew, forget what was measured"))
    parser.add_argument("--json", action="store_true", help=_("one JSON document on stdout"))
    # For trying it out; a real acceptance is 30 minutes, and the page says how long it was.
    parser.add_argument("--signal-minutes", type=float, default=SIGNAL_MINUTES, help=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    """Go on where the test was left; return 0 when every part was measured, 1 while some are open."""
    config = args.configuration.load().config
    gateway = GatewayAtWork(config)
    record = Record(config.paths.state)
    if not args.only_page:
        require_terminal("sinyal accept")
        gateway.require_running()
        if record.started_ts is None or args.restart:
            _begin(record, gateway)
        _go_on(record, gateway, signal_s=max(0.0, args.signal_minutes * 60))
    elif record.started_ts is None:
        raise UsageMistake(_("no acceptance test was begun here"), "sinyal accept")
    accept_parts.learn_how_long_it_was_off(record, gateway)
    page = _write_page(args, record)
    is_complete = all(record.is_done(part) for part in PARTS)
    if args.json:
        print(
            json.dumps({"page": str(page), "complete": is_complete, **record.document()}, ensure_ascii=False)
        )
    else:
        _sum_up(record)
        print(_("The page to sign: {path}").format(path=page))
    return 0 if is_complete else 1


def _begin(record: Record, gateway: GatewayAtWork) -> None:
    say(_("Acceptance test. Each part can be left with Ctrl-C and done later: sinyal accept"))
    wanted = gateway.identity["kode_desa"]
    if not wanted:
        raise SinyalError(
            _("gateway.kode_desa is empty: this box does not know its village"),
            _("sinyal config set gateway.kode_desa CODE"),
        )
    for _try in range(CODE_TRIES):
        code = typed(_("Code of this village, from the letter of assignment:"))
        # Letters write 15.02.23.2008 and 1502232008.
        if code.replace(".", "").replace(" ", "") == wanted.replace(".", ""):
            break
        say(_("This box is not set up for {code!r}.").format(code=code))
    else:
        raise SinyalError(
            _("the village code does not match; nothing was measured"),
            _("compare the label of the box with the letter; the box may belong elsewhere"),
        )
    record.begin(gateway.identity, time.time())
    record.name_installer(typed(_("Your name, for the page (Enter leaves it open):"))[:60])


def _go_on(record: Record, gateway: GatewayAtWork, *, signal_s: float) -> None:
    """Do what is not done yet; whoever says no, or Ctrl-C, leaves a part open and goes to the next."""
    _end_pending(record, gateway)
    parts: dict[str, Callable[[], bool]] = {
        "signal": lambda: accept_parts.measure_signal(record, gateway, signal_s),
        "throughput": lambda: accept_parts.measure_throughput(record, gateway),
        "broker": lambda: accept_parts.wait_for_broker(record, gateway),
        "power": lambda: accept_parts.pull_the_plug(record, gateway),
        "reboot": lambda: accept_parts.reboot(record, gateway),
    }
    for part, measure in parts.items():
        if record.is_done(part):
            continue
        say(f"== {_(NAMES[part])}")
        try:
            measure()
        except KeyboardInterrupt:
            say("")
            if not is_wanted(_("Left open. Go on with the next part?")):
                return


def _end_pending(record: Record, gateway: GatewayAtWork) -> None:
    pending = record.pending
    if pending is None:
        return
    if gateway.boot() == pending["boot"]:
        say(_("The gateway has not been off since; this part is asked again."))
        record.drop_pending()
        return
    say(_("The gateway is back. Looking at what it kept …"))
    accept_parts.judge(record, gateway, pending)


def _write_page(args: argparse.Namespace, record: Record) -> Path:
    # Only now: the page takes a moment to load.
    from agent.acceptance.minutes import minutes_page

    now_ts = time.time()
    day = time.strftime("%Y-%m-%d", time.gmtime(now_ts + screen.WIB_OFFSET_S))
    path = Path(args.output or f"berita-acara-{record.gateway.get('id') or 'gerbang'}-{day}.html")
    try:
        path.write_text(minutes_page(record, version=__version__, made_ts=now_ts), encoding="utf-8")
    except OSError as fault:
        raise SinyalError(
            _("{path} cannot be written: {reason}").format(path=path, reason=fault.strerror),
            _("name another place: sinyal accept --print --output FILE"),
        ) from None
    return path.absolute()


def _sum_up(record: Record) -> None:
    for part in PARTS:
        found = record.finding(part)
        text = accept_parts.in_words(part, found) if found is not None else _("open")
        print("\n".join(beside(_(NAMES[part]), LABEL_COLUMNS, text, screen.columns())))
