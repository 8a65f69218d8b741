"""Asking the running daemon, over its control socket (see `control`)."""

import json
import socket
import time
from pathlib import Path
from typing import Any

from agent.errors import NoPermission, SinyalError
from agent.language import _
from agent.pipeline.control import MAX_ANSWER_BYTES, SOCKET_NAME, VERSION, short_path

ANSWER_LIMIT_S = 60.0
"""A reading of the daemon's own, and two questions of others, may come first."""


class DaemonSilent(SinyalError):
    """The daemon runs but does not answer: it is just starting or stopping, or of another version."""

    exit_code = 4


def ask_daemon(runtime: Path, ask: str, **details: object) -> dict[str, Any]:
    """Return the daemon's answer to a question.

    Raises DaemonSilent, NoPermission for a user outside its group, and the SinyalError that the daemon
    met, with its exit code.
    """
    question = json.dumps({"v": VERSION, "ask": ask, **details}).encode() + b"\n"
    try:
        with short_path(runtime) as folder, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
            peer.settimeout(ANSWER_LIMIT_S)
            peer.connect(f"{folder}/{SOCKET_NAME}")
            peer.sendall(question)
            answer = json.loads(_read_line(peer))
    except PermissionError:
        raise NoPermission(
            _("no permission to ask the running agent ({path})").format(path=runtime / SOCKET_NAME),
            _("use sudo, or add this user to the group sinyal"),
        ) from None
    except (OSError, ValueError):
        raise _silent(runtime) from None
    if not isinstance(answer, dict) or answer.get("v") != VERSION:
        raise _silent(runtime)
    if not answer.get("ok"):
        raise fault_of(answer.get("problem") or {})
    return answer


def fault_of(document: dict[str, Any]) -> SinyalError:
    """Return the error that the daemon told of."""
    fault = SinyalError(str(document.get("what", "?")), str(document.get("next_step", "")))
    fault.exit_code = int(document.get("exit_code", 1))
    return fault


def _read_line(peer: socket.socket) -> bytes:
    ends_at = time.monotonic() + ANSWER_LIMIT_S
    heard = b""
    while not heard.endswith(b"\n"):
        chunk = peer.recv(MAX_ANSWER_BYTES)
        heard += chunk
        if not chunk or len(heard) > MAX_ANSWER_BYTES or time.monotonic() > ends_at:
            raise ValueError
    return heard


def _silent(runtime: Path) -> DaemonSilent:
    return DaemonSilent(
        _("the agent runs and holds the modem, but does not answer at {path}").format(
            path=runtime / SOCKET_NAME
        ),
        _("try again in a moment, or restart it: sudo service sinyal restart"),
    )
