"""The embedded MQTT 5 broker of the demo: rumqttd, which the package `iotcore` carries in its wheel."""

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.errors import SinyalError
from agent.language import _

# rumqttd speaks MQTT 5 only on a listener of the table [v5.N].
_SETTINGS = """\
id = 0

[router]
id = 0
max_connections = 16
max_outgoing_packet_count = 200
max_segment_size = 1048576
max_segment_count = 4

[v5.1]
name = "demo"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 1

[v5.1.connections]
connection_timeout_ms = 5000
max_payload_size = 262144
max_inflight_count = 20
dynamic_filters = true
"""


@contextmanager
def embedded_broker(folder: Path) -> Iterator[int]:
    """Run the broker on a free loopback port and give the port; it ends with the block.

    Raises SinyalError when the optional package is not installed or the broker does not come up.
    """
    try:
        from iotcore import Broker
    except ImportError:
        raise SinyalError(
            _("the demo needs the package iotcore, which is not installed here"),
            _("type `make run` in the project's folder, or: pip install 'sinyal-desa[demo]'"),
        ) from None
    port = free_port()
    settings = folder / "broker.toml"
    settings.write_text(_SETTINGS.format(port=port))
    broker = Broker(config_path=str(settings))
    # Ctrl-C reaches the whole foreground group; the broker must outlive it until the agent has said goodbye.
    # A child inherits what is blocked; one that comes meanwhile is delivered to us afterwards.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        broker.start()
    except (OSError, RuntimeError) as error:
        raise SinyalError(_("the demo's broker does not start: {reason}").format(reason=error)) from None
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    try:
        yield port
    finally:
        broker.stop()


def free_port() -> int:
    """Return a loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
