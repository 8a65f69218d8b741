"""`sinyal page`: writes the village page into its folder, or shows it on the village network."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from agent.errors import SinyalError, UsageMistake
from agent.language import _
from agent.page.folder import put_page
from agent.page.render import page_of
from agent.pipeline.village_page import page_content
from agent.screen import failure_line

PORT = 8080


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `sinyal page`."""
    parser.add_argument(
        "--folder", metavar=_("FOLDER"), help=_("write it there (default: page.folder of the configuration)")
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--serve", action="store_true", help=_("show it on the village network until Ctrl-C"))
    form.add_argument("--json", action="store_true", help=_("one JSON document on stdout"))
    parser.add_argument(
        "--port", type=int, metavar="N", default=PORT, help=_("with --serve: the port (default 8080)")
    )
    parser.add_argument(
        "--address",
        metavar=_("ADDRESS"),
        help=_("with --serve: the gateway's address to show it at (default: that of lan.interface)"),
    )


def run(args: argparse.Namespace) -> int:
    """Write the page, or serve it, or print what it says."""
    values = args.configuration.load().values
    if args.json:
        print(json.dumps(page_content(values).document(), ensure_ascii=False))
        return 0
    if args.serve:
        return _serve(values, args.address, args.port)
    folder = Path(args.folder) if args.folder else values["page.folder"]
    if folder is None:
        raise UsageMistake(
            _("page.folder is empty: the page has no place to go"),
            _("sinyal page --folder PATH, or sinyal config set page.folder PATH"),
        )
    written = put_page(folder, page_of(page_content(values)))
    print(_("written: {path}").format(path=written))
    return 0


def _serve(values: dict[str, Any], address: str | None, port: int) -> int:
    if not 0 <= port <= 65535:
        raise UsageMistake(_("{port} is no port").format(port=port), _("choose one from 1 to 65535"))
    # The server takes longer to load than everything else here.
    from agent.cli.page_server import PageServer, lan_address

    if address is None:
        address = lan_address(values["lan.interface"])
        if address is None:
            address = "127.0.0.1"
            what = _("no village network is found; the page is shown to this gateway only")
            print(failure_line(SinyalError(what, _("choose its address with --address"))), file=sys.stderr)
    with PageServer(address, port, lambda: page_of(page_content(values))) as server:
        print(_("the page is at {url} (Ctrl-C ends it)").format(url=server.url), file=sys.stderr)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return 0
    return 0
