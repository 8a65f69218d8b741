"""A connection of our own to the broker, which never disturbs the agent's.

TCP and TLS are tried without a word of MQTT. A client that comes with the gateway's id would take the session
of a running agent over, so MQTT is spoken only while no agent runs; a running one is asked what it met. What
is published then is the newest stored reading: it is true, and who has it already drops it by its number.
"""

import contextlib
import ssl
from collections.abc import Mapping
from typing import Any

from agent.config.model import BrokerConfig, PublishConfig
from agent.doctor.evidence import BrokerSeen
from agent.errors import SinyalError
from agent.publish import problems
from agent.publish.broker_socket import open_socket
from agent.publish.mqtt import Ack, Connection
from agent.publish.problems import Address, LinkProblem
from agent.publish.tls_sessions import TlsFiles, TlsSessions, tls_context
from agent.publish.topics import Topics
from agent.wire.columns import encode_batch, encode_rows_json

TIMEOUT_S = 5.0
REFUSAL_COMES_WITHIN_S = 1.5
"""With TLS 1.3 a broker refuses our certificate behind the handshake, without being asked anything."""
ACK_LIMIT_S = 6.0
KEEPALIVE_S = 30
FIRST_REFUSAL = 128
"""Reason codes below are good (MQTT 5, 3.4.2.1)."""


def look_at_broker(
    broker: BrokerConfig,
    publish: PublishConfig,
    gateway_id: str,
    *,
    may_speak: bool,
    newest: tuple[str, Mapping[str, Any]] | None,
) -> BrokerSeen | None:
    """Connect to the first address that takes a connection; None without a broker in the configuration.

    may_speak: no agent runs, and this is the enrolled board. newest: epoch and row to try the topic with.
    """
    seen: BrokerSeen | None = None
    for address in broker.addresses():
        found = _look_at(address, broker)
        if found.tcp_problem is None:
            seen = found
            break
        # Where none of them answers, the first one is told of.
        seen = seen or found
    if seen is None or seen.tcp_problem or seen.tls_problem or not may_speak or not gateway_id:
        return seen
    return _speak(seen, broker, publish, gateway_id, newest)


def _look_at(address: Address, broker: BrokerConfig) -> BrokerSeen:
    try:
        # A few kilobytes at the request of a person; docs/doctor.md says so, the budget does not know them.
        sock = open_socket(
            address, None, timeout_s=TIMEOUT_S, unanswered_s=TIMEOUT_S, charge=lambda _bytes: None
        )
    except (OSError, ValueError) as error:
        return BrokerSeen(address, tcp_problem=problems.connect_problem(address, error))
    with contextlib.closing(sock):
        if not broker.tls:
            return BrokerSeen(address)
        try:
            context = tls_context(TlsFiles(broker.ca_file, broker.cert_file, broker.key_file))
            wrapped = context.wrap_socket(sock, server_hostname=address[0])
        except ConnectionError as error:
            # TCP was fine a moment ago: a broker that expects plain MQTT hangs up on the greeting of TLS.
            return BrokerSeen(address, tls_problem=problems.TLS_NOT_SPOKEN.problem(address, str(error)))
        except (OSError, ValueError) as error:
            return BrokerSeen(address, tls_problem=problems.connect_problem(address, error))
        except SinyalError as error:
            return BrokerSeen(address, tls_problem=error)
        with contextlib.closing(wrapped):
            certificate = wrapped.getpeercert() or {}
            expires_ts = float(ssl.cert_time_to_seconds(str(certificate["notAfter"])))
            problem = _refusal(address, wrapped)
            return BrokerSeen(address, None, problem, wrapped.version() or "", expires_ts)


def _refusal(address: Address, wrapped: ssl.SSLSocket) -> LinkProblem | None:
    """Return why the broker hangs up on us before we have said anything, None when it waits for us."""
    wrapped.settimeout(REFUSAL_COMES_WITHIN_S)
    try:
        wrapped.recv(1)
    except TimeoutError:
        return None
    except OSError as error:
        return problems.lost_problem(address, error, answered=False)
    return problems.lost_problem(address, None, answered=False)


def _speak(
    seen: BrokerSeen,
    broker: BrokerConfig,
    publish: PublishConfig,
    gateway_id: str,
    newest: tuple[str, Mapping[str, Any]] | None,
) -> BrokerSeen:
    files = TlsFiles(broker.ca_file, broker.cert_file, broker.key_file)
    connection = Connection(
        seen.address,
        client_id=gateway_id,
        keepalive_s=KEEPALIVE_S,
        tls=TlsSessions(files) if broker.tls else None,
        ack_timeout_s=ACK_LIMIT_S,
    )
    accepted = False
    try:
        connection.open()
        accepted = True
        published, problem = _publish(connection, publish, gateway_id, newest)
        return seen._replace(accepted=True, published=published, mqtt_problem=problem)
    except SinyalError as error:
        return seen._replace(accepted=accepted, published=False if accepted else None, mqtt_problem=error)
    finally:
        connection.close(goodbye=accepted)


def _publish(
    connection: Connection,
    publish: PublishConfig,
    gateway_id: str,
    newest: tuple[str, Mapping[str, Any]] | None,
) -> tuple[bool | None, SinyalError | None]:
    if newest is None:
        return None, None
    topics, (epoch, row) = Topics(gateway_id), newest
    if publish.encoding == "json":
        topic, payload = topics.readings_json, encode_rows_json(epoch, [row])
    else:
        topic, payload = topics.readings, encode_batch(epoch, [row], late=True)
    connection.publish(topic, payload)
    acks: list[Ack] = []
    while not acks:
        acks = connection.exchange(ACK_LIMIT_S)
    code = acks[0].reason_code
    if code < FIRST_REFUSAL:
        return True, None
    why, next_step = problems.refusal_words(code)
    refused = LinkProblem(problems.TOPIC_REFUSED.code, f"{topic}: {why}", next_step)
    return False, refused
