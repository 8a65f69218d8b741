"""The two ends of a probe: publish and wait for the answer; listen and keep what comes."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from agent.publish.mqtt import Connection, Message
from agent.publish.problems import Address, LinkProblem
from agent.publish.tls_sessions import TlsFiles, TlsSessions

WAIT_S = 15.0
KEEPALIVE_S = 60
NO_ANSWER = 255
"""In place of a reason code, when the broker did not answer a message."""


@dataclass(frozen=True)
class Identity:
    """A certificate for a probe, and the name in it."""

    name: str
    cert_file: Path
    key_file: Path


@dataclass(frozen=True)
class Probe:
    """Where and with what a broker is probed.

    first and second are two gateways; listener may read the topics of both and nothing else, None where the
    centre has no such name. foreign is signed by another authority. revoked is None where it is not known
    that the broker has the CRL. plain_port: where brokers listen without TLS if nobody forbids it; None to
    leave it out.
    """

    address: Address
    ca_file: Path
    first: Identity
    second: Identity
    foreign: Identity
    listener: Identity | None = None
    revoked: Identity | None = None
    wait_s: float = WAIT_S
    plain_port: int | None = 1883

    @contextmanager
    def connected(self, identity: Identity | None, client_id: str = "") -> Iterator[Connection]:
        """Give a connection with the certificate of `identity`, or with none; raises LinkProblem."""
        files = TlsFiles(self.ca_file)
        if identity is not None:
            files = TlsFiles(self.ca_file, identity.cert_file, identity.key_file)
        name = client_id or (identity.name if identity else "sinyal-check")
        connection = Connection(
            self.address,
            client_id=name,
            keepalive_s=KEEPALIVE_S,
            tls=TlsSessions(files),
            ack_timeout_s=self.wait_s,
        )
        try:
            connection.open()
            yield connection
        finally:
            connection.close(goodbye=True)


def publish(connection: Connection, topic: str, payload: bytes, wait_s: float) -> int:
    """Publish and return the reason code of the answer, or NO_ANSWER; raises LinkProblem."""
    connection.publish(topic, payload)
    until = time.monotonic() + wait_s
    while time.monotonic() < until:
        for ack in connection.exchange(0.2):
            return ack.reason_code
    return NO_ANSWER


class Ears:
    """What one subscriber hears."""

    def __init__(self, connection: Connection, wait_s: float) -> None:
        self._connection = connection
        self._wait_s = wait_s
        self._heard: list[Message] = []

    def publish(self, topic: str, payload: bytes) -> int:
        """Publish on the same connection and return the reason code of the answer; raises LinkProblem."""
        return publish(self._connection, topic, payload, self._wait_s)

    def until(self, is_enough: Callable[[list[Message]], bool]) -> list[Message]:
        """Listen until it is enough, or the time is over; return all that came."""
        deadline = time.monotonic() + self._wait_s
        with suppress(LinkProblem):
            while not is_enough(self._heard) and time.monotonic() < deadline:
                self._heard += self._connection.receive(0.1)
        return self._heard

    def for_s(self, seconds: float) -> list[Message]:
        """Listen for so long; return all that came."""
        deadline = time.monotonic() + seconds
        with suppress(LinkProblem):
            while time.monotonic() < deadline:
                self._heard += self._connection.receive(0.1)
        return self._heard


@contextmanager
def ears(
    probe: Probe, identity: Identity | None, topics: list[str], *, one_by_one: bool = False
) -> Iterator[Ears | None]:
    """Listen as `identity`; None where there is nobody, or where the broker refuses all of the topics."""
    if identity is None:
        yield None
        return
    with probe.connected(identity) as connection:
        try:
            for each in [[topic] for topic in topics] if one_by_one else [topics]:
                with suppress(LinkProblem):
                    connection.subscribe(each)
        except LinkProblem:
            yield None
            return
        yield Ears(connection, probe.wait_s)
