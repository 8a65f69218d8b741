"""The daemon's ear for commands on the same gateway: a Unix socket in the runtime folder.

A connection carries one question and its answer, each a JSON object on one line:
    {"v":1,"ask":"modem_at","lang":"id","command":"AT+CSQ"}  ->  {"v":1,"ok":true,…} or
    {"v":1,"ok":false,"problem":{"what":…,"next_step":…,"exit_code":…}}, its words in the language of `lang`
Who may connect is decided by the socket's mode: its owner and group. One thread hears all of them and never
waits for the modem, so that `alive` is answered at once; each other question has a thread while it is
answered. Whatever comes in, the daemon goes on.
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

from agent import __version__
from agent.errors import BatchUnreadable, SinyalError, UsageMistake
from agent.language import LANGUAGES, _, in_language
from agent.wire import strict_json

log = logging.getLogger("sinyal.control")

SOCKET_NAME = "control.sock"
SOCKET_MODE = 0o660
VERSION = 1

ALIVE = "alive"
"""Asks whether the daemon hears; the answer names its version and what can be asked."""

GROUP = "sinyal"
"""Whose members may ask, where the group exists and the daemon may give it the socket."""

GROUPS = Path("/etc/group")

MAX_QUESTION_BYTES = 4096
MAX_ANSWER_BYTES = 64 * 1024
MAX_CONNECTIONS = 16
"""So many may be asking at the same time."""
MAX_ANSWERS = 8
"""So many questions may be under way, waiting for a slow modem for example; more are refused."""
BACKLOG = 32
"""So many more wait until they are heard."""
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
        self._answering: set[threading.Thread] = set()
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
        """Stop, waiting up to timeout_s for answers under way."""
        ends_at = time.monotonic() + timeout_s
        self.ask_to_stop()
        threads = [self._thread] if self._listener is not None else []
        for thread in (*threads, *tuple(self._answering)):
            thread.join(max(0.0, ends_at - time.monotonic()))

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
        # On a busy board: what arrived in time is heard before time is called.
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
        del self._connections[number]
        if is_whole:
            self._deal_with(connection.peer, line)
        else:
            connection.peer.close()

    def _drop(self, number: int) -> None:
        self._connections.pop(number).peer.close()

    def _deal_with(self, peer: socket.socket, line: bytes) -> None:
        """Answer what needs no work now, and everything else in a thread of its own."""
        question: Question = {}
        try:
            question = _read_question(line)
            answerer = self._answerer(question)
        except SinyalError as fault:
            _tell(peer, _refusal(fault, language_of(question)))
            return
        if answerer is None:
            alive = {"v": VERSION, "ok": True, "version": __version__, "asks": [ALIVE, *self._answerers]}
            _tell(peer, _written(alive))
            return
        thread = threading.Thread(
            target=self._answer, args=(peer, question, answerer), name="control-answer", daemon=True
        )
        self._answering.add(thread)
        try:
            thread.start()
        except RuntimeError:  # no room for a thread
            self._answering.discard(thread)
            peer.close()
            raise

    def _answerer(self, question: Question) -> Answerer | None:
        """Return who answers a question, None for `alive`; raises SinyalError when nobody can."""
        if question["ask"] == ALIVE:
            return None
        answerer = self._answerers.get(str(question["ask"]))
        if answerer is None:
            raise _unknown_question()
        if len(self._answering) >= MAX_ANSWERS:
            raise SinyalError(
                _("the running agent is answering too many questions already"), _("try again in a moment")
            )
        return answerer

    def _answer(self, peer: socket.socket, question: Question, answerer: Answerer) -> None:
        try:
            _tell(peer, _answer_to(question, answerer))
        except Exception:  # the edge of the thread
            log.exception(_("unexpected fault while answering a command"))
        finally:
            peer.close()
            self._answering.discard(threading.current_thread())


def _answer_to(question: Question, answerer: Answerer) -> bytes:
    try:
        answer = _written({"v": VERSION, "ok": True, **answerer(question)})
    except SinyalError as fault:
        return _refusal(fault, language_of(question))
    if len(answer) <= MAX_ANSWER_BYTES:
        return answer
    too_long = SinyalError(_("the answer is too long"), _("ask the modem for less at a time"))
    return _refusal(too_long, language_of(question))


def _tell(peer: socket.socket, answer: bytes) -> None:
    """Send an answer and hang up."""
    with peer, contextlib.suppress(OSError):  # the asker has left, or does not read
        peer.settimeout(ANSWER_LIMIT_S)
        peer.sendall(answer)


def fault_document(fault: SinyalError, asker: str | None = None) -> dict[str, object]:
    """Return an error as it is told to an asker, in the asker's language where one is given."""
    told = (fault.what, fault.next_step)
    what, next_step = told if asker is None else (in_language(text, asker) for text in told)
    return {"what": what, "next_step": next_step, "exit_code": fault.exit_code}


def language_of(question: Question) -> str | None:
    """Return the language that the asker reads, None when it names none that we speak."""
    wanted = question.get("lang")
    return wanted if isinstance(wanted, str) and wanted in LANGUAGES else None


def _refusal(fault: SinyalError, asker: str | None = None) -> bytes:
    return _written({"v": VERSION, "ok": False, "problem": fault_document(fault, asker)})


def _written(document: Mapping[str, object]) -> bytes:
    return json.dumps(document, allow_nan=False).encode() + b"\n"


def _read_question(line: bytes) -> Question:
    if len(line) > MAX_QUESTION_BYTES:
        raise UsageMistake(
            _("the question is longer than {count} bytes").format(count=MAX_QUESTION_BYTES),
            _("ask something shorter"),
        )
    try:
        question = strict_json.parse(line)
    except BatchUnreadable:
        raise _unreadable_question() from None
    if not isinstance(question, dict) or type(question.get("v")) is not int:
        raise _unreadable_question()
    if question["v"] != VERSION or not isinstance(question.get("ask"), str):
        raise _unknown_question()
    return question


def _unreadable_question() -> UsageMistake:
    return UsageMistake(
        _("the question is no JSON object with a version"),
        _("ask on one line like {example}").format(example='{"v":1,"ask":"alive"}'),
    )


def _unknown_question() -> UsageMistake:
    return UsageMistake(
        _("the running agent does not know this question"),
        _("it may be of another version; restart it: sudo service sinyal restart"),
    )


def _bind(listener: socket.socket, runtime: Path) -> None:
    """Listen at the socket's path; it appears there in one step, with its mode, in place of a stale one."""
    beside = SOCKET_NAME + ".new"
    with short_path(runtime) as folder:
        with contextlib.suppress(FileNotFoundError):
            Path(folder, beside).unlink()
        listener.bind(f"{folder}/{beside}")
        _give_to_group(Path(folder, beside))
        Path(folder, beside).chmod(SOCKET_MODE)
        listener.listen(BACKLOG)
        Path(folder, beside).replace(f"{folder}/{SOCKET_NAME}")


def _give_to_group(path: Path) -> None:
    """Give the socket to the group, before its mode lets a group in.

    The group is looked up by hand: asking the system loads its name services, which are large.
    """
    with contextlib.suppress(OSError, ValueError):  # no such group, or not ours to give
        for line in GROUPS.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _secret, number, *_members = line.split(":")
            if name == GROUP:
                os.chown(path, -1, int(number))
                return


@contextlib.contextmanager
def short_path(folder: Path) -> Iterator[str]:
    """Give a folder a short name: the path of a Unix socket holds 107 bytes, a folder's may be longer."""
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
