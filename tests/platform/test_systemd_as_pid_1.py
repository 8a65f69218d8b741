"""The unit under the real systemd as PID 1, in a User-Mode Linux that boots from this machine's own files.

Seen there and not in a dry run: Type=notify, the watchdog's kill, the device policy, the sandbox, a restart
that never gives up. Takes half a minute; needs root, Debian's user-mode-linux, systemd and busybox.
"""

import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

from tests.firmware_hooks.shells import HOOKS
from tests.pipeline.whole_gateway import DEMO_TRANSCRIPT

HERE = Path(__file__).parent
SYSTEMD = Path("/lib/systemd/systemd")
PYTHON = Path("/usr/bin/python3")
BOOT_LIMIT_S = 500


def missing() -> str:
    """Return why this machine cannot do it, "" when it can."""
    if os.geteuid() != 0:
        return "needs root, for the files of the machine that it boots from"
    for program, package in (("linux.uml", "user-mode-linux"), ("busybox", "busybox-static")):
        if shutil.which(program) is None:
            return f"{program} is not installed (apt-get install {package})"
    for file in (SYSTEMD, PYTHON):
        if not file.exists():
            return f"there is no {file}"
    version = subprocess.run(
        [SYSTEMD, "--version"], capture_output=True, text=True, check=False
    ).stdout.split()
    if len(version) < 2 or int(version[1]) < 252:
        return "systemd 252 or newer is needed"
    return ""


def gateway_tree(tree: Path) -> None:
    """Lay the files of an installed gateway into a folder, as a package would."""
    release = tree / "opt/sinyal/releases/test"
    packages = release / "lib"
    shutil.copytree(HOOKS.parent / "agent", packages / "agent", ignore=shutil.ignore_patterns("__pycache__"))
    installed = Path(sysconfig.get_path("purelib"))
    for package in ("paho", "serial"):
        shutil.copytree(installed / package, packages / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("bin/sinyal", "bin/modem"):
        program = release / name
        program.parent.mkdir(exist_ok=True)
        words = (
            "modem simulate /opt/sinyal/current/modem.txt --link /run/test-modem"
            if name == "bin/modem"
            else '"$@"'
        )
        program.write_text(
            f"#!/bin/sh\nPYTHONPATH={'/opt/sinyal/current/lib'} exec {PYTHON} -m agent {words}\n"
        )
        program.chmod(0o755)
    shutil.copy(DEMO_TRANSCRIPT, release / "modem.txt")
    (tree / "opt/sinyal/current").symlink_to("releases/test")

    for source, target in (
        ("sinyal-event", "usr/lib/sinyal/sinyal-event"),
        ("systemd/sinyal.service", "usr/lib/systemd/system/sinyal.service"),
        ("systemd/sinyal-power@.path", "usr/lib/systemd/system/sinyal-power@.path"),
        ("systemd/sinyal-power@.service", "usr/lib/systemd/system/sinyal-power@.service"),
        ("systemd/sysusers.d/sinyal.conf", "usr/lib/sysusers.d/sinyal.conf"),
        ("systemd/tmpfiles.d/sinyal.conf", "usr/lib/tmpfiles.d/sinyal.conf"),
    ):
        (tree / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(HOOKS / source, tree / target)
    (tree / "etc/sinyal").mkdir(parents=True)
    (tree / "etc/sinyal/sinyal.toml").write_text(
        '[gateway]\nid = "gw-uml"\nlanguage = "en"\n[readings]\ninterval_s = 1\n'
        '[modem]\nport = "/run/test-modem"\n'
    )
    system = tree / "etc/systemd/system"
    system.mkdir(parents=True)
    (system / "test-modem.service").write_text(
        "[Unit]\nBefore=test.service\n[Service]\nExecStart=/opt/sinyal/current/bin/modem\n"
        "ExecStartPost=/bin/sh -c"
        " 'until [ -e /run/test-modem ]; do sleep 0.2; done; chmod 666 /run/test-modem'\n"
    )
    (system / "test.service").write_text(
        "[Unit]\nWants=test-modem.service\n[Service]\nType=oneshot\nTimeoutStartSec=infinity\n"
        "ExecStart=/bin/sh /opt/test/checks.sh\n"
        "StandardOutput=tty\nStandardError=tty\nTTYPath=/dev/console\n"
    )
    (system / "test.target").write_text("[Unit]\nRequires=basic.target test.service\nAfter=basic.target\n")
    (tree / "opt/test").mkdir()
    for script in ("first.sh", "checks.sh"):
        shutil.copy(HERE / script, tree / "opt/test" / script)
        (tree / "opt/test" / script).chmod(0o755)


@pytest.mark.platform
@pytest.mark.timeout(BOOT_LIMIT_S + 60)
def test_systemd_starts_watches_confines_and_restarts_the_agent(tmp_path: Path) -> None:
    reason = missing()
    if reason:
        pytest.skip(f"systemd as PID 1 was NOT tested: {reason}")
    tree = tmp_path / "tree"
    gateway_tree(tree)
    told = subprocess.run(
        [
            "linux.uml", "mem=700M", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", "quiet",
            f"init={tree}/opt/test/first.sh", f"TREE={tree}",
            "systemd.unified_cgroup_hierarchy=1", "con=null", "con0=fd:0,fd:1",
            f"uml_dir={tmp_path}/uml", "umid=test",
        ],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=BOOT_LIMIT_S, check=False,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ).stdout.decode("utf-8", "replace")  # fmt: skip
    print(told)
    saw = {
        words[1]: " ".join(words[2:])
        for line in told.splitlines()
        if (words := line.split()) and words[0] == "SAW"
    }
    assert "end" in saw, told[-3000:]
    assert {"sinyal", "dialout", "gpio"} <= set(saw["groups"].split())
    assert saw["start"] == "active running"
    assert saw["state"] == "sinyal 750 sinyal 640"
    assert saw["socket"] == "sinyal sinyal 660"
    assert saw["write-state"] == "yes"
    assert "Read-only" in saw["write-etc"] and "Read-only" in saw["write-opt"]
    assert saw["see-home"] == "0"
    assert saw["write-devices"] == "yes"
    assert "Read-only" in saw["write-kernel"]
    assert saw["asked"] == "gone success"
    assert saw["capabilities"] == "CapEff: 0000000000000000 NoNewPrivs: 1 Seccomp: 2"
    assert saw["event"] == "yes"
    assert saw["devices"] == "serial open mouse closed kmsg closed"
    assert saw["modem"] == "yes"
    assert saw["watchdog"] == "1 another active"
    assert saw["watchdog-log"] == "Watchdog timeout"
    assert saw["killed-often"] == "4 active"
    assert saw["stop"] == "success inactive"
    # The sandbox takes nothing from the agent that it needs.
    assert "LOG Traceback" not in told
