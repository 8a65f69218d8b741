"""Cuts the modem's power for some seconds on behalf of `sinyal gpio test`, and survives it.

A process of its own in a session of its own: when the test is interrupted, its terminal vanishes or it is
killed, the pipe from it ends, and the power comes back at once; and in any case after `seconds`.
    python -m firmware_hooks.gpio.hold_relay ADAPTER LINE SECONDS RUNTIME LANGUAGE
"""

import select
import signal
import sys
from pathlib import Path

from agent.errors import SinyalError
from agent.language import use_language
from firmware_hooks.gpio.adapters import open_adapter
from firmware_hooks.gpio.lines import parse_line

MAX_S = 120.0


def main(arguments: list[str]) -> int:
    """Cut, wait, and give the power back; return the exit code."""
    name, line, seconds, runtime, language = arguments
    use_language(language)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    try:
        adapter = open_adapter(name, Path(runtime))
        relay = adapter.output(parse_line(line))
    except SinyalError as fault:
        print(f"{fault.what}\n{fault.next_step}", file=sys.stderr)
        return fault.exit_code
    try:
        relay.write(True)
        print("cut", flush=True)
        # Anything from the test, its end included, ends the cut.
        select.select([sys.stdin], [], [], min(float(seconds), MAX_S))
    except OSError:  # the test has gone between the two lines above
        return 0
    finally:
        relay.write(False)
        relay.close()
        adapter.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
