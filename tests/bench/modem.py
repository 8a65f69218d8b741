"""What reading a modem costs: CPU a poll, microseconds an answer, and memory over ten thousand polls.

The modem is a transcript on a pseudo-terminal, in a process of its own. The floor beside the poll is
a bare pyserial loop that sends the same commands and reads until the final result.
"""

import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import serial

from agent.modem.at_reply import LineSplitter, Reply, read_final_result
from agent.modem.dialect import read_answer
from agent.modem.dialects import FAMILIES, load_dialect
from agent.modem.poll import ModemPoller
from agent.modem.simulator import SimulatedModem
from agent.modem.transcript import command_key, read_transcript
from tests.bench.line import Line

TRANSCRIPT = Path(__file__).parents[1] / "transcripts" / "quectel_ec2x" / "weak_cell" / "conversation.txt"
FAMILY = "Quectel EC2x, EG2x, EG9x, Exx06"
WARM_POLLS = 20
TIMED_POLLS = 100
ALL_POLLS = 10_000
SETTLED_AFTER = 200
LIMIT_S = 40.0
"""On a slow machine fewer polls are taken, and the line says how many."""

LIMIT_RSS_MB = 1.0
PARSED_ANSWERS = 20_000


def run() -> list[Line]:
    """Poll a simulated modem."""
    context = multiprocessing.get_context("spawn")
    near, far = context.Pipe()
    modem = context.Process(target=_serve, args=(far,), daemon=True)
    modem.start()
    try:
        port = near.recv()
        poller = ModemPoller(port, sim_pin="", memory_file=None)
        for _poll in range(WARM_POLLS):
            poller.collect()
        commands = _commands_of_a_poll(near, poller)
        ours_ms = _cpu_ms(poller.collect)
        memory = _memory_line(poller)
        poller.close()
        floor_ms = _floor_ms(port, commands)
    finally:
        near.send(None)
        modem.join(5)
        modem.kill()
    poll = Line(
        f"CPU of one poll, {len(commands)} commands",
        f"{ours_ms:.2f} ms",
        f"{floor_ms:.2f} ms, bare pyserial",
        f"{ours_ms / floor_ms:.1f}",
    )
    return [poll, _parser_line(), memory]


def _serve(pipe: Connection) -> None:
    """Be the modem; answer each request with the commands heard since the last, None ends it."""
    with SimulatedModem(read_transcript(TRANSCRIPT)) as modem:
        pipe.send(str(modem.path))
        while pipe.recv() is not None:
            pipe.send(list(modem.heard))
            modem.heard.clear()


def _commands_of_a_poll(modem: Connection, poller: ModemPoller) -> list[str]:
    modem.send("forget")
    modem.recv()
    poller.collect()
    modem.send("tell")
    heard: list[str] = modem.recv()
    return heard


def _cpu_ms(poll: Callable[[], object]) -> float:
    begun_s = time.process_time()
    for _poll in range(TIMED_POLLS):
        poll()
    return (time.process_time() - begun_s) / TIMED_POLLS * 1000


def _floor_ms(port: str, commands: Sequence[str]) -> float:
    """Ask the same in the least code that works: any line that is a final result ends an answer."""
    with serial.Serial(port, 115200, timeout=3, exclusive=True) as line:

        def ask_all() -> None:
            for command in commands:
                line.write(command.encode() + b"\r")
                while line.read_until(b"\r\n").strip() not in (b"OK", b"ERROR"):
                    pass

        ask_all()
        return _cpu_ms(ask_all)


def _memory_line(poller: ModemPoller) -> Line:
    ends_at = time.monotonic() + LIMIT_S
    first_mb = last_mb = 0.0
    polls = 0
    while polls < ALL_POLLS and time.monotonic() < ends_at:
        poller.collect()
        polls += 1
        if polls == SETTLED_AFTER:
            first_mb = _rss_mb()
    last_mb = _rss_mb()
    grown_mb = last_mb - first_mb
    return Line(
        f"RSS growth over {polls:,} polls",
        f"{grown_mb:+.2f} MB",
        f"{first_mb:.1f} to {last_mb:.1f} MB",
        limit=f"±{LIMIT_RSS_MB:.0f} MB",
        missed=polls <= SETTLED_AFTER or abs(grown_mb) > LIMIT_RSS_MB,
    )


def _rss_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024 / 1024


def _parser_line() -> Line:
    """Time a serving-cell answer from bytes to fields, beside splitting it at its commas."""
    query = load_dialect(next(family for family in FAMILIES if family.dialect == FAMILY)).queries[0]
    answer = b"".join(read_transcript(TRANSCRIPT).answers[command_key(query.command)][0].pieces)

    def parse() -> object:
        lines = [line for line in LineSplitter().feed(answer) if read_final_result(line) is None]
        return read_answer(query, Reply(query.command, tuple(lines), None).answers(*query.prefixes), None)

    def split() -> object:
        return [line.split(",") for line in answer.decode().split("\r\n") if line]

    assert parse(), "the answer must give fields"
    ours_us, floor_us = _us(parse), _us(split)
    return Line(
        f"parsing {query.command}",
        f"{ours_us:.1f} µs",
        f"{floor_us:.1f} µs, split at commas only",
        f"{ours_us / floor_us:.0f}",
    )


def _us(parse: Callable[[], object]) -> float:
    begun_s = time.process_time()
    for _answer in range(PARSED_ANSWERS):
        parse()
    return (time.process_time() - begun_s) / PARSED_ANSWERS * 1e6
