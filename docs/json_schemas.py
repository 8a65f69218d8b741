"""The JSON Schemas of every message, and of what commands print, made from the metric catalogue."""

from collections.abc import Sequence
from typing import Any

from agent.contract.catalogue import CATALOGUE_FILE, Metric
from docs.catalogue_fields import Field

Document = dict[str, Any]
"""One JSON document."""

SCHEMAS = CATALOGUE_FILE.with_name("schemas")
"""The folder where they lie."""

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
