"""What `make dist` makes: whole, the same twice, and nothing in it that should stay at home."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from agent import __version__
from provisioning.packaging.__main__ import make_everything
from tests.support.programs import require

VERSION = __version__

CHECK_CONFIGURATION = """
import sys
sys.path.insert(0, sys.argv[1])
import agent.pipeline.daemon
from agent.cli.main import main
sys.exit(main(["config", "check", "--config", sys.argv[2]]))
"""


USER_FUNCTIONS = """
group_exists() { grep -q "^$1:" /etc/group; }
user_exists() { grep -q "^$1:" /etc/passwd; }
group_add() { echo "$1:x:$2:" >>/etc/group; }
user_add() { echo "$1:x:$2:$3:$4:$5:$6" >>/etc/passwd; }
"""
"""As OpenWrt's /lib/functions.sh has them."""


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    make_everything(folder)
    return folder


def test_two_builds_are_the_same_bytes(dist: Path, tmp_path: Path) -> None:
    make_everything(tmp_path)

    names = {str(path.relative_to(dist)) for path in dist.rglob("*") if path.is_file()}
    assert names == {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    different = [name for name in names if (dist / name).read_bytes() != (tmp_path / name).read_bytes()]
    assert different == []


def test_every_artefact_is_there_and_in_the_hash_list(dist: Path) -> None:
    for pattern in (
        "*.whl",
        "sinyal_desa-*.tar.gz",
        "*.deb",
        "*.cdx.json",
        "*-offline.tar.gz",
        "openwrt-feed/net/sinyal/Makefile",
    ):
        assert len(list(dist.glob(pattern))) == 1, pattern

    checked = subprocess.run(
        ["sha256sum", "-c", "SHA256SUMS"], cwd=dist, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout
    assert len(checked.stdout.splitlines()) == len([path for path in dist.rglob("*") if path.is_file()]) - 1


def test_a_release_runs_from_its_own_folder_with_what_the_lock_pins(dist: Path, tmp_path: Path) -> None:
    with tarfile.open(dist / f"sinyal-{VERSION}.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")

    shown = json.loads(
        subprocess.run(
            [tmp_path / "bin/sinyal", "version", "--json"],
            env={"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"},
            capture_output=True,
            check=True,
        ).stdout
    )
    assert shown["version"] == VERSION
    assert shown["libraries"]["paho-mqtt"] is not None
    assert not (tmp_path / "site" / "psutil").exists()
    imported = subprocess.run(
        [
            sys.executable,
            "-I",
            "-S",
            "-c",
            "import sys; sys.path.insert(0, sys.argv[1]); import sqlite_utils, gpiozero, serial",
            tmp_path / "site",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert imported.returncode == 0, imported.stderr


def test_nothing_binary_and_nothing_of_this_machine_is_in_a_release(dist: Path) -> None:
    here = str(Path(__file__).parents[2]).encode()
    with tarfile.open(dist / f"sinyal-{VERSION}.tar.gz") as archive:
        for member in archive:
            assert member.uid == member.gid == 0
            assert not member.issym()
            assert Path(member.name).suffix not in (".so", ".pyc")
            opened = archive.extractfile(member)
            if opened is not None:
                assert here not in opened.read(), member.name


def test_the_deb_is_for_every_processor_and_asks_for_no_network(dist: Path) -> None:
    (package,) = dist.glob("*.deb")
    told = subprocess.run(["dpkg-deb", "--info", package], capture_output=True, text=True, check=True).stdout
    listed = subprocess.run(
        ["dpkg-deb", "--contents", package], capture_output=True, text=True, check=True
    ).stdout

    assert "Architecture: all" in told
    assert "Depends: python3 (>= 3.11), passwd, openssl" in told
    for part in (
        "/usr/bin/sinyal -> /opt/sinyal/current/bin/sinyal",
        "man/man1/sinyal.1.gz",
        "man/id/man1/sinyal.1.gz",
        "completions/sinyal",
    ):
        assert part in listed
    assert f"/usr/share/sinyal/sinyal-{VERSION}.tar.gz" in listed
    assert "./etc/" not in listed


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the bytecode of OpenWrt 24.10 is of Python 3.11")
def test_the_ipk_holds_bytecode_that_runs_without_the_libraries_openwrt_lacks(
    dist: Path, tmp_path: Path
) -> None:
    (package,) = dist.glob("*.ipk")
    with tarfile.open(package) as outer:
        inner = outer.extractfile("./data.tar.gz")
        assert inner is not None
        with tarfile.open(fileobj=io.BytesIO(inner.read())) as content:
            content.extractall(tmp_path, filter="fully_trusted")

    site = tmp_path / "opt/sinyal/releases" / VERSION / "site"
    assert (tmp_path / "opt/sinyal/current").readlink() == Path("releases") / VERSION
    assert not list(site.rglob("*.py"))
    assert not (site / "gpiozero").exists()
    done = subprocess.run(
        [
            sys.executable,
            "-I",
            "-S",
            "-c",
            CHECK_CONFIGURATION,
            site,
            tmp_path / "usr/share/sinyal/sinyal.toml",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.needs_root
def test_on_openwrt_an_upgraded_ipk_leaves_the_key_with_the_agent(dist: Path, tmp_path: Path) -> None:
    require("busybox", "chroot", root=True)
    root = tmp_path / "openwrt"
    (root / "bin").mkdir(parents=True)
    busybox = Path(shutil.which("busybox") or "")
    shutil.copy(busybox, root / "bin/busybox")
    # Debian has a busybox with libraries, too.
    libraries = subprocess.run(["ldd", busybox], capture_output=True, text=True, check=False).stdout
    for library in re.findall(r"(/\S+) \(", libraries):
        (root / library[1:]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, root / library[1:])
    subprocess.run(["chroot", root, "/bin/busybox", "--install", "-s", "/bin"], check=True)
    for part in ("data", "control"):
        with tarfile.open(next(dist.glob("*.ipk"))) as outer:
            inner = outer.extractfile(f"./{part}.tar.gz")
            assert inner is not None
            with tarfile.open(fileobj=inner) as content:
                content.extractall(root, filter="fully_trusted")
    (root / "etc/rc.common").write_text('echo "$1 $2" >>/called\n')
    (root / "lib").mkdir(exist_ok=True)
    (root / "etc/group").touch()
    (root / "etc/passwd").write_text("root:x:0:0:root:/:/bin/sh\n")
    (root / "lib/functions.sh").write_text(USER_FUNCTIONS)
    key = root / "etc/sinyal/tls/gateway.key"

    inside = {"PATH": "/bin:/usr/bin:/usr/sbin:/sbin"}

    def after_installing() -> None:
        subprocess.run(["chroot", root, "/bin/sh", "/postinst"], check=True, env=inside)

    after_installing()
    key.parent.mkdir()
    key.touch(0o600)
    os.chown(key, 32490, 32490)
    after_installing()

    assert (key.stat().st_uid, key.stat().st_mode & 0o777) == (32490, 0o600)
    folders = [(root / name).stat() for name in ("etc/sinyal", "srv/sinyal")]
    assert [(each.st_uid, each.st_gid, each.st_mode & 0o777) for each in folders] == [
        (0, 32490, 0o750), (32490, 32490, 0o750),
    ]  # fmt: skip
    # /etc/config/sinyal rules as long as nobody has put another one there.
    assert not (root / "etc/sinyal/sinyal.toml").exists()
    assert "/etc/init.d/sinyal restart" in (root / "called").read_text()


def test_the_bill_of_materials_names_each_library_with_its_pins(dist: Path) -> None:
    bill = json.loads((dist / f"sinyal-{VERSION}.cdx.json").read_text())
    with zipfile.ZipFile(next(iter(dist.glob("*.whl")))) as wheel:
        assert any(name.startswith("agent/") for name in wheel.namelist())

    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", bill["serialNumber"])
    names = {component["name"] for component in bill["components"]}
    assert {"paho-mqtt", "pyserial", "speedtest-cli", "gpiozero", "sqlite-utils"} <= names
    assert "psutil" not in names
    assert all(component["properties"] for component in bill["components"])


def test_the_bundle_holds_what_a_visit_without_internet_needs(dist: Path) -> None:
    with tarfile.open(dist / f"sinyal-{VERSION}-offline.tar.gz") as bundle:
        names = {Path(member.name).name for member in bundle if member.isfile()}

    assert {"bootstrap.sh", "sinyal-release.sh", "SHA256SUMS", f"sinyal_{VERSION}_all.deb"} <= names
