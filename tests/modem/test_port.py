"""Ports that are missing, held, forbidden, stolen or pulled out, on real pseudo-terminals."""

import fcntl
import os
import pty
import subprocess
import sys
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.language import use_language
from agent.modem.port import PortBusy, PortForbidden, PortLost, PortMissing, PortStuck, SerialPort, holders
from agent.modem.simulator import Behaviour, SimulatedModem
from agent.modem.transcript import parse_transcript

TALK = parse_transcript("> AT+CSQ\n< +CSQ: 20,99\n< OK\n")

HOLDER = """
import fcntl, os, sys, time
fd = os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY)
if sys.argv[2] == "lock":
    fcntl.flock(fd, fcntl.LOCK_EX)
print("ready", flush=True)
time.sleep(60)
"""


@contextmanager
def held_port(path: Path, how: str) -> Iterator["subprocess.Popen[str]"]:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path), how], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None and holder.stdout.readline() == "ready\n"
    try:
        yield holder
    finally:
        holder.kill()
        holder.communicate()


def read_to_the_end(port: SerialPort) -> None:
    while True:
        port.read(5)


def test_missing_port_is_named() -> None:
    with pytest.raises(PortMissing, match="/dev/ttyNOSUCH9") as caught:
        SerialPort("/dev/ttyNOSUCH9")
    assert "modem find" in caught.value.next_step


@pytest.mark.parametrize("kind", ["folder", "file", "fifo", "dangling link", "null character", "/dev/null"])
def test_what_is_no_serial_port_is_not_opened(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "port"
    match kind:
        case "folder":
            path.mkdir()
        case "file":
            path.write_text("AT")
        case "fifo":
            os.mkfifo(path)
        case "dangling link":
            path.symlink_to(tmp_path / "gone")
        case "null character":
            path = Path("/dev/tty\0USB")
        case _:
            path = Path(kind)
    with pytest.raises(PortMissing):
        SerialPort(str(path))


@pytest.mark.parametrize("how", ["lock", "no lock"])
def test_a_held_port_names_who_holds_it(how: str) -> None:
    with SimulatedModem(TALK) as modem, held_port(modem.path, how) as holder:
        with pytest.raises(PortBusy, match=str(holder.pid)) as caught:
            SerialPort(str(modem.path))
        assert "python" in caught.value.what
        assert [one.pid for one in holders(str(modem.path))] == [holder.pid]
    assert holders(str(modem.path)) == ()


def test_a_second_opener_is_kept_out() -> None:
    with SimulatedModem(TALK) as modem:
        port = SerialPort(str(modem.path))
        with pytest.raises(PortBusy):
            SerialPort(str(modem.path))
        port.close()
        SerialPort(str(modem.path)).close()


def test_the_program_behind_a_pseudo_terminal_does_not_count_as_holder() -> None:
    code = "import os,pty,sys,time\nm,s=pty.openpty()\nprint(os.ttyname(s),flush=True)\ntime.sleep(60)"
    simulator = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert simulator.stdout is not None
    path = simulator.stdout.readline().strip()
    try:
        SerialPort(path).close()
    finally:
        simulator.kill()
        simulator.communicate()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can drop its rights to be refused")
def test_a_port_of_other_users_says_which_group_is_missing() -> None:
    master, slave = pty.openpty()
    path = os.ttyname(slave)
    Path(path).chmod(0o600)
    use_language("en")  # loads what an ordinary user may not read here
    os.seteuid(65534)
    try:
        with pytest.raises(PortForbidden) as caught:
            SerialPort(path)
    finally:
        os.seteuid(0)
        os.close(master)
        os.close(slave)
    assert (caught.value.exit_code, "dialout" in caught.value.next_step) == (3, True)


def test_a_port_pulled_out_while_reading_is_lost_not_a_crash() -> None:
    with SimulatedModem(TALK, Behaviour(unplug_after=0)) as modem:
        port = SerialPort(str(modem.path))
        port.write(b"AT+CSQ\r")
        with pytest.raises(PortLost):
            read_to_the_end(port)
        with pytest.raises(PortLost):
            port.write(b"AT\r")
        port.close()
        port.close()


def test_a_modem_that_takes_no_bytes_is_stuck_within_seconds() -> None:
    master, slave = pty.openpty()
    tty.setraw(slave)
    port = SerialPort(os.ttyname(slave))
    began = time.monotonic()
    with pytest.raises(PortStuck):
        port.write(b"x" * 4096 * 200)
    assert time.monotonic() - began < 6
    began = time.monotonic()
    port.close()
    assert time.monotonic() - began < 2
    os.close(master)
    os.close(slave)


def test_reading_waits_no_longer_than_told_and_can_be_given_up() -> None:
    master, slave = pty.openpty()
    tty.setraw(slave)
    port = SerialPort(os.ttyname(slave))
    began = time.monotonic()
    assert port.read(0.1) == b""
    assert time.monotonic() - began < 1
    port.give_up()
    with pytest.raises(PortLost):
        port.read(30)
    assert time.monotonic() - began < 3
    port.close()
    os.close(master)
    os.close(slave)


def test_the_lock_goes_with_the_process_that_held_it() -> None:
    with SimulatedModem(TALK) as modem:
        with held_port(modem.path, "lock"):
            pass
        port = SerialPort(str(modem.path))
        other = os.open(modem.path, os.O_RDWR | os.O_NOCTTY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(other)
        port.close()
