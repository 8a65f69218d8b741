"""A box on a whole Debian, thrown away afterwards: installed, enrolled, upgraded, taken back, purged.

`make test` lays a folder over this machine's own Debian (overlayfs): quick, and nothing of it is changed.
`make test-platform` does the same in fresh ones that debootstrap makes: of this processor, and armhf under
qemu-user.
"""

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from agent.modem.simulator import Behaviour, SimulatedModem
from agent.modem.transcript import read_transcript
from provisioning.authority.folder import Authority
from provisioning.packaging.release_tree import PROJECT
from provisioning.packaging.reproducible import sha256_of
from provisioning.packaging.system_packages import make_deb
from tests.pipeline.whole_gateway import DEMO_TRANSCRIPT, wait_until
from tests.provisioning.conftest import Run
from tests.provisioning.release_box import DATE, archive_of
from tests.provisioning.test_broker import Broker, reader
from tests.support.programs import require

pytestmark = [pytest.mark.needs_root, pytest.mark.timeout(900)]

OLD, NEW, BAD = "0.1.1", "0.1.2", "0.1.3"

MAKE = """
set -e
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o lowerdir="$2",upperdir="$1/upper",workdir="$1/work" "$1/root"
for each in proc dev; do mount --rbind "/$each" "$1/root/$each"; done
mount -t tmpfs tmpfs "$1/root/run"
mkdir -p "$1/root/given" && mount --bind "$3" "$1/root/given"
grep -qs localhost "$1/root/etc/hosts" || echo 127.0.0.1 localhost >"$1/root/etc/hosts"
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


ARMHF = (
    rb":sinyal-armhf:M::\x7fELF\x01\x01\x01" + rb"\x00" * 9 + rb"\x02\x00\x28\x00"
    rb":" + rb"\xff" * 7 + rb"\x00" + rb"\xff" * 8 + rb"\xfe\xff\xff\xff:/usr/bin/qemu-arm-static:F"
)
"""What the kernel is told of ARM's programs. Source: qemu's own entry, and binfmt-misc.rst of Linux."""

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

    def begin(self, script: str) -> "subprocess.Popen[str]":
        """Start a shell script inside, in a process group of its own; both of its outputs are in stdout."""
        inside = ["nsenter", f"--mount=/proc/{self._holder.pid}/ns/mnt", "chroot", str(self.root)]
        return subprocess.Popen(
            [*inside, "sh", "-ec", script],
            env={
                "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive",
                "SINYAL_LANG": "en", "SINYAL_SERVICE": "/given/service",
                "SINYAL_TRIAL_S": "180", "SINYAL_LOOK_EVERY_S": "0.5",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )  # fmt: skip

    def run(self, script: str, *, is_wanted: bool = True) -> str:
        """Run a shell script inside; return both of its outputs."""
        running = self.begin(script)
        told, _ = running.communicate(timeout=600)
        assert not is_wanted or running.returncode == 0, told
        return told

    def cut_power_at(self, step: str, script: str) -> None:
        """Run a script that upgrades; when it says that it is at `step`, kill all, the agent too."""
        running = self.begin(script)
        assert running.stdout is not None
        with running.stdout:
            assert any(f"step {step}" in line for line in running.stdout)
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()
        self.run("kill -9 $(cat /run/service.pid)", is_wanted=False)


@pytest.fixture
def this_debian(tmp_path: Path) -> Iterator[Debian]:
    require("unshare", "nsenter", "chroot", "dpkg", "dpkg-deb", root=True)
    if not Path("/usr/bin/python3").exists():
        require("a python3 of Debian's own")
    debian = Debian(tmp_path, "/")
    yield debian
    debian.close()


@pytest.fixture
def armhf_runs() -> Iterator[None]:
    """Let this machine run programs of 32-bit ARM, as those Raspberry Pis do that have least memory."""
    require("qemu-arm-static", "mount", root=True)
    known = Path("/proc/sys/fs/binfmt_misc")
    if not (known / "register").exists():
        mounted = subprocess.run(["mount", "-t", "binfmt_misc", "binfmt_misc", known], check=False)
        if mounted.returncode != 0:
            pytest.skip("this kernel has no binfmt_misc: nothing of armhf can be run")
    if (known / "qemu-arm").exists():
        yield
        return
    (known / "register").write_bytes(ARMHF)
    yield
    (known / "sinyal-armhf").write_text("-1")


@pytest.fixture
def fresh_debian(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Debian]:
    require("unshare", "nsenter", "debootstrap", root=True)
    processor = getattr(request, "param", "")
    if processor == "armhf":
        request.getfixturevalue("armhf_runs")
    base = tmp_path / "base"
    # The mirror of this machine; where it names none, debootstrap knows one.
    mirrors = [
        line.split()[1]
        for file in sorted(Path("/etc/apt").rglob("*.sources"))
        for line in file.read_text().splitlines()
        if line.startswith("URIs:")
    ]
    release = re.search(r"VERSION_CODENAME=(\w+)", Path("/etc/os-release").read_text())
    assert release
    options = [
        "--variant=minbase",
        "--include=python3,openssl",
        *([f"--arch={processor}"] if processor else []),
    ]
    made = subprocess.run(
        ["debootstrap", *options, release[1], str(base), *mirrors[:1]],
        check=False,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert made.returncode == 0, made.stdout[-2000:]
    debian = Debian(tmp_path, str(base))
    yield debian
    debian.close()
    shutil.rmtree(base)


def give_packages(given: Path, work: Path) -> None:
    """Put an offline bundle of the old release into `given`, beside it two newer packages, one bad."""
    bundle = given / "bundle"
    bundle.mkdir()
    shutil.copy(PROJECT / "provisioning/bootstrap.sh", bundle)
    for version, fault, folder in ((OLD, "", bundle), (NEW, "", given), (BAD, "crashes", given)):
        scratch = work / f"deb-{version}"
        scratch.mkdir()
        make_deb(archive_of(version, fault), scratch, folder, version, DATE)
    lines = [f"{sha256_of(file)}  {file.name}\n" for file in sorted(bundle.iterdir())]
    (bundle / "SHA256SUMS").write_text("".join(lines))
    (given / "service").write_text(SERVICE)
    (given / "service").chmod(0o755)


class Province(NamedTuple):
    """The centre: its folder, its command, its authority and its broker as `broker render` writes it."""

    folder: Path
    provision: Run
    authority: Authority
    broker: Broker


@pytest.fixture
def centre(province: Path, provision: Run, authority: Authority) -> Iterator[Province]:
    broker = Broker(province / "broker", authority)
    broker.start()
    yield Province(province, provision, authority, broker)
    broker.kill()


def enrol(debian: Debian, centre: Province, modem: Path) -> None:
    """Set the box up from a stick, have its request signed at the centre, and bring it the certificate."""
    (centre.folder / "fleet.toml").write_text(
        f'[modem]\nport = "{modem}"\n[readings]\ninterval_s = 0.5\n'
        "[publish]\ninterval_s = 0\nstartup_delay_max_s = 0\n"
    )
    host = f"localhost:{centre.broker.port}"
    made = centre.provision(
        "gateway", "new", "gw-a", "--broker", host, "--settings", "fleet.toml", "--passphrase-file", "pw"
    )
    assert made.returncode == 0, made.stderr
    bundle = shutil.copytree(centre.folder / "bundles/gw-a", debian.given / "gw-a")
    set_up = "sh /given/bundle/bootstrap.sh --gateway /given/gw-a"

    would = debian.run(f"{set_up} --dry-run")
    assert "nothing was changed" in would
    assert debian.run("ls /opt/sinyal /etc/sinyal", is_wanted=False).count("No such file") == 2
    debian.run(set_up)
    signed = centre.provision("ca", "sign", str(bundle / "gw-a.csr"), "--passphrase-file", "pw")
    assert signed.returncode == 0, signed.stderr
    debian.run(set_up)
    assert "is installed already" in debian.run(set_up)


def live_through(debian: Debian, tmp_path: Path, centre: Province) -> None:
    """Install, enrol, publish, upgrade with the power cut at each step, go back, purge."""
    heard: list[bytes] = []

    def wait_for_more() -> None:
        had = len(heard)
        wait_until("more at the broker", lambda: len(heard) > had, 120)

    with (
        SimulatedModem(read_transcript(DEMO_TRANSCRIPT), Behaviour()) as modem,
        reader(centre.broker, centre.authority, tmp_path, heard) as listener,
    ):
        wait_until("the centre's reader", listener.is_connected, 60)
        listener.subscribe("desa/v1/gw-a/readings", qos=1)
        modem.path.chmod(0o666)
        give_packages(debian.given, tmp_path)
        before = debian.written()

        enrol(debian, centre, modem.path.resolve())
        debian.run("$SINYAL_SERVICE start")
        wait_for_more()
        assert debian.run("stat -c '%U %a' /etc/sinyal/tls/*.key /var/lib/sinyal/sinyal.db").split() == [
            "sinyal", "600", "sinyal", "640",
        ]  # fmt: skip

        for step in ("verify", "unpack", "self-test", "place", "swap", "restart"):
            debian.run(f"[ $(readlink /opt/sinyal/current) = releases/{OLD} ] || sinyal-release rollback")
            debian.cut_power_at(step, f"dpkg --force-unsafe-io -i /given/sinyal_{NEW}_all.deb")
            assert debian.run("sinyal --version") in (f"sinyal {OLD}\n", f"sinyal {NEW}\n")
            debian.run("$SINYAL_SERVICE start; sinyal-release resume", is_wanted=False)
            wait_for_more()
        # The last cut came after the swap: the trial went on, and dpkg only ends its own books.
        assert "state=healthy" in debian.run(
            "dpkg --force-unsafe-io --configure -a; cat /opt/sinyal/upgrade/result"
        )
        assert debian.run("sinyal --version") == f"sinyal {NEW}\n"

        assert "newer than" in debian.run("sh /given/bundle/bootstrap.sh")
        assert debian.run("sinyal --version") == f"sinyal {NEW}\n"

        debian.run(f"SINYAL_TRIAL_S=2 dpkg --force-unsafe-io -i /given/sinyal_{BAD}_all.deb")
        wait_until("the decision", lambda: "trial" not in debian.run("ls /opt/sinyal/upgrade"), 240)
        assert "state=rolled_back" in debian.run("cat /opt/sinyal/upgrade/result")
        assert debian.run("sinyal --version") == f"sinyal {NEW}\n"
        status = json.loads(debian.run("sinyal status --json", is_wanted=False))
        assert "upgrade_rolled_back" in status["problems"]
        wait_for_more()

        debian.run("$SINYAL_SERVICE stop; dpkg --force-unsafe-io --purge sinyal")
        assert debian.written() - before == set()
        assert "sinyal" not in debian.run("cat /etc/passwd /etc/group")


def test_a_box_lives_through_enrolment_upgrade_power_cuts_rollback_and_purge(
    this_debian: Debian, tmp_path: Path, centre: Province
) -> None:
    live_through(this_debian, tmp_path, centre)


@pytest.mark.platform
@pytest.mark.parametrize("fresh_debian", ["", "armhf"], ids=["own", "armhf"], indirect=True)
def test_it_does_so_in_a_fresh_debian(fresh_debian: Debian, tmp_path: Path, centre: Province) -> None:
    live_through(fresh_debian, tmp_path, centre)
