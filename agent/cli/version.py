"""`sinyal version`: which agent, which Python, which libraries; works without daemon and configuration."""

import argparse
import json
import platform
from importlib import metadata

from agent import __version__
from agent.contract.catalogue import catalogue
from agent.language import _

LIBRARIES = ("paho-mqtt", "psutil", "pyserial", "sqlite-utils", "gpiozero", "speedtest-cli")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `sinyal version`."""
    parser.add_argument("--json", action="store_true", help=_("one JSON document on stdout"))


def run(args: argparse.Namespace) -> int:
    """Print the versions; a library that is not installed is said to be missing, not an error."""
    import sqlite3

    libraries = {name: installed_version(name) for name in LIBRARIES}
    if args.json:
        document = {
            "version": __version__,
            "catalogue": catalogue().id,
            "python": platform.python_version(),
            "sqlite": sqlite3.sqlite_version,
            "machine": platform.machine(),
            "libraries": libraries,
        }
        print(json.dumps(document))
        return 0
    print(f"sinyal {__version__}")
    print(f"  {_('catalogue'):<14} {catalogue().id}")
    print(f"  {'Python':<14} {platform.python_version()} ({platform.machine()})")
    print(f"  {'SQLite':<14} {sqlite3.sqlite_version}")
    for name, version in libraries.items():
        print(f"  {name:<14} {version or _('not installed')}")
    return 0


def installed_version(name: str) -> str | None:
    """Return the version of an installed library, or None."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
