"""What a command may ask of the modem that the daemon holds."""

import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from agent.contract.catalogue import catalogue
from agent.errors import UsageMistake
from agent.language import _
from agent.modem.poll import ModemPoller
from agent.pipeline.control import Answerer, Question, fault_document, language_of

SEARCH_DEADLINE_S = 180.0
"""How long a search of all networks may take: minutes, says the field."""

AT_DEADLINE_S = 12.0
"""How long an answer to a person's command may take; with the rest around it, it is there within 20 s."""


def modem_answerers(modem: ModemPoller) -> Mapping[str, Answerer]:
    """Return what is done for each question about the modem."""

    def at(question: Question) -> Mapping[str, Any]:
        command = question.get("command")
        if not isinstance(command, str):
            raise UsageMistake(
                _("an AT command is one line of plain ASCII characters"),
                _("type it without line ends, control characters and accents"),
            )
        return run_at(modem, command, may_write=question.get("may_write") is True)

    return {
        "modem_port": lambda _question: {"port": modem.port, "pid": os.getpid()},
        "modem_read": lambda question: take_look(modem, language_of(question)),
        "modem_glance": lambda _question: take_glance(modem),
        "modem_cells": lambda _question: read_cells(modem),
        "modem_at": at,
        "modem_record": lambda question: record(
            modem, hide_cells=question.get("hide_cells") is True, asker=language_of(question)
        ),
    }


def take_look(modem: ModemPoller, asker: str | None = None) -> Mapping[str, Any]:
    """Return one reading with sources, identity, port, what it lacks, and why there is none.

    asker: the language in which that is told, None for the one in use.
    """
    look = modem.look()
    return {
        "fields": catalogue().clean(look.fields),
        "sources": dict(look.sources),
        "identity": dict(look.identity),
        "port": look.port,
        "incomplete": look.gap,
        "problem": None if look.fault is None else fault_document(look.fault, asker),
    }


def take_glance(modem: ModemPoller) -> Mapping[str, Any]:
    """Return what the modem tells of its serving cell now; raises SinyalError."""
    return {"fields": catalogue().clean(modem.glance()), "port": modem.port}


def record(modem: ModemPoller, *, hide_cells: bool, asker: str | None = None) -> Mapping[str, Any]:
    """Return a recording, its numbers masked already, and what ended it early; raises SinyalError."""
    recording = modem.record(hide_cells=hide_cells)
    return {
        "text": recording.text,
        "questions": recording.questions,
        "left_out": recording.left_out,
        "problem": None if recording.fault is None else fault_document(recording.fault, asker),
        "port": modem.port,
    }


def read_cells(modem: ModemPoller) -> Mapping[str, Any]:
    """Return the cells that the modem hears, without what it does not tell; raises SinyalError."""
    cells = [asdict(cell) for cell in modem.read_cells()]
    known = [{name: value for name, value in cell.items() if value is not None} for cell in cells]
    return {"cells": known, "port": modem.port}


def run_at(modem: ModemPoller, command: str, *, may_write: bool) -> Mapping[str, Any]:
    """Return the answer to a command; final is None when the modem did not end it in time.

    Raises UsageMistake for what is never sent, and for what changes something unless may_write;
    SinyalError when the modem fails.
    """
    # Seldom needed, and the daemon has to be small.
    from agent.modem.typed_command import check_typed_command, is_network_search, why_dangerous

    check_typed_command(command)
    reason = why_dangerous(command)
    if reason is not None and not may_write:
        raise UsageMistake(
            _("{command} is not sent: {reason}").format(command=command, reason=reason),
            _("if you are sure, add --yes"),
        )
    reply = modem.ask(command, SEARCH_DEADLINE_S if is_network_search(command) else AT_DEADLINE_S)
    if reply.wanted_text:
        raise UsageMistake(
            _("{command} waits for a text, and sinyal sends none; the modem was told to forget it").format(
                command=command
            ),
            _("use another program for messages and files"),
        )
    final = None
    if reply.final is not None:
        final = {"word": reply.final.word, "code": reply.final.code, "text": reply.final.text}
    return {"lines": list(reply.lines), "final": final, "port": modem.port}
