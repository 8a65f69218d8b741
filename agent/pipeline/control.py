"""The daemon's ear for commands on the same gateway: a Unix socket in the runtime folder.

A connection carries one question and its answer, each a JSON object on one line:
    {"v":1,"ask":"modem_at","command":"AT+CSQ"}  ->  {"v":1,"ok":true,…} or {"v":1,"ok":false,"problem":…}
Who may connect is decided by the socket's mode: its owner and group. One thread serves all of them;
whatever comes in, the daemon goes on.
"""

import contextlib
import json
import logging
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from agent.errors import BatchUnreadable, SinyalError, UsageMistake
from agent.language import _
from agent.wire import strict_json

log = logging.getLogger("sinyal.control")

SOCKET_NAME = "control.sock"
SOCKET_MODE = 0o660
VERSION = 1

MAX_QUESTION_BYTES = 4096
MAX_ANSWER_BYTES = 64 * 1024
MAX_CONNECTIONS = 4
BACKLOG = 32
"""So many more wait for their turn, while a slow modem is being read for example."""
QUESTION_LIMIT_S = 2.0
"""A question must be whole within this time after its connection was made."""
ANSWER_LIMIT_S = 2.0

Question = Mapping[str, object]
Answerer = Callable[[Question], Mapping[str, Any]]
"""Answers one kind of question; what it raises as SinyalError is told to the asker."""


class _Connection:
    def __init__(self, peer: socket.socket) -> None:
        self.peer = peer
        self.heard = b""
        self.ends_at = time.monotonic() + QUESTION_LIMIT_S


class ControlServer:
    """Listens in the runtime folder; answerers: what is done for each `ask`."""

    def __init__(self, runtime: Path, answerers: Mapping[str, Answerer]) -> None:
        self._runtime = runtime
        self._answerers = answerers
        self._connections: dict[int, _Connection] = {}
        self._stopping = threading.Event()
        self._listener: socket.socket | None = None
        self._thread = threading.Thread(target=self._work, name="control", daemon=True)

    def start(self) -> None:
        """Begin to listen; a folder that allows no socket is logged, and the daemon does without.

        Only the holder of the daemon's lock may call it: a socket that lies there is taken for stale.
        """
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            _bind(listener, self._runtime)
        except OSError as fault:
            listener.close()
            log.warning(
                _("no control socket in {folder}: {reason}").format(folder=self._runtime, reason=fault)
            )
            return
        listener.setblocking(False)
        self._listener = listener
        self._thread.start()

    def ask_to_stop(self) -> None:
        """Take the socket away and hear no new question; does not wait for an answer under way."""
        self._stopping.set()
        if self._listener is None:
            return
        with contextlib.suppress(OSError):
            (self._runtime / SOCKET_NAME).unlink()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread

    def stop(self, timeout_s: float) -> None:
        """Stop, waiting up to timeout_s for an answer under way."""
        self.ask_to_stop()
        if self._listener is not None:
            self._thread.join(timeout_s)

    def _work(self) -> None:
        assert self._listener is not None
        with self._listener as listener:
            while not self._stopping.is_set():
                try:
                    self._serve(listener)
                except Exception:  # the edge of the thread: no question may end it
                    log.exception(_("unexpected fault while answering a command"))
                    self._stopping.wait(1.0)
            for number in tuple(self._connections):
                self._drop(number)

    def _serve(self, listener: socket.socket) -> None:
        """Wait for something to happen once, and deal with it."""
        is_full = len(self._connections) >= MAX_CONNECTIONS
        events = select.poll()
        if not is_full:
            events.register(listener, select.POLLIN)
        for number in self._connections:
            events.register(number, select.POLLIN)
        ready = {number for number, _flags in events.poll(self._patience_ms())}
        if listener.fileno() in ready and not self._stopping.is_set():
            self._accept(listener)
        # After a long answer to another one: what arrived in time is heard before time is called.
        for number in ready & self._connections.keys():
            self._hear(number)
        now = time.monotonic()
        for number in [number for number, one in self._connections.items() if one.ends_at <= now]:
            self._drop(number)

    def _patience_ms(self) -> float | None:
        if not self._connections:
            return None
        ends_at = min(connection.ends_at for connection in self._connections.values())
        return max(0.0, ends_at - time.monotonic()) * 1000 + 1

    def _accept(self, listener: socket.socket) -> None:
        try:
            peer, _address = listener.accept()
        except BlockingIOError:
            return
        except OSError as fault:  # no descriptor left, or the asker has gone already
            log.debug("accept: %s", fault)
            self._stopping.wait(0.2)
            return
        peer.setblocking(False)
        self._connections[peer.fileno()] = _Connection(peer)

    def _hear(self, number: int) -> None:
        connection = self._connections[number]
        try:
            heard = connection.peer.recv(MAX_QUESTION_BYTES + 1)
        except BlockingIOError:
            return
        except OSError:
            heard = b""
        connection.heard += heard
        line, line_end, _rest = connection.heard.partition(b"\n")
        is_whole = bool(line_end) or len(line) > MAX_QUESTION_BYTES
        if not is_whole and heard:
            return
        try:
            if is_whole:
                self._tell(connection.peer, self._answer(line))
        finally:
            self._drop(number)

    def _drop(self, number: int) -> None:
        self._connections.pop(number).peer.close()

    def _answer(self, line: bytes) -> bytes:
        try:
            question = _read_question(line)
            answerer = self._answerers.get(str(question["ask"]))
            if answerer is None:
                raise UsageMistake(_("the running agent does not know this question"))
            answer = _written({"v": VERSION, "ok": True, **answerer(question)})
        except SinyalError as fault:
            return _refusal(fault)
        return (
            answer if len(answer) <= MAX_ANSWER_BYTES else _refusal(SinyalError(_("the answer is too long")))
        )

    def _tell(self, peer: socket.socket, answer: bytes) -> None:
        with contextlib.suppress(OSError):  # the asker has left, or does not read
            peer.settimeout(ANSWER_LIMIT_S)
            peer.sendall(answer)


def fault_document(fault: SinyalError) -> dict[str, object]:
    """Return an error as it is told to an asker."""
    return {"what": fault.what, "next_step": fault.next_step, "exit_code": fault.exit_code}


def _refusal(fault: SinyalError) -> bytes:
    return _written({"v": VERSION, "ok": False, "problem": fault_document(fault)})


def _written(document: Mapping[str, object]) -> bytes:
    return json.dumps(document, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def _read_question(line: bytes) -> Question:
    if len(line) > MAX_QUESTION_BYTES:
        raise UsageMistake(_("the question is too long"))
    try:
        question = strict_json.parse(line)
    except BatchUnreadable:
        raise UsageMistake(_("the question is no JSON object")) from None
    if not isinstance(question, dict) or type(question.get("v")) is not int:
        raise UsageMistake(_("the question is no JSON object with a version"))
    if question["v"] != VERSION or not isinstance(question.get("ask"), str):
        raise UsageMistake(_("the running agent does not know this question"))
    return question


def _bind(listener: socket.socket, runtime: Path) -> None:
    """Listen at the socket's path; it appears there in one step, with its mode, in place of a stale one."""
    beside = SOCKET_NAME + ".new"
    with short_path(runtime) as folder:
        with contextlib.suppress(FileNotFoundError):
            Path(folder, beside).unlink()
        listener.bind(f"{folder}/{beside}")
        Path(folder, beside).chmod(SOCKET_MODE)
        listener.listen(BACKLOG)
        Path(folder, beside).replace(f"{folder}/{SOCKET_NAME}")


@contextlib.contextmanager
def short_path(folder: Path) -> Iterator[str]:
    """Give a folder a short name: the path of a Unix socket holds 107 bytes, a folder's may be longer."""
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
