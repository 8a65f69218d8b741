"""One speed test as a process of its own: `python -m agent.budget.speed_child REQUEST`.

REQUEST is a JSON object: engine, url, ca_file, interface (both may be null), servers (known ones of Ookla's,
may be null), down_bytes, up_bytes, cost_bytes, language.
Prints JSON lines: {"direction", "bytes", "seconds"} on the way, and at last {"state": "done"/"failed",
"server", "servers", "bytes", "seconds", "rtt_ms", "down_kbit_s", "up_kbit_s", "reason", "next_step"}.
SIGTERM ends it with what it has cost so far.
HTTP, TLS and speedtest-cli are loaded here only, so the daemon never holds them.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn, Protocol

from agent.budget.speed_size import OOKLA_REFUSED, SpeedSize
from agent.errors import SinyalError
from agent.language import _, use_language

PROGRESS_EVERY_S = 0.25

WHOLE_LIMIT_S = 50
"""After this time the process ends without a word, and the test is paid in full."""

NOTHING_FOUND: Mapping[str, Any] = {
    "reason": None,
    "next_step": "",
    "rtt_ms": None,
    "down_kbit_s": None,
    "up_kbit_s": None,
}
"""What is told of a test beside its state and cost, before it has found anything."""


class _Engine(Protocol):
    server: str

    servers: list[dict[str, Any]]
    """Servers to be remembered for the next test."""

    @property
    def wire_bytes(self) -> int:
        """What it has cost so far."""

    def run(self) -> dict[str, Any]:
        """Test; raises SinyalError."""


class _Teller:
    """Writes to a descriptor of its own: the import of speedtest-cli takes number 1 away."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._told_at = 0.0

    def progress(self, direction: str, bytes_: int, seconds: float) -> None:
        """Tell how far the test is, a few times a second."""
        if time.monotonic() - self._told_at >= PROGRESS_EVERY_S:
            self._told_at = time.monotonic()
            self.tell({"direction": direction, "bytes": bytes_, "seconds": round(seconds, 2)})

    def tell(self, document: dict[str, Any]) -> None:
        """Write one line."""
        os.write(self._descriptor, json.dumps(document, ensure_ascii=False).encode() + b"\n")


def main() -> NoReturn:
    """Run the test that the first argument asks for, and end with 0 when it gave rates."""
    # Ctrl-C is for the one who started this; and no server, however slowly it drips, keeps it here.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.alarm(WHOLE_LIMIT_S)
    request = json.loads(sys.argv[1])
    use_language(request["language"])
    teller = _Teller(os.dup(1))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    engine = _engine(request, teller)
    began = time.monotonic()

    def leave(result: Mapping[str, Any]) -> NoReturn:
        cost = {"server": engine.server, "bytes": engine.wire_bytes, "servers": engine.servers}
        teller.tell({**NOTHING_FOUND, **result, **cost, "seconds": round(time.monotonic() - began, 2)})
        # Without the ends of the interpreter: threads of speedtest-cli may still hang in a transfer.
        os._exit(0 if result["state"] == "done" else 1)

    signal.signal(signal.SIGTERM, lambda *_: leave({"state": "failed", "reason": "interrupted"}))
    try:
        leave({"state": "done", **engine.run()})
    except SinyalError as fault:
        # The engine that knows this word is loaded only where it runs.
        refused = type(fault).__name__ == "RefusedByOokla"
        leave(
            {
                "state": "failed",
                "reason": OOKLA_REFUSED if refused else fault.what,
                "next_step": fault.next_step,
            }
        )
    except Exception as fault:  # noqa: BLE001 -- the edge of the process: what it cost must be told anyhow
        leave({"state": "failed", "reason": f"{type(fault).__name__}: {fault}"})


def _engine(request: dict[str, Any], teller: _Teller) -> _Engine:
    size = SpeedSize(request["down_bytes"], request["up_bytes"], request["cost_bytes"])
    if request["engine"] == "https":
        from agent.budget.speed_https import HttpsEngine

        ca_file = Path(request["ca_file"]) if request["ca_file"] else None
        interface = request.get("interface")
        return HttpsEngine(request["url"], ca_file, size, teller.progress, interface=interface)
    try:
        from agent.budget.speed_ookla import OoklaEngine
    except ImportError:
        reason = {
            "reason": _("speedtest-cli is not installed"),
            "next_step": _("set throughput.engine to https, or install speedtest-cli"),
        }
        teller.tell({**NOTHING_FOUND, "state": "failed", "server": "", "bytes": 0, "seconds": 0.0, **reason})
        os._exit(1)
    return OoklaEngine(
        request["url"],
        size,
        teller.progress,
        interface=request.get("interface"),
        known=request.get("servers") or (),
    )


if __name__ == "__main__":
    main()
