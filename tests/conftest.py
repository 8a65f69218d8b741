"""Fixtures for every test: real brokers in the test's own folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.mosquitto import Mosquitto, mosquitto


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """Run a plain mosquitto that everybody may use."""
    with mosquitto(tmp_path / "broker") as running:
        yield running


@pytest.fixture
def tls_broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """Run a mosquitto that demands the certificate of the gateway "gw-test"."""
    with mosquitto(tmp_path / "broker", tls=True, gateway_id="gw-test") as running:
        yield running
