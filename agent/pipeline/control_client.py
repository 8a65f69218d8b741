"""Asking the running daemon, over its control socket (see `control`)."""

import json
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.errors import NoPermission, SinyalError
from agent.language import _, current_language
from agent.pipeline.control import ALIVE, MAX_ANSWER_BYTES, SOCKET_NAME, VERSION, short_path
from agent.pipeline.snapshot import daemon_runs

HEARD_LIMIT_S = 5.0
"""A daemon that lives says so much sooner than this, also while it waits for a slow modem."""

BEGINNING_S = 3.0
"""So long a daemon that has just begun may take until it listens; a small board loads it for seconds."""

ANSWER_LIMIT_S = 28.0
"""More than the daemon itself allows a question, others under way before it included."""


class DaemonSilent(SinyalError):
    """The daemon runs but does not answer: it is starting or stopping, stuck, or of another version."""

    exit_code = 4


def ask_daemon(runtime: Path, ask: str, **details: object) -> dict[str, Any]:
    """Return the daemon's answer to a question; what it cannot do it tells in the language in use here.

    Raises DaemonSilent, within HEARD_LIMIT_S when it does not hear at all, NoPermission for a user
    outside its group, and the SinyalError that the daemon met, with its exit code.
    """
    return ask_daemon_within(runtime, ANSWER_LIMIT_S, ask, details)


def ask_daemon_within(
    runtime: Path, limit_s: float, ask: str, details: Mapping[str, object]
) -> dict[str, Any]:
    """Ask as `ask_daemon` does what may take limit_s to answer."""
    _ask(runtime, {"ask": ALIVE}, HEARD_LIMIT_S)
    return _ask(runtime, {"ask": ask, "lang": current_language(), **details}, limit_s)


def _ask(runtime: Path, question: Mapping[str, object], limit_s: float) -> dict[str, Any]:
    sent = json.dumps({"v": VERSION, **question}).encode() + b"\n"
    ends_at = time.monotonic() + limit_s
    try:
        with short_path(runtime) as folder, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
            _connect(peer, f"{folder}/{SOCKET_NAME}", runtime, ends_at)
            peer.sendall(sent)
            answer = json.loads(_read_line(peer, ends_at))
    except PermissionError:
        raise NoPermission(
            _("no permission to ask the running agent ({path})").format(path=runtime / SOCKET_NAME),
            _("use sudo, or add this user to the group sinyal"),
        ) from None
    except TimeoutError:
        raise _stuck(runtime, limit_s) from None
    except (OSError, ValueError, RecursionError):
        raise _silent(runtime) from None
    if not isinstance(answer, dict) or answer.get("v") != VERSION:
        raise _silent(runtime)
    if not answer.get("ok"):
        raise fault_of(answer.get("problem"))
    return answer


def fault_of(document: object) -> SinyalError:
    """Return the error that the daemon told of."""
    told = document if isinstance(document, dict) else {}
    fault = SinyalError(str(told.get("what", "?")), str(told.get("next_step", "")))
    code = told.get("exit_code")
    fault.exit_code = code if isinstance(code, int) else 1
    return fault


def _connect(peer: socket.socket, path: str, runtime: Path, ends_at: float) -> None:
    """Connect; raises TimeoutError, and OSError when nobody listens there or will soon."""
    begins_until = time.monotonic() + BEGINNING_S
    while True:
        peer.settimeout(max(0.1, ends_at - time.monotonic()))
        try:
            peer.connect(path)
        except BlockingIOError:  # so many are waiting to be heard that there is no place to wait
            if time.monotonic() >= ends_at:
                raise TimeoutError from None
            time.sleep(0.05)
        except (ConnectionRefusedError, FileNotFoundError):
            # It holds its lock before it listens; one that ends lets go of it, and nobody will listen then.
            if time.monotonic() >= min(begins_until, ends_at) or not daemon_runs(runtime):
                raise
            time.sleep(0.2)
        else:
            return


def _read_line(peer: socket.socket, ends_at: float) -> bytes:
    """Return one line; raises TimeoutError when it is not whole in time, ValueError when it never will be."""
    heard = b""
    while not heard.endswith(b"\n"):
        left_s = ends_at - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        peer.settimeout(left_s)
        chunk = peer.recv(MAX_ANSWER_BYTES)
        heard += chunk
        if not chunk or len(heard) > MAX_ANSWER_BYTES:
            raise ValueError
    return heard


def _stuck(runtime: Path, limit_s: float) -> DaemonSilent:
    return DaemonSilent(
        _("the running agent gave no answer within {seconds} s at {path}; it is stopped or stuck").format(
            seconds=round(limit_s), path=runtime / SOCKET_NAME
        ),
        _("restart it: sudo service sinyal restart"),
    )


def _silent(runtime: Path) -> DaemonSilent:
    return DaemonSilent(
        _("the agent runs and holds the modem, but does not answer at {path}").format(
            path=runtime / SOCKET_NAME
        ),
        _("try again in a moment, or restart it: sudo service sinyal restart"),
    )
