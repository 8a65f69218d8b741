"""What `sinyal aim` shows: the picture on a terminal, elsewhere a line a look, and what was found."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from agent import screen
from agent.aim.aiming import Aiming, Mark, View
from agent.aim.cell_level import NAMES, Cell, share_of_scale
from agent.cli.aim_watch import Look
from agent.language import N_, _
from agent.modem.signal_class import value_class

AROUND_DB = 6.0
"""The magnified scale reaches so far to both sides of the mean."""

LABEL_WIDTH = 10
QUIET_S = 8.0
"""A message stays so long."""

HIGHER_DB = 2.0
"""A best that is so much above the best mark is worth going back for."""

MAX_DIGITS = 5

TRENDS = {
    "better": ("↑", N_("better")),
    "worse": ("↓", N_("worse")),
    "steady": ("=", N_("the same")),
    "unknown": (" ", N_("hold still for a few seconds")),
}


class AimScreen:
    """The picture and the keys. place: parts of the title; ends_s: seconds after which the aiming ends."""

    def __init__(self, aiming: Aiming, place: Sequence[str], ends_s: float) -> None:
        self._aiming = aiming
        self._place = place
        self._ends_s = ends_s
        self._operator = ""
        self._problem = ""
        self._said = ""
        self._said_at = 0.0
        self._typed: str | None = None
        self._moment: Mark | None = None
        self.wants_to_end = False

    def note(self, look: Look) -> None:
        """Take in what a look says beside the level."""
        self._problem = look.problem.what if look.problem is not None else ""
        if look.fields is not None:
            self._operator = str(look.fields.get("operator_name") or self._operator)

    def press(self, key: str, at_s: float) -> None:
        """Take in a key: m marks (a number of degrees may follow), q ends."""
        if self._typed is not None:
            self._type(key, at_s)
        elif key in ("q", "Q"):
            self.wants_to_end = True
        elif key in ("m", "M"):
            self._moment = self._aiming.moment(at_s)
            if self._moment is None:
                self._say(_("no level yet, nothing to mark"), at_s)
            else:
                self._typed = ""

    def lines(self, at_s: float, width: int) -> list[str]:
        """Return the picture, no line longer than width."""
        minutes = screen.span(max(0.0, self._ends_s - at_s) // 60 * 60 or max(0.0, self._ends_s - at_s))
        title = screen.fit(("sinyal aim", _("ends in {span}").format(span=minutes), *self._place), width)
        seen = self._aiming.view(at_s)
        picture = [title, ""]
        picture += self._level_lines(seen, width) if seen is not None else [_("no level yet"), *[""] * 8]
        # On a narrow screen a long warning takes the blank line as well.
        warning = screen.broken(self._warning(seen), width).split("\n")[:2]
        picture += [*warning, self._marks(), *[""] * (2 - len(warning)), self._prompt(at_s)]
        return [screen.fit((line,), width) for line in picture]

    def _level_lines(self, seen: View, width: int) -> list[str]:
        bar = _bar(seen.cell.level, seen.level_dbm, seen.best_dbm, width)
        is_narrow = width < screen.NARROW_COLUMNS - 1
        value, best = _value_parts(seen.cell.level, seen.level_dbm, seen.best_dbm, "dBm", seen.cell)
        lines = [value, best, bar] if is_narrow else [value + best, bar, bar]
        if seen.quality_db is not None:
            value, best = _value_parts(seen.quality, seen.quality_db, seen.best_quality_db, "dB", seen.cell)
            lines += [
                value if is_narrow else value + best,
                _bar(seen.quality, seen.quality_db, seen.best_quality_db, width),
            ]
        else:
            lines += [_("quality: the modem does not tell"), ""]
        arrow, word = TRENDS[seen.trend]
        change = "" if seen.trend == "unknown" else f"{_signed(seen.trend_db)} dB " + _("in 5 s")
        return [
            *lines,
            "",
            f"{_('Magnified'):<{LABEL_WIDTH}} {_magnified(seen, min(width - LABEL_WIDTH - 18, 49))}",
            f"{_('Trend'):<{LABEL_WIDTH}} {arrow} {_(word)} {change}".rstrip(),
            f"{_('Cell'):<{LABEL_WIDTH}} {_cell_text(seen.cell, self._operator)}",
        ]

    def _warning(self, seen: View | None) -> str:
        if self._problem:
            return f"! {self._problem}"
        if seen is not None and seen.came_from is not None:
            return "! " + _("another cell; before {cell}. A new tower is no better angle").format(
                cell=_cell_name(seen.came_from)
            )
        return ""

    def _marks(self) -> str:
        if not self._aiming.marks:
            return ""
        best = (f"{_azimuth(mark.azimuth_deg)} {_signed(mark.level_dbm)}" for mark in self._aiming.best())
        return f"{_('Best'):<{LABEL_WIDTH}} {screen.fit(best)}"

    def _prompt(self, at_s: float) -> str:
        if self._typed is not None:
            return _("Degrees (0 to 360)") + f": {self._typed}_   " + _("Enter: mark, Esc: no mark")
        if self._said and at_s - self._said_at < QUIET_S:
            return self._said
        return _("m: mark this direction   q: end")

    def _type(self, key: str, at_s: float) -> None:
        assert self._typed is not None
        if key in ("\r", "\n"):
            self._finish_mark(at_s)
        elif key == "\x1b":
            self._typed = None
        elif key in ("\x7f", "\b"):
            self._typed = self._typed[:-1]
        elif (("0" <= key <= "9") or key in ".,") and len(self._typed) < MAX_DIGITS:
            self._typed += key

    def _finish_mark(self, at_s: float) -> None:
        typed, self._typed = (self._typed or "").replace(",", "."), None
        try:
            azimuth = float(typed) if typed else None
        except ValueError:
            azimuth = -1.0
        if azimuth is not None and not 0 <= azimuth <= 360:
            self._say(_("a direction is a number from 0 to 360: not marked"), at_s)
            return
        assert self._moment is not None
        mark = self._aiming.mark(self._moment, azimuth)
        text = _("marked: {azimuth} with {level} dBm")
        self._say(text.format(azimuth=_azimuth(mark.azimuth_deg), level=_signed(mark.level_dbm)), at_s)

    def _say(self, text: str, at_s: float) -> None:
        self._said, self._said_at = text, at_s


def plain_line(seen: View) -> str:
    """Return one look as a line for a file, a pipe, or a terminal without keys."""
    parts = [f"{NAMES[seen.cell.level]} {_signed(seen.level_dbm)} dBm"]
    if seen.quality_db is not None:
        parts.append(f"{NAMES[seen.quality]} {_signed(seen.quality_db)} dB")
    if seen.best_dbm is not None:
        best, below = _signed(seen.best_dbm), _signed(seen.level_dbm - seen.best_dbm)
        parts.append(_("best {best} ({below} dB)").format(best=best, below=below))
    if seen.trend != "unknown":
        parts.append(_(TRENDS[seen.trend][1]))
    parts.append(_cell_name(seen.cell))
    if seen.came_from is not None:
        parts.append(_("another cell now"))
    return screen.fit(parts, 200)


def result_lines(session: Mapping[str, Any]) -> Iterator[str]:
    """Yield what was found: how long, and the best three."""
    yield _("Aimed for {span}. Best:").format(span=screen.span(session["seconds"]))
    yield from best_lines(session)


def best_lines(session: Mapping[str, Any]) -> Iterator[str]:
    """Yield the best three of a session, one a line."""
    for place, mark in enumerate(session["best"], 1):
        level = NAMES.get(str(mark["level"]), "?")
        parts = [f"{level} {_signed(mark['level_dbm'])} dBm" if mark["level_dbm"] is not None else "-"]
        if mark["quality_db"] is not None:
            parts.append(f"{NAMES.get(str(mark['quality']), '?')} {_signed(mark['quality_db'])} dB")
        cell = Cell(str(mark["level"]), None, mark["cell_id"], mark["pci"], mark["channel"], mark["band"])
        parts.append(_cell_name(cell))
        yield f"  {place}. {_azimuth(mark['azimuth_deg']):<14} {screen.fit(parts, 60, '   ')}"


def result_notes(aiming: Aiming) -> Iterator[str]:
    """Yield what a person should know before believing the best three."""
    best, peak = aiming.best(), aiming.peak()
    if not aiming.marks:
        yield _("no direction was marked; next time press m at each direction and type its degrees")
    elif peak is not None and peak.level_dbm - best[0].level_dbm >= HIGHER_DB:
        yield _("{level} dBm was seen, above the best mark: go back slowly and mark it").format(
            level=_signed(peak.level_dbm)
        )
    if any(mark.cell.is_other_than(best[0].cell) for mark in best[1:]):
        yield _("these are different cells: compare only directions of the same one")


def _value_parts(name: str, value: float, best: float | None, unit: str, cell: Cell) -> tuple[str, str]:
    """Return a value with its word, and the best of it."""
    word = value_class(name, value, cell.technology)
    text = f"{NAMES[name]:<{LABEL_WIDTH}} {_signed(value) + ' ' + unit:<12}"
    text += f"{screen.word('signal_class', word) if word else '':<14}"
    if best is None:
        return text.rstrip(), ""
    told = _("best {best}   difference {below} dB")
    return text, told.format(best=_signed(best), below=_signed(min(0.0, value - best)))


def _bar(name: str, value: float, best: float | None, width: int) -> str:
    """Return a bar over the whole width; | stands where the best is."""
    inner = width - 2
    bar = screen.bar(share_of_scale(name, value), inner)
    if best is not None:
        at = min(inner - 1, round(share_of_scale(name, best) * inner))
        bar = f"{bar[:at]}|{bar[at + 1 :]}"
    return f"[{bar}]"


def _magnified(seen: View, width: int) -> str:
    """Return the dB around the mean: + the mean, | the best of this cell, O the level now."""
    line = ["."] * width

    def place(value: float, sign: str) -> None:
        share = (value - seen.around_dbm + AROUND_DB) / (2 * AROUND_DB)
        if 0 <= share <= 1:
            line[min(width - 1, int(share * width))] = sign

    place(seen.around_dbm, "+")
    if seen.best_dbm is not None:
        place(seen.best_dbm, "|")
    place(min(max(seen.level_dbm, seen.around_dbm - AROUND_DB), seen.around_dbm + AROUND_DB), "O")
    low, high = (screen.number(seen.around_dbm + side * AROUND_DB) for side in (-1, 1))
    return f"{low} [{''.join(line)}] {high} dBm"


def _cell_text(cell: Cell, operator: str) -> str:
    technology = screen.technology(cell.technology) if cell.technology else ""
    return screen.fit((_cell_name(cell), technology, operator))


def _cell_name(cell: Cell) -> str:
    parts = (
        str(cell.cell_id) if cell.cell_id is not None else "",
        f"PCI {cell.pci}" if cell.pci is not None else "",
        cell.band or "",
    )
    return " ".join(part for part in parts if part) or _("cell not known")


def _azimuth(degrees: float | None) -> str:
    if degrees is None:
        return _("not noted")
    return f"{screen.number(degrees, 0 if degrees == round(degrees) else 1)}°"


def _signed(value: float) -> str:
    """Return a dB or dBm value to one decimal, with its sign; no minus before nothing."""
    rounded = round(value, 1) + 0.0
    return f"{'+' if rounded > 0 else ''}{screen.number(rounded, 1)}"
