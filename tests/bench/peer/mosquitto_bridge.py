"""mosquitto with a bridge: samples come to the local broker, which forwards them to the centre."""

import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from tests.bench.peer.feeder import TOPIC, Feeder
from tests.bench.peer.forwarder import Program
from tests.support.listener import Heard
from tests.support.mosquitto import free_port


class MosquittoBridge:
    """autosave: further lines of its configuration about when it saves its state."""

    def __init__(self, folder: Path, key: str, name: str, centre_port: int, autosave: str = "") -> None:
        self.name = name
        self._key = key
        self._program = Program(folder)
        port = free_port()
        self._configuration = folder / "mosquitto.conf"
        lines = ["log_dest none", "persistence true", f"persistence_location {folder}/", *autosave.split(";")]
        if os.geteuid() == 0:
            lines.append("user root")
        lines += [f"listener {port} 127.0.0.1", "allow_anonymous true"]
        lines += ["connection centre", f"address 127.0.0.1:{centre_port}", "notifications false"]
        lines += [f"remote_clientid {key}", f'topic {TOPIC} out 1 "" {key}/', "keepalive_interval 30"]
        self._configuration.write_text("\n".join(lines) + "\n")
        self._feeder = Feeder(port)

    @property
    def pid(self) -> int:
        """Its number."""
        return self._program.pid

    def start(self) -> None:
        """Start it and give it samples."""
        found = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
        assert found is not None
        self._program.begin([found, "-c", str(self._configuration)])
        self._feeder.flow()

    def hold(self) -> None:
        """Give it no further samples."""
        self._feeder.hold()

    def kill(self) -> None:
        """End it with SIGKILL."""
        self._program.kill()

    def taken(self) -> set[int]:
        """Return what the local broker acknowledged."""
        return set(self._feeder.accepted)

    def arrived(self, heard: Iterable[Heard]) -> set[int]:
        """Return its samples."""
        topic = f"{self._key}/{TOPIC}"
        return {json.loads(message.payload)["n"] for message in heard if message.topic == topic}

    def close(self) -> None:
        """Leave nothing running."""
        self._feeder.close()
        self._program.kill()
