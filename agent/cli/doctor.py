"""`sinyal doctor`: what is wrong, layer by layer, and the one thing to do next; needs nothing but a board."""

import argparse
import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from agent import __version__, screen
from agent.cli.modem_line import add_port, open_modem
from agent.cli.wrapping import beside, wrapped
from agent.config.load import DEFAULT_CONFIG_FILE, LoadedConfig, build_what_is_right, config_path
from agent.doctor.finding import Finding
from agent.doctor.gather import Modem, Settings, gather
from agent.doctor.layers import Layer, diagnose, first_trouble
from agent.errors import SinyalError
from agent.language import N_, _

VERDICT_WORDS = {
    "PASS": N_("PASS"),
    "WARN": N_("WARN"),
    "FAIL": N_("FAIL"),
    "NOT TESTED": N_("NOT TESTED"),
}
VERDICT_COLUMNS = 11
TITLE_COLUMNS = 12
LEFT = VERDICT_COLUMNS + TITLE_COLUMNS
NARROW_INDENT = 2

Findings = Sequence[tuple[Layer, Finding]]


class Assumed:
    """Stands in for a configuration that cannot be used: what of it is right (see Configuration)."""

    def __init__(self, loaded: LoadedConfig) -> None:
        self._loaded = loaded

    def load(self) -> LoadedConfig:
        """Return what is right, and defaults for the rest."""
        return self._loaded

    def is_unconfigured(self) -> bool:
        """Return True: nobody has configured these."""
        return True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add -v, --json and --port."""
    parser.add_argument("-v", "--verbose", action="store_true", help=_("all layers, each with its next step"))
    parser.add_argument("--json", action="store_true", help=_("one JSON document on stdout"))
    add_port(parser)


def run(args: argparse.Namespace) -> int:
    """Print the diagnosis; return 1 when a layer fails."""
    logging.getLogger("sinyal").addHandler(logging.NullHandler())
    settings, args.configuration = usable_settings(args)
    findings = _diagnosed(args, settings)
    if args.json:
        print(json.dumps(document(findings, settings), ensure_ascii=False))
    else:
        for line in _screen(findings, settings, everything=args.verbose):
            print(line)
    return 1 if any(finding.verdict == "FAIL" for _layer, finding in findings) else 0


def diagnosis_document(args: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """Return what `sinyal doctor --json` prints; args say how the modem is asked."""
    return document(_diagnosed(args, settings), settings)


def _diagnosed(args: argparse.Namespace, settings: Settings) -> Findings:
    progress = _Progress()
    try:
        return diagnose(gather(settings, _modem(args), tick=progress.tick))
    finally:
        progress.clear()


def usable_settings(args: argparse.Namespace) -> tuple[Settings, Any]:
    """Return the configuration, or what of it is right and what is wrong; and what commands load it from."""
    configuration = args.configuration
    try:
        loaded = configuration.load()
        return Settings(loaded.config, loaded.path), configuration
    except SinyalError as mistake:
        try:
            path = config_path(configuration.named, os.environ)
        except SinyalError:
            path = DEFAULT_CONFIG_FILE
        assumed = build_what_is_right(path)
        if configuration.is_unconfigured():
            return Settings(assumed.config, path, None, is_configured=False), Assumed(assumed)
        return Settings(assumed.config, path, mistake), Assumed(assumed)


def _modem(args: argparse.Namespace) -> Modem:
    def read() -> Mapping[str, Any]:
        with open_modem(args) as line:
            return line.read()

    def ask(command: str) -> list[str]:
        with open_modem(args) as line:
            return list(line.at(command, may_write=False)["lines"])

    return Modem(read, ask)


class _Progress:
    """One line on a terminal that says how long the looking takes."""

    def __init__(self) -> None:
        self._is_shown = False
        self._is_terminal = sys.stderr is not None and sys.stderr.isatty()

    def tick(self, waited_s: float) -> None:
        if self._is_terminal:
            self._is_shown = True
            text = _("looking at everything … {seconds} s").format(seconds=round(waited_s))
            print(f"\r{text}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        if self._is_shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def document(findings: Findings, settings: Settings) -> dict[str, Any]:
    """Return the diagnosis as one JSON document."""
    trouble = first_trouble(findings)
    return {
        "version": __version__,
        "gateway_id": settings.config.gateway.id,
        "fine": all(finding.verdict != "FAIL" for _layer, finding in findings),
        "first_trouble": trouble and trouble[0].name,
        "next_step": trouble[1].next_step if trouble else "",
        "layers": [
            {
                "layer": layer.name,
                "verdict": finding.verdict,
                "code": finding.code,
                "evidence": finding.evidence,
                "next_step": finding.next_step,
            }
            for layer, finding in findings
        ],
    }


def _screen(findings: Findings, settings: Settings, *, everything: bool) -> Iterator[str]:
    gateway, width = settings.config.gateway, screen.columns()
    title = (f"Sinyal {__version__}", gateway.id, gateway.site_name, gateway.kode_desa)
    yield from wrapped(" · ".join(_printable(part) for part in title if part), width)
    trouble = first_trouble(findings)
    is_failing = trouble is not None and trouble[1].verdict == "FAIL"
    hidden = 0
    for place, (layer, finding) in enumerate(findings):
        is_it = trouble is not None and layer is trouble[0]
        yield from _rows(layer, finding, width)
        if everything and finding.next_step and not is_it:
            yield from _step(finding.next_step, width)
        if is_it and is_failing and not everything:
            hidden = len(findings) - place - 1
            break
    yield ""
    if hidden:
        yield from wrapped(_("What comes behind it is not judged yet; sinyal doctor -v shows all."), width)
    if trouble is None:
        yield _("Nothing wrong was found.")
    elif trouble[1].next_step:
        yield from wrapped(f"{_('Next step:')} {_printable(trouble[1].next_step)}.", width)


def _rows(layer: Layer, finding: Finding, width: int) -> Iterator[str]:
    verdict, title = _(VERDICT_WORDS[finding.verdict]), _(layer.title)
    evidence = _printable(finding.evidence)
    if width < screen.NARROW_COLUMNS:
        yield f"{verdict:<{VERDICT_COLUMNS}}{title}"
        yield from beside("", NARROW_INDENT, evidence, width)
    else:
        yield from beside(f"{verdict:<{VERDICT_COLUMNS}}{title}", LEFT, evidence, width)


def _step(next_step: str, width: int) -> Iterator[str]:
    indent = NARROW_INDENT if width < screen.NARROW_COLUMNS else LEFT
    for line in wrapped(f"-> {_printable(next_step)}", width - indent, "   "):
        yield " " * indent + line


def _printable(text: str) -> str:
    return "".join(sign if sign.isprintable() else "?" for sign in text)
