"""What the modem tells of its data connection. Source: 3GPP TS 27.007, 6.10 and 10.1."""

import re
from collections.abc import Callable, Iterable

from agent.doctor.evidence import BearerSeen, Context
from agent.errors import SinyalError
from agent.modem.network_time import COMMAND as NETWORK_TIME_COMMAND
from agent.modem.network_time import network_time_ts

QUESTIONS = ("AT+CGDCONT?", "AT+CGACT?", "AT+CGPADDR", "AT+CEER", NETWORK_TIME_COMMAND)

Ask = Callable[[str], list[str]]
"""Sends a command that only reads and returns the lines of the answer; may raise SinyalError."""

_CONTEXT = re.compile(r'\+CGDCONT: *(\d+) *, *"([^"]*)" *, *"([^"]*)"')
_ACTIVE = re.compile(r"\+CGACT: *(\d+) *, *([01])")
_ADDRESS = re.compile(r"\+CGPADDR: *(\d+) *,(.*)")
_NO_ADDRESSES = re.compile(r"[0.:,]*")
_NO_REASON = re.compile(r'"?(no cause.*|no report.*|normal.*|unknown.*|0(,.*)?)?"?', re.IGNORECASE)


def read_bearer(ask: Ask, floor_ts: float) -> BearerSeen:
    """Return what the modem tells; floor_ts is a UTC second that is certainly past.

    A question that fails tells nothing; the modem may refuse any of them.
    """
    lines: dict[str, list[str]] = {}
    for question in QUESTIONS:
        try:
            lines[question] = ask(question)
        except SinyalError:
            lines[question] = []
    active = {int(cid): state == "1" for cid, state in _found(_ACTIVE, lines["AT+CGACT?"])}
    addresses = {int(cid): _address(text) for cid, text in _found(_ADDRESS, lines["AT+CGPADDR"])}
    contexts = [
        Context(int(cid), apn, active.get(int(cid)), addresses.get(int(cid)))
        for cid, _type, apn in _found(_CONTEXT, lines["AT+CGDCONT?"])
    ]
    return BearerSeen(
        contexts, _reason(lines["AT+CEER"]), network_time_ts(lines[NETWORK_TIME_COMMAND], floor_ts=floor_ts)
    )


def _found(pattern: re.Pattern[str], lines: Iterable[str]) -> list[tuple[str, ...]]:
    return [match.groups() for line in lines if (match := pattern.match(line)) is not None]


def _address(text: str) -> str:
    """Return the first address that is one; a context without gives nothing or 0.0.0.0."""
    for part in text.split(","):
        address = part.strip(' "')
        if not _NO_ADDRESSES.fullmatch(address):
            return address
    return ""


def _reason(lines: Iterable[str]) -> str:
    for line in lines:
        if line.startswith("+CEER:"):
            reason = line.removeprefix("+CEER:").strip().replace('"', "")
            return "" if _NO_REASON.fullmatch(reason) else reason[:100]
    return ""
