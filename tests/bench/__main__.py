"""`make bench`: every number of the contract's budgets beside a peer or a floor of the same run.

Each module of this folder has run(...) -> list of Line. Choose some by name:
make bench ARGS="wire status"; shorten the daemon's five minutes: ARGS="daemon --seconds 60".
"""

import argparse
import importlib
import logging
import os
import platform
import sys

from tests.bench.line import Line

BENCHES = (
    "wire",
    "day",
    "buffer",
    "drain",
    "outage",
    "status",
    "help",
    "modem",
    "backlog",
    "peers",
    "daemon",
)


def main() -> int:
    """Run the chosen benches and print one table; return 1 when a limit is missed."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="|".join(BENCHES))
    parser.add_argument("--seconds", type=int, default=300, help="how long the daemon is watched")
    args = parser.parse_args()
    names = args.names or list(BENCHES)
    unknown = sorted(set(names) - set(BENCHES))
    if unknown:
        parser.error(f"no bench called {', '.join(unknown)}")
    logging.disable(logging.WARNING)  # what the agent says of broken links is expected here
    lines: list[Line] = []
    for name in names:
        print(f"{name} …", file=sys.stderr)
        module = importlib.import_module(f"tests.bench.{name}")
        lines += module.run(args.seconds) if name == "daemon" else module.run()
    load = ", ".join(f"{average:.1f}" for average in os.getloadavg())
    system = f"Python {platform.python_version()}, {platform.machine()}, {platform.release()}"
    print(f"\n{system}, {os.cpu_count()} processors, load {load}\n")
    header = Line("what", "ours", "peer or floor", "ratio", "limit")
    table = [header, *lines]
    widths = [max(len(getattr(line, field)) for line in table) for field in Line.COLUMNS]
    for line in table:
        cells = [getattr(line, field).ljust(width) for field, width in zip(Line.COLUMNS, widths, strict=True)]
        print("  ".join(cells).rstrip() + ("  MISSED" if line.missed else ""))
    return 1 if any(line.missed for line in lines) else 0


if __name__ == "__main__":
    sys.exit(main())
