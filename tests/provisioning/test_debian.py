"""The .deb on a whole Debian, thrown away afterwards: installed, at work, upgraded, taken back, purged.

`make test` lays a folder over this machine's own Debian (overlayfs): quick, and nothing of it is changed.
`make test-platform` does the same in a fresh one that debootstrap makes.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.modem.simulator import Behaviour, SimulatedModem
from agent.modem.transcript import read_transcript
from provisioning.packaging.system_packages import make_deb
from tests.faults.campaigns import require
from tests.pipeline.whole_gateway import DEMO_TRANSCRIPT, wait_until
from tests.provisioning.release_box import DATE, archive_of
from tests.support.listener import Listener
from tests.support.mosquitto import Mosquitto
from tests.wire.independent_decoder import decode

pytestmark = [pytest.mark.needs_root, pytest.mark.timeout(900)]

OLD, NEW = "0.1.1", "0.1.2"

MAKE = """
set -e
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o lowerdir="$2",upperdir="$1/upper",workdir="$1/work" "$1/root"
for each in proc dev; do mount --rbind "/$each" "$1/root/$each"; done
mount -t tmpfs tmpfs "$1/root/run"
mkdir -p "$1/root/given" && mount --bind "$3" "$1/root/given"
echo ready
read -r _end
"""
"""Runs in a mount namespace of its own: when it ends, everything it mounted is gone."""

SERVICE = """#!/bin/sh
# Stands in for the service manager that a chroot does not have.
pid=$(cat /run/service.pid 2>/dev/null)
if [ "$1" != start ] && [ -n "$pid" ]; then
  kill "$pid" 2>/dev/null
  while [ -d "/proc/$pid" ] && ! grep -q 'State:.Z' "/proc/$pid/status"; do sleep 0.1; done
fi
[ "$1" = stop ] && exit 0
install -d -o sinyal -g sinyal /run/sinyal
exec </dev/null >>/run/agent.log 2>&1
setsid setpriv --reuid sinyal --regid sinyal --init-groups /opt/sinyal/current/bin/sinyal run &
echo $! >/run/service.pid
"""


KEPT = re.compile(
    r"(var/(lib/dpkg|log|cache|backups)|etc/(passwd|group|g?shadow|subuid|subgid)-?$|etc/\.pwd|tmp|root)"
)
"""What may differ after a purge: dpkg's books, logs, and the lists of users (looked at by themselves)."""


class Debian:
    """A system in a chroot of its own mount namespace."""

    def __init__(self, folder: Path, below: str) -> None:
        self.given = folder / "given"
        self.given.mkdir()
        scratch = folder / "scratch"
        scratch.mkdir()
        self.root = scratch / "root"
        self._holder = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", MAKE, "sh", scratch, below, self.given],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == "ready\n"

    def close(self) -> None:
        """Kill what still runs in it and let it go."""
        self.run("kill $(cat /run/service.pid) 2>/dev/null; true", is_wanted=False)
        self._holder.communicate("\n", timeout=60)

    def written(self) -> set[str]:
        """Return every file that was written since it was made, outside of logs and dpkg's own books."""
        told = subprocess.run(
            [
                "nsenter",
                f"--mount=/proc/{self._holder.pid}/ns/mnt",
                "find",
                str(self.root.parent / "upper"),
                "-type",
                "f,l",
                "-printf",
                "%P\\n",
            ],
            cwd="/",
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        return {path for path in told.splitlines() if not KEPT.match(path)}

    def run(self, script: str, *, is_wanted: bool = True) -> str:
        """Run a shell script inside; return both of its outputs."""
        command = [
            "nsenter",
            f"--mount=/proc/{self._holder.pid}/ns/mnt",
            "chroot",
            self.root,
            "sh",
            "-ec",
            script,
        ]
        done = subprocess.run(
            [*map(str, command)],
            env={
                "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive",
                "SINYAL_LANG": "en", "SINYAL_SERVICE": "/given/service",
                "SINYAL_TRIAL_S": "180", "SINYAL_LOOK_EVERY_S": "0.5",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=240,
        )  # fmt: skip
        assert not is_wanted or done.returncode == 0, done.stdout
        return done.stdout


@pytest.fixture
def this_debian(tmp_path: Path) -> Iterator[Debian]:
    require("unshare", "nsenter", "chroot", "dpkg", "dpkg-deb", root=True)
    if not Path("/usr/bin/python3").exists():
        require("a python3 of Debian's own")
    debian = Debian(tmp_path, "/")
    yield debian
    debian.close()


@pytest.fixture
def fresh_debian(tmp_path: Path) -> Iterator[Debian]:
    require("unshare", "nsenter", "debootstrap", root=True)
    base = tmp_path / "base"
    source = next(
        line.split()[1]
        for file in sorted(Path("/etc/apt").rglob("*.sources"))
        for line in file.read_text().splitlines()
        if line.startswith("URIs:")
    )
    release = re.search(r"VERSION_CODENAME=(\w+)", Path("/etc/os-release").read_text())
    assert release
    subprocess.run(
        ["debootstrap", "--variant=minbase", "--include=python3,openssl", release[1], str(base), source],
        check=True,
        capture_output=True,
    )
    debian = Debian(tmp_path, str(base))
    yield debian
    debian.close()
    shutil.rmtree(base)


def package(folder: Path, version: str, fault: str = "") -> Path:
    """Return a .deb of a release, which may be a bad one."""
    work, target = folder / f"work-{version}{fault}", folder / f"made-{version}{fault}"
    work.mkdir()
    target.mkdir()
    return make_deb(archive_of(version, fault), work, target, version, DATE)


def live_through(debian: Debian, tmp_path: Path, broker: Mosquitto) -> None:
    """Install, publish, upgrade, go back, purge."""
    with (
        SimulatedModem(read_transcript(DEMO_TRANSCRIPT), Behaviour()) as modem,
        Listener(broker.port) as listener,
    ):
        for version, fault in ((OLD, ""), (NEW, ""), ("0.1.3", "crashes")):
            made = package(tmp_path, version, fault)
            shutil.copy(made, debian.given / f"{version}.deb")
        service = debian.given / "service"
        service.write_text(SERVICE)
        service.chmod(0o755)
        modem.path.chmod(0o666)
        before = debian.written()

        debian.run(f"dpkg --force-unsafe-io -i /given/{OLD}.deb")
        debian.run(
            "sinyal config set gateway.id gw-test broker.host 127.0.0.1"
            f" broker.port {broker.port} modem.port {os.path.realpath(modem.path)}"
            " readings.interval_s 0.5 publish.interval_s 0 publish.startup_delay_max_s 0"
        )
        debian.run("$SINYAL_SERVICE start")
        wait_until("readings at the broker", lambda: bool(rows_in(listener)), 90)
        assert debian.run("stat -c '%U %a' /var/lib/sinyal/sinyal.db /etc/sinyal/sinyal.toml").split() == [
            "sinyal", "640", "root", "640",
        ]  # fmt: skip

        debian.run(f"dpkg --force-unsafe-io -i /given/{NEW}.deb")
        wait_until("the decision", lambda: "trial" not in debian.run("ls /opt/sinyal/upgrade"), 240)
        assert "state=healthy" in debian.run("cat /opt/sinyal/upgrade/result")
        assert debian.run("sinyal --version") == f"sinyal {NEW}\n"

        debian.run("SINYAL_TRIAL_S=4 dpkg --force-unsafe-io -i /given/0.1.3.deb")
        wait_until("the decision", lambda: "trial" not in debian.run("ls /opt/sinyal/upgrade"), 240)
        assert debian.run("sinyal --version") == f"sinyal {NEW}\n"
        status = json.loads(debian.run("sinyal status --json", is_wanted=False))
        assert "upgrade_rolled_back" in status["problems"]
        sent = len(rows_in(listener))
        wait_until("readings of the release that is back", lambda: len(rows_in(listener)) > sent, 90)

        debian.run("$SINYAL_SERVICE stop; dpkg --purge sinyal")
        assert debian.written() - before == set()
        assert "sinyal" not in debian.run("cat /etc/passwd /etc/group")


def rows_in(listener: Listener) -> list[object]:
    return [row for heard in listener.heard("/readings") for row in decode(heard.payload)]


def test_a_package_lives_through_install_upgrade_rollback_and_purge(
    this_debian: Debian, tmp_path: Path, broker: Mosquitto
) -> None:
    live_through(this_debian, tmp_path, broker)


@pytest.mark.platform
def test_it_does_so_in_a_fresh_debian(fresh_debian: Debian, tmp_path: Path, broker: Mosquitto) -> None:
    live_through(fresh_debian, tmp_path, broker)
