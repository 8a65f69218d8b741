"""A gateway in one folder with its own releases: real archives, the real `sinyal-release`, a real agent."""

import os
import shutil
import signal
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from agent import __version__
from agent.modem.simulator import SimulatedModem
from provisioning.packaging.gateway_libraries import drop_libraries
from provisioning.packaging.release_tree import PROJECT, make_release_tree, pack_release, seal
from provisioning.packaging.system_packages import NOT_ON_OPENWRT

SCRIPT = PROJECT / "provisioning" / "upgrade" / "sinyal-release.sh"

DATE = 1767225600

FAULTS = {
    "": ("", ""),
    "crashes": (
        "agent/pipeline/start.py",
        "\n\ndef run_daemon(*_a, **_k):  # type: ignore\n    raise SystemExit(7)\n",
    ),
    "forgets_the_modem": (
        "agent/modem/poll.py",
        "\nModemPoller.collect = lambda self: {'modem_state': 'hung'}  # type: ignore\n",
    ),
    "meets_the_modem_late": (
        "agent/modem/poll.py",
        "\n_read, _reads = ModemPoller.collect, []\nModemPoller.collect = lambda self: "
        "{'modem_state': 'hung'} if not _reads and not _reads.append(1) else _read(self)  # type: ignore\n",
    ),
    "is_broken": ("agent/pipeline/daemon.py", "\nthis is no Python\n"),
    "never_stores": (
        "agent/buffer/store.py",
        "\nStoreFile.opened = lambda self: (_ for _ in ()).throw(StoreUnusable('broken', ''))\n",
    ),
}
"""What a release may do wrong: the file, and what is added to its end."""


@cache
def archive_of(version: str, fault: str = "") -> Path:
    """Return the archive of a release made from these sources under another number."""
    folder = Path(mkdtemp(prefix="sinyal-release-"))
    make_release_tree(folder / "tree", version)
    # What only technicians' commands and GPIO need would triple the time that each installation takes.
    drop_libraries(folder / "tree" / "site", NOT_ON_OPENWRT)
    about = folder / "tree/site/agent/__init__.py"
    about.write_text(about.read_text().replace(f'"{__version__}"', f'"{version}"'))
    file, added = FAULTS[fault]
    if file:
        with (folder / "tree/site" / file).open("a") as opened:
            opened.write(added)
    seal(folder / "tree", version)
    archive = pack_release(folder / "tree", folder, version, DATE)
    shutil.rmtree(folder / "tree")
    return archive


class ReleaseBox:
    """One gateway; its service manager is a shell script that knows start, stop and restart."""

    def __init__(
        self,
        folder: Path,
        modem: SimulatedModem | None,
        *,
        shell: str = "sh",
        broker: str = "",
        interval_s: float = 0.3,
    ) -> None:
        self.folder = folder
        self.root = folder / "opt"
        self.config = folder / "sinyal.toml"
        self._shell = shell.split()
        port = modem.path if modem is not None else folder / "no-modem"
        self.config.write_text(
            f'[gateway]\nid = "gw-test"\n[paths]\nstate = "{folder}/state"\nruntime = "{folder}/run"\n'
            f'[readings]\ninterval_s = {interval_s}\n[modem]\nport = "{port}"\n[broker]\n{broker}\n'
            "[publish]\ninterval_s = 0\nstartup_delay_max_s = 0\n"
        )
        service = folder / "service"
        service.write_text(
            "#!/bin/sh\n"
            f"pid=$(cat {folder}/service.pid 2>/dev/null)\n"
            'if [ "$1" != start ] && [ -n "$pid" ]; then\n'
            '  kill "$pid" 2>/dev/null\n'
            '  while [ -d "/proc/$pid" ] && ! grep -q "State:.Z" "/proc/$pid/status"; do sleep 0.05; done\n'
            "fi\n"
            '[ "$1" = stop ] && exit 0\n'
            f"setsid {self.root}/current/bin/sinyal run --config {self.config}"
            f" >>{folder}/agent.log 2>&1 </dev/null &\n"
            f"echo $! >{folder}/service.pid\n"
        )
        service.chmod(0o755)
        path = f"/usr/sbin:/usr/bin:/sbin:/bin:{Path(sys.executable).parent}"
        if self._shell[0] == "busybox":
            # On OpenWrt every small program is busybox's, and knows fewer options.
            applets = folder / "applets"
            applets.mkdir()
            subprocess.run(["busybox", "--install", "-s", applets], check=True)
            path = f"{applets}:{path}"
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("SINYAL_")},
            # The machine's Python, as a gateway has it, or the one that runs the tests.
            "PATH": path,
            "SINYAL_ROOT": str(self.root),
            "SINYAL_CONFIG": str(self.config),
            "SINYAL_SERVICE": str(service),
            "SINYAL_RELEASE_KEY": str(folder / "release.pub"),
            "SINYAL_LANG": "en",
            "SINYAL_TRIAL_S": "180",
            "SINYAL_LOOK_EVERY_S": "0.3",
        }

    def release(self, *arguments: str | Path, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run `sinyal-release`; stdout holds both of its outputs."""
        return subprocess.run(
            [*self._shell, str(SCRIPT), *map(str, arguments)],
            env={**self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=300,
        )

    def begin(self, *arguments: str | Path) -> "subprocess.Popen[str]":
        """Start `sinyal-release` in a process group of its own; its steps can be read from stdout."""
        return subprocess.Popen(
            [*self._shell, str(SCRIPT), *map(str, arguments)],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def service(self, action: str) -> None:
        """Start, stop or restart the agent."""
        subprocess.run(
            [self.environment["SINYAL_SERVICE"], action], env=self.environment, check=True, timeout=60
        )

    def cut_power(self, running: "subprocess.Popen[str] | None" = None) -> None:
        """Kill everything at once, the agent and an upgrade under way."""
        if running is not None:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()
        for file in (self.folder / "service.pid", self.folder / "run" / "sinyal.lock"):
            try:
                os.kill(int(file.read_text()), signal.SIGKILL)
            except (OSError, ValueError):
                continue

    def current(self) -> str:
        """Return the version that `current` points at, "" when it points nowhere."""
        link = self.root / "current"
        return link.resolve().name if link.is_symlink() and link.exists() else ""

    def releases(self) -> set[str]:
        """Return the versions that are there, and leftovers."""
        return {path.name for path in (self.root / "releases").iterdir()}

    def result(self) -> dict[str, str]:
        """Return how the last upgrade ended."""
        file = self.root / "upgrade" / "result"
        return dict(line.split("=", 1) for line in file.read_text().splitlines()) if file.exists() else {}

    def sinyal(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run the command of the current release."""
        return subprocess.run(
            [str(self.root / "current/bin/sinyal"), *arguments, "--config", str(self.config)],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
