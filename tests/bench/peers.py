"""Sinyal beside other forwarders in one run: samples lost, memory, disk.

Each takes forty samples a minute and has a link of its own to one mosquitto. After a steady stretch the
link is refused, or keeps its sockets and swallows everything (half-open, a NAT that forgot), for a minute;
then the program gets SIGKILL, the link is good again and the program is started anew. Lost is what it had
taken before the kill and what never came. All programs and both faults run at the same time.
"""

import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from tests.bench.line import Line
from tests.bench.peer.forwarder import Peer
from tests.bench.peer.mosquitto_bridge import MosquittoBridge
from tests.bench.peer.paho_queue import PahoQueue
from tests.bench.peer.sinyal import Sinyal
from tests.bench.peer.thingsboard import NotInstalled, ThingsBoard, ThingsBoardGateway, installed_python
from tests.bench.process import rss_mb, written_bytes
from tests.support.listener import Listener
from tests.support.mosquitto import Mosquitto, mosquitto
from tests.support.proxy import Proxy

STEADY_S = 20
FAULT_S = 60
LAST_SAMPLE_S = 2
START_LIMIT_S = 60
RECOVER_LIMIT_S = 40
FAULTS: tuple[Literal["refuse", "stall"], ...] = ("refuse", "stall")
FAULT_NAMES = {"refuse": "link refused", "stall": "link half-open"}

Maker = Callable[[Path, str, int], Peer]


@dataclass(frozen=True)
class Outcome:
    """What became of one program in one fault."""

    name: str
    fault: str
    taken: int
    lost: int
    rss_mb: float
    written_kb_an_hour: float


def _makers() -> dict[str, Maker]:
    saved = "autosave_interval 1;autosave_on_changes true"
    makers: dict[str, Maker] = {
        "sinyal": Sinyal,
        "bridge": lambda folder, key, port: MosquittoBridge(folder, key, "mosquitto bridge", port),
        "saving": lambda folder, key, port: MosquittoBridge(
            folder, key, "mosquitto bridge, autosave 1", port, saved
        ),
        "paho": PahoQueue,
    }
    try:
        installed_python()
    except NotInstalled as reason:
        print(f"LEFT OUT: thingsboard-gateway cannot be installed: {reason}", file=sys.stderr)
        return makers
    for storage in ("sqlite", "memory"):
        makers[f"tb-{storage}"] = partial(ThingsBoardGateway, storage)
    return makers


def _suffer(
    folder: Path,
    key: str,
    make: Maker,
    fault: Literal["refuse", "stall"],
    centre: Mosquitto,
    listener: Listener,
) -> Outcome:
    with Proxy(centre.port) as proxy, closing(make(folder / key, key, proxy.port)) as peer:
        peer.start()
        _wait(lambda: bool(peer.arrived(listener.heard())), START_LIMIT_S, f"{key}: a first sample")
        began, written_before = time.monotonic(), written_bytes(peer.pid)
        time.sleep(STEADY_S)
        proxy.mode = fault
        time.sleep(FAULT_S - LAST_SAMPLE_S)
        peer.hold()
        time.sleep(LAST_SAMPLE_S)
        memory_mb = rss_mb(peer.pid)
        written = (written_bytes(peer.pid) - written_before) / (time.monotonic() - began) * 3600
        peer.kill()
        taken = peer.taken()
        proxy.mode = "pass"
        peer.start()
        until = time.monotonic() + RECOVER_LIMIT_S
        while (lost := taken - peer.arrived(listener.heard())) and time.monotonic() < until:
            time.sleep(1)
        _wait(
            lambda: bool(peer.arrived(listener.heard()) - taken),
            START_LIMIT_S,
            f"{key}: a sample after the fault",
        )
        return Outcome(peer.name, fault, len(taken), len(lost), memory_mb, written / 1024)


def _wait(condition: Callable[[], bool], limit_s: float, what: str) -> None:
    until = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > until:
            raise RuntimeError(f"not within {limit_s:.0f} s: {what}")
        time.sleep(0.5)


def _outcomes() -> Iterator[Outcome]:
    with TemporaryDirectory(dir="/var/tmp") as name, ExitStack() as stack:
        folder = Path(name)
        centre = stack.enter_context(mosquitto(folder / "centre", extra="max_queued_messages 0"))
        listener = stack.enter_context(Listener(centre.port))
        stack.enter_context(closing(ThingsBoard(centre.port)))
        work = [(f"{key}-{fault}", make, fault) for key, make in _makers().items() for fault in FAULTS]
        with ThreadPoolExecutor(len(work)) as side_by_side:
            running = [
                side_by_side.submit(_suffer, folder, key, make, fault, centre, listener)
                for key, make, fault in work
            ]
            for one in running:
                try:
                    yield one.result()
                except RuntimeError as problem:
                    print(f"LEFT OUT: {problem}", file=sys.stderr)


def run() -> list[Line]:
    """Let all suffer; sinyal is measured or the run fails, another may be left out, loudly."""
    if shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin") is None:
        return [Line("samples lost beside other forwarders", "not measured: mosquitto is not installed")]
    outcomes = list(_outcomes())
    lines = [
        line
        for fault in FAULTS
        for line in _lost_lines(fault, [each for each in outcomes if each.fault == fault])
    ]
    calm = [each for each in outcomes if each.fault == "refuse"]
    lines += _beside("RSS with 40 samples a minute, no TLS", calm, lambda each: f"{each.rss_mb:.1f} MB")
    what = "bytes written in an hour of 2,400 samples"
    return lines + _beside(what, calm, lambda each: f"{each.written_kb_an_hour:,.0f} kB")


def _lost_lines(fault: str, outcomes: Sequence[Outcome]) -> list[Line]:
    what = f"lost: {FAULT_NAMES[fault]} {FAULT_S} s, kill -9"
    first, *others = _beside(what, outcomes, lambda each: f"{each.lost} of {each.taken}")
    ours = next(each for each in outcomes if each.name == Sinyal.name)
    return [replace(first, limit="0", missed=ours.lost > 0), *others]


def _beside(what: str, outcomes: Sequence[Outcome], say: Callable[[Outcome], str]) -> list[Line]:
    """Return our line with the first of the others, and one line for each further one."""
    ours = next(say(each) for each in outcomes if each.name == Sinyal.name)
    others = [f"{each.name} {say(each)}" for each in outcomes if each.name != Sinyal.name]
    first = others[0] if others else ""
    return [Line(what, ours, first), *(Line("", "", other) for other in others[1:])]
