"""Forwarders for tests: short waits, stopped at the end, and words for what must hold."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from agent.config.model import BrokerConfig, PublishConfig
from agent.publish.forwarder import Forwarder
from agent.publish.row_source import RowSource
from tests.support.certificates import TlsFiles

GATEWAY_ID = "gw-test"

FAST = PublishConfig(interval_s=0, batch_readings=60, reconnect_max_s=1, startup_delay_max_s=0)
"""Publish each reading at once, and never wait long before connecting again."""


def plain_broker(port: int, *fallbacks: int) -> BrokerConfig:
    """Return the configuration of a broker on loopback without TLS."""
    return BrokerConfig(
        host="127.0.0.1", port=port, fallbacks=tuple(f"127.0.0.1:{fallback}" for fallback in fallbacks)
    )


def tls_broker(port: int, tls: TlsFiles, *, host: str = "localhost", ca: Path | None = None) -> BrokerConfig:
    """Return the configuration of a broker on loopback with TLS and a client certificate."""
    return BrokerConfig(
        host=host,
        port=port,
        tls=True,
        ca_file=ca or tls.ca,
        cert_file=tls.client_cert,
        key_file=tls.client_key,
    )


@contextmanager
def forwarding(
    rows: RowSource, broker: BrokerConfig, publish: PublishConfig = FAST, **settings: Any
) -> Iterator[Forwarder]:
    """Run a forwarder; settings go to Forwarder or, when they are keys of PublishConfig, there."""
    of_publish = {name: settings.pop(name) for name in list(settings) if hasattr(publish, name)}
    forwarder = Forwarder(
        rows,
        broker,
        replace(publish, **of_publish),
        gateway_id=GATEWAY_ID,
        version="0.1.0",
        interval_s=settings.pop("reading_interval_s", 60),
        inventory=settings.pop("inventory", lambda: {"site_name": "Balai Desa", "imei": "490154203237518"}),
        **settings,
    )
    forwarder.start()
    try:
        yield forwarder
    finally:
        forwarder.stop(1)
        forwarder_ended = wait(lambda: not forwarder.is_alive(), 12)
        assert forwarder_ended, "the forwarder's thread did not end"


def wait(condition: Callable[[], bool], timeout_s: float = 60) -> bool:
    """Wait until the condition holds; return whether it did in time."""
    until = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def wait_until(what: str, condition: Callable[[], bool], timeout_s: float = 60) -> None:
    """Wait until the condition holds; fail naming `what`."""
    assert wait(condition, timeout_s), f"not within {timeout_s} s: {what}"
