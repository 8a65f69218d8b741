"""A whole set-up for mosquitto 2: TLS with client certificates, topics by certificate, state that survives.

Why each setting is what it is stands in the file itself, for whoever changes it later.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from agent.config.model import PublishConfig
from agent.publish.topics import ROOT
from provisioning.authority.folder import CHECK_NAMES

CONFIG_FILE, ACL_FILE = "sinyal.conf", "acl"
SERVER_CERT_FILE, SERVER_KEY_FILE = "server.pem", "server.key"
GATEWAY_WRITES = ("readings/#", "status", "inventory", "event/#", "reply")
GATEWAY_READS = ("command", "stored")

DEFAULT_STATE = PurePosixPath("/var/lib/mosquitto")

MAX_PACKET_BYTES = 2 * PublishConfig().max_payload_bytes
"""Twice the agent's largest message: room for topic and headers. Agents keep to what CONNACK announces."""

MESSAGES_A_DAY = 60
"""Of one gateway, roomy: an hourly batch, its backlog after an outage, events."""

KEPT_DAYS = 7
"""How long a reader of the centre may be away without losing a message."""


@dataclass(frozen=True)
class BrokerPlan:
    """What the set-up is made for: where its files will lie, its port, how many gateways, who reads.

    centre: names in the certificates of the centre's programs. user "" keeps mosquitto's own.
    """

    folder: PurePosixPath
    port: int = 8883
    gateways: int = 200
    centre: Sequence[str] = ("pusat",)
    state: PurePosixPath = DEFAULT_STATE
    user: str = ""


def configuration(plan: BrokerPlan) -> str:
    """Return the text of mosquitto's configuration."""
    queued = plan.gateways * MESSAGES_A_DAY * KEPT_DAYS
    user = f"user {plan.user}\n" if plan.user else ""
    return f"""\
# mosquitto 2.0 for {plan.gateways} gateways, written by: sinyal-provision broker render
# Put nothing else into this file: the next rendering replaces it.
{user}
# One set of rules for all listeners. With "true", 2.0.12 to 2.0.18 lose what is to be kept at each restart.
per_listener_settings false

# An acknowledged message must survive a power cut here. By default mosquitto writes its state every 30
# minutes and loses all of it with SIGKILL, although the gateways were told that it has them.
persistence true
persistence_location {plan.state}/
# What is acknowledged in the same instant may still be lost: the topic `stored` of the centre covers that.
autosave_interval 1
autosave_on_changes true

# For a reader of the centre that is away. By default 1000 messages are kept and later ones thrown away,
# while the gateway is told that they arrived. Here: {plan.gateways} gateways for {KEPT_DAYS} days,
# {MESSAGES_A_DAY} messages a day each.
max_queued_messages {queued}
max_queued_bytes {queued * 2048}
persistent_client_expiration 30d
queue_qos0_messages false

# Announced in CONNACK, and kept to by the agents. Not message_size_limit: it answers PUBACK 149, for ever.
max_packet_size {MAX_PACKET_BYTES}
max_inflight_messages 20
max_keepalive 65535
allow_zero_length_clientid false
set_tcp_nodelay true

log_dest stderr
log_type error
log_type warning
log_type notice
connection_messages true
log_timestamp_format %Y-%m-%dT%H:%M:%S

allow_anonymous false
acl_file {plan.folder}/{ACL_FILE}

# Settings of a listener stand behind it: one before it would open a second listener, 1883 without TLS.
listener {plan.port}
max_connections {plan.gateways * 2 + 50}
cafile {plan.folder}/ca.pem
certfile {plan.folder}/{SERVER_CERT_FILE}
keyfile {plan.folder}/{SERVER_KEY_FILE}
# SIGHUP reads crlfile and certificates again for new connections; a restart ends the ones that stand.
crlfile {plan.folder}/crl.pem
require_certificate true
tls_version tlsv1.2
# The name in the certificate is user name and client id: nobody can speak for, or push out, another one.
use_identity_as_username true
use_username_as_clientid true
"""


def acl(plan: BrokerPlan) -> str:
    """Return the text of the access list; %u is the name in the certificate, which is the gateway_id."""
    lines = ["# Written by: sinyal-provision broker render. %u is the name in the certificate.", ""]
    lines += [f"pattern write {ROOT}/%u/{topic}" for topic in GATEWAY_WRITES]
    lines += [f"pattern read {ROOT}/%u/{topic}" for topic in GATEWAY_READS]
    for name in plan.centre:
        lines += ["", "# A program of the centre: reads all, writes what gateways read.", f"user {name}"]
        lines += [f"topic read {ROOT}/#", *(f"topic write {ROOT}/+/{topic}" for topic in GATEWAY_READS)]
    first, second, listener = CHECK_NAMES
    lines += [
        "",
        "# The listener of `sinyal-provision broker check`: its own two gateways alone.",
        f"user {listener}",
    ]
    lines += [f"topic read {ROOT}/{name}/#" for name in (first, second)]
    return "\n".join(lines) + "\n"
