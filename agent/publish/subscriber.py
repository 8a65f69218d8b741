"""Reads messages from a broker: for `sinyal decode --subscribe` and the demo."""

import secrets
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

from agent.publish.mqtt import Connection, Message
from agent.publish.tls_sessions import TlsFiles, TlsSessions

_KEEPALIVE_S = 60
_FOR_EVER_S = 3600.0


class Subscription(Iterator[Message]):
    """The messages of one connection, as they come; ends with a LinkProblem when the connection is lost.

    Use it in a `with` statement, or call close(). A message whose topic is not UTF-8 is left out.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._waiting: deque[Message] = deque()

    def __next__(self) -> Message:
        while not self._waiting:
            self._waiting.extend(self._connection.receive(_FOR_EVER_S))
        return self._waiting.popleft()

    def receive(self, timeout_s: float) -> list[Message]:
        """Return what has come, waiting at most timeout_s for the first; may be empty."""
        came = [*self._waiting] or self._connection.receive(timeout_s)
        self._waiting.clear()
        return came

    def close(self) -> None:
        """Say goodbye to the broker."""
        self._connection.close(goodbye=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def subscribe(
    host: str,
    port: int,
    topics: Sequence[str],
    *,
    tls: bool = False,
    ca_file: Path | None = None,
    cert_file: Path | None = None,
    key_file: Path | None = None,
    client_id: str = "",
) -> Subscription:
    """Connect and subscribe to `topics` (filters with + and # too); return the messages that come.

    With tls the broker must be signed by ca_file, None meaning the authorities of the system. An empty
    client_id makes one up. Raises BrokerUnreachable when there is no connection or the broker refuses, also
    later while reading; ConfigMistake or NoPermission for a file that cannot be used.
    """
    connection = Connection(
        (host, port),
        client_id=client_id or f"sinyal-{secrets.token_hex(4)}",
        keepalive_s=_KEEPALIVE_S,
        tls=TlsSessions(TlsFiles(ca_file, cert_file, key_file)) if tls else None,
    )
    try:
        connection.open()
        connection.subscribe(topics)
    except BaseException:
        connection.close(goodbye=False)
        raise
    return Subscription(connection)
