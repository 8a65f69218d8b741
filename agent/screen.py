"""How values are written for people: WIB times, numbers in the screen's language, words for states, bars."""

import os
import time
from collections.abc import Iterable

from agent.errors import SinyalError
from agent.language import N_, _, current_language, ngettext

COLUMNS = 80
FEWEST_COLUMNS = 30
NARROW_COLUMNS = 60
"""Below this a screen leaves out what only fills it: the terminal of a telephone has about 40."""


def failure_line(failure: SinyalError, program: str = "sinyal") -> str:
    """Return a failure as the one line that a person meets; on a terminal it is broken between words."""
    line = f"{program}: {failure.what}."
    if failure.next_step:
        line = f"{line} {_('Next step:')} {failure.next_step}."
    return note(line)


def note(line: str, descriptor: int = 2) -> str:
    """Return a line for stderr (or another descriptor): on a terminal it is broken between words."""
    try:
        return broken(line, os.get_terminal_size(descriptor).columns or COLUMNS)
    except OSError:  # a file or a pipe: one line for whoever searches it
        return line


def columns(descriptor: int = 1) -> int:
    """Return how wide a screen on stdout, or stderr, may be: 80 columns, less on a telephone's terminal."""
    try:
        return usable(os.get_terminal_size(descriptor).columns or COLUMNS)
    except OSError:  # a file or a pipe
        return COLUMNS


def usable(wide: int) -> int:
    """Return how many of `wide` columns a screen takes."""
    return max(FEWEST_COLUMNS, min(COLUMNS, wide))


def broken(text: str, width: int) -> str:
    """Return a text with line ends between its words, so that no line is longer than width if that can be."""
    lines: list[str] = []
    for word in text.split(" "):
        if lines and len(lines[-1]) + 1 + len(word) <= width:
            lines[-1] += " " + word
        else:
            lines.append(word)
    return "\n".join(lines)


WIB_OFFSET_S = 7 * 3600
"""Western Indonesian Time is UTC+7 all year (Keppres 41/1987)."""

_MONTHS = {
    "id": ("Jan", "Feb", "Mar", "Apr", "Mei", "Jun", "Jul", "Agu", "Sep", "Okt", "Nov", "Des"),
    "en": ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
}

WORDS = {
    "modem_state": {
        "ok": N_("answers"),
        "busy": N_("port held by another program"),
        "hung": N_("does not answer"),
        "missing": N_("not found"),
        "restarted": N_("has restarted"),
    },
    "sim_state": {
        "ready": N_("ready"),
        "pin_required": N_("asks for its PIN"),
        "puk_required": N_("locked, asks for its PUK"),
        "absent": N_("not inserted"),
        "locked": N_("locked to another network"),
        "error": N_("cannot be read"),
    },
    "registration": {
        "home": N_("registered"),
        "roaming": N_("registered, roaming"),
        "searching": N_("searching for a network"),
        "denied": N_("refused by the network"),
        "not_registered": N_("not registered"),
        "unknown": N_("registration not known"),
    },
    "signal_class": {
        "excellent": N_("excellent"),
        "good": N_("good"),
        "fair": N_("fair"),
        "poor": N_("poor"),
        "very_poor": N_("very poor"),
        "none": N_("no service"),
    },
    "ts_quality": {
        "ntp": N_("true (network time)"),
        "modem": N_("true (modem)"),
        "broker": N_("true (broker)"),
        "rtc": N_("from the clock chip"),
        "estimated": N_("estimated"),
        "unset": N_("not certain yet"),
    },
}

TECHNOLOGIES = {
    "gsm": "2G",
    "gprs": "2G GPRS",
    "edge": "2G EDGE",
    "umts": "3G",
    "hspa": "3G HSPA",
    "lte": "4G LTE",
    "lte-m": "LTE-M",
    "nb-iot": "NB-IoT",
    "nr5g-nsa": "5G NSA",
    "nr5g-sa": "5G SA",
}

LEVEL_FIELDS = (("rsrp_dbm", -120, -75), ("rscp_dbm", -115, -70), ("rssi_dbm", -110, -65))
"""Which level a bar shows, and the dBm at which it is empty and full; the first that is known."""


def word(field: str, value: object) -> str:
    """Return the word for a state of the catalogue in the language in use, or a dash when not known."""
    if value is None:
        return "-"
    return _(WORDS[field].get(str(value), str(value)))


def technology(code: str) -> str:
    """Return how an access technology of the catalogue is written, "none" in words."""
    return _("none, not on any network") if code == "none" else TECHNOLOGIES.get(code, code)


def number(value: float, decimals: int = 0) -> str:
    """Return a number with the decimal sign of the language in use (comma in Indonesian)."""
    text = f"{value:.{decimals}f}"
    return text.replace(".", ",") if current_language() == "id" else text


def amount(bytes_: float) -> str:
    """Return bytes in kB, MB or GB, such as "12.3 MB"."""
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if bytes_ >= size:
            value = bytes_ / size
            return f"{number(value, 0 if value >= 100 else 1)} {unit}"
    return f"{number(bytes_ / 1e3)} kB"


def wib(ts: float, *, seconds: bool = False) -> str:
    """Return a UTC second as date and time in WIB, such as "21 Nov 2026 09.12 WIB"."""
    at = time.gmtime(ts + WIB_OFFSET_S)
    separator = "." if current_language() == "id" else ":"
    clock = separator.join(f"{part:02d}" for part in at[3 : 6 if seconds else 5])
    return f"{at.tm_mday} {_MONTHS[current_language()][at.tm_mon - 1]} {at.tm_year} {clock} WIB"


def wib_clock(ts: float) -> str:
    """Return the time of day of a UTC second in WIB, such as "09.12.30"."""
    at = time.gmtime(ts + WIB_OFFSET_S)
    return (".:"[current_language() == "en"]).join(f"{part:02d}" for part in at[3:6])


def span(seconds: float) -> str:
    """Return a length of time in its largest whole unit, such as "5 minutes"."""
    whole = max(0, round(seconds))
    if days := whole // 86400:
        return ngettext("{n} day", "{n} days", days).format(n=days)
    if hours := whole // 3600:
        return ngettext("{n} hour", "{n} hours", hours).format(n=hours)
    if minutes := whole // 60:
        return ngettext("{n} minute", "{n} minutes", minutes).format(n=minutes)
    return ngettext("{n} second", "{n} seconds", whole).format(n=whole)


def bar(share: float, width: int) -> str:
    """Return a bar of `width` characters filled to `share` (0 to 1), in plain ASCII for any terminal."""
    filled = round(max(0.0, min(1.0, share)) * width)
    return "#" * filled + "-" * (width - filled)


def level_bar(reading: dict[str, object], width: int) -> tuple[str, str] | None:
    """Return the serving cell's level as text ("-97 dBm") and as a bar, or None when no level is known."""
    for field, empty_dbm, full_dbm in LEVEL_FIELDS:
        level = reading.get(field)
        if isinstance(level, int | float):
            return f"{level:.0f} dBm", bar((level - empty_dbm) / (full_dbm - empty_dbm), width)
    return None


def as_sentence(text: str) -> str:
    """Return `text` with a capital at its beginning and a full stop; names inside keep theirs."""
    return text[:1].upper() + text[1:] + "."


def fit(parts: Iterable[str], width: int = COLUMNS, separator: str = " · ") -> str:
    """Join the parts that are not empty, cut to `width` characters."""
    line = separator.join(part for part in parts if part)
    return line if len(line) <= width else line[: width - 1] + "…"
