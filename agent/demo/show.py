"""Puts the demo together: modem, broker, cable, agent and view, and takes all of it away again."""

import contextlib
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from agent import language
from agent.demo.broker import embedded_broker
from agent.demo.cable import Cable
from agent.demo.view import Cost, View
from agent.errors import BatchUnreadable, BrokerUnreachable, SinyalError
from agent.language import _
from agent.modem.simulator import Behaviour, SimulatedModem
from agent.modem.transcript import read_transcript
from agent.pipeline.snapshot import read_snapshot
from agent.pipeline.stop_signal import STOP_SIGNALS
from agent.publish.mqtt import Message
from agent.publish.subscriber import subscribe
from agent.wire.columns import decode_batch

TRANSCRIPT = Path(__file__).with_name("modem.txt")
GATEWAY_ID = "demo-1502012001"

INTERVAL_S = 2
BATCH_READINGS = 2

CUT_AFTER_S = 16
"""How long readings arrive before the cable is cut, so that a visitor has seen it whole."""

AGENT_STOP_S = 8

_CONFIG = """\
[gateway]
id = "{gateway_id}"
kode_desa = "15.02.01.2001"
site_name = "Renah Kemumu"
language = "{language}"
[paths]
state = "{folder}/state"
runtime = "{folder}/run"
[readings]
interval_s = {interval_s}
[modem]
port = "{modem}"
[broker]
host = "127.0.0.1"
port = {port}
[publish]
interval_s = {publish_s}
batch_readings = {batch}
reconnect_max_s = 2
startup_delay_max_s = 0
keepalive_s = 30
"""


def show(*, uplink_cut_s: float | None, run_for_s: float | None) -> int:
    """Run the demo until Ctrl-C, SIGTERM or run_for_s; return the exit code.

    Everything lives in one temporary folder, which is removed at the end.
    """
    for number in STOP_SIGNALS:
        signal.signal(number, _interrupt)
    view = View()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sinyal-demo-")))
        port = stack.enter_context(embedded_broker(folder))
        cable = stack.enter_context(Cable(port))
        modem = stack.enter_context(SimulatedModem(read_transcript(TRANSCRIPT), Behaviour()))
        view.welcome(folder)
        arrived = _listen(port)
        agent = stack.enter_context(_agent(folder, str(modem.path), cable.port))
        with contextlib.suppress(KeyboardInterrupt):
            _watch(view, arrived, agent, cable, folder, uplink_cut_s=uplink_cut_s, run_for_s=run_for_s)
        view.goodbye(_cost_of(agent.pid))
    return 0


def _cost_of(pid: int) -> Cost | None:
    """Return what the agent has cost this machine, None when it has ended already."""
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            times = process.cpu_times()
            seconds = max(1.0, time.time() - process.create_time())
            return Cost(process.memory_info().rss, (times.user + times.system) / seconds)
    except psutil.Error:
        return None


def _interrupt(_number: int, _frame: object) -> None:
    # The first one ends the demo; a second one must not leave half of it behind.
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _listen(port: int) -> "queue.SimpleQueue[Message | BrokerUnreachable]":
    """Subscribe in a thread, as the provincial centre would, and give the queue of what arrives."""
    arrived: queue.SimpleQueue[Message | BrokerUnreachable] = queue.SimpleQueue()

    def work() -> None:
        try:
            for message in subscribe("127.0.0.1", port, ("desa/v1/+/readings", "desa/v1/+/status")):
                arrived.put(message)
        except BrokerUnreachable as lost:
            arrived.put(lost)

    threading.Thread(target=work, name="view", daemon=True).start()
    return arrived


@contextmanager
def _agent(folder: Path, modem: str, port: int) -> Iterator["subprocess.Popen[bytes]"]:
    config = folder / "sinyal.toml"
    config.write_text(
        _CONFIG.format(
            gateway_id=GATEWAY_ID,
            language=language.current_language(),
            folder=folder,
            interval_s=INTERVAL_S,
            modem=modem,
            port=port,
            publish_s=INTERVAL_S * BATCH_READINGS,
            batch=BATCH_READINGS,
        ),
        encoding="utf-8",
    )
    # Settings of the visitor's own gateway must not leak into the demo.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SINYAL_")}
    with (folder / "agent.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "agent", "run", "--config", str(config)],
            stdin=subprocess.DEVNULL,
            stderr=log,
            env=environment,
            # Its own session: Ctrl-C is for the demo, which then stops the agent in the right order.
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(AGENT_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _watch(
    view: View,
    arrived: "queue.SimpleQueue[Message | BrokerUnreachable]",
    agent: "subprocess.Popen[bytes]",
    cable: Cable,
    folder: Path,
    *,
    uplink_cut_s: float | None,
    run_for_s: float | None,
) -> None:
    """Show what arrives; cut and mend the cable when it is time."""
    began = time.monotonic()
    cut_at = None if uplink_cut_s is None else began + CUT_AFTER_S
    mend_at: float | None = None
    shown_waiting = -1
    log = AgentLog(folder / "agent.log")
    while run_for_s is None or time.monotonic() - began < run_for_s:
        with contextlib.suppress(queue.Empty):
            _show_message(view, arrived.get(timeout=0.2))
        if agent.poll() is not None:
            raise SinyalError(
                _("the demo's agent has ended with exit code {code}: {last}").format(
                    code=agent.returncode, last=log.last_line()
                )
            )
        for line in log.new_warnings():
            view.agent_says(line)
        now = time.monotonic()
        if cut_at is not None and uplink_cut_s is not None and now >= cut_at:
            cut_at, mend_at = None, now + uplink_cut_s
            cable.cut()
            view.cable_cut(uplink_cut_s)
        if mend_at is not None:
            waiting = _waiting(folder)
            if now >= mend_at:
                mend_at = None
                cable.mend()
                view.cable_mended(waiting)
            elif waiting != shown_waiting:
                shown_waiting = waiting
                view.queue_grows(waiting)


def _show_message(view: View, message: Message | BrokerUnreachable) -> None:
    if isinstance(message, BrokerUnreachable):
        raise message
    if not message.payload:
        return
    if message.topic.endswith("/status"):
        view.status(message.payload)
        return
    try:
        batch = decode_batch(message.payload)
    except BatchUnreadable as unreadable:
        view.unreadable(unreadable)
        return
    view.batch(batch, len(message.payload))


def _waiting(folder: Path) -> int:
    shown = read_snapshot(folder / "run") or {}
    return int((shown.get("buffer") or {}).get("unsent", 0))


class AgentLog:
    """What the agent has written to its log, read as it grows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_bytes = 0

    def new_warnings(self) -> list[str]:
        """Return the lines at level warning or above that came since the last call, without their time."""
        with self._path.open("rb") as log:
            log.seek(self._read_bytes)
            text = log.read()
        whole, _newline, _rest = text.rpartition(b"\n")
        self._read_bytes += len(whole) + len(_newline)
        lines = whole.decode("utf-8", "replace").splitlines()
        return [line.partition(": ")[2] for line in lines if line.split(" ")[1:2] in (["WARNING"], ["ERROR"])]

    def last_line(self) -> str:
        """Return the newest line, or a dash."""
        lines = self._path.read_text(encoding="utf-8", errors="replace").splitlines()
        return lines[-1] if lines else "-"
