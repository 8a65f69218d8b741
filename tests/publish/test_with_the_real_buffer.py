"""From a real database over TLS to a real broker: what arrives is what the database holds."""

from pathlib import Path

from agent.buffer.keeper import Keeper
from agent.config.model import BrokerConfig
from agent.contract.catalogue import Row
from tests.support.batches import batches, seqs
from tests.support.forwarding import forwarding, tls_broker, wait_until
from tests.support.listener import Listener
from tests.support.mosquitto import Mosquitto, mosquitto
from tests.support.rows import sample_row


def _keeper(path: Path) -> Keeper:
    keeper = Keeper(path, max_bytes=8 << 20, commit_interval_s=0, commit_readings=1, keep_days=90)
    keeper.start()
    return keeper


def _reading(seq: int) -> Row:
    return {name: value for name, value in sample_row(seq).items() if name != "seq"}


def test_rows_arrive_as_the_database_holds_them_over_outages_and_restarts(tmp_path: Path) -> None:
    database = tmp_path / "sinyal.db"
    with (
        mosquitto(tmp_path / "broker", tls=True, persistence=True) as broker,
        Listener(broker.listen_port) as listener,
    ):
        _first_life(database, broker)
        broker.start()
        listener.wait_until_back()
        keeper = _keeper(database)
        try:
            epoch = keeper.epoch
            stored = keeper.unsent_rows(newest=False, limit=1000, leased=[])
            with forwarding(keeper, _configured(broker)) as forwarder:
                keeper.append(_reading(401))
                forwarder.wake()
                wait_until("all rows sent", lambda: keeper.counts().unsent == 0)
        finally:
            keeper.close()
        heard = listener.wait_for("every row", lambda heard: len(set(seqs(batches(heard)))) == 401)
    assert stored[0]["seq"] == 101
    arrived = {}
    for batch in batches(heard):
        assert batch.epoch == epoch
        arrived.update({row["seq"]: row for row in batch.rows})
    for row in stored:
        assert arrived[row["seq"]] == {name: value for name, value in row.items() if value is not None}


def _configured(broker: Mosquitto) -> BrokerConfig:
    assert broker.tls is not None
    return tls_broker(broker.port, broker.tls)


def _first_life(database: Path, broker: Mosquitto) -> None:
    """Send 100 rows, then take 300 more while the broker is down, and end."""
    keeper = _keeper(database)
    try:
        for seq in range(1, 101):
            keeper.append(_reading(seq))
        with forwarding(keeper, _configured(broker)) as forwarder:
            wait_until("the first rows", lambda: keeper.counts().unsent == 0)
            broker.kill()
            for seq in range(101, 401):
                keeper.append(_reading(seq))
                forwarder.wake()
            wait_until("the loss", lambda: forwarder.health().state != "connected")
            assert keeper.counts().unsent == 300
    finally:
        keeper.close()
