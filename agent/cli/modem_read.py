"""`sinyal modem read`: one reading of the modem, for people or as JSON, with the source of each value."""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from agent import screen
from agent.cli.modem_line import add_port, open_modem
from agent.contract.catalogue import catalogue
from agent.errors import ModemUnavailable, SinyalError
from agent.language import N_, _
from agent.modem.signal_class import value_class
from agent.pipeline.control import fault_document

GROUPS = ("modem", "radio", "inventory")
"""The groups of the catalogue that a modem gives."""

KEPT = {"imei": 6, "iccid": 6, "imsi": 3}
"""How many leading digits of a subscriber identifier tell of maker or country only."""
KEPT_AT_END = 2

LABEL_COLUMNS = 20
VALUE_COLUMNS = 14

SCREEN = (
    (
        N_("Modem"),
        (
            ("modem_state", N_("State")),
            ("manufacturer", N_("Maker")),
            ("model", N_("Model")),
            ("firmware", N_("Firmware")),
            ("imei", "IMEI"),
            ("modem_temperature_c", N_("Temperature")),
        ),
    ),
    (N_("SIM card"), (("sim_state", N_("State")), ("iccid", "ICCID"), ("imsi", "IMSI"))),
    (
        N_("Network"),
        (
            ("registration", N_("Registration")),
            ("operator_name", N_("Operator")),
            ("operator_mccmnc", N_("Operator number")),
            ("access_technology", N_("Technology")),
            ("band", N_("Band")),
            ("earfcn", "EARFCN"),
            ("uarfcn", "UARFCN"),
            ("arfcn", "ARFCN"),
            ("pci", "PCI"),
            ("cell_id", N_("Cell")),
            ("tac", "TAC"),
            ("lac", "LAC"),
        ),
    ),
    (
        N_("Signal"),
        (
            ("signal_class", N_("Overall")),
            ("rsrp_dbm", "RSRP"),
            ("sinr_db", "SINR"),
            ("rsrq_db", "RSRQ"),
            ("rssi_dbm", "RSSI"),
            ("rscp_dbm", "RSCP"),
            ("ecio_db", "Ec/Io"),
            ("nr_band", N_("5G band")),
            ("nr_rsrp_dbm", N_("5G RSRP")),
            ("nr_sinr_db", N_("5G SINR")),
            ("nr_rsrq_db", N_("5G RSRQ")),
        ),
    ),
)
ALWAYS = frozenset(("modem_state", "sim_state", "registration", "signal_class"))
"""Shown although not known; of the others only what the modem gave."""

CELL_WIDTHS = (11, 9, 5, 9, 5, 12)
CELL_MEASURES = ("dBm", "RSRQ", "SINR", "Ec/Io")
_3G, _2G = ("rscp_dbm", "rssi_dbm"), ("rssi_dbm",)
LEVELS = {"umts": _3G, "hspa": _3G, "gsm": _2G, "gprs": _2G, "edge": _2G}
"""What the level of a cell is by its kind; RSRP on 4G and 5G."""

CELL_ROLES = {"serving": N_("serving"), "secondary": N_("secondary"), "neighbour": N_("neighbour")}


INCOMPLETE = {
    "slow": (
        N_("the modem is so slow that not every question could be asked"),
        N_("read it again; if it stays slow, take the modem's power away for ten seconds"),
    ),
    "unanswered": (
        N_("the modem left a question without an answer"),
        N_("read it again; if it goes on, take the modem's power away for ten seconds"),
    ),
    "refused": (
        N_("the modem answers every question with an error"),
        N_("take its power away for ten seconds; if it goes on, find its AT port with: sinyal modem find"),
    ),
    "empty": (
        N_("the modem says OK and tells neither SIM card nor network nor signal"),
        N_("find the modem's AT port with: sinyal modem find"),
    ),
}
"""Why a reading lacks what a modem should tell (`incomplete` of `--json`), and what to do."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --port, --json, --reveal, --cells and -v."""
    add_port(parser)
    parser.add_argument("--json", action="store_true", help=_("one JSON document on stdout"))
    parser.add_argument("--reveal", action="store_true", help=_("IMEI, ICCID and IMSI in full"))
    parser.add_argument("--cells", action="store_true", help=_("all cells the modem hears, too"))
    parser.add_argument(
        "-v", "--verbose", action="store_true", help=_("always say which command gave a value")
    )


def run(args: argparse.Namespace) -> int:
    """Take a reading and print it; return 0 when the modem answered, else 4 (3 without permission)."""
    try:
        answer, cells = _ask(args)
    except SinyalError as fault:
        if args.json:
            nothing = {"fields": {}, "port": args.port, "sources": {}, "problem": fault_document(fault)}
            _print_json({}, nothing, [] if args.cells else None)
        raise
    values = {**answer["fields"], **_identity(answer["identity"], reveal=args.reveal)}
    fault_met = _fault(answer)
    if args.json:
        _print_json(values, answer, cells)
    elif fault_met is None:
        for line in _screen_lines(values, answer, verbose=args.verbose):
            print(line)
        for line in _cell_lines(cells):
            print(line)
    if fault_met is not None:
        raise fault_met
    if answer.get("incomplete") is not None:
        print(f"sinyal: {_why_incomplete(str(answer['incomplete']))}", file=sys.stderr)
    return 0


def _ask(args: argparse.Namespace) -> tuple[Mapping[str, Any], list[dict[str, Any]] | None]:
    """Return a reading, and the cells when they are wanted and the modem answers."""
    cells: list[dict[str, Any]] | None = None
    with open_modem(args) as modem:
        answer = modem.read()
        if args.cells and answer["problem"] is None:
            try:
                cells = modem.cells()["cells"]
            except SinyalError as missed:
                note = _("the cells are missing: {what}").format(what=missed.what)
                print(f"sinyal: {note}. {_('Next step:')} {missed.next_step}.", file=sys.stderr)
                cells = []
    return answer, cells


def _why_incomplete(gap: str) -> str:
    why, next_step = INCOMPLETE.get(gap, INCOMPLETE["unanswered"])
    what = _("the reading is incomplete: {why}").format(why=_(why))
    return f"{what}. {_('Next step:')} {_(next_step)}."


def _identity(identity: Mapping[str, Any], *, reveal: bool) -> dict[str, Any]:
    return {
        name: value if reveal or name not in KEPT else masked(str(value), KEPT[name])
        for name, value in identity.items()
    }


def masked(number: str, kept: int) -> str:
    """Return a number with only its first `kept` and its last two digits."""
    hidden = max(0, len(number) - kept - KEPT_AT_END)
    return number[:kept] + "*" * hidden + number[kept + hidden :] if hidden else "*" * len(number)


def _fault(answer: Mapping[str, Any]) -> SinyalError | None:
    """Return why there is no reading, its text naming the port, or None."""
    problem = answer["problem"]
    if problem is None and answer["fields"].get("modem_state") in ("ok", "restarted"):
        return None
    if problem is None:  # the daemon has closed the port meanwhile
        return ModemUnavailable(_("the agent is stopping"), _("try again in a moment"))
    what, port = str(problem["what"]), str(answer["port"])
    fault = SinyalError(what if port in what else f"{port}: {what}", str(problem["next_step"]))
    fault.exit_code = int(problem["exit_code"])
    return fault


def _print_json(
    values: Mapping[str, Any], answer: Mapping[str, Any], cells: list[dict[str, Any]] | None
) -> None:
    document = {
        metric.name: values.get(metric.name) for metric in catalogue().metrics if metric.group in GROUPS
    }
    document["port"] = answer["port"]
    document["sources"] = answer["sources"]
    document["incomplete"] = answer.get("incomplete")
    document["problem"] = answer["problem"]
    if cells is not None:
        document["cells"] = cells
    print(json.dumps(document, ensure_ascii=False))


def _screen_lines(values: Mapping[str, Any], answer: Mapping[str, Any], *, verbose: bool) -> Iterator[str]:
    yield screen.fit((_("Port"), _printable(answer["port"])), separator=" ")
    for title, rows in SCREEN:
        shown = [row for row in rows if row[0] in ALWAYS or values.get(row[0]) is not None]
        yield ""
        yield _(title)
        for field, label in shown:
            source = str(answer["sources"].get(field, ""))
            value, word = _value_and_word(field, values)
            if field == "modem_state" and answer.get("incomplete") is not None:
                value += f", {_('reading incomplete')}"
            yield from _row(_(label), value, word, source=source, verbose=verbose)


def _row(label: str, value: str, word: str, *, source: str, verbose: bool) -> Iterator[str]:
    left = f"  {label:<{LABEL_COLUMNS}}"
    left += f"{value:<{VALUE_COLUMNS}}{word}".rstrip() if word else value
    left = left if len(left) <= screen.COLUMNS else left[: screen.COLUMNS - 1] + "…"
    room = screen.COLUMNS - len(left) - 2
    if source and len(source) <= room:
        yield left + " " * (room + 2 - len(source)) + source
        return
    yield left
    if source and verbose:
        yield f"{source[: screen.COLUMNS]:>{screen.COLUMNS}}"


def _value_and_word(field: str, values: Mapping[str, Any]) -> tuple[str, str]:
    """Return how a value is written, and the word for how good it is, "" where there is none."""
    value = values.get(field)
    if field in screen.WORDS:
        return screen.word(field, value), ""
    if field == "access_technology":
        return _printable(screen.technology(str(value))), ""
    metric = catalogue()[field]
    if isinstance(value, int | float) and metric.unit:
        quality = value_class(field, value, values.get("access_technology"))
        text = f"{screen.number(value, metric.decimals)} {metric.unit}"
        return text, "" if quality is None else screen.word("signal_class", quality)
    return _printable(value), ""


def _printable(value: object) -> str:
    """Return what a modem told, so that it cannot steer a terminal."""
    return "".join(sign if sign.isprintable() else "?" for sign in str(value))


def _cell_lines(cells: list[dict[str, Any]] | None) -> Iterator[str]:
    if cells is None:
        return
    yield ""
    yield _("Cells (level in dBm; RSRQ, SINR and Ec/Io in dB)")
    if not cells:
        yield "  " + _("the modem tells of none")
        return
    yield _cell_line((_("role"), _("type"), _("band"), _("channel"), "PCI", _("cell"), *CELL_MEASURES))
    for cell in cells:
        yield _cell_line(_cell_texts(cell))


def _cell_line(texts: Iterable[str]) -> str:
    *columns, level, rsrq, sinr, ecio = texts
    left = "".join(f"{text[: width - 1]:<{width}}" for text, width in zip(columns, CELL_WIDTHS, strict=True))
    return f"  {left}{level:>5}{rsrq:>7}{sinr:>7}{ecio:>7}"[: screen.COLUMNS]


def _cell_texts(cell: Mapping[str, Any]) -> tuple[str, ...]:
    technology = str(cell.get("access_technology", ""))
    return (
        _(CELL_ROLES.get(str(cell.get("role")), "?")),
        "5G" if technology == "nr5g" else _printable(screen.technology(technology)),
        _first(cell, "band"),
        _first(cell, "earfcn", "uarfcn", "arfcn"),
        _first(cell, "pci"),
        _first(cell, "cell_id"),
        _measured(cell, *LEVELS.get(technology, ("rsrp_dbm",))),
        _measured(cell, "rsrq_db"),
        _measured(cell, "sinr_db"),
        _measured(cell, "ecio_db"),
    )


def _first(cell: Mapping[str, Any], *names: str) -> str:
    return next((_printable(cell[name]) for name in names if cell.get(name) is not None), "-")


def _measured(cell: Mapping[str, Any], *names: str) -> str:
    for name in names:
        if cell.get(name) is not None:
            metric = catalogue()[name]
            return screen.number(cell[name], metric.decimals)
    return "-"
