"""bootstrap.sh under dash and busybox ash, with stand-ins for the programs that would change the machine."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from provisioning.packaging.release_tree import PROJECT
from provisioning.packaging.reproducible import write_hash_list, write_tar_gz
from tests.provisioning.conftest import Run

SCRIPT = PROJECT / "provisioning" / "bootstrap.sh"

SHELLS = [shell for shell in ("dash", "busybox ash") if shutil.which(shell.split()[0])]

STANDINS = ("uci", "dpkg", "opkg", "apt-get", "systemctl", "chgrp")

Answer = subprocess.CompletedProcess[str]


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest) -> list[str]:
    return str(request.param).split()


class Machine:
    """A whole system in a folder; what would be installed is written into `calls`."""

    def __init__(self, folder: Path, shell: list[str], system: str) -> None:
        self.folder = folder
        self.shell = shell
        self.calls = folder / "calls"
        self.root = folder / "root"
        (self.root / "etc").mkdir(parents=True)
        (self.root / "etc" / {"debian": "debian_version", "openwrt": "openwrt_release"}[system]).touch()
        if system == "debian":
            (self.root / "run/systemd/system").mkdir(parents=True)
        else:
            self._program(self.root / "etc/init.d/sinyal", f'echo "init.d $*" >>{self.calls}')
        for name in STANDINS:
            self._program(folder / "bin" / name, f'echo "{name} $*" >>{self.calls}')
        self._program(folder / "bin/id", "echo 0")
        self.is_installed("")

    def is_installed(self, version: str) -> None:
        """Let the package managers say that this version is installed, "" for none."""
        self._program(
            self.folder / "bin/dpkg-query", f'[ -z "{version}" ] || echo "install ok installed {version}"'
        )
        listed = f'[ -z "{version}" ] || echo "sinyal - {version}"'
        self._program(
            self.folder / "bin/opkg",
            f'if [ "$1" = list-installed ]; then {listed}; else echo "opkg $*" >>{self.calls}; fi',
        )

    def bootstrap(self, *arguments: str | Path, script: Path = SCRIPT) -> Answer:
        return subprocess.run(
            [*self.shell, str(script), *map(str, arguments)],
            env={
                **os.environ,
                "PATH": f"{self.folder}/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "SINYAL_PREFIX": str(self.root),
                "SINYAL_LANG": "en",
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def called(self) -> list[str]:
        return self.calls.read_text().splitlines() if self.calls.exists() else []

    def _program(self, path: Path, body: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Give an unpacked bundle whose packages hold nothing."""
    folder = tmp_path / "stick" / "sinyal-0.1.0"
    folder.mkdir(parents=True)
    for name in ("sinyal_0.1.0_all.deb", "sinyal_0.1.0-r1_all.ipk"):
        (folder / name).write_text(name)
    shutil.copy(SCRIPT, folder / "bootstrap.sh")
    write_hash_list(folder)
    return folder


@pytest.fixture
def gateway(tmp_path: Path) -> Path:
    folder = tmp_path / "gw-7"
    folder.mkdir()
    (folder / "install.sh").write_text(
        "set -eu\n"
        '[ "${3:-}" = --dry-run ] && { echo "would be gw-7"; exit 0; }\n'
        'mkdir -p "$2"; echo gw-7 >"$2/sinyal.toml"; echo request >"$(dirname "$0")/gw-7.csr"\n'
    )
    return folder


def test_debian_is_set_up_from_a_stick_and_a_second_run_changes_nothing(
    tmp_path: Path, shell: list[str], bundle: Path, gateway: Path
) -> None:
    machine = Machine(tmp_path, shell, "debian")

    first = machine.bootstrap("--gateway", gateway, script=bundle / "bootstrap.sh")

    assert first.returncode == 0, first.stderr
    assert machine.called()[0] == f"dpkg -i {bundle}/sinyal_0.1.0_all.deb"
    assert "systemctl restart sinyal.service" in machine.called()
    assert (machine.root / "etc/sinyal/sinyal.toml").read_text() == "gw-7\n"

    machine.is_installed("0.1.0")
    machine.calls.unlink()
    again = machine.bootstrap("--gateway", gateway, script=bundle / "bootstrap.sh")

    assert again.returncode == 0
    assert "installed already" in again.stdout
    assert machine.called() == ["systemctl enable --quiet sinyal.service", "systemctl start sinyal.service"]


def test_openwrt_is_set_up_from_a_packed_bundle(
    tmp_path: Path, shell: list[str], bundle: Path, gateway: Path
) -> None:
    machine = Machine(tmp_path, shell, "openwrt")
    packed = tmp_path / "sinyal-0.1.0-offline.tar.gz"
    write_tar_gz(bundle, packed, 0, below="sinyal-0.1.0")

    done = machine.bootstrap("--offline", packed, "--gateway", gateway)

    assert done.returncode == 0, done.stderr
    installed, *others = machine.called()
    assert installed.startswith("opkg install ")
    assert installed.endswith("/sinyal_0.1.0-r1_all.ipk")
    assert "init.d restart" in others
    # The package comes switched off.
    assert others.index("uci commit sinyal") < others.index("init.d restart")
    assert (machine.root / "etc/sinyal/sinyal.toml").exists()


def test_a_dry_run_tells_everything_and_does_nothing(
    tmp_path: Path, shell: list[str], bundle: Path, gateway: Path
) -> None:
    machine = Machine(tmp_path, shell, "debian")

    told = machine.bootstrap("--dry-run", "--offline", bundle, "--gateway", gateway)

    assert told.returncode == 0
    for part in ("would run: dpkg -i", "would be gw-7", "would run: systemctl", "nothing was changed"):
        assert part in told.stdout
    assert machine.called() == []
    assert not (machine.root / "etc/sinyal").exists()


def test_a_tampered_bundle_and_a_folder_that_is_no_gateways_are_refused(
    tmp_path: Path, shell: list[str], bundle: Path, gateway: Path
) -> None:
    machine = Machine(tmp_path, shell, "debian")
    (gateway / "install.sh").unlink()
    refused_gateway = machine.bootstrap("--offline", bundle, "--gateway", gateway)
    (bundle / "sinyal_0.1.0_all.deb").write_text("something else")
    machine.calls.unlink()

    refused = machine.bootstrap("--offline", bundle)

    assert (refused.returncode, refused_gateway.returncode) == (1, 2)
    assert "tampered" in refused.stderr
    assert "no bundle of a gateway" in refused_gateway.stderr
    assert machine.called() == []


def test_a_gateways_bundle_and_the_programs_bundle_find_each_other(
    tmp_path: Path, shell: list[str], bundle: Path, province: Path, provision: Run
) -> None:
    """Either script may be started: bootstrap.sh with the gateway's folder, or install.sh."""
    new = ("gateway", "new", "gw-a", "--broker", "broker.example", "--passphrase-file", "pw")
    assert provision(*new, "--out", str(bundle.parent)).returncode == 0
    gateway = bundle.parent / "gw-a"
    agent = f'PYTHONPATH={PROJECT} exec {sys.executable} -m agent "$@"'
    machine = Machine(tmp_path, shell, "debian")
    # dpkg "installs" the program.
    machine._program(tmp_path / "agent", agent)
    machine._program(
        tmp_path / "bin/dpkg", f'echo "dpkg $*" >>{machine.calls}; cp {tmp_path}/agent {tmp_path}/bin/sinyal'
    )

    done = machine.bootstrap("--etc", machine.root / "etc/sinyal", script=gateway / "install.sh")

    assert done.returncode == 0, done.stderr
    assert "service sinyal restart" in done.stdout
    assert any(call.startswith("dpkg -i ") for call in machine.called())
    request = (gateway / "gw-a.csr").read_bytes()
    assert (machine.root / "etc/sinyal/sinyal.toml").stat().st_mode & 0o777 == 0o640

    machine.is_installed("0.1.0")
    machine.calls.unlink()
    again = machine.bootstrap("--gateway", gateway, script=bundle / "bootstrap.sh")

    assert again.returncode == 0, again.stderr
    assert "next step: service" not in again.stdout
    assert (gateway / "gw-a.csr").read_bytes() == request
    assert machine.called() == [
        "systemctl enable --quiet sinyal.service",
        "systemctl start sinyal.service",
    ]


def test_a_gateway_that_holds_a_key_takes_only_signed_bundles(
    tmp_path: Path, shell: list[str], bundle: Path
) -> None:
    machine = Machine(tmp_path, shell, "debian")
    key, public = tmp_path / "key.pem", machine.root / "etc/sinyal/release.pub"
    public.parent.mkdir()
    for command in (
        f"openssl ecparam -name prime256v1 -genkey -noout -out {key}",
        f"openssl ec -in {key} -pubout -out {public}",
    ):
        subprocess.run(command.split(), check=True, capture_output=True)

    unsigned = machine.bootstrap("--offline", bundle)
    sums = bundle / "SHA256SUMS"
    subprocess.run(["openssl", "dgst", "-sha256", "-sign", key, "-out", f"{sums}.sig", sums], check=True)
    signed = machine.bootstrap("--offline", bundle)

    assert (unsigned.returncode, signed.returncode) == (1, 0), signed.stderr
    assert "not signed" in unsigned.stderr


def test_over_ssh_the_same_script_goes_on_there(
    tmp_path: Path, shell: list[str], bundle: Path, gateway: Path
) -> None:
    machine = Machine(tmp_path, shell, "debian")
    # What would run on the other box runs here: it reads the stream and starts the script that came in it.
    machine._program(tmp_path / "bin/ssh", f'echo "ssh $1" >>{machine.calls}; exec {" ".join(shell)} -c "$2"')

    done = machine.bootstrap("--to", "pi@192.0.2.7", "--offline", bundle, "--gateway", gateway)

    assert done.returncode == 0, done.stderr
    assert machine.called()[0] == "ssh pi@192.0.2.7"
    assert any(call.startswith("dpkg -i ") for call in machine.called())
    assert (machine.root / "etc/sinyal/sinyal.toml").exists()


def test_a_bundle_of_the_centre_installs_itself_and_its_request_comes_back(
    tmp_path: Path, shell: list[str], bundle: Path, gateway: Path
) -> None:
    machine = Machine(tmp_path, shell, "debian")
    home = tmp_path / "home"
    home.mkdir()
    machine._program(tmp_path / "bin/ssh", f'export HOME={home}; exec {" ".join(shell)} -c "$2"')
    done = machine.bootstrap("--to", "pi@192.0.2.7", "--offline", bundle, "--gateway", gateway)

    assert done.returncode == 0, done.stderr
    assert (gateway / "gw-7.csr").read_text() == "request\n"


@pytest.mark.parametrize(
    "arguments", [["--offline"], ["--what"], ["--offline", "/no/such"], ["--to", "-oProxy=x"]]
)
def test_a_mistake_is_one_line_with_a_next_step(
    tmp_path: Path, shell: list[str], arguments: list[str]
) -> None:
    machine = Machine(tmp_path, shell, "debian")

    refused = machine.bootstrap(*arguments)

    assert refused.returncode == 2
    assert len(refused.stderr.splitlines()) == 1
    assert machine.called() == []
