"""`sinyal aim` on real terminals, beside a running agent and alone."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from agent.aim.aiming import Aiming, View
from agent.aim.sessions import checked_session
from agent.cli import aim_sound
from agent.cli.aim_screen import AimScreen
from agent.cli.aim_sound import pitch_hz
from agent.errors import UsageMistake
from agent.language import use_language
from agent.modem.port import holders
from agent.pipeline.control import ControlServer
from agent.pipeline.snapshot import DaemonLock
from tests.pipeline.whole_gateway import Gateway, wait_until
from tests.support.terminal import OpenTerminal
from tests.support.terminal_program import TerminalProgram
from tests.support.turned_antenna import GOOD_BEARING, TurnedAntenna

LOOKS_TO_SETTLE = 14
"""At two a second, and one of the agent itself, the mean of three seconds holds what came after the turn."""


@pytest.fixture
def antenna(tmp_path: Path) -> Iterator[TurnedAntenna]:
    with TurnedAntenna(link=tmp_path / "modem") as modem:
        yield modem


def turn(antenna: TurnedAntenna, bearing: float, aiming: TerminalProgram) -> None:
    antenna.bearing = bearing
    looks = antenna.looks
    aiming.wait_until(lambda: antenna.looks >= looks + LOOKS_TO_SETTLE, "looks at the modem")


def mark(aiming: TerminalProgram, bearing: float) -> None:
    aiming.type("m")
    aiming.wait_for("Enter")
    aiming.type(f"{bearing:.0f}\r")
    aiming.wait_for(f"{bearing:.0f}°")


def plain(*arguments: str, config: Path | None = None) -> "subprocess.CompletedProcess[str]":
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SINYAL_")}
    return subprocess.run(
        [sys.executable, "-m", "agent", "aim", *arguments, *(["--config", str(config)] if config else [])],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        env=clean,
        check=False,
    )


def test_a_turned_antenna_is_aimed_through_the_running_agent_and_kept(
    antenna: TurnedAntenna, tmp_path: Path
) -> None:
    gateway = Gateway(tmp_path / "gateway", modem=str(antenna.path), interval_s=1.0)
    gateway.start()
    try:
        wait_until("two readings", lambda: gateway.shown().get("taken", 0) >= 2)
        with TerminalProgram("aim", "--config", str(gateway.config)) as aiming:
            aiming.wait_for("RSRP")
            taken = gateway.shown()["taken"]
            for bearing in (90.0, GOOD_BEARING):
                turn(antenna, bearing, aiming)
                mark(aiming, bearing)
            aiming.wait_until(lambda: gateway.shown()["taken"] > taken + 3, "readings of the agent")
            assert holders(str(antenna.path))[0].pid == gateway.pid
            aiming.interrupt()
            assert aiming.end() == 0
            assert aiming.settings() == aiming.settings_before
            assert "\x1b[?25h" in aiming.shown
            places = [line for line in aiming.shown.splitlines() if line.startswith("  1. ")]
        assert places and "135°" in places[0] and "RSRP -84.0 dBm" in places[0]

        kept = json.loads(plain("--history", "--json", config=gateway.config).stdout)["sessions"]
        assert [best["azimuth_deg"] for best in kept[0]["best"]] == [GOOD_BEARING, 90]
        assert gateway.shown()["reading"]["modem_state"] == "ok"
    finally:
        gateway.stop_anyhow()
    # And when the agent is dead.
    history = plain("--history", config=gateway.config)
    assert history.returncode == 0 and "135°" in history.stdout


def test_a_dropped_line_ends_the_aiming_and_keeps_what_was_found(
    antenna: TurnedAntenna, tmp_path: Path
) -> None:
    config = tmp_path / "sinyal.toml"
    config.write_text(f'[paths]\nstate = "."\nruntime = "."\n[modem]\nport = "{antenna.path}"\n')
    with TerminalProgram("aim", "--config", str(config)) as aiming:
        aiming.wait_for("RSRP")
        antenna.bearing = GOOD_BEARING
        mark(aiming, 10)
        aiming.hang_up()
        assert aiming.process.wait(60) >= 0
    assert not holders(str(antenna.path))
    kept = json.loads(plain("--history", "--json", config=config).stdout)["sessions"]
    assert kept[0]["best"][0]["azimuth_deg"] == 10


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_the_terminal_as_it_was(antenna: TurnedAntenna, number: signal.Signals) -> None:
    with TerminalProgram("aim", "--port", str(antenna.path)) as aiming:
        aiming.wait_for("RSRP")
        assert aiming.settings() != aiming.settings_before
        aiming.signal(number)
        assert aiming.end() == 0
        assert aiming.settings() == aiming.settings_before


def test_keys_mark_cancel_and_correct_and_q_ends(antenna: TurnedAntenna) -> None:
    with TerminalProgram("aim", "--port", str(antenna.path), "--lang", "en") as aiming:
        aiming.wait_for("RSRP")
        aiming.type("m999\r")
        aiming.wait_for("not marked")
        aiming.type("m12\x1b")
        aiming.type("m139\x7f5\r")
        aiming.wait_for("135°")
        aiming.type("q")
        assert aiming.end() == 0
    assert "  1. 135°" in aiming.shown and "  2. " not in aiming.shown


def test_another_tower_is_warned_of_and_3g_is_aimed_by_its_own_level(antenna: TurnedAntenna) -> None:
    with TerminalProgram("aim", "--port", str(antenna.path), "--lang", "en") as aiming:
        aiming.wait_for("RSRP")
        antenna.cell += 1
        aiming.wait_for("A new tower is no better angle")
        antenna.is_3g = True
        aiming.wait_for("Ec/Io")
        aiming.interrupt()
        assert aiming.end() == 0


def test_without_a_terminal_each_look_is_a_line_and_json_is_one_document(
    antenna: TurnedAntenna,
) -> None:
    shown = plain("--port", str(antenna.path), "--minutes", "0.04", "--lang", "en")
    assert shown.returncode == 0, shown.stderr
    looks = [line for line in shown.stdout.splitlines() if line.startswith("RSRP ")]
    assert looks and "\x1b" not in shown.stdout and "110130808" in looks[0]

    shown = plain("--port", str(antenna.path), "--minutes", "0.04", "--json")
    document = json.loads(shown.stdout)
    looks = document["looks"]
    assert looks[0]["level"] == "rsrp_dbm" and looks[0]["level_dbm"] == antenna.level_dbm
    assert document["session"]["looks"] == len(looks)
    assert shown.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--minutes", "0"), 2),
        (("--minutes", "31"), 2),
        (("--minutes", "nan"), 2),
        (("--minutes", "soon"), 2),
        (("--port", ""), 2),
        (("--sound", "loud"), 2),
        (("--port", "/dev/no-modem-here"), 4),
    ],
)
def test_what_cannot_be_done_is_one_line_with_a_next_step(arguments: tuple[str, ...], code: int) -> None:
    shown = plain(*arguments)

    assert shown.returncode == code and shown.stdout == ""
    assert len(shown.stderr.splitlines()) == 1 and "Langkah berikut:" in shown.stderr


def test_traffic_asks_first_is_charged_and_says_when_nobody_can_be_asked(
    antenna: TurnedAntenna, tmp_path: Path
) -> None:
    config = tmp_path / "sinyal.toml"
    config.write_text(
        f'[paths]\nstate = "."\nruntime = "."\n[modem]\nport = "{antenna.path}"\n'
        '[link]\ntargets = ["127.0.0.1", "127.0.0.1:9"]\n'
    )
    asked = plain("--traffic", config=config)
    assert asked.returncode == 2 and "--yes" in asked.stderr

    shown = plain("--traffic", "--yes", "--minutes", "0.03", config=config)
    assert shown.returncode == 0, shown.stderr
    budget = subprocess.run(
        [sys.executable, "-m", "agent", "budget", "--json", "--config", str(config)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert json.loads(budget.stdout)["by_use"]["other"] == 20_000


def test_a_higher_level_is_a_higher_tone() -> None:
    assert pitch_hz(0) == 220 and pitch_hz(1) == 1760 and pitch_hz(0.4) < pitch_hz(0.5)


def look_at(level_dbm: float, best_dbm: float) -> View:
    aiming = Aiming()
    for at, level in ((0.0, best_dbm), (0.5, best_dbm), (10.0, level_dbm), (10.5, level_dbm)):
        aiming.add(at, {"access_technology": "lte", "rsrp_dbm": level, "cell_id": 1})
    seen = aiming.view(10.5)
    assert seen is not None
    return seen


def test_the_bell_rings_the_more_often_the_nearer_to_the_best(capsys: pytest.CaptureFixture[str]) -> None:
    rings = []
    for below in (0, 3, 30):
        bell = aim_sound.Bell()
        for _look in range(24):
            bell.tell(look_at(-80 - below, -80))
        rings.append(capsys.readouterr().err.count("\a"))

    assert rings[0] == 24 and rings[0] > rings[1] > rings[2] > 0


def test_the_buzzer_of_the_running_agent_sounds_the_level(tmp_path: Path) -> None:
    heard: list[float] = []

    def beep(question: Mapping[str, object]) -> dict[str, object]:
        assert isinstance(question["seconds"], float) and isinstance(question["pitch_hz"], int)
        heard.append(question["pitch_hz"])
        return {"has_buzzer": True}

    lock, agent = DaemonLock(tmp_path), ControlServer(tmp_path, {"gpio_beep": beep})
    lock.take()
    agent.start()
    try:
        sound = aim_sound.sound_of("buzzer", tmp_path)
        assert isinstance(sound, aim_sound.Buzzer)
        for level in (-110, -80):
            before = len(heard)
            sound.tell(look_at(level, -80))
            wait_until("a beep", lambda before=before: len(heard) > before)  # type: ignore[misc]
    finally:
        agent.stop(5)
        lock.release()
    assert heard[-2] < heard[-1]


@pytest.mark.parametrize("answer", [None, {"has_buzzer": False}])
def test_without_a_buzzer_the_bell_rings_and_that_is_said(
    answer: dict[str, object] | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = DaemonLock(tmp_path)
    agent = ControlServer(tmp_path, {} if answer is None else {"gpio_beep": lambda _question: answer})
    assert isinstance(aim_sound.sound_of("buzzer", tmp_path), aim_sound.Bell)
    lock.take()
    agent.start()
    try:
        assert isinstance(aim_sound.sound_of("buzzer", tmp_path), aim_sound.Bell)
    finally:
        agent.stop(5)
        lock.release()
    assert capsys.readouterr().err.count("buzzer") == 2
    assert isinstance(aim_sound.sound_of("off", tmp_path), aim_sound.Silence)


@pytest.mark.parametrize("told", [None, [], {}, {"best": 3}, {"best": "x"}])
def test_the_agent_keeps_nothing_that_is_no_result(told: object) -> None:
    with pytest.raises(UsageMistake):
        checked_session(told)


def test_the_agent_keeps_only_plain_values_of_a_result() -> None:
    best: list[Any] = [
        {"azimuth_deg": 1e300, "level": "rsrp_dbm\x1b", "level_dbm": -90, "evil": "x"},
        "no",
        {},
        {},
    ]
    kept = checked_session({"best": best, "seconds": True, "peak_dbm": -90.5, "looks": "many"})

    assert (kept["seconds"], kept["peak_dbm"], kept["looks"]) == (None, -90.5, None)
    assert kept["best"][0]["azimuth_deg"] is None and kept["best"][0]["level"] is None
    assert kept["best"][0]["level_dbm"] == -90 and "evil" not in kept["best"][0]


def test_on_a_telephone_best_warning_and_typed_degrees_are_seen() -> None:
    use_language("id")
    aiming = Aiming()
    for at in range(12):
        cell = 110130798 if at < 2 else 110130808
        told = {"access_technology": "lte", "rsrp_dbm": -99.0, "sinr_db": 3.0, "cell_id": cell}
        aiming.add(at / 2, {**told, "pci": 287, "band": "B3"})
    picture = AimScreen(aiming, ("Kantor Desa Sungai Bengkal", "15.02.23.2008"), 1800)
    wide = picture.lines(5.5, 79)
    for key in "m270":
        picture.press(key, 5.5)
    lines = picture.lines(5.5, 39)

    assert len(lines) == len(wide) and max(map(len, lines)) <= 39
    text = " ".join(" ".join(lines).split())
    for seen in ("berakhir dalam 29 menit", "terbaik -99,0 selisih", "bukan arah lebih baik", ": 270_"):
        assert seen in text


def test_the_picture_stands_in_a_small_terminal_in_both_languages(
    open_terminal: OpenTerminal, tmp_path: Path
) -> None:
    config = tmp_path / "sinyal.toml"
    config.write_text(
        '[gateway]\nsite_name = "Renah Kemumu"\nkode_desa = "15.02.01.2001"\nkode_edisi = "2025"\n'
        '[paths]\nstate = "."\nruntime = "."\n'
    )
    command = [sys.executable, "-m", "agent", "aim", "--config", str(config)]
    with TurnedAntenna() as one, TurnedAntenna() as other:
        antennas = {"id": one, "en": other}
        one.bearing = other.bearing = 120.0
        shown = {
            code: open_terminal([*command, "--port", str(antenna.path), "--lang", code])
            for code, antenna in antennas.items()
        }
        for code, terminal in shown.items():
            terminal.wait_for({"id": "dalam 5 detik", "en": "in 5 s"}[code])
            terminal.keys("m")
            terminal.wait_for("Esc")
            terminal.keys("1", "2", "0", "Enter")
            settled = {"id": "= tetap 0", "en": "= the same 0"}[code]
            terminal.wait_for(settled)
            terminal.wait_for("-87")
            # The mark was made while the mean still moved: only what has settled is compared.
            lines = [line for line in terminal.lines() if "120°" not in line]
            terminal.expect_no_wraps()
            terminal.expect_golden(f"aim_{code}", lines=lines)
            terminal.keys("C-c")
            assert terminal.wait_for_end() == 0
