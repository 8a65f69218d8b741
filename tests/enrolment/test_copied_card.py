"""The daemon on a board that is not the enrolled one: stores everything, sends nothing, says so once."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from agent.config.model import (
    BrokerConfig,
    Config,
    GatewayConfig,
    ModemConfig,
    PathsConfig,
    PublishConfig,
    ReadingsConfig,
)
from agent.enrolment.board import board_serial, write_enrolled
from agent.pipeline.daemon import Daemon
from agent.pipeline.snapshot import read_snapshot
from agent.pipeline.stop_signal import StopSignal
from tests.buffer.files import query
from tests.enrolment.test_board import raspberry
from tests.pipeline.whole_gateway import wait_until
from tests.support.listener import Listener
from tests.support.mosquitto import mosquitto


class Told:
    """Stands in for the signals, which only a main thread may catch."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def wait(self, timeout_s: float) -> bool:
        return self._event.wait(timeout_s)

    def tell(self) -> None:
        self._event.set()


@contextmanager
def daemon(folder: Path, port: int, board_root: Path) -> Iterator[Path]:
    """Run a daemon in this process; gives its runtime folder."""
    config = Config(
        gateway=GatewayConfig(id="gw-test"),
        paths=PathsConfig(folder / "state", folder / "run"),
        modem=ModemConfig(port=str(folder / "no-modem")),
        readings=ReadingsConfig(interval_s=0.1),
        broker=BrokerConfig(host="127.0.0.1", port=port),
        publish=PublishConfig(interval_s=0, reconnect_max_s=1, startup_delay_max_s=0),
    )
    (folder / "run").mkdir(exist_ok=True)
    stop = Told()
    running = Daemon(config, folder / "sinyal.toml", cast(StopSignal, stop), board_root=board_root)
    thread = threading.Thread(target=running.run)
    thread.start()
    try:
        yield folder / "run"
    finally:
        stop.tell()
        thread.join(60)


def shown(runtime: Path) -> dict[str, Any]:
    return read_snapshot(runtime) or {}


def stored(runtime: Path) -> int:
    return int((shown(runtime).get("buffer") or {}).get("stored", 0))


def test_a_copied_card_stores_and_is_not_heard_and_the_enrolled_board_goes_on_with_its_rows(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own, other = raspberry(tmp_path / "own", "1000a"), raspberry(tmp_path / "other", "1000b")
    (tmp_path / "state").mkdir()
    write_enrolled(tmp_path / "state", "gw-test", board_serial(own))
    with mosquitto(tmp_path / "broker") as broker, Listener(broker.listen_port, "#") as listener:
        with daemon(tmp_path, broker.port, other) as runtime:
            wait_until("readings stored", lambda: stored(runtime) >= 5, 60)
            link = shown(runtime)["link"]
            assert shown(runtime)["board"] == "cloned"
            assert (link["state"], link["last_problem_code"]) == ("offline", "cloned_board")
            assert "device-tree:1000a" in link["last_problem"]
            assert link["attempts"] == 0
        assert listener.heard() == []
        events = query(tmp_path / "state" / "sinyal.db", "SELECT type, what, sent FROM events")
        assert [row for row in events if row[0] == "security"] == [("security", "cloned_board", 0)]
        assert sum("1000a" in record.getMessage() for record in caplog.records) == 1
        with daemon(tmp_path, broker.port, own) as runtime:
            listener.wait_for(
                "the event and the readings",
                lambda heard: {"security", "readings"} <= {one.topic.rsplit("/")[-1] for one in heard},
                60,
            )
            wait_until("the first reading shown", lambda: shown(runtime).get("board") == "same", 60)
