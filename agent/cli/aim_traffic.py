"""Light traffic while aiming: an echo twice a second keeps the modem connected, as it is when people use it.

The data budget is charged before a portion is sent; when it has no room, sending stops and aiming goes on.
"""

import contextlib
import threading
from typing import Self

from agent.config.model import Config
from agent.errors import SinyalError
from agent.link.probe import probe
from agent.pipeline.budget_client import ask_budget
from agent.pipeline.budget_control import TRAFFIC_PORTION_BYTES
from agent.pipeline.link_watch import targets_of
from agent.uplink_socket import look_up

EVERY_S = 0.5
TIMEOUT_S = 2.0

BYTES_A_MINUTE = 25_000
"""At most: 120 echoes with their answers, or as many TCP connections where echoes are not allowed."""


def most_bytes(minutes: float) -> int:
    """Return what the traffic of so many minutes can cost, in whole portions."""
    portions = -(-round(minutes * BYTES_A_MINUTE) // TRAFFIC_PORTION_BYTES)
    return portions * TRAFFIC_PORTION_BYTES


class AimTraffic:
    """Sends while it is entered; problem says why it has stopped."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="aim-traffic", daemon=True)
        self.problem: SinyalError | None = None
        self._left_bytes = 0
        self._charge()

    def __enter__(self) -> Self:
        """Begin to send."""
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        """Send no more."""
        self._stop.set()
        self._thread.join(TIMEOUT_S + EVERY_S)

    def _charge(self) -> None:
        """Pay the next portion; raises SinyalError."""
        self._left_bytes += ask_budget(self._config, "aim_traffic")["bytes"]

    def _work(self) -> None:
        address: tuple[str, int] | None = None
        named = self._config.uplink.interface
        interface = None if named == "auto" else named
        while not self._stop.wait(EVERY_S):
            address = address or self._address()
            if address is None:
                continue
            if self._left_bytes <= 0:
                try:
                    self._charge()
                except SinyalError as fault:
                    self.problem = fault
                    return
            outcome = probe(*address, interface=interface, timeout_s=TIMEOUT_S)
            self._left_bytes -= outcome.wire_bytes

    def _address(self) -> tuple[str, int] | None:
        for target in targets_of(self._config):
            with contextlib.suppress(OSError, UnicodeError):
                found = look_up(target.host, target.port)
                return str(found[0][4][0]), target.port
        return None
