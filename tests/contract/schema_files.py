"""The shipped JSON Schemas, as a consumer at the centre would use them."""

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

import agent.contract
from agent.errors import BatchUnreadable
from agent.wire.strict_json import parse

FOLDER = Path(agent.contract.__file__).with_name("schemas")

SCHEMAS: dict[str, Any] = {file.name: json.loads(file.read_text()) for file in sorted(FOLDER.glob("*.json"))}


def as_json(document: Any) -> bytes:
    """Return a document as a payload; NaN stays what Python makes of it."""
    return json.dumps(document).encode()


def faults(schema: str, payload: bytes) -> list[str]:
    """Return what a schema has against a payload: nothing when it is valid.

    JSON has no NaN, so that a payload with one is no JSON at all.
    """
    try:
        document = parse(payload)
    except BatchUnreadable as fault:
        return [fault.what]
    return document_faults(SCHEMAS[schema], document)


def document_faults(schema: Any, document: Any) -> list[str]:
    """Return what a schema has against a document; references lead to the shipped schemas."""
    known = Registry[Any]().with_resources(
        (name, Resource.from_contents(each)) for name, each in SCHEMAS.items()
    )
    return [fault.message for fault in Draft202012Validator(schema, registry=known).iter_errors(document)]
