"""`sinyal support-bundle`: one small file to send by phone; works when everything else has failed."""

import argparse
import csv
import io
import json
import logging
import os
import platform
import re
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from agent import __version__, screen
from agent.buffer import DATABASE_NAME
from agent.buffer.event_log import newest_events
from agent.buffer.history import Selection
from agent.buffer.untouched import opened_untouched
from agent.cli import outages
from agent.cli.buffer_source import BufferSource
from agent.cli.doctor import diagnosis_document, usable_settings
from agent.cli.link_answer import answer
from agent.cli.modem_line import open_modem
from agent.cli.version import LIBRARIES, installed_version
from agent.config.keys import DEFAULTS, rule_of
from agent.config.load import MASK, LoadedConfig
from agent.contract.catalogue import catalogue
from agent.errors import SinyalError
from agent.language import N_, _
from agent.pipeline.control_client import ask_daemon
from agent.pipeline.snapshot import daemon_runs, read_snapshot
from agent.support.archive import packed, require_free_name, write
from agent.support.log_lines import read_log
from agent.support.scrub import Scrubber

DAY_S = 86400
MOST_ROWS = 3000
EVENTS = 200
OUTAGES = 100

KEY_LINE_SIGNS = 16
"""Lines of a key that are shorter tell nothing, and stand in other texts."""

CELL_FIELDS = ("cell_id",)
AREA_FIELDS = ("tac", "lac")
IDENTIFIERS = ("imei", "iccid", "imsi")
MODEM_NUMBERS = N_("modem numbers")


class Contents:
    """The files of a bundle; what cannot be had is noted, and never stops the rest."""

    def __init__(self) -> None:
        self.files: dict[str, str] = {}
        self.missing: dict[str, str] = {}

    def add(self, name: str, make: Callable[[], str]) -> None:
        """Add a file that make gives."""
        try:
            self.files[name] = make()
        except SinyalError as fault:
            self.missing[name] = fault.what
        except Exception as fault:  # noqa: BLE001 -- half a bundle is worth more than none
            self.missing[name] = f"{type(fault).__name__}: {fault}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add PATH, --with-cells and --json."""
    parser.add_argument(
        "path", nargs="?", type=Path, metavar=_("PATH"), help=_("file or folder (default: this folder)")
    )
    parser.add_argument(
        "--with-cells", action="store_true", help=_("keep the numbers of cells, which tell where this is")
    )
    parser.add_argument("--json", action="store_true", help=_("one JSON document on stdout"))


def run(args: argparse.Namespace) -> int:
    """Write the bundle and say where it is; return 0 also when parts of it could not be had."""
    logging.getLogger("sinyal").addHandler(logging.NullHandler())
    args.port = None
    require_free_name(args.path)
    settings, args.configuration = usable_settings(args)
    loaded: LoadedConfig = args.configuration.load()
    now_ts = time.time()
    contents = Contents()
    _note(_("gathering; this takes up to a minute …"))
    contents.add("doctor.json", lambda: _written(diagnosis_document(args, settings)))
    contents.add("readings.csv", lambda: _readings(loaded))
    rows = contents.files.get("readings.csv", "")
    contents.add("status.json", lambda: _written(read_snapshot(loaded.values["paths.runtime"]) or {}))
    contents.add("events.json", lambda: _written(_events(loaded)))
    contents.add("outages.json", lambda: _written(_outages(loaded)[-OUTAGES:]))
    contents.add("config.json", lambda: _written(_config(loaded, settings.problem)))
    contents.add("log.txt", read_log)
    contents.add("versions.json", lambda: _written(_versions(now_ts)))
    scrubber = Scrubber(
        _secrets(loaded),
        _identifiers(args, contents),
        *([()] * 2 if args.with_cells else _places(rows, contents)),
    )
    return _finish(args, contents, scrubber, settings.config.gateway.id, now_ts)


def _finish(
    args: argparse.Namespace, contents: Contents, scrubber: Scrubber, gateway_id: str, now_ts: float
) -> int:
    name = f"sinyal-{gateway_id or 'gateway'}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime(now_ts))}"
    files = {
        file: _scrubbed(file, text, scrubber, cells=args.with_cells) for file, text in contents.files.items()
    }
    missing = scrubber.document(contents.missing)
    manifest = {"v": 1, "version": __version__, "gateway_id": gateway_id, "ts": round(now_ts)}
    files["manifest.json"] = _written({**manifest, "files": sorted(files), "missing": missing})
    content = packed(scrubber.text(name), files, now_ts)
    folders = [Path.home(), Path(tempfile.gettempdir()), Path("/run/sinyal"), Path("/dev/shm")]  # noqa: S108
    written = write(content, args.path, f"{scrubber.text(name)}.tar.gz", folders)
    if written.why_elsewhere:
        _note(_("it could not be written where it was wanted ({why})").format(why=written.why_elsewhere))
    for file, why in missing.items():
        _note(_("{file} is missing: {why}").format(file=_(file), why=why))
    if args.json:
        told = {"path": str(written.path), "bytes": len(content), "files": sorted(files), "missing": missing}
        print(json.dumps(told, ensure_ascii=False))
    else:
        size = screen.number(len(content) / 1000, 1)
        print(_("{path} ({size} kB)").format(path=written.path, size=size))
        _note(_("it holds no keys and no numbers of card or phone; send it to whoever helps you"))
    return 0


def _scrubbed(name: str, text: str, scrubber: Scrubber, *, cells: bool) -> str:
    if name == "readings.csv":
        return text if cells else _without_cells(text)
    if not name.endswith(".json"):
        return scrubber.text(text)
    return _written(_without_places(scrubber.document(json.loads(text)), cells=cells))


def _without_places(value: Any, *, cells: bool) -> Any:
    """Return a document whose fields of cell and area are taken out, unless cells are wanted."""
    if isinstance(value, Mapping):
        return {
            name: None
            if not cells and name in (*CELL_FIELDS, *AREA_FIELDS)
            else _without_places(each, cells=cells)
            for name, each in value.items()
        }
    if isinstance(value, list):
        return [_without_places(each, cells=cells) for each in value]
    return value


def _without_cells(text: str) -> str:
    """Return the readings with each cell and area as a small number, the same for the same one."""
    rows = list(csv.reader(io.StringIO(text)))
    if not rows:
        return text
    hidden = [rows[0].index(field) for field in (*CELL_FIELDS, *AREA_FIELDS) if field in rows[0]]
    numbers: dict[str, str] = {}
    for row in rows[1:]:
        for column in hidden:
            if row[column]:
                row[column] = numbers.setdefault(row[column], str(len(numbers) + 1))
    return _csv(rows)


def _readings(loaded: LoadedConfig) -> str:
    """Return the last day as CSV: the catalogue's fields alone, whatever else the file holds."""
    source = BufferSource(loaded.values)
    last_seq = source.stats()["last_seq"] or 0
    names = ["epoch", *(metric.name for metric in catalogue().reading_metrics)]
    rows: list[list[Any]] = []
    interval_s = float(loaded.values["readings.interval_s"])
    first_seq = max(1, last_seq - min(MOST_ROWS, int(DAY_S / interval_s)) + 1)
    for _columns, page in source.pages(Selection(first_seq=first_seq)):
        rows += [[_plain(row.get(name)) for name in names] for row in page]
    return _csv([names, *rows[-MOST_ROWS:]])


def _plain(value: object) -> object:
    """Return a value of a reading; a text without what could be a number of a subscriber."""
    from agent.modem.identity import without_identifiers

    return without_identifiers(value) if isinstance(value, str) else value


def _csv(rows: list[list[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _events(loaded: LoadedConfig) -> list[dict[str, Any]]:
    if daemon_runs(loaded.values["paths.runtime"]):
        told: list[dict[str, Any]] = ask_daemon(loaded.values["paths.runtime"], "buffer_events")["events"]
        return told
    with opened_untouched(loaded.values["paths.state"] / DATABASE_NAME) as connection:
        return newest_events(connection, EVENTS)


def _outages(loaded: LoadedConfig) -> list[dict[str, Any]]:
    def look(connection: sqlite3.Connection, correct: Any) -> list[dict[str, Any]]:
        return outages.look(connection, correct, None, None)

    return answer(loaded, lambda runtime: outages.ask(runtime, None, None), look) or []


def _config(loaded: LoadedConfig, problem: SinyalError | None) -> dict[str, Any]:
    shown = {
        key: {"value": MASK if value and _is_secret(key) else value, "from": loaded.origins[key]}
        for key, value in loaded.config.effective_values().items()
    }
    return {"file": str(loaded.path), "problem": problem and problem.what, "values": shown}


def _is_secret(key: str) -> bool:
    rule = rule_of(key)
    return rule is not None and rule.secret


def _secrets(loaded: LoadedConfig) -> list[str]:
    """Return what must not leave, whatever stands around it: the secret values, and the lines of the key."""
    secrets = [str(value) for key, value in loaded.values.items() if value and _is_secret(key)]
    # A file that cannot be used, and variables: what they hold may stand in a message about them.
    names = "|".join(key.partition(".")[2] for key in DEFAULTS if _is_secret(key))
    texts = [_text(loaded.path), *(f"{name.lower()}={value}" for name, value in os.environ.items())]
    for text in texts:
        secrets += re.findall(rf"(?:{names})[\"']?\s*=\s*[\"']?([^\"'\s#]+)", text)
    key_file = loaded.values.get("broker.key_file")
    lines = _text(key_file).splitlines() if key_file is not None else []
    return secrets + [line for line in lines if len(line) >= KEY_LINE_SIGNS and not line.startswith("-----")]


def _text(file: Path) -> str:
    """Return what a file holds, "" when it cannot be read."""
    try:
        return file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
    except OSError:
        return ""


def _identifiers(args: argparse.Namespace, contents: Contents) -> list[str]:
    """Return the modem's and card's own numbers: they may stand in the log in any writing."""
    try:
        with open_modem(args) as line:
            told = line.read()["identity"]
    except SinyalError as fault:
        contents.missing[MODEM_NUMBERS] = fault.what
        return []
    return [str(told[name]) for name in IDENTIFIERS if told.get(name)]


def _places(rows: str, contents: Contents) -> tuple[list[int], list[int]]:
    found = list(csv.DictReader(io.StringIO(rows)))
    reading: dict[str, Any] = {}
    if "status.json" in contents.files:
        reading = json.loads(contents.files["status.json"]).get("reading") or {}

    def numbers(fields: tuple[str, ...]) -> list[int]:
        values = {str(row.get(field) or "") for row in (*found, reading) for field in fields}
        return sorted(int(value) for value in values if value.isdigit())

    return numbers(CELL_FIELDS), numbers(AREA_FIELDS)


def _versions(now_ts: float) -> dict[str, Any]:
    system = platform.uname()
    return {
        "sinyal": __version__,
        "catalogue": catalogue().id,
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "kernel": f"{system.system} {system.release} {system.machine}",
        "libraries": {name: installed_version(name) for name in LIBRARIES},
        "uptime_s": round(time.clock_gettime(time.CLOCK_BOOTTIME)),
        "ts": round(now_ts),
    }


def _written(document: Any) -> str:
    return json.dumps(document, ensure_ascii=False, indent=1, default=str) + "\n"


def _note(text: str) -> None:
    print(screen.note(text), file=sys.stderr)
