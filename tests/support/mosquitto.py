"""A real mosquitto on free loopback ports: plain or TLS with client certificates, killed at will."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.certificates import TlsFiles, make_tls_files
from tests.support.programs import program

__all__ = ["Mosquitto", "TlsFiles", "free_port", "mosquitto"]

GATEWAY_ACL = """
topic read #
pattern write desa/v1/%u/readings/#
pattern write desa/v1/%u/status
pattern write desa/v1/%u/inventory
pattern write desa/v1/%u/event/#
pattern write desa/v1/%u/reply
pattern read desa/v1/%u/command
pattern read desa/v1/%u/stored
"""
"""A client without a certificate may only listen (mosquitto's first line is for those without a name)."""


def free_port() -> int:
    """Return a loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Mosquitto:
    """One broker in one folder; its ports stay the same over kill() and start().

    port is the one for gateways: plain, or TLS with client certificates. listen_port is always plain and
    meant for the test's own subscriber.
    """

    def __init__(
        self,
        folder: Path,
        *,
        tls: TlsFiles | None = None,
        acl: str = "",
        persistence: bool = False,
        extra: str = "",
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.tls = tls
        self.port = free_port()
        self.listen_port = free_port() if tls else self.port
        self.log = folder / "mosquitto.log"
        self._process: subprocess.Popen[bytes] | None = None
        lines = ["allow_anonymous true", "log_dest stderr", "log_type all", "set_tcp_nodelay true"]
        if os.geteuid() == 0:
            lines.append("user root")
        if persistence:
            lines += ["persistence true", f"persistence_location {folder}/", "autosave_interval 1"]
            lines.append("autosave_on_changes true")
        if tls:
            acl = acl or GATEWAY_ACL
        if acl:
            (folder / "acl").write_text(acl)
            lines.append(f"acl_file {folder}/acl")
        lines += extra.splitlines()
        lines.append(f"listener {self.port} 127.0.0.1")
        if tls:
            lines += [f"cafile {tls.ca}", f"certfile {tls.server_cert}", f"keyfile {tls.server_key}"]
            lines += ["require_certificate true", "use_identity_as_username true", "tls_version tlsv1.2"]
            lines.append(f"listener {self.listen_port} 127.0.0.1")
        self._configuration = folder / "mosquitto.conf"
        self._configuration.write_text("\n".join(lines) + "\n")

    def start(self) -> None:
        """Start it and wait until it listens."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [program("mosquitto"), "-c", str(self._configuration)], stdin=subprocess.DEVNULL, stderr=log
            )
        until = time.monotonic() + 10
        while time.monotonic() < until:
            try:
                socket.create_connection(("127.0.0.1", self.listen_port), 1).close()
            except OSError:
                if self._process.poll() is not None:
                    break
                time.sleep(0.02)
            else:
                return
        raise RuntimeError("mosquitto did not start:\n" + self.log.read_text())

    def kill(self) -> None:
        """End it with SIGKILL, as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """End it with SIGTERM."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None

    def signal(self, number: int) -> None:
        """Send it a signal: SIGHUP makes it read its ACL again."""
        assert self._process is not None
        self._process.send_signal(number)

    def log_text(self) -> str:
        """Return everything it has logged."""
        return self.log.read_text()


@contextmanager
def mosquitto(
    folder: Path,
    *,
    tls: bool | TlsFiles = False,
    gateway_id: str = "gw-test",
    acl: str = "",
    persistence: bool = False,
    extra: str = "",
) -> Iterator[Mosquitto]:
    """Run a broker in `folder`; tls=True makes good certificates for it and for gateway_id."""
    program("mosquitto")
    if tls is True:
        tls = make_tls_files(folder / "tls", gateway_id)
    broker = Mosquitto(folder, tls=tls or None, acl=acl, persistence=persistence, extra=extra)
    broker.start()
    try:
        yield broker
    finally:
        broker.kill()
