"""Runs inside the emulated Raspberry Pi: the real bcm2835 lines, by the adapter that a gateway uses."""

import re
import subprocess
import sys
import time
from pathlib import Path

from agent.errors import SinyalError
from firmware_hooks.gpio.adapters import open_adapter
from firmware_hooks.gpio.lines import Line, parse_line

RUNTIME = Path("/run/sinyal")
LINES = Path("/sys/kernel/debug/gpio")


def saw(name: str, text: object) -> None:
    """Print one finding as the test reads it."""
    print("SAW", name, text, flush=True)


def kernel_says(number: int) -> str:
    """Return what the kernel tells of a line: "out hi", "in lo", or "free" when nobody holds it."""
    chip = LINES.read_text().split("gpiochip0", 1)[1].split("gpiochip", 1)[0]
    base = int(re.findall(r"GPIOs (\d+)-", chip)[0])
    found = re.search(rf"gpio-{base + number}\b[^|]*\|([^)]*)\)\s*(in|out)\s+(hi|lo)", chip)
    return f"{found[2]} {found[3]}" if found else "free"


def main() -> None:
    """Drive a relay, watch an input, meet another program's line, and die in the middle of a cut."""
    saw("board", Path("/proc/device-tree/model").read_text().strip("\0"))
    adapter = open_adapter("gpiozero", RUNTIME)
    relay = adapter.output(parse_line("17"))
    levels = [kernel_says(17)]
    for active in (True, False):
        relay.write(active)
        levels.append(kernel_says(17))
    saw("relay", levels)
    turned = adapter.output(parse_line("!5"))
    levels = [kernel_says(5)]
    turned.write(True)
    saw("active-low", [*levels, kernel_says(5)])
    button = adapter.input(Line("gpiochip0", "22", False), lambda _active, _at: None)
    saw("input", (button.read(), kernel_says(22)))
    buzzer = adapter.sounder(parse_line("18"))
    buzzer.sound(1000)
    saw("buzzer", kernel_says(18).split()[0])
    buzzer.close()
    saw("pipe", sorted(path.name[:4] for path in RUNTIME.iterdir()))

    other = [
        sys.executable,
        "-m",
        "firmware_hooks.gpio.hold_relay",
        "gpiozero",
        "17",
        "3",
        "/run/sinyal",
        "en",
    ]
    refused = subprocess.run(other, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    saw("second", (refused.returncode, "cannot be used" in refused.stderr))

    # The test's own process dies: the one that holds the relay gives it back.
    other[4] = "27"
    holder = subprocess.Popen(other, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdin and holder.stdout
    saw("holder", (holder.stdout.readline().strip(), kernel_says(27)))
    holder.kill()
    holder.wait()
    time.sleep(0.2)
    saw("dead", kernel_says(27))

    adapter.close()
    Path("/site/lgpio.py").rename("/site/elsewhere.py")
    bare = subprocess.run(other, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    saw("fallback", "lgpio is not installed" in bare.stderr)


try:
    main()
except SinyalError as fault:
    saw("trouble", fault.what)
