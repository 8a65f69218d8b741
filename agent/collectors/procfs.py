"""Counters that the kernel keeps as text: processor, memory, network interfaces (proc(5)).

Read here by hand because the daemon must stay small: a library for it takes 1.4 MB of its 28. The tests hold
these few lines against psutil.
"""

from pathlib import Path

PROC = Path("/proc")

_IDLE_COLUMNS = (3, 4)
"""idle and iowait, of user nice system idle iowait irq softirq steal."""

_GUEST_FROM = 8
"""guest and guest_nice are part of user and nice already."""


def processor_times() -> tuple[int, int] | None:
    """Return busy and all clock ticks of all processors since boot, None when the kernel does not tell."""
    words = _text("stat").partition("\n")[0].split()
    try:
        ticks = [int(word) for word in words[1:]][:_GUEST_FROM]
    except ValueError:
        return None
    if not words or words[0] != "cpu" or len(ticks) <= max(_IDLE_COLUMNS):
        return None
    return sum(ticks) - sum(ticks[column] for column in _IDLE_COLUMNS), sum(ticks)


def memory_used_pct() -> float | None:
    """Return the share of memory that a program could not have, in %, None when the kernel does not tell."""
    kilobytes = {}
    for line in _text("meminfo").splitlines():
        name, _colon, rest = line.partition(":")
        words = rest.split()
        if name in ("MemTotal", "MemAvailable") and words and words[0].isdigit():
            kilobytes[name] = int(words[0])
    total = kilobytes.get("MemTotal", 0)
    if not total or "MemAvailable" not in kilobytes:
        return None
    return 100 * (total - kilobytes["MemAvailable"]) / total


def interface_bytes() -> dict[str, tuple[int, int]]:
    """Return bytes received and sent by each network interface since it was made, by its name."""
    found = {}
    for line in _text("net/dev").splitlines()[2:]:
        # A name may hold a colon (an old alias), the numbers may stand right behind the last one.
        name, _colon, rest = line.strip().rpartition(":")
        columns = rest.split()
        if name and len(columns) >= 9 and columns[0].isdigit() and columns[8].isdigit():
            found[name] = int(columns[0]), int(columns[8])
    return found


def _text(file: str) -> str:
    try:
        return (PROC / file).read_text()
    except (OSError, UnicodeDecodeError):
        return ""
