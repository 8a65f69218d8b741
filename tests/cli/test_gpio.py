"""`sinyal gpio test` under a technician's hands: real processes, lines as files, terminals that vanish."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from agent.pipeline.control_client import ask_daemon
from tests.cli.test_main import sinyal
from tests.pipeline.whole_gateway import Gateway, wait_until

LINES = (
    '\n[gpio]\nadapter = "mock"\nled_power = "1"\nrelay = "3"\nrelay_off_s = 60\nmains = "4"\nbutton = "5"\n'
    'buzzer = "6"\n'
)


WALKS: list["Walk"] = []


@pytest.fixture(autouse=True)
def no_walk_is_left() -> Iterator[None]:
    yield
    for walk in WALKS:
        walk.process.kill()
        walk.process.communicate()
    WALKS.clear()


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Gateway]:
    gateway = Gateway(tmp_path, modem="/dev/null", publish=LINES, interval_s=30)
    yield gateway
    gateway.stop_anyhow()


def level(box: Gateway, line: str) -> str:
    file = box.folder / "run" / "gpio" / line
    return file.read_text() if file.exists() else ""


class Walk:
    """The command with pipes for its terminal."""

    def __init__(self, box: Gateway, *options: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "agent", "gpio", "test", "--config", str(box.config), *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={name: value for name, value in os.environ.items() if not name.startswith("SINYAL_")},
            start_new_session=True,
        )
        self.shown = ""
        WALKS.append(self)

    def until(self, text: str, stream: IO[bytes] | None = None) -> None:
        """Read until a text was shown."""
        source = stream or self.process.stdout
        assert source is not None
        while text not in self.shown:
            read = os.read(source.fileno(), 4096)
            assert read, self.shown
            self.shown += read.decode()

    def answer(self, question: str, answer: str = "", stream: IO[bytes] | None = None) -> None:
        """Wait for a question and answer it."""
        self.until(question, stream)
        self.shown = self.shown.rpartition(question)[2]
        assert self.process.stdin is not None
        self.process.stdin.write(answer.encode() + b"\n")
        self.process.stdin.flush()

    def to_the_relay(self) -> None:
        """Skip everything before the relay, and let it cut."""
        self.answer("light on?", "s")
        self.answer("tones, each higher?", "s")
        self.answer("Is that so?", "s")
        self.answer("Hold the button", "s")
        self.answer("Go on?")
        self.until("look at the modem")

    def end(self) -> tuple[int, str]:
        """Return the exit code and what was said of it."""
        _out, err = self.process.communicate(timeout=60)
        return self.process.returncode, err.decode()


def test_a_walk_asks_role_after_role_and_finds_what_is_wrong(box: Gateway) -> None:
    folder = box.folder / "run" / "gpio"
    folder.mkdir(parents=True)
    (folder / "4").write_text("1")
    walk = Walk(box, "--json")
    err = walk.process.stderr
    walk.until("light on?", err)
    wait_until("the light", lambda: level(box, "1") == "1", 60)
    walk.answer("light on?", "y", err)
    walk.until("off now?", err)
    wait_until("no light", lambda: level(box, "1") == "0", 60)
    walk.answer("off now?", "", err)
    wait_until("the tones", lambda: " 6 2000" in (folder / "history").read_text(), 60)
    walk.answer("tones, each higher?", "n", err)
    walk.answer("Is that so?", "what?", err)
    walk.answer("Is that so?", "", err)
    (folder / "4").write_text("0")
    walk.answer("then press Enter", "", err)
    (folder / "5").write_text("1")
    walk.answer("Hold the button", "", err)
    walk.until("Let the button go", err)
    (folder / "5").write_text("0")
    walk.answer("Let the button go", "", err)
    walk.answer("Go on?", "s", err)
    out, _err = walk.process.communicate(timeout=60)
    document = json.loads(out)
    assert {one["role"]: one["result"] for one in document["roles"]} == {
        "led_power": "fine", "buzzer": "wrong", "mains": "fine", "button": "fine", "relay": "skipped",
    }  # fmt: skip
    assert (document["complete"], walk.process.returncode) == (True, 1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGKILL])
def test_the_modem_has_its_power_back_however_the_test_ends(box: Gateway, number: signal.Signals) -> None:
    walk = Walk(box)
    walk.to_the_relay()
    assert level(box, "3") == "1"
    walk.process.send_signal(number)
    code, err = walk.end()
    wait_until("the power", lambda: level(box, "3") == "0", 60)
    if number is signal.SIGKILL:
        assert code == -signal.SIGKILL
    else:
        assert code == 1
        assert "the modem has its power" in err
        assert "Traceback" not in err


def test_a_terminal_that_vanishes_in_the_middle_of_a_cut_gives_the_power_back(box: Gateway) -> None:
    walk = Walk(box)
    walk.to_the_relay()
    # An SSH line that drops is a SIGHUP to the session.
    os.killpg(walk.process.pid, signal.SIGHUP)
    walk.end()
    wait_until("the power", lambda: level(box, "3") == "0", 60)


def test_an_input_that_ends_is_no_answer(box: Gateway) -> None:
    walk = Walk(box)
    code, err = walk.end()
    assert code == 1
    assert "not finished" in err


def test_with_a_running_agent_its_lines_are_tested_through_it(box: Gateway) -> None:
    box.start()
    wait_until("the agent", lambda: bool(box.shown().get("reading")), 90)
    walk = Walk(box)
    walk.until("light on?")
    wait_until("the light", lambda: level(box, "1") == "1", 60)
    walk.to_the_relay()
    assert level(box, "3") == "1"
    walk.process.send_signal(signal.SIGINT)
    assert walk.end()[0] == 1
    wait_until("the power", lambda: level(box, "3") == "0", 60)

    ask_daemon(box.folder / "run", "gpio_beep", pitch_hz=2400, seconds=0.2)  # as `sinyal aim` does
    wait_until("the tone", lambda: " 6 2400" in (box.folder / "run/gpio/history").read_text(), 60)


def test_without_pins_the_test_says_how_to_configure_them(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, modem="/dev/null")
    shown = sinyal("gpio", "test", "--config", str(gateway.config))
    assert shown.returncode == 2
    assert "gpio.adapter is empty" in shown.stderr
    assert "sinyal config set gpio.adapter" in shown.stderr


@pytest.mark.parametrize(
    ("lines", "mistake"),
    [
        ('led_power = "17"', "gpio.adapter: needed when a line is named"),
        (
            'adapter = "gpiozero"\nled_power = "17"\nrelay = "!17"',
            "gpio.relay: the line 17 is that of led_power",
        ),
        ('adapter = "kernel"\nled_power = "17"\nrelay = "gpiochip0:17"', "the line 17 is that of led_power"),
        ('adapter = "gpiozero"\nled_power = "led:green:wan"', "a line is a number of the BCM chip"),
        ('adapter = "kernel"\nrelay = "led:green:wan"', "a kernel LED serves for the lights only"),
        ('adapter = "pigpio"', "is not allowed, only"),
        ('adapter = "kernel"\nrelay = "17"\nrelay_off_s = 1', "a number from 3 to 120"),
    ],
)
def test_wiring_that_cannot_be_is_named_by_its_key(tmp_path: Path, lines: str, mistake: str) -> None:
    gateway = Gateway(tmp_path, modem="/dev/null", publish=f"\n[gpio]\n{lines}\n")
    shown = sinyal("config", "check", "--lang", "en", "--config", str(gateway.config))
    assert shown.returncode == 2
    assert mistake in shown.stderr
