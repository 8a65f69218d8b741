"""docs/asyncapi.yaml: every topic of the contract, as AsyncAPI 3.0."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from agent.contract.events import EVENT_TYPES
from docs.json_schemas import SCHEMAS, Document


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic of a gateway: its levels below desa/v1/<gateway_id>/ and who says what there.

    payload: a schema file's name, or a schema. planned: promised, not yet used by this version.
    """

    name: str
    levels: str
    summary: str
    payload: str | Document
    content_type: str = "application/json"
    said_by: Literal["gateway", "centre"] = "gateway"
    retained: bool = False
    planned: bool = False
    examples: tuple[Document, ...] = ()
    parameters: Mapping[str, Document] = field(default_factory=dict)


COLUMNAR_EXAMPLE: Document = {
    "v": 1,
    "epoch": "9f2c01ab",
    "n": 3,
    "late": 0,
    "c": {
        "seq": [4711, 1, 1],
        "ts": [1768953600, 60, 60],
        "rsrp_dbm": [-103, 1, 0],
        "rsrq_db/10": [-105, 5, None],
        "pci": 130,
        "band": [["B3", 2], ["B40", 1]],
    },
}

STATUS_EXAMPLE: Document = {
    "v": 1,
    "state": "online",
    "ts": 1768953601,
    "since": 1768953600,
    "epoch": "9f2c01ab",
    "last_seq": 4713,
    "version": "0.1.0",
    "interval_s": 60,
}

INVENTORY_EXAMPLE: Document = {
    "v": 1,
    "ts": 1768953601,
    "kode_desa": "15.02.01.2001",
    "kode_edisi": "300.2.2-2430/2025",
    "role": "link",
    "modem_manufacturer": "Quectel",
    "modem_model": "EC25",
    "operator_mccmnc": "51010",
    "agent_version": "0.1.0",
    "catalogue": "00c0ffee",
    "epoch": "9f2c01ab",
}

EVENT_EXAMPLE: Document = {
    "v": 1,
    "id": "9f2c01ab-17",
    "ts": 1768953601,
    "ts_quality": "ntp",
    "seq": 4713,
    "what": "quarantined",
    "rows": 1,
    "seq_first": 4652,
    "seq_last": 4652,
    "reason": "ends_connections",
}

STORED_EXAMPLE: Document = {
    "v": 1,
    "epoch": "9f2c01ab",
    "seq": 4700,
    "missing": [[4601, 4620], [4633, 4633]],
    "ts": 1768953900,
}

TOPICS = (
    Topic(
        "readings",
        "readings",
        "A batch of readings in columns: JSON when the first byte is {, zlib when it is 0x78",
        "readings-columnar.json",
        content_type="application/zlib",
        examples=(COLUMNAR_EXAMPLE,),
    ),
    Topic(
        "readingsJson",
        "readings/json",
        "A batch of readings as objects, when publish.encoding is json",
        "readings-json.json",
    ),
    Topic(
        "status",
        "status",
        "Whether the gateway is online; also its will",
        "status.json",
        retained=True,
        examples=(STATUS_EXAMPLE,),
    ),
    Topic(
        "inventory",
        "inventory",
        "What the gateway is, sent when it changes",
        "inventory.json",
        retained=True,
        examples=(INVENTORY_EXAMPLE,),
    ),
    Topic(
        "event",
        "event/{event_type}",
        "What cannot wait, with its evidence",
        "event.json",
        examples=(EVENT_EXAMPLE,),
        parameters={"event_type": {"description": "What the event is about.", "enum": list(EVENT_TYPES)}},
    ),
    Topic(
        "command",
        "command",
        "A signed command of the centre",
        {"type": "object"},
        said_by="centre",
        planned=True,
    ),
    Topic("reply", "reply", "The answer to a command", {"type": "object"}, planned=True),
    Topic(
        "stored",
        "stored",
        "The highest seq of an epoch that the centre has stored for good; optional",
        "stored.json",
        said_by="centre",
        retained=True,
        examples=(STORED_EXAMPLE,),
    ),
)


def asyncapi() -> Document:
    """Return the AsyncAPI document: every topic of the contract, operations as the gateway does them."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Sinyal",
            "version": "1.0.0",
            "description": "What a village internet gateway says to the centre over MQTT 5, and hears from "
            "it. Operations are the gateway's: the centre receives what it sends. A message may come twice; "
            "readings are told apart by (gateway_id, epoch, seq).",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {"centre": _server()},
        "channels": {topic.name: _channel(topic) for topic in TOPICS},
        "operations": dict(_operation(topic) for topic in TOPICS),
        "components": {
            "messages": {topic.name: _message(topic) for topic in TOPICS},
            "parameters": {
                "gateway_id": {
                    "description": "Name of the gateway: also its MQTT client id, its user name and the "
                    "common name of its certificate, so that one access rule serves all gateways.",
                    "examples": ["gw-1502"],
                }
            },
            "securitySchemes": {
                "clientCertificate": {
                    "type": "X509",
                    "description": "TLS with a certificate whose common name is the gateway_id.",
                }
            },
        },
    }


def _server() -> Document:
    return {
        "host": "{host}:{port}",
        "protocol": "secure-mqtt",
        "protocolVersion": "5",
        "description": "The broker of the centre. Broker and gateway show each other a certificate.",
        "variables": {
            "host": {"description": "broker.host of the configuration.", "examples": ["broker.example"]},
            "port": {"description": "broker.port of the configuration.", "default": "8883"},
        },
        "security": [{"$ref": "#/components/securitySchemes/clientCertificate"}],
        "bindings": {
            "mqtt": {
                "lastWill": {
                    "topic": "desa/v1/{gateway_id}/status",
                    "qos": 1,
                    "retain": True,
                    "message": "a status whose state is lost",
                },
                "bindingVersion": "0.2.0",
            }
        },
    }


def _channel(topic: Topic) -> Document:
    return {
        "address": f"desa/v1/{{gateway_id}}/{topic.levels}",
        "summary": topic.summary + ".",
        "messages": {topic.name: {"$ref": f"#/components/messages/{topic.name}"}},
        "parameters": {"gateway_id": {"$ref": "#/components/parameters/gateway_id"}, **topic.parameters},
        **_since(topic),
    }


def _operation(topic: Topic) -> tuple[str, Document]:
    action = "send" if topic.said_by == "gateway" else "receive"
    channel = f"#/channels/{topic.name}"
    operation: Document = {
        "action": action,
        "channel": {"$ref": channel},
        "summary": topic.summary + ".",
        "messages": [{"$ref": f"{channel}/messages/{topic.name}"}],
        "bindings": {"mqtt": {"qos": 1, "retain": topic.retained, "bindingVersion": "0.2.0"}},
    }
    if topic.name == "command":
        operation["reply"] = {"channel": {"$ref": "#/channels/reply"}}
    return f"{action}{topic.name[0].upper()}{topic.name[1:]}", operation | _since(topic)


def _message(topic: Topic) -> Document:
    payload = topic.payload
    if isinstance(payload, str):
        payload = {"$ref": f"../{SCHEMAS.relative_to(Path(__file__).parents[1]).as_posix()}/{payload}"}
    message: Document = {
        "name": topic.name,
        "title": topic.summary,
        "contentType": topic.content_type,
        "payload": payload,
    }
    if topic.examples:
        message["examples"] = [{"payload": example} for example in topic.examples]
    return message | _since(topic)


def _since(topic: Topic) -> Document:
    return {"x-since": "planned"} if topic.planned else {}
