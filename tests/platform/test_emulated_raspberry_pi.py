"""A Raspberry Pi 3B in QEMU, and a USB modem on a virtual bus.

The pins are the kernel's bcm2835 ones, driven by gpiozero on lgpio. Takes 90 s, and the first time
70 MB of Debian packages, which are kept in `build/raspberry-pi`.
"""

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import gpiozero
import pytest
import serial

from tests.firmware_hooks.shells import HOOKS

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]
KEPT = PROJECT / "build" / "raspberry-pi"
BOOT_LIMIT_S = 240

REVISION = "0xa02082"
"""A Raspberry Pi 3B, as gpiozero asks for it. Source: raspberrypi.com, revision codes."""

PACKAGES = ("linux-image-arm64", "python3.11-minimal", "libpython3.11-stdlib", "busybox-static")
UNPACKED = (
    "linux-image-6", "python3.11-minimal", "libpython3.11", "busybox-static", "libc6", "zlib1g", "libexpat1",
    "libffi8", "libgcc-s1", "libuuid1", "libssl3",
)  # fmt: skip
MODULES = (
    "usb-common", "usbcore", "udc-core", "dummy_hcd", "configfs", "libcomposite", "u_serial", "usb_f_acm",
    "cdc-acm",
)  # fmt: skip
"""A virtual USB bus, and a modem on it, in the order of loading."""

NEEDED = (
    ("qemu-system-aarch64", "qemu-system-arm"), ("fdtput", "device-tree-compiler"), ("cpio", "cpio"),
    ("dpkg-deb", "dpkg"), ("apt-get", "apt"),
)  # fmt: skip


class CannotPrepare(Exception):
    """What is to be tried cannot be put together here; the text says why."""


def call(*command: str | Path, cwd: Path | None = None, given: bytes | None = None) -> None:
    """Run a program of the preparations; raises CannotPrepare with its last words."""
    ended = subprocess.run(command, cwd=cwd, input=given, capture_output=True, check=False)
    if ended.returncode:
        words = (ended.stdout + ended.stderr).decode("utf-8", "replace").strip()
        raise CannotPrepare(f"{Path(command[0]).name}: {words[-300:]}")


def fetch() -> Path:
    """Return a folder with the arm64 packages unpacked and the lgpio wheel in it, fetched once."""
    root = KEPT / "root"
    if (KEPT / "complete").exists():
        return root
    shutil.rmtree(KEPT, ignore_errors=True)
    for folder in ("lists/partial", "archives/partial", "wheels"):
        (KEPT / folder).mkdir(parents=True)
    options = [
        word
        for option in (
            "APT::Architecture=arm64", "APT::Architectures::=arm64", f"Dir::State::lists={KEPT}/lists",
            f"Dir::Cache::archives={KEPT}/archives", "Dir::Cache::pkgcache=", "Dir::Cache::srcpkgcache=",
            "Dir::State::status=/dev/null", "APT::Sandbox::User=root",
        )
        for word in ("-o", option)
    ]  # fmt: skip
    call("apt-get", *options, "update", "-qq")
    call("apt-get", *options, "install", "-y", "--no-install-recommends", "--download-only", *PACKAGES)
    for package in sorted((KEPT / "archives").glob("*.deb")):
        if package.name.startswith(UNPACKED):
            call("dpkg-deb", "-x", package, root)
    (root / "modules").mkdir()
    for number, module in enumerate(MODULES):
        for file in root.glob(f"lib/modules/*/kernel/**/{module}.ko"):
            shutil.copy(file, root / "modules" / f"{number}-{module}.ko")
    call(
        sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:",
        "--platform", "manylinux_2_34_aarch64", "--python-version", "311", "--dest", KEPT / "wheels", "lgpio",
    )  # fmt: skip
    for used in ("lists", "archives", "root/usr/share", "root/lib/modules"):
        shutil.rmtree(KEPT / used)
    (KEPT / "complete").touch()
    return root


def image(fetched: Path, work: Path) -> None:
    """Write the memory disk `work/initrd`: busybox, Python, gpiozero, lgpio, and our own packages."""
    tree = work / "tree"
    ignored = shutil.ignore_patterns("boot", "linux-image-*", "__pycache__", "test")
    shutil.copytree(fetched, tree, symlinks=True, ignore=ignored)
    site = tree / "site"
    for source in (
        PROJECT / "agent", PROJECT / "firmware_hooks", Path(gpiozero.__file__).parent,
        Path(gpiozero.__file__).parents[1] / "colorzero", Path(serial.__file__).parent,
    ):  # fmt: skip
        shutil.copytree(source, site / source.name, ignore=ignored)
    for wheel in (KEPT / "wheels").glob("*.whl"):
        shutil.unpack_archive(wheel, site, "zip")
    shutil.copy(HERE / "pi_init.sh", tree / "init")
    (tree / "init").chmod(0o755)
    for checks in ("pi_checks.py", "usb_checks.py"):
        shutil.copy(HERE / checks, tree)
    shutil.copy(HOOKS / "openwrt/hotplug.d/tty/20-sinyal", tree / "hook")
    for name in ("proc", "sys", "dev"):
        (tree / name).mkdir()
    names = b"\0".join(os.fsencode(path.relative_to(tree)) for path in sorted(tree.rglob("*")))
    packed = subprocess.run(
        ["cpio", "--null", "--create", "--format=newc", "--quiet"],
        cwd=tree, input=names, capture_output=True, check=True,
    ).stdout  # fmt: skip
    (work / "initrd").write_bytes(packed)


def boot(command: list[str | Path]) -> list[str]:
    """Return what the machine prints until its checks have ended, or its time has."""
    told: list[str] = []
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        errors="replace",
    ) as machine:  # fmt: skip
        alarm = threading.Timer(BOOT_LIMIT_S, machine.kill)
        alarm.start()
        assert machine.stdout
        for line in machine.stdout:
            told.append(line)
            print(line, end="")
            if "SAW end" in line:
                break
        alarm.cancel()
        machine.kill()
    return told


@pytest.mark.platform
@pytest.mark.timeout(2 * BOOT_LIMIT_S)
def test_the_pins_of_a_raspberry_pi_and_a_usb_modem_that_is_pulled_out_plugged_in_and_reset(
    tmp_path: Path,
) -> None:
    missing = [package for program, package in NEEDED if shutil.which(program) is None]
    if missing:
        pytest.skip(f"a Raspberry Pi was NOT tested: apt-get install {' '.join(missing)}")
    try:
        root = fetch()
        image(root, tmp_path)
        tree_file = tmp_path / "pi.dtb"
        shutil.copy(next(root.glob("usr/lib/linux-image-*/broadcom/bcm2837-rpi-3-b.dtb")), tree_file)
        call("fdtput", "-t", "x", "-p", tree_file, "/system", "linux,revision", REVISION)
    except CannotPrepare as fault:
        pytest.skip(f"a Raspberry Pi was NOT tested: {fault}")
    told = boot(
        [
            "qemu-system-aarch64", "-M", "raspi3b", "-nographic", "-no-reboot", "-dtb", tree_file,
            "-kernel", next(root.glob("boot/vmlinuz-*")), "-initrd", tmp_path / "initrd",
            "-append", "console=ttyAMA0,115200 quiet panic=-1",
        ]
    )  # fmt: skip
    lines = [line.strip().split("SAW ", 1)[1] for line in told if "SAW " in line]
    saw = {name: text for name, _space, text in (line.partition(" ") for line in lines)}
    assert "end" in saw, told[-40:]
    assert "trouble" not in saw
    assert saw["board"] == "Raspberry Pi 3 Model B"
    assert saw["relay"] == "['out lo', 'out hi', 'out lo']"
    assert saw["active-low"] == "['out hi', 'out lo']"
    assert saw["input"] == "(False, 'in lo')"
    assert saw["buzzer"] == "out"
    # lgpio's pipe is in the runtime folder, the only one that a hardened unit may write.
    assert saw["pipe"] == "['.lgd']"
    assert saw["second"] == "(3, True)"
    # A dead holder drives nothing: the contact closes, the modem has its power.
    assert saw["holder"] == "('cut', 'out hi')"
    assert saw["dead"] == "free"
    assert saw["fallback"] == "True"
    assert saw["usb-found"] == "('/dev/ttyACM0', '1-1:1.0', '1-1', 'OK')"
    assert saw["usb-pulled"] == "lost"
    assert saw["usb-again"] == "(True, 'OK')"
    # Refused before the hook has given the switch to the agent's group; another device file after it.
    assert saw["usb-reset"] == "(1, 0, True, 'OK')"
