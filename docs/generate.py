"""Write what follows from the metric catalogue: JSON Schemas, docs/asyncapi.yaml and docs/fields.md.

What follows from the parser of the command line, manual pages and completions, is in command_pages.
`python -m docs.generate` writes them; with `--check` it names those that are stale and returns 1.
"""

import argparse
import html
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from agent.contract.catalogue import CATALOGUE_FILE, Catalogue, Metric
from agent.contract.events import EVENT_TYPES
from docs.command_pages import command_pages

DOCS = Path(__file__).parent
PROJECT = DOCS.parent
SCHEMAS = CATALOGUE_FILE.with_name("schemas")

Document = dict[str, Any]
"""One JSON document."""

EPOCH: Document = {
    "description": "Eight hexadecimal digits drawn when the gateway's database file was made.",
    "type": "string",
    "pattern": "^[0-9a-f]{8}$",
}
UNIX_TIME: Document = {"type": "integer", "minimum": 0, "x-unit": "s"}
MAX_SEQ = 2**53 - 1
VERSION: Document = {
    "description": "Rises only when an old reader would read wrongly.",
    "const": 1,
}


KNOWN_ROWS: Document = {
    "description": "How many of the folded readings knew the field.",
    "type": "integer",
    "minimum": 0,
    "x-unit": "count",
}


@dataclass(frozen=True, slots=True)
class Field:
    """A metric and what the catalogue says of it to people; label and definition by language (en, id)."""

    metric: Metric
    label: Mapping[str, str]
    definition: Mapping[str, str]
    source: str

    @property
    def has_extremes(self) -> bool:
        """Return whether a rollup may add `<field>_min`, `<field>_max` and `<field>_count`."""
        return self.metric.type in {"integer", "number"} and self.metric.fold != "last"

    @property
    def has_count(self) -> bool:
        """Return whether a rollup may add `<field>_count`."""
        return self.has_extremes or self.metric.type == "flag"


def read_fields(text: bytes) -> tuple[Field, ...]:
    """Return all fields of a catalogue file, in its order."""
    entries = json.loads(text)["metrics"]
    return tuple(
        Field(metric, entry["label"], entry["definition"], entry["source"])
        for metric, entry in zip(Catalogue(text).metrics, entries, strict=True)
    )


# JSON Schemas


def schemas(fields: Sequence[Field]) -> dict[str, Document]:
    """Return every JSON Schema by its file name."""
    return {
        f"{name}.json": {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": f"{name}.json",
            **schema,
        }
        for name, schema in {
            "reading": reading_schema(fields),
            "readings-json": readings_json_schema(),
            "readings-columnar": columnar_schema(fields),
            "status": status_schema(),
            "inventory": inventory_schema(fields),
            "event": event_schema(fields),
            "stored": stored_schema(),
            "modem-read": modem_read_schema(fields),
        }.items()
    }


def value_schema(described: Field) -> Document:
    """Return the schema of one field's value. What the gateway keeps whole is an integer here."""
    metric = described.metric
    schema: Document = {"title": described.label["en"], "description": described.definition["en"]}
    if metric.type == "text":
        schema["type"] = "string"
        schema |= {"enum": list(metric.values)} if metric.values else {"minLength": 1}
    else:
        schema["type"] = "number" if metric.decimals else "integer"
        bounds = {"minimum": metric.minimum, "maximum": metric.maximum}
        schema |= {name: bound for name, bound in bounds.items() if bound is not None}
    if metric.unit:
        schema["x-unit"] = metric.unit
    if metric.decimals:
        schema["x-decimals"] = metric.decimals
    return schema | {"x-label-id": described.label["id"], "x-level": metric.level}


def reading_schema(fields: Sequence[Field]) -> Document:
    """Return the schema of one reading as a flat object."""
    return {
        "title": "Reading",
        "description": "One reading of one gateway. A field that is absent is not known. A newer gateway may "
        "send more fields; a rollup of old readings adds <field>_min and <field>_max, of a flag <field>_mean "
        "(in which share of the readings it was 1), and <field>_count where not all of them knew the field.",
        "type": "object",
        "required": ["seq", "ts"],
        "properties": {
            **{each.metric.name: value_schema(each) for each in fields if each.metric.kept == "reading"},
            "epoch": EPOCH,
            **never_sent(fields),
        },
        "patternProperties": {
            f"^{each.metric.name}_(min|max)$": {"$ref": f"#/properties/{each.metric.name}"}
            for each in fields
            if each.has_extremes
        }
        | {
            f"^{each.metric.name}_mean$": {"type": "number", "minimum": 0, "maximum": 1}
            for each in fields
            if each.metric.type == "flag"
        }
        | {f"^{each.metric.name}_count$": KNOWN_ROWS for each in fields if each.has_count},
    }


def never_sent(fields: Sequence[Field]) -> Document:
    """Return properties that refuse the identifiers which never leave a gateway."""
    return {each.metric.name: False for each in fields if each.metric.kept == "local"}


def readings_json_schema() -> Document:
    """Return the schema of `readings/json`."""
    return {
        "title": "Batch of readings as objects",
        "description": "Readings of one epoch; fields that are not known are left out.",
        "type": "array",
        "minItems": 1,
        "items": {"allOf": [{"$ref": "reading.json"}, {"required": ["epoch", "seq", "ts"]}]},
    }


def columnar_schema(fields: Sequence[Field]) -> Document:
    """Return the schema of `readings`, after zlib. Ranges hold for sums of differences, so not here."""
    columns: dict[str, Document] = {}
    for each in fields:
        metric = each.metric
        if metric.kept != "reading":
            continue
        if metric.type == "text":
            columns[f"^{metric.name}$"] = text_column(metric)
        else:
            added = ["_min", "_max"] if each.has_extremes else ["_mean"] if metric.type == "flag" else []
            added += ["_count"] if each.has_count else []
            endings = f"({'|'.join(added)})?" if added else ""
            columns[f"^{metric.name}{endings}(/[1-9][0-9]*)?$"] = {"$ref": "#/$defs/numberColumn"}
    return {
        "title": "Batch of readings in columns",
        "description": "The payload of `readings`: this document as JSON, or that JSON compressed with zlib "
        "when the first byte is 0x78. Decodes on its own: each column of c gives a value for each of the n "
        "rows.",
        "type": "object",
        "required": ["v", "epoch", "n", "late", "c"],
        "properties": {
            "v": VERSION,
            "epoch": EPOCH,
            "n": {"description": "Number of rows.", "type": "integer", "minimum": 1},
            "late": {"description": "1 for backlog, 0 for fresh readings.", "enum": [0, 1]},
            "c": {
                "description": "Column name, with /D behind it when the numbers are to be divided by D, to "
                "column. An absent column is not known in any row. Unknown columns are to be kept.",
                "type": "object",
                "required": ["seq", "ts"],
                "propertyNames": {"pattern": "^[^/]+(/[1-9][0-9]*)?$"},
                "properties": {"epoch": False, **never_sent(fields)},
                "patternProperties": columns,
                "additionalProperties": {
                    "anyOf": [{"$ref": "#/$defs/numberColumn"}, text_column(None)],
                },
            },
        },
        "$defs": {
            "numberColumn": {
                "description": "The first value, then differences, as whole numbers; null is not known in "
                "that row and leaves the running sum alone. One number is the value of all rows.",
                "type": ["array", "integer", "null"],
                "minItems": 1,
                "items": {"type": ["integer", "null"]},
            }
        },
    }


def text_column(metric: Metric | None) -> Document:
    """Return the schema of a column of texts; of a metric with words, only those may stand there."""
    words: Document = {"enum": [*metric.values, None]} if metric and metric.values else {}
    return {
        "description": "Runs [text, number of rows], null where not known; one text is that of all rows.",
        "anyOf": [
            {"type": ["string", "null"], **words},
            {
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "array",
                    "prefixItems": [{"type": ["string", "null"], **words}, {"type": "integer", "minimum": 1}],
                    "minItems": 2,
                    "maxItems": 2,
                },
            },
        ],
    }


def status_schema() -> Document:
    """Return the schema of `status`."""
    return {
        "title": "Status of a gateway",
        "description": "Retained. `lost` is the will: the broker says it when the gateway fell silent.",
        "type": "object",
        "required": ["v", "state", "ts", "since", "epoch", "version", "interval_s"],
        "properties": {
            "v": VERSION,
            "state": {
                "description": "online, offline (stopped in good order) or lost (fell silent).",
                "enum": ["online", "offline", "lost"],
            },
            "ts": {"description": "UTC time of the message; of connecting when lost.", **UNIX_TIME},
            "since": {"description": "UTC time at which this state began.", **UNIX_TIME},
            "epoch": EPOCH,
            "last_seq": {
                "description": "seq of the newest stored reading; absent when there is none.",
                "type": "integer",
                "minimum": 1,
            },
            "version": {"description": "Version of the agent.", "type": "string", "minLength": 1},
            "interval_s": {
                "description": "Time between two readings, for a dead-man rule.",
                "type": "number",
                "exclusiveMinimum": 0,
                "x-unit": "s",
            },
        },
    }


def inventory_schema(fields: Sequence[Field]) -> Document:
    """Return the schema of `inventory`."""
    by_name = {each.metric.name: value_schema(each) for each in fields}
    return {
        "title": "Inventory of a gateway",
        "description": "Retained, sent when it changes. What is not known is absent.",
        "type": "object",
        "required": ["v", "ts", "agent_version", "catalogue", "epoch"],
        "properties": {
            "v": VERSION,
            "ts": {"description": "UTC time of the message.", **UNIX_TIME},
            "kode_desa": {
                "description": "Village code of Kemendagri, PP.KK.CC.NNNN.",
                "type": "string",
                "pattern": r"^[0-9]{2}\.[0-9]{2}\.[0-9]{2}\.[0-9]{4}$",
            },
            "kode_edisi": _text("Edition of the code list that kode_desa comes from; codes change."),
            "site_name": _text("Name of the place, for people."),
            "role": _text("What the gateway does: link, or repeater-monitor."),
            "modem_manufacturer": by_name["manufacturer"],
            "modem_model": by_name["model"],
            "modem_firmware": by_name["firmware"],
            "operator_name": by_name["operator_name"],
            "operator_mccmnc": by_name["operator_mccmnc"],
            "agent_version": _text("Version of the agent."),
            "catalogue": {
                "description": "First eight hexadecimal digits of the SHA-256 of its metric catalogue.",
                "type": "string",
                "pattern": "^[0-9a-f]{8}$",
            },
            "epoch": EPOCH,
            **never_sent(fields),
        },
    }


def event_schema(fields: Sequence[Field]) -> Document:
    """Return the schema of `event/<type>`."""
    quality = next(each for each in fields if each.metric.name == "ts_quality")
    return {
        "title": "Event of a gateway",
        "description": "What cannot wait for the next batch. Beside these keys stands its evidence: names "
        "with their unit, as in a reading, and values that are a number, a text, true, false or null.",
        "type": "object",
        "required": ["v", "id", "ts", "ts_quality", "seq", "what"],
        "properties": {
            "v": VERSION,
            "id": {
                "description": "Identity of the event for ever: epoch and number. It may come twice.",
                "type": "string",
                "pattern": "^[0-9a-f]{8}-[1-9][0-9]*$",
            },
            "ts": {"description": "UTC time of the event.", **UNIX_TIME},
            "ts_quality": value_schema(quality),
            "seq": {
                "description": "seq of the newest reading at that moment; 0 before the first.",
                "type": "integer",
                "minimum": 0,
            },
            "what": {
                "description": "What happened, one word for programs. event/buffer: full, folded, dropped, "
                "quarantined, damaged, recovered or unwritable (read-only, or a disk with errors). "
                "event/power: mains_lost, mains_returned, battery_low, battery_low_over, undervoltage, "
                "undervoltage_over or stopping. event/modem: recovery (one step), revived, recovery_given_up "
                "or power_cycled.",
                "type": "string",
                "minLength": 1,
            },
            "rows": {
                "description": "event/buffer: how many readings it concerns.",
                "type": "integer",
                "minimum": 0,
            },
            "rung": {
                "description": "event/modem: the step that was taken, in revived the last one.",
                "enum": ["reopen", "other_port", "soft_reset", "usb", "relay", "reboot"],
            },
            "trouble": {
                "description": "event/modem: what was wrong.",
                "enum": ["hung", "missing", "uplink"],
            },
            "edge_age_s": {
                "description": "event/power: so long before ts mains went or came back.",
                "type": "number",
                "minimum": 0,
                "x-unit": "s",
            },
            **never_sent(fields),
        },
        "additionalProperties": {"type": ["number", "string", "boolean", "null"]},
    }


def stored_schema() -> Document:
    """Return the schema of `stored`, which the centre says."""
    seq: Document = {"type": "integer", "minimum": 1, "maximum": MAX_SEQ}
    return {
        "title": "What the centre has stored for good",
        "description": "Retained, optional. A gateway that never hears it works as well. One that does, "
        "sends again what the centre still lacks 15 minutes after the broker acknowledged it, so say it at "
        "least every 10 minutes while readings come. At most 4,096 bytes.",
        "type": "object",
        "required": ["v", "epoch", "seq"],
        "properties": {
            "v": VERSION,
            "epoch": EPOCH,
            "seq": {
                "description": "The centre has every reading of this epoch up to here for good, but those "
                "in missing; 0 when it has none.",
                "type": "integer",
                "minimum": 0,
                "maximum": MAX_SEQ,
            },
            "missing": {
                "description": "Ranges [first, last] of seq that the centre lacks and asks for: the first "
                "20, at most 20,000 readings and no range twice in an hour.",
                "type": "array",
                "items": {
                    "type": "array",
                    "prefixItems": [seq, seq],
                    "minItems": 2,
                    "maxItems": 2,
                },
            },
            "ts": {
                "description": "UTC time at which the centre says so. A gateway without a clock takes it for "
                "true time when it hears it live, not retained.",
                **UNIX_TIME,
            },
        },
    }


def _text(description: str) -> Document:
    return {"description": description, "type": "string", "minLength": 1}


def modem_read_schema(fields: Sequence[Field]) -> Document:
    """Return the schema of what `sinyal modem read --json` prints."""
    asked = [each for each in fields if each.metric.group in {"modem", "radio", "inventory"}]
    properties = {each.metric.name: _or_null(value_schema(each)) for each in asked}
    properties["modem_state"] = value_schema(
        next(each for each in asked if each.metric.name == "modem_state")
    )
    return {
        "title": "One reading of a modem",
        "description": "Printed by `sinyal modem read --json`. null or absent: the modem did not say. "
        "Identifiers of the subscriber are masked unless asked for with --reveal.",
        "type": "object",
        "required": ["modem_state", "sources"],
        "properties": {
            **properties,
            "sources": {
                "description": "Field to the AT command its value came from.",
                "type": "object",
                "additionalProperties": {"type": "string", "minLength": 1},
            },
        },
    }


def _or_null(schema: Document) -> Document:
    words = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
    return schema | {"type": [schema["type"], "null"]} | words


# AsyncAPI


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
        payload = {"$ref": f"../{SCHEMAS.relative_to(PROJECT).as_posix()}/{payload}"}
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


# docs/fields.md

GROUPS = {
    "identity": "Identity",
    "time": "Time",
    "modem": "Modem",
    "radio": "Radio",
    "link": "Uplink",
    "power": "Power",
    "host": "Board and village network",
    "agent": "The agent itself",
    "inventory": "Inventory",
}

FIELDS_HEAD = """\
<!-- Written by docs/generate.py from agent/contract/catalogue.json. -->
# Fields

Every field that Sinyal measures, from metric catalogue `{catalogue}`. How they travel is in
[asyncapi.yaml](asyncapi.yaml); the same facts for programs are the JSON Schemas in
[agent/contract/schemas](../agent/contract/schemas).

- **A field that is absent or null is not known.** No number ever stands for "unknown", and what physics does
  not allow is not known either.
- *Value*: type and unit, least and greatest, precision; or the words that may come.
- *Level* is our suggestion after Satu Data: public, restricted, or internal (names a subscriber).
- *Kept*: reading (one value a reading), envelope (once a batch), inventory (sent when it changes), local
  (never leaves the gateway).
- *Rollup*: how a value stands for many readings, when old unsent ones are folded into rows of 5 minutes or an
  hour: their mean, max or sum, or the last known one. Such a row says in `folded_rows` how many they are;
  beside a mean or a max it has `<field>_min` and `<field>_max`. **A flag** stays 0 or 1 (the last one; for
  max the greatest), and `<flag>_mean` is the share of the readings in which it was 1. `<field>_count` says
  how many readings knew the field, where not all of them did. More in [decoding.md](decoding.md).
"""

TABLE_HEAD = """\
| field | value | meaning | source | level | kept | rollup |
|---|---|---|---|---|---|---|
"""


def fields_page(fields: Sequence[Field], catalogue_id: str) -> str:
    """Return docs/fields.md: one table for each group of the catalogue."""
    page = FIELDS_HEAD.format(catalogue=catalogue_id)
    for group, title in GROUPS.items():
        rows = "".join(_table_row(each) for each in fields if each.metric.group == group)
        page += f"\n## {title}\n\n{TABLE_HEAD}{rows}"
    return page


def _table_row(described: Field) -> str:
    metric = described.metric
    label = f"**{described.label['en']}** · *{described.label['id']}*"
    cells = (
        f"`{metric.name}`",
        _value(metric),
        f"{label}<br>{html.escape(described.definition['en'], quote=False)}",
        html.escape(described.source, quote=False),
        metric.level,
        metric.kept,
        metric.fold if metric.kept == "reading" else "",
    )
    return f"| {' | '.join(cells)} |\n"


def _value(metric: Metric) -> str:
    if metric.type == "flag":
        return "0 or 1"
    if metric.type == "text":
        return " ".join(f"`{word}`" for word in metric.values) or "text"
    bounds = f"{_bound(metric.minimum)} to {_bound(metric.maximum)}"
    precision = ("whole", "one decimal", "two decimals", "three decimals")[metric.decimals]
    return ", ".join(filter(None, (metric.type, metric.unit, bounds, precision)))


def _bound(bound: float | None) -> str:
    """Return a bound for people; a very wide one as the power of two that it is close to."""
    if bound is None:
        return "any"
    sign = "-" if bound < 0 else ""
    size = int(abs(bound)) if bound == int(bound) else abs(bound)
    if size < 2**32:
        return f"{sign}{size}"
    power = round(size).bit_length() - (round(size).bit_count() == 1)
    less = 2**power - size
    return f"{sign}2^{power}" + (f" - {less}" if less else "")


# Files


def documents() -> dict[Path, str]:
    """Return what every generated file should hold."""
    text = CATALOGUE_FILE.read_bytes()
    fields = read_fields(text)
    files = {SCHEMAS / name: _json(schema) for name, schema in schemas(fields).items()}
    files[DOCS / "asyncapi.yaml"] = "# Written by docs/generate.py.\n" + yaml.safe_dump(
        asyncapi(), sort_keys=False, allow_unicode=True, width=110
    )
    files[DOCS / "fields.md"] = fields_page(fields, Catalogue(text).id)
    return {**files, **command_pages()}


def _json(schema: Document) -> str:
    return json.dumps(schema, ensure_ascii=False, indent=1) + "\n"


def stale_files(files: Mapping[Path, str]) -> Iterator[Path]:
    """Yield the files that are missing or differ, and schemas that nothing makes any more."""
    for path, text in files.items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            yield path
    yield from (path for path in sorted(SCHEMAS.glob("*.json")) if path not in files)


def main(arguments: Sequence[str]) -> int:
    """Write the files, or with --check name the stale ones and return 1 when there are any."""
    parser = argparse.ArgumentParser(description="Write what follows from catalogue and parser.")
    parser.add_argument("--check", action="store_true", help="change nothing, only name the stale files")
    options = parser.parse_args(arguments)
    files = documents()
    stale = list(stale_files(files))
    if options.check:
        for path in stale:
            print(f"stale: {path.relative_to(PROJECT)}")
        if stale:
            print("Next step: make docs")
        return 1 if stale else 0
    SCHEMAS.mkdir(exist_ok=True)
    for path in stale:
        if path in files:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files[path], encoding="utf-8")
            print(f"written: {path.relative_to(PROJECT)}")
        else:
            path.unlink()
            print(f"removed: {path.relative_to(PROJECT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
