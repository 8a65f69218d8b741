"""Sinyal itself: `sinyal run` at one reading a sample."""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from agent.wire.columns import decode_batch
from tests.bench.installed import with_bytecode
from tests.bench.peer.forwarder import SAMPLE_S
from tests.faults.oracle import stored_rows
from tests.pipeline.whole_gateway import Gateway
from tests.support.listener import Heard


class Sinyal:
    """A whole gateway; its samples are the readings that its database holds at the kill."""

    name = "sinyal"

    def __init__(self, folder: Path, key: str, centre_port: int) -> None:
        self._topic = f"desa/v1/{key}/readings"
        self._gateway = Gateway(
            folder,
            modem="/dev/ttyNONE",
            broker=f'host = "127.0.0.1"\nport = {centre_port}\n',
            interval_s=SAMPLE_S,
        )
        text = self._gateway.config.read_text().replace('"gw-test"', f'"{key}"')
        # As it is shipped (each reading is committed), but for a minute instead of an hour between messages.
        text = text.replace(
            "[publish]\ninterval_s = 0\nreconnect_max_s = 1\n", "[publish]\ninterval_s = 60\n"
        )
        self._gateway.config.write_text(text)
        # Empty is as good as not set: an installed package has its bytecode.
        environment = {**with_bytecode(folder), "PYTHONDONTWRITEBYTECODE": ""}
        self._gateway.environment = environment
        modules = "import agent.cli.run, agent.pipeline.start"
        subprocess.run([sys.executable, "-c", modules], env=environment, check=True)

    @property
    def pid(self) -> int:
        """Its number."""
        return self._gateway.pid

    def start(self) -> None:
        """Start it."""
        self._gateway.start()

    def hold(self) -> None:
        """Let it be: only what is committed counts as taken."""

    def kill(self) -> None:
        """End it with SIGKILL."""
        self._gateway.kill()

    def taken(self) -> set[int]:
        """Return what its database holds; only after kill()."""
        return {row["seq"] for row in stored_rows(self._gateway.database)}

    def arrived(self, heard: Iterable[Heard]) -> set[int]:
        """Return its readings."""
        batches = (decode_batch(message.payload) for message in heard if message.topic == self._topic)
        return {int(row["seq"] or 0) for batch in batches for row in batch.rows}

    def close(self) -> None:
        """Leave nothing running."""
        self._gateway.stop_anyhow()
