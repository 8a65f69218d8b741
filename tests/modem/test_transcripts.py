"""Every transcript, over every line, gives the reading that lies beside it."""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from agent.modem.poll import ModemPoller
from agent.modem.simulator import Behaviour, SimulatedModem
from agent.modem.transcript import read_transcript
from tests.modem.lines import LINES, LOSSY

FOLDER = Path(__file__).parents[1] / "transcripts"
SITUATIONS = sorted(str(file.parent.relative_to(FOLDER)) for file in FOLDER.glob("*/*/conversation.txt"))


def read_modem(situation: str, behaviour: Behaviour) -> dict[str, Any]:
    transcript = read_transcript(FOLDER / situation / "conversation.txt")
    with SimulatedModem(transcript, behaviour) as modem:
        poller = ModemPoller(str(modem.path), sim_pin="", memory_file=None)
        fields = dict(poller.collect())
        seen = {"fields": fields, "inventory": dict(poller.inventory()), "sources": dict(poller.sources())}
        poller.close()
    return seen


@cache
def readings(line: str) -> Mapping[str, dict[str, Any]]:
    """Read all modems at once: they mostly wait."""
    behaviour = LINES.get(line, LOSSY)
    with ThreadPoolExecutor(len(SITUATIONS)) as pool:
        return dict(
            zip(SITUATIONS, pool.map(lambda one: read_modem(one, behaviour), SITUATIONS), strict=True)
        )


def expected(situation: str) -> dict[str, Any]:
    wanted: dict[str, Any] = json.loads((FOLDER / situation / "expected.json").read_text(encoding="utf-8"))
    return wanted


@pytest.mark.parametrize("situation", SITUATIONS)
@pytest.mark.parametrize("line", LINES)
def test_modem_is_read_as_expected(situation: str, line: str) -> None:
    seen, wanted = readings(line)[situation], expected(situation)
    assert seen["fields"] == wanted["fields"]
    assert seen["inventory"] == wanted["inventory"]


@pytest.mark.parametrize("situation", SITUATIONS)
def test_lost_lines_leave_fields_unknown_but_never_wrong(situation: str) -> None:
    wanted = expected(situation)["fields"]
    seen = readings("lossy")[situation]["fields"]
    # Without the better source the technology itself may be less exact, and with it the class.
    judged = set(seen) - {"modem_state", "access_technology", "signal_class", "registration"}
    assert {name: seen[name] for name in judged if name in wanted} == {
        name: wanted[name] for name in judged if name in wanted
    }


@pytest.mark.parametrize("situation", SITUATIONS)
def test_every_field_names_the_command_it_came_from(situation: str) -> None:
    seen = readings("perfect")[situation]
    derived = {"modem_state", "signal_class"}
    assert set(seen["sources"]) == set(seen["fields"]) - derived
    assert all(command.startswith("AT") for command in seen["sources"].values())
