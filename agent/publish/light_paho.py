"""Lets paho-mqtt in: a version we can work with, and without the HTTP client it never needs here."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from agent.errors import SinyalError
from agent.language import _
from agent.late_modules import stand_ins

OLDEST_PAHO = (2, 2)
"""paho-mqtt 2.1 ends its loop with an error on a PUBACK that 2.2 reports."""

NEXT_STEP = "pip install 'paho-mqtt==2.2.*'"


class LibraryUnusable(SinyalError):
    """paho-mqtt is missing or of a version that Sinyal does not work with."""


@contextmanager
def light_paho() -> Iterator[None]:
    """Let paho be imported inside this block, without what it imports and never uses on a gateway.

    `urllib.request` it wants only to look for HTTP proxies, which costs 2.7 MB with http.client and email
    behind it. We open the socket ourselves, so that code is never reached and a proxy named in the
    environment is not used, nor is `urllib.parse` that would take it apart. `platform` it asks only whether
    this is Windows.
    Raises LibraryUnusable when paho is missing or too old.
    """
    _require_paho()
    platform = ModuleType("platform")
    platform.system = lambda: "Linux"  # type: ignore[attr-defined]
    proxies = {"urllib__request": ModuleType("urllib.request"), "urllib__parse": ModuleType("urllib.parse")}
    with stand_ins(platform=platform, **proxies):
        yield


def _require_paho() -> None:
    try:
        from paho import mqtt
    except ImportError:
        raise LibraryUnusable(_("paho-mqtt is not installed"), NEXT_STEP) from None
    found = str(getattr(mqtt, "__version__", "?"))
    numbers = tuple(int(part) for part in found.split(".")[:2] if part.isdigit())
    if numbers < OLDEST_PAHO:
        raise LibraryUnusable(_("paho-mqtt {found} is too old for Sinyal").format(found=found), NEXT_STEP)
