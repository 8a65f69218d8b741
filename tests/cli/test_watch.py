import json
import random
import re
import shlex
import time
from pathlib import Path
from typing import Any

import pytest

from agent.cli.live_screen import changes, plain
from agent.cli.status import Looked
from agent.cli.status_lines import Seen
from agent.cli.watch import live_lines
from agent.config.keys import DEFAULTS
from agent.language import use_language
from agent.pipeline.snapshot import write_snapshot
from tests.cli.gateway_seen import NOW_TS, daemon_of, gateway, snapshot
from tests.cli.test_main import sinyal
from tests.support.terminal import COLUMNS, ROWS, OpenTerminal, sinyal_at

MOST_BYTES = 300
"""A redraw of so many takes a third of a second at 1 kB/s."""


def applied(screen: list[str], sent: str) -> list[str]:
    """Do what a terminal does with what was sent to it (ECMA-48: CUP, EL, DCH)."""
    cells = [list(line.ljust(COLUMNS)) for line in screen] + [[" "] * COLUMNS for _row in screen[ROWS:]]
    cells += [[" "] * COLUMNS for _row in range(ROWS - len(cells))]
    row = column = 0
    for found in re.finditer(r"\x1b\[([0-9;]*)([A-Z])|([^\x1b]+)", sent):
        numbers, command, text = found.groups()
        if text is not None:
            assert column + len(text) <= COLUMNS
            cells[row][column : column + len(text)] = text
            column += len(text)
        elif command == "H":
            row, column = (int(number) - 1 for number in numbers.split(";"))
        elif command == "K":
            cells[row][column:] = [" "] * (COLUMNS - column)
        else:
            assert command == "P"
            cells[row] = [*cells[row][:column], *cells[row][column + 1 :], " "]
    return ["".join(line).rstrip() for line in cells]


def test_what_is_sent_makes_the_one_screen_of_the_other() -> None:
    chance = random.Random(4)
    letters = "aab ▁▂·"
    before: list[str] = []
    for _round in range(300):
        after = [
            "".join(chance.choice(letters) for _cell in range(chance.randrange(COLUMNS + 1)))
            if chance.random() < 0.5
            else (before[row] if row < len(before) else "")[1:] + chance.choice(letters)
            for row in range(chance.randrange(ROWS + 1))
        ]
        shown = applied(before, "".join(changes(before, after)))
        assert shown == [line.rstrip() for line in after] + [""] * (ROWS - len(after))
        before = after


def test_what_takes_two_cells_or_none_cannot_shift_the_line() -> None:
    assert plain("中国移动 4G") == "???? 4G"
    assert plain("a\u0301b\x1b[2Jc") == "a?b?[2Jc"
    assert plain("-97 dBm · ▁█ °C") == "-97 dBm · ▁█ °C"


def minute(number: int, chance: random.Random) -> Looked:
    levels = [-97 + round(4 * random.Random(n).gauss(0, 1)) for n in range(number, number + 60)]
    now_ts = NOW_TS + 60 * number
    shown = snapshot(
        now_ts,
        reading={
            "rsrp_dbm": levels[-1], "sinr_db": chance.randrange(80) / 10, "cpu_pct": chance.randrange(10),
            "modem_temperature_c": chance.randrange(380, 420) / 10, "mem_used_pct": chance.randrange(40, 50),
        },
        hour={"field": "rsrp_dbm", "levels_dbm": levels},
        buffer={"stored": 1000 + number, "unsent": number, "oldest_unsent_ts": NOW_TS},
    )  # fmt: skip
    return Looked({**DEFAULTS, "broker.host": "broker.example"}, Seen(shown, None, True, now_ts), [])


@pytest.mark.parametrize("language", ["id", "en"])
def test_a_redraw_fits_a_slow_line(language: str) -> None:
    use_language(language)
    chance = random.Random(5)
    sizes: list[int] = []
    ticks: list[int] = []
    before = live_lines(minute(0, chance), NOW_TS)
    for number in range(1, 61):
        looked = minute(number, chance)
        for second in range(0, 60, 7):
            after = live_lines(looked, NOW_TS + 60 * number + second)
            (ticks if second else sizes).append(len("".join(changes(before, after)).encode()))
            before = after
    use_language("id")
    print(f"{language}: a reading {sum(sizes) / 60:.0f}, at most {max(sizes)} bytes; a second {max(ticks)}")
    assert max(sizes) <= MOST_BYTES
    assert max(ticks) <= 80


@pytest.mark.parametrize("language", ["id", "en"])
def test_its_golden_screen(language: str, tmp_path: Path, open_terminal: OpenTerminal) -> None:
    config = gateway(tmp_path, '[broker]\nhost = "broker.pusat.example"\n')
    write_snapshot(tmp_path, snapshot())
    with daemon_of(tmp_path):
        shown = open_terminal(sinyal_at(NOW_TS, "watch", "--config", str(config), "--lang", language))
        lines = shown.wait_for("Ctrl-C")

    shown.expect_no_wraps()
    shown.expect_golden(f"watch_{language}", lines=lines)


def test_it_follows_a_daemon_that_goes_and_comes_and_leaves_the_terminal_as_it_was(
    tmp_path: Path, open_terminal: OpenTerminal
) -> None:
    config = gateway(tmp_path)
    shown = open_terminal(sinyal_at(NOW_TS, "watch", "--config", str(config), "--lang", "en"))
    shown.wait_for("it has never run here")
    with daemon_of(tmp_path):
        write_snapshot(tmp_path, snapshot(reading={"rsrp_dbm": -88}))
        shown.wait_for("-88 dBm")
        write_snapshot(tmp_path, snapshot(reading={"rsrp_dbm": -92}))
        shown.wait_for("-92 dBm")
    shown.wait_for("it ended without a goodbye")
    with daemon_of(tmp_path):
        shown.wait_for("running since")
    shown.resize(60, 20)
    shown.wait_for(lambda lines: len(lines) == 20 and "q ends it" in lines[-1])

    shown.keys("C-c")

    assert shown.wait_for_end() == 0
    assert shown.lines() == ["$"]


def test_q_ends_it(tmp_path: Path, open_terminal: OpenTerminal) -> None:
    config = gateway(tmp_path)
    shown = open_terminal(sinyal_at(NOW_TS, "watch", "--config", str(config)))
    shown.wait_for("Ctrl-C")

    shown.keys("q")

    assert shown.wait_for_end() == 0


def test_a_dropped_line_ends_it(tmp_path: Path, open_terminal: OpenTerminal) -> None:
    config = gateway(tmp_path)
    command = shlex.join(sinyal_at(NOW_TS, "watch", "--config", str(config)))
    shown = open_terminal(["sh", "-c", f"echo $$ >{tmp_path}/pid; exec {command}"])
    shown.wait_for("Ctrl-C")
    pid = (tmp_path / "pid").read_text().strip()

    shown.close()

    ends_at = time.monotonic() + 60
    while Path("/proc", pid).exists():
        assert time.monotonic() < ends_at
        time.sleep(0.05)


def test_off_a_terminal_it_is_shown_once(tmp_path: Path) -> None:
    config = gateway(tmp_path)
    write_snapshot(tmp_path, snapshot())

    shown = sinyal("watch", "--config", str(config), "--lang", "en")
    document: dict[str, Any] = json.loads(sinyal("watch", "--json", "--config", str(config)).stdout)

    assert shown.returncode == 1
    assert "worst -97, best -89" in shown.stdout
    assert "\x1b" not in shown.stdout
    assert len(document["hour"]["levels_dbm"]) == 60
    assert document["running"] is False
