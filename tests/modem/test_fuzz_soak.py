"""Broken answers of every recorded modem: nothing is raised, nothing impossible is told, and it ends soon."""

import random
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.contract.catalogue import catalogue
from agent.errors import ModemUnavailable
from agent.modem.cells import Cell
from agent.modem.conversation import Conversation
from agent.modem.memory import ModemMemory
from agent.modem.ranges import is_possible
from agent.modem.reading import Reading
from agent.modem.session import ModemSession
from agent.modem.transcript import Transcript, command_key, read_transcript

FOLDER = Path(__file__).parents[1] / "transcripts"
TRANSCRIPTS = [read_transcript(file) for file in sorted(FOLDER.glob("*/*/conversation.txt"))]

QUICK_S = 3.0
SOAK_S = 240.0
ONE_POLL_LIMIT_S = 25.0

SENTINELS = b"99 255 -32768 32767 65535 4294967295 FFFFFFFF - 7FFFFFFF -999 0 1e9 nan".split()
PIECES = (
    b",",
    b'"',
    b"\r",
    b"\n",
    b"\x00",
    b"\xff",
    b"OK\r\n",
    b"+CME ERROR: 14\r\n",
    b"RDY\r\n",
    b"9" * 400,
)


def mutate(answer: bytes, chance: random.Random) -> bytes:
    """Break an answer in one to four places: columns, bytes, pieces."""
    for _fault in range(chance.randrange(1, 5)):
        place = chance.randrange(len(answer) + 1)
        kind = chance.randrange(5)
        if kind == 0:
            columns = answer.split(b",")
            columns[chance.randrange(len(columns))] = chance.choice(SENTINELS)
            answer = b",".join(columns)
        elif kind == 1:
            answer = answer[:place] + chance.choice(PIECES) + answer[place:]
        elif kind == 2:
            answer = answer[:place] + bytes((chance.randrange(256),)) + answer[place + 1 :]
        elif kind == 3:
            answer = answer[:place] + answer[place + chance.randrange(1, 9) :]
        else:
            start = chance.randrange(len(answer) + 1)
            answer = answer[:place] + answer[start : start + 60] + answer[place:]
    return answer


class BrokenModem:
    """A port in memory whose answers are broken; each ends at once with a final result of its own."""

    def __init__(self, transcript: Transcript, break_answer: Callable[[bytes], bytes]) -> None:
        self._transcript = transcript
        self._break = break_answer
        self._waiting: deque[bytes] = deque()

    def read(self, timeout_s: float) -> bytes:
        if self._waiting:
            return self._waiting.popleft()
        time.sleep(min(timeout_s, 0.001))
        return b""

    def write(self, command: bytes) -> None:
        key = command_key(command.decode("ascii"))
        if key == "AT":
            self._waiting.append(b"\r\nOK\r\n")
            return
        turns = self._transcript.answers.get(key)
        answer = b"" if turns is None else self._break(b"".join(turns[0].pieces))
        self._waiting.append(answer + b"\r\nERROR\r\n")


def check_fields(reading: Reading) -> None:
    technology = reading.fields.get("access_technology")
    assert technology is None or isinstance(technology, str)
    for name, value in reading.fields.items():
        assert is_possible(technology, name, value), (name, value, technology)
    assert catalogue().clean(reading.fields) == reading.fields


def check_cells(cells: list[Cell]) -> None:
    for cell in cells:
        technology = "nr5g-sa" if cell.access_technology == "nr5g" else cell.access_technology
        for name in ("rsrp_dbm", "rsrq_db", "sinr_db", "rscp_dbm", "pci", "cell_id", "tac", "lac", "earfcn"):
            value = getattr(cell, name)
            assert value is None or is_possible(technology, name, value), (name, value, technology)


def poll_broken(transcript: Transcript, break_answer: Callable[[bytes], bytes], *, cells: bool) -> None:
    session = ModemSession(
        Conversation(BrokenModem(transcript, break_answer)),
        ModemMemory(None),
        sim_pin="",
        pause=lambda _seconds: None,
    )
    begun_s = time.monotonic()
    try:
        if cells:
            check_cells(session.read_cells())
        else:
            check_fields(session.read()[0])
    except ModemUnavailable:
        pass  # told as such; anything else is a fault of ours
    assert time.monotonic() - begun_s < ONE_POLL_LIMIT_S


def campaign(seconds: float, seed: int) -> int:
    chance = random.Random(seed)
    ends_at = time.monotonic() + seconds
    polls = 0
    while time.monotonic() < ends_at:
        case = chance.randrange(1 << 32)
        broken = random.Random(case)
        transcript = TRANSCRIPTS[polls % len(TRANSCRIPTS)]
        name = transcript.header.get("modem")
        try:
            poll_broken(transcript, lambda answer: mutate(answer, broken), cells=polls % 3 == 0)  # noqa: B023
        except Exception as fault:  # noqa: BLE001 -- to name the case
            pytest.fail(f"modem {name}, case {case}: {type(fault).__name__}: {fault}")
        polls += 1
    return polls


def test_broken_answers_never_raise_and_never_tell_the_impossible() -> None:
    assert campaign(QUICK_S, seed=3) > 0


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_broken_answers_for_minutes() -> None:
    polls = campaign(SOAK_S, seed=time.time_ns())
    print(f"{polls} polls of broken modems")
    assert polls > 1000


GUIDED = """
import sys, atheris
with atheris.instrument_imports(include=["agent.modem"]):
    from tests.modem import test_fuzz_soak
atheris.Setup(sys.argv, test_fuzz_soak.poll_guided)
atheris.Fuzz()
"""


def poll_guided(raw: bytes) -> None:
    """Poll a modem chosen by the first byte, with the rest of the bytes put into its answers."""
    if len(raw) < 2:
        return
    rest = memoryview(raw)[2:]
    width = raw[1] % 40 + 1
    taken = 0

    def break_answer(answer: bytes) -> bytes:
        nonlocal taken
        piece = bytes(rest[taken : taken + width])
        taken += width
        place = piece[0] * len(answer) // 256 if piece else len(answer)
        return answer[:place] + piece[1:] + answer[place + len(piece) // 2 :]

    poll_broken(TRANSCRIPTS[raw[0] % len(TRANSCRIPTS)], break_answer, cells=raw[1] >= 128)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_broken_answers_guided_by_coverage(tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="atheris is not installed here")
    command = [sys.executable, "-c", GUIDED, f"-max_total_time={SOAK_S:.0f}", "-max_len=2000", str(tmp_path)]
    ended = subprocess.run(
        command, cwd=FOLDER.parents[1], capture_output=True, text=True, timeout=SOAK_S + 600, check=False
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
