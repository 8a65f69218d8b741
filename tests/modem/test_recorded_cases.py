"""Runs the recorded conversations that lie beside the project, when they do, through the real poller."""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from agent.contract.catalogue import Value
from agent.modem.at_reply import read_final_result
from agent.modem.poll import ModemPoller
from agent.modem.simulator import SimulatedModem
from agent.modem.transcript import Answer, Transcript, command_key

CASES_FILE = Path(__file__).parents[2].parent / "shared" / "modem_transcripts" / "dev_set.json"

GOAL = 0.98

EXPLAINED: Mapping[str, str] = {}
"""Why a field cannot be right: "case field" to the reason. Empty: all of them are."""

TOLERANCES = {
    **dict.fromkeys(("rssi_dbm", "rsrp_dbm", "rscp_dbm", "nr_rsrp_dbm", "sinr_db", "nr_sinr_db"), 1.0),
    **dict.fromkeys(("rsrq_db", "ecio_db", "nr_rsrq_db", "modem_temperature_c"), 0.5),
}
ALWAYS_OK = ("AT", "ATE0", "ATE1", "AT+CMEE=1", "AT+CMEE=0", "AT+CMEE=2")


def load_cases() -> list[dict[str, Any]]:
    if not CASES_FILE.exists():
        return []
    cases: list[dict[str, Any]] = json.loads(CASES_FILE.read_text(encoding="utf-8"))
    return cases


CASES = load_cases()
pytestmark = pytest.mark.skipif(not CASES, reason=f"no recorded cases at {CASES_FILE}")


def replay(responses: Mapping[str, str]) -> Transcript:
    """Frame each answer as the cases' own rules say."""
    answers = {command_key(command): (Answer((b"\r\nOK\r\n",)),) for command in ALWAYS_OK}
    for command, text in responses.items():
        has_final = any(read_final_result(line.strip()) for line in text.splitlines())
        framed = f"\r\n{text}\r\n" + ("" if has_final else "\r\nOK\r\n")
        answers[command_key(command)] = (Answer((framed.encode(),)),)
    return Transcript(answers)


def read_modem(responses: Mapping[str, str]) -> dict[str, Value]:
    with SimulatedModem(replay(responses)) as modem:
        poller = ModemPoller(str(modem.path), sim_pin="", memory_file=None)
        values = dict(poller.collect())
        values.update(poller.inventory())
        poller.close()
    return values


def is_right(field: str, wanted: Value, got: Value) -> bool:
    if wanted is None or wanted == "none":
        return got in (None, "none")
    if isinstance(wanted, int | float) and isinstance(got, int | float) and field in TOLERANCES:
        return abs(wanted - got) <= TOLERANCES[field] + 1e-9
    return wanted == got


def judge(cases: list[dict[str, Any]]) -> tuple[int, list[str], list[str]]:
    """Return how many fields were judged, and which are missing or wrong."""
    judged = 0
    missing: list[str] = []
    wrong: list[str] = []
    with ThreadPoolExecutor(8) as pool:  # most of the time is spent waiting for silence on the line
        readings = list(pool.map(lambda case: read_modem(case["responses"]), cases))
    for case, values in zip(cases, readings, strict=True):
        for field, wanted in case["expect"].items():
            judged += 1
            got = values.get(field)
            if not is_right(field, wanted, got):
                note = f"{case['id']} {field} ({case['family']}): wanted {wanted!r}, got {got!r}"
                (missing if got is None else wrong).append(note)
    return judged, missing, wrong


def test_recorded_modems_are_read_right() -> None:
    judged, missing, wrong = judge(CASES)
    bad = missing + wrong
    print(f"\n{judged - len(bad)} of {judged} fields right", *bad, sep="\n  ")
    assert wrong == []
    assert len(bad) <= judged * (1 - GOAL), bad
    unexplained = [note for note in bad if note.partition(" (")[0] not in EXPLAINED]
    assert unexplained == []
